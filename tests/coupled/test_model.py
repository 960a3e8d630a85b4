# SPDX-License-Identifier: MIT
"""Models in Python: the jobs of exchange_model and series_model again, with their Python twins.
The workers compare every padded cell they receive, the models every answer."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

import f90nml
import pytest
import yaml

from coupled.exchange import HALVES, UNEVEN, WHOLE, Case, python, write_case
from coupled.series import Series
from coupled.test_exchange import CASES, SUCCESS
from jobs import mpirun

WINDOWS = ("lag and period", "fold T, vectors along the grid")
MESSAGES = ("real32 arrays, float32", "fold F, halo wider than the grid")
TESTS = Path(__file__).parents[1]


def run_python(directory: Path, case: Case) -> subprocess.CompletedProcess[str]:
    write_case(directory, case)
    return mpirun(
        directory,
        (len(case.boxes), python("exchange_model.py", *case.arguments())),
        (case.workers, python("exchange_worker.py", "case.yaml")),
    )


@pytest.mark.parametrize("name", WINDOWS)
def test_every_value_through_windows(tmp_path: Path, name: str) -> None:
    assert SUCCESS in run_python(tmp_path, CASES[name]).stdout


@pytest.mark.parametrize("name", MESSAGES)
def test_every_value_through_messages(tmp_path: Path, name: str) -> None:
    assert SUCCESS in run_python(tmp_path, replace(CASES[name], transport="messages")).stdout


def test_holes(tmp_path: Path) -> None:
    case = Case(boxes=[(1, 3, 1, 2), (4, 7, 3, 5)], holes=True, workers=2)
    assert SUCCESS in run_python(tmp_path, case).stdout


def test_a_restart_with_a_lag(tmp_path: Path) -> None:
    case = Case(boxes=HALVES, lag=2, steps=3)
    run_python(tmp_path, case)
    (tmp_path / "restart.txt").write_text("restart.nc\n")
    assert SUCCESS in run_python(tmp_path, replace(case, start=30, boxes=WHOLE, workers=1)).stdout


def test_every_treatment(tmp_path: Path) -> None:
    case = Series(transport="messages", wire="float32", lag=2, steps=13)
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(case.spec(), sort_keys=False))
    f90nml.Namelist({"case": case.namelist("")}).write(tmp_path / "case.nml")
    job = mpirun(
        tmp_path,
        (len(case.boxes), python("series_model.py")),
        (case.workers, python("series_worker.py", "case.yaml", "0", "64")),
    )
    assert "series_model: every value as expected" in job.stdout


MISUSE = {
    "model.put('a', 0, np.zeros((3, 5, 8)))": "put of 'a': got float64 (3, 5, 8), expected floats",
    "model.put('a', 0, np.zeros((3, 5, 7), int))": "put of 'a': got int64 (3, 5, 7), expected",
    "model.put('aa', 0, zeros)": "model: no field 'aa'; did you mean 'a'?",
    "model.get('a', 0)": "'a' is declared for the other direction",
    "model.put('a', 3, zeros)": "put or get of 'a' at date 3 s, expected a multiple of the time",
    "model.start()": "model: start is called twice",
    "model.put('a', 0, zeros); model.put('a', 0, zeros)": "put of 'a' twice at date 0 s",
    "model.put('a', 10, zeros)": "but the exchange of 0 s still lacks b",
    "model.write_restart(0, 'r.nc')": "the exchange of date 0 s still lacks b",
    "model.put('b', 0, zeros); model.put('a', 0, zeros)": "but the exchange of 0 s is complete",
    "model.get('answer', 0); model.get('answer', 0)": "get of 'answer' twice at date 0 s",
}
MODEL = """
import numpy as np
from coupler import ModelComponent
from coupler.routing.decomposition import Box
from coupler.errors import CouplingError
from coupled.test_model import MISUSE
with ModelComponent('model') as model:
    model.define_grid('grid', 7, 5, Box(0, 7, 0, 5))
    for field in ('a', 'b'):
        model.define_field(field, 'grid', 'out', 3)
    model.define_field('flat', 'grid', 'static')
    model.define_field('answer', 'grid', 'in', 3)
    model.start()
    zeros = np.zeros((3, 5, 7))
    model.put('flat', 0, zeros[:1])
    for code in MISUSE:
        try:
            exec(code)
        except CouplingError as error:
            print('misuse:', error, flush=True)
    1 / 0
"""
WORKER = """
from coupler import Component
with Component('worker', 'case.yaml') as worker:
    for step in worker.steps():
        step['answer'] = step['a'] * 2
"""


def test_misuse_and_an_exception_are_told(tmp_path: Path) -> None:
    (tmp_path / "model.py").write_text(f"import sys; sys.path.append({str(TESTS)!r})\n{MODEL}")
    (tmp_path / "worker.py").write_text(WORKER)
    write_case(tmp_path, Case(boxes=WHOLE, workers=1))
    blocks = [(1, python(str(tmp_path / f"{name}.py"))) for name in ("model", "worker")]
    job = mpirun(tmp_path, *blocks, check=False)
    assert job.returncode == 1
    said = [line for line in job.stdout.splitlines() if line.startswith("misuse: ")]
    assert len(said) == len(MISUSE)
    for line, message in zip(said, MISUSE.values(), strict=True):
        assert message in line
    assert "halocline: model rank 0: ZeroDivisionError: division by zero" in job.stderr
    assert "worker rank 0: told by model rank 0: ZeroDivisionError" in job.stderr


def test_the_workers_refuse_what_the_spec_does_not_have(tmp_path: Path) -> None:
    case = Case(boxes=UNEVEN, workers=2)
    wrong = replace(case, nz=4)
    write_case(tmp_path, case)
    job = mpirun(
        tmp_path,
        (len(case.boxes), python("exchange_model.py", *wrong.arguments())),
        (case.workers, python("exchange_worker.py", "case.yaml")),
        check=False,
    )
    assert job.returncode == 1
    assert "field 'a': model declares 4 levels, the spec has 3" in job.stderr
