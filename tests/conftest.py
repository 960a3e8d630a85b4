# SPDX-License-Identifier: MIT
"""Settings of all tests."""

from hypothesis import settings

# timings belong in benchmarks: a busy machine must not fail a property
settings.register_profile("no deadline", parent=settings(), deadline=None)
settings.load_profile("no deadline")
