# SPDX-License-Identifier: MIT
"""What goes wrong ends every rank, soon, with a message that says who, what, where."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from coupled.gyre import coupled, namelist, run_coupled, spec

BOUND = 60.0  # [s]: 5 s are usual, but the machine may be crowded; the time limit is 300 s


def failing(tmp_path: Path, loaded: dict[str, Any], groups: dict[str, Any] | None = None) -> str:
    """Run with two ocean ranks and two workers; returns what was printed."""
    loaded["run"].pop("time_limit", None)
    begun = time.perf_counter()
    job = run_coupled(
        tmp_path, groups or namelist(coupled(), 2000), loaded, ranks=2, workers=2, check=False
    )
    assert job.returncode != 0
    assert time.perf_counter() - begun < BOUND
    return job.stderr + job.stdout


def with_predictor(function: str) -> dict[str, Any]:
    loaded = spec()
    loaded["components"]["closure"]["predictor"] = {"python": f"coupled.bad_predictors:{function}"}
    loaded["exchanges"][0]["halo"] = 2
    return loaded


@pytest.fixture(autouse=True)
def _find_predictors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)


@pytest.mark.mpich
@pytest.mark.parametrize(
    ("function", "message"),
    [
        ("raises", "closure rank 0: at step 3, date 1800 s: ZeroDivisionError: no water left"),
        ("transposes", "answer 'su': got shape (2, 15, 24)"),
        ("returns_nan", "field 'sv' has 1 values that are not finite"),
        ("forgets", "the answer of coupled.bad_predictors:forgets lacks 'sv'"),
        ("leaves", "at step 0, date 0 s: RuntimeError: it called sys.exit(0)"),
        ("changes_a_mask", "at step 0, date 0 s: ValueError: output array is read-only"),
    ],
)
def test_bad_predictor(tmp_path: Path, function: str, message: str) -> None:
    output = failing(tmp_path, with_predictor(function))
    assert message in output
    assert "ocean rank" in output  # the model learned why, and said so
    assert "told by closure rank" in output


def test_unknown_field(tmp_path: Path) -> None:
    loaded = spec()
    loaded["exchanges"][0]["fields"]["thickness"] = {"point": "T"}
    output = failing(tmp_path, loaded)
    assert "field 'thickness': ocean declares no such field" in output


def test_size_of_namelist_and_spec(tmp_path: Path) -> None:
    loaded = spec()
    loaded["grids"]["ocean"]["size"] = {"x": 21, "y": 20, "z": 2}
    output = failing(tmp_path, loaded)
    assert "x is 21 here, but ocean.nml has grid.nx = 22" in output


def test_size_of_model_and_spec(tmp_path: Path) -> None:
    """The spec names another namelist than the one the model reads."""
    loaded = spec()
    loaded["run"] = {"dt": 240}
    loaded["grids"]["ocean"]["size"] = {"x": 22, "y": 21, "z": 2}
    output = failing(tmp_path, loaded)
    assert "ocean runs with 22 x 20 cells, the spec has 22 x 21" in output
