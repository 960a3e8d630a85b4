# SPDX-License-Identifier: MIT
"""The networks of these tests, written once in every format."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest.importorskip("torch")

from predictors.networks import write_all


@pytest.fixture(scope="session")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with networks.py and its networks in every format."""
    directory = tmp_path_factory.mktemp("networks")
    write_all(directory)
    return directory


@pytest.fixture(autouse=True)
def _own_networks() -> None:
    sys.modules.pop("networks", None)  # each test has its own beside its spec
