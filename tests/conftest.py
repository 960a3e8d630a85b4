# SPDX-License-Identifier: MIT
"""Settings of all tests."""

import os
import sys

import pytest
from hypothesis import settings

# timings belong in benchmarks: a busy machine must not fail a property
settings.register_profile("no deadline", parent=settings(), deadline=None)
settings.load_profile("no deadline")
# by hand: ./run test --hypothesis-profile thorough tests/coupler
settings.register_profile("thorough", parent=settings(), deadline=None, max_examples=2000)

# Open MPI's own choice on a machine without a fabric, after it has looked for one: 0.2 s a job
os.environ.setdefault("OMPI_MCA_pml", "ob1")


@pytest.fixture(autouse=True)
def _own_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """Loading a predictor adds its spec's directory: the next test has other modules there."""
    monkeypatch.setattr(sys, "path", list(sys.path))
