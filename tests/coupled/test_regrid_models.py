# SPDX-License-Identifier: MIT
"""Models that compare every value, coupled over weights from a file that map each cell to itself:
index lists in any order, dropped land, lag, restarts, averages, statistics."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coupled.exchange import Case, run_exchange
from coupled.test_points import SUCCESS, Points
from coupler.weights import weights_of
from coupler.weights.io import write_weights


def with_regridding(spec: dict[str, Any]) -> dict[str, Any]:
    """`spec` with the worker on a grid of its own, the same cells again."""
    spec["grids"]["same"] = spec["grids"]["grid"]
    for exchange in spec["exchanges"]:
        end = "to" if exchange["to"] == "worker" else "from"
        exchange["regrid"] = {end: "same", "weights": "same.nc", "fallback": 0}
        exchange["grid"] = "grid"
    return spec


def write_same(directory: Path, nx: int, ny: int) -> None:
    cells = np.arange(nx * ny)
    made = weights_of((ny, nx), (ny, nx), cells, cells, np.ones(nx * ny))
    write_weights(directory / "same.nc", made, "yac")


@dataclass(frozen=True)
class Regridded(Points):
    def spec(self) -> dict[str, Any]:
        return with_regridding(super().spec())


CASES = {
    "permuted": Regridded(stay=0.0),
    "fold F, holes, windows": Regridded(
        north="F", holes=True, workers=2, halo=4, transport="windows", stay=0.3
    ),
    "segments, lag": Regridded(kind="segments", lag=1, boundary=("closed", "closed"), halo=9),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_models_that_list_their_cells(tmp_path: Path, case: Regridded) -> None:
    write_same(tmp_path, case.nx, case.ny)
    assert SUCCESS in case.run(tmp_path)


def test_a_lag_and_its_restart_do_not_depend_on_the_ranks(tmp_path: Path) -> None:
    case = Case(lag=2, workers=3)
    write_same(tmp_path, case.nx, case.ny)
    job = run_exchange(tmp_path, case, with_regridding(case.spec()))
    assert "exchange_model: every value as expected" in job.stdout
    (tmp_path / "restart.txt").write_text("restart.nc\n")
    case = replace(case, workers=2, start=case.steps * 10, boxes=[(1, 7, 1, 5)])
    job = run_exchange(tmp_path, case, with_regridding(case.spec()))
    assert "exchange_model: every value as expected" in job.stdout
