# SPDX-License-Identifier: MIT
"""Exchanges in many chunks: the same values, and work on a field begins before the next is put."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml

from coupled.exchange import UNEVEN, Case, python, run_exchange
from coupled.test_exchange import SUCCESS
from coupled.test_model import run_python
from coupled.test_points import CASES as POINTS
from coupled.test_points import SUCCESS as POINTS_SUCCESS
from jobs import fortran_test, mpirun

CASES = {
    "all periods and lags": Case(boxes=UNEVEN, lag=2, nz=5, steps=9),
    "a fold, real32 arrays": Case(
        nx=8, boxes=[(1, 8, 1, 5)], bits=32, wire="float32", halo=4, north="T"
    ),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
@pytest.mark.parametrize("transport", ["messages", "windows"])
@pytest.mark.parametrize("most", [1, 300])
def test_every_value_arrives_in_chunks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case, transport: str, most: int
) -> None:
    monkeypatch.setenv("HALOCLINE_CHUNK", str(most))
    changed = Case(**{**vars(case), "transport": transport})
    assert SUCCESS in run_exchange(tmp_path, changed).stdout


@pytest.mark.parametrize("run", [run_exchange, run_python])
@pytest.mark.parametrize(("lag", "most"), [(1, "20000"), (3, "100000")])
def test_answers_that_nobody_gets(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    run: Callable[[Path, Case], CompletedProcess[str]],
    lag: int,
    most: str,
) -> None:
    """What a lag leaves is more messages than receives are posted ahead, each too long for MPI to
    send it before there is one: the model takes them at its end, or no rank would end."""
    monkeypatch.setenv("HALOCLINE_CHUNK", most)
    case = Case(boxes=[(1, 80, 1, 40)], workers=1, nx=80, ny=40, halo=0, lag=lag, steps=3)
    assert SUCCESS in run(tmp_path, replace(case, transport="messages")).stdout


@pytest.mark.parametrize("name", ["permuted, holes, lag", "fold F, segments"])
def test_index_lists_in_chunks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv("HALOCLINE_CHUNK", "100")
    assert POINTS_SUCCESS in POINTS[name].run(tmp_path)


@pytest.mark.parametrize("transport", ["messages", "windows"])
@pytest.mark.parametrize(("models", "workers"), [(2, 1), (1, 2)])
def test_work_begins_with_the_first_field(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, transport: str, models: int, workers: int
) -> None:
    """The model waits between its two puts until the worker has read the first: were the worker to
    wait for both, the job would end by the time limit. Answers are got in either order."""
    monkeypatch.setenv("HALOCLINE_CHUNK", "200")
    spec = {
        "run": {"dt": 1, "steps": 4, "time_limit": 60},
        "components": {
            "model": {"command": "early_model", "ranks": models},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {"grid": {"size": {"x": 7, "y": 5, "z": 3}}},
        "exchanges": [
            {"from": "model", "to": "worker", "transport": transport, "fields": ["a", "b"]},
            {"from": "worker", "to": "model", "fields": ["c", "d"]},
        ],
    }
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec))
    model = [fortran_test("early_model"), "7", "5", "3", "4"]
    job = mpirun(tmp_path, (models, model), (workers, python("early_worker.py", "case.yaml")))
    assert "early_model: every value as expected" in job.stdout


def test_a_chunk_of_no_number_of_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOCLINE_CHUNK", "64k")
    job = run_exchange(tmp_path, Case(), check=False)
    assert job.returncode != 0
    assert "HALOCLINE_CHUNK: got '64k', expected a number of bytes" in job.stderr
