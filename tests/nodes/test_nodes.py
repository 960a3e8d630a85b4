# SPDX-License-Identifier: MIT
"""Jobs of two nodes with addresses of their own: messages across, windows within, both at once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

import jobs
from coupled.exchange import HALVES, UNEVEN, Case, run_exchange
from coupled.gyre import coupled, final_state, in_model, namelist, run_coupled, spec
from coupled.test_exchange import SUCCESS
from coupler.command.launcher import Launcher
from jobs import run_ocean
from nodes.namespaces import missing, two_nodes

STEPS = 40
pytestmark = [pytest.mark.nodes, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def mpirun(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with two_nodes(tmp_path_factory.mktemp("nodes")) as path:
        yield path


@pytest.fixture
def by_node(mpirun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ranks of each component take turns: half of them on each node."""
    monkeypatch.setattr(jobs, "LAUNCHER", Launcher("openmpi", (mpirun, "--map-by", "node")))


@pytest.mark.usefixtures("by_node")
@pytest.mark.parametrize("transport", ["auto", "messages"])
def test_mixed(tmp_path: Path, transport: str) -> None:
    """Every worker has partners on both nodes."""
    case = Case(boxes=UNEVEN, workers=3, halo=3, lag=1, transport=transport)
    assert SUCCESS in run_exchange(tmp_path, case).stdout


@pytest.mark.usefixtures("by_node")
def test_windows_within(tmp_path: Path) -> None:
    """Each worker's only partner is on its node: windows can be asked for, and are there."""
    case = Case(boxes=HALVES, workers=2, halo=0, boundary=("closed", "closed"), transport="windows")
    assert SUCCESS in run_exchange(tmp_path, case).stdout


@pytest.mark.usefixtures("by_node")
def test_windows_across_are_refused(tmp_path: Path) -> None:
    """So these really are two nodes."""
    job = run_exchange(tmp_path, Case(boxes=HALVES, halo=2, transport="windows"), check=False)
    assert job.returncode != 0
    assert "transport is windows, but rank" in job.stderr
    assert "is on another node" in job.stderr


def test_the_double_gyre(tmp_path: Path, mpirun: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ocean ranks and two workers, half of them on each node: the bits of the model alone."""
    run_ocean(tmp_path / "expected", namelist(in_model(), STEPS))
    monkeypatch.setattr(jobs, "LAUNCHER", Launcher("openmpi", (mpirun, "--map-by", "node")))
    run_coupled(tmp_path / "coupled", namelist(coupled(), STEPS), spec(), 2, 2)
    got = final_state(tmp_path / "coupled", STEPS)
    for name, values in final_state(tmp_path / "expected", STEPS).items():
        np.testing.assert_array_equal(got[name], values, name)


@pytest.mark.usefixtures("by_node")
def test_a_failure_crosses(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker that fails on one node ends the ranks of the other."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    loaded = spec()
    loaded["components"]["closure"]["predictor"] = {"python": "coupled.bad_predictors:raises"}
    loaded["exchanges"][0]["halo"] = 2
    job = run_coupled(tmp_path, namelist(coupled(), 2000), loaded, 2, 2, check=False)
    assert job.returncode != 0
    assert "ZeroDivisionError: no water left" in job.stderr
    assert "ocean rank" in job.stderr
