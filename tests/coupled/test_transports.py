# SPDX-License-Identifier: MIT
"""Messages, shared windows, and both in one exchange: the same values, every one compared."""

from __future__ import annotations

from pathlib import Path

import pytest

from coupled.exchange import UNEVEN, WHOLE, Case, python, run_exchange
from coupled.test_exchange import SUCCESS

CASES = {
    "halo wider than the grid": Case(halo=9, boundary=("periodic", "periodic")),
    "lag of three, float32": Case(lag=3, wire="float32", steps=9),
    "real32 arrays, three workers": Case(bits=32, workers=3, lag=1),
    "workers without a cell": Case(boxes=[(1, 2, 1, 1), (1, 2, 2, 2)], nx=2, ny=2, workers=5),
}


@pytest.mark.mpich
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
@pytest.mark.parametrize("transport", ["messages", "windows"])
def test_forced(tmp_path: Path, case: Case, transport: str) -> None:
    changed = Case(**{**vars(case), "transport": transport})
    assert SUCCESS in run_exchange(tmp_path, changed).stdout


@pytest.mark.mpich
@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
@pytest.mark.parametrize("ranks_per_node", [2, 3])
def test_mixed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, ranks_per_node: int
) -> None:
    """Nodes of two or three ranks: some partners share memory with a worker, others do not."""
    monkeypatch.setenv("HALOCLINE_RANKS_PER_NODE", str(ranks_per_node))
    assert SUCCESS in run_exchange(tmp_path, case).stdout


def test_windows_between_nodes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOCLINE_RANKS_PER_NODE", "1")
    case = Case(boxes=UNEVEN, transport="windows")
    job = run_exchange(tmp_path, case, check=False)
    assert job.returncode != 0
    assert "transport is windows, but rank 0 of the model is on another node" in job.stderr


@pytest.mark.parametrize("transport", ["messages", "windows"])
def test_a_step_allocates_nothing_of_a_fields_size(tmp_path: Path, transport: str) -> None:
    """In Python, after the first steps, where the answer is computed in place."""
    case = Case(boxes=WHOLE, workers=1, transport=transport)
    large = Case(**{**vars(case), "nx": 60, "ny": 50, "nz": 10, "boxes": [(1, 60, 1, 50)]})
    partner = python("allocation_worker.py", "case.yaml")
    job = run_exchange(tmp_path, large, partner=partner)
    assert SUCCESS in job.stdout
    (line,) = [line for line in job.stdout.splitlines() if line.startswith("allocated ")]
    allocated, size = int(line.split()[1]), int(line.split()[3])
    assert size == 8 * 60 * 50 * 10
    assert allocated < size / 10, line
