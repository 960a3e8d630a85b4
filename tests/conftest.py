# SPDX-License-Identifier: MIT
"""Settings of all tests."""

import os
import sys
from collections.abc import Iterator

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
def _own_modules(
    monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[None]:
    """Loading a predictor adds its spec's directory: the next test has other modules there, some of
    the same names."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    before, written = set(sys.modules), str(tmp_path_factory.getbasetemp())
    yield
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", None)).startswith(written):
            del sys.modules[name]
