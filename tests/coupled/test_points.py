# SPDX-License-Identifier: MIT
"""Real jobs of models that list their cells, or drop land; both sides compare every value."""

from __future__ import annotations

import random
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from coupled.exchange import DT, Case, python, run_exchange
from jobs import fortran_test, mpirun

SUCCESS = "points_model: every value as expected"


@dataclass(frozen=True)
class Points:
    """One job of points_model. Every cell belongs to a rank by chance, or to nobody."""

    ranks: int = 3
    workers: int = 2
    nx: int = 8
    ny: int = 5
    nz: int = 2
    kind: str = "points"
    boundary: tuple[str, str] = ("periodic", "closed")
    north: str | None = None
    holes: bool = False
    halo: int = 2
    lag: int = 0
    wire: str = "float64"
    stay: float = 0.8  # how often a cell has the owner of the one before
    shuffle: bool = True
    transport: str = "messages"

    def lists(self) -> list[list[int]]:
        rng = random.Random(str(self))
        found: list[list[int]] = [[] for _ in range(self.ranks + self.holes)]
        owner = 0
        for index in range(1, self.nx * self.ny + 1):
            if rng.random() >= self.stay:
                owner = rng.randrange(len(found))
            found[owner].append(index)
        for cells in found:
            if self.shuffle:
                rng.shuffle(cells)
        return found[: self.ranks]

    def spec(self) -> dict[str, Any]:
        inputs = {
            "from": "model",
            "to": "worker",
            "halo": self.halo,
            "wire": self.wire,
            "transport": self.transport,
            "fields": {
                "a": {"fill": "replicate"},
                "u": {"point": "U", "kind": "vector_i", "fill": "replicate"},
            },
            "static": {"flat": {}},
        }
        boundary = dict(zip("xy", self.boundary, strict=True))
        if self.north:
            boundary["north"] = f"fold {self.north}"
        size = {"x": self.nx, "y": self.ny, "z": self.nz}
        return {
            "run": {"dt": DT, "steps": 3, "time_limit": 60},
            "components": {
                "model": {"command": "points_model", "ranks": self.ranks},
                "worker": {"worker": True, "ranks": self.workers},
            },
            "grids": {"grid": {"size": size, "boundary": boundary}},
            "exchanges": [
                inputs,
                {
                    "from": "worker",
                    "to": "model",
                    "lag": self.lag,
                    "fields": {"answer": {}, "top": {"levels": 1}},
                },
            ],
        }

    def run(self, directory: Path) -> str:
        lines = [" ".join(str(n) for n in (len(cells), *cells)) for cells in self.lists()]
        (directory / "lists.txt").write_text("\n".join(lines) + "\n")
        (directory / "case.yaml").write_text(yaml.safe_dump(self.spec(), sort_keys=False))
        numbers = (self.nx, self.ny, self.nz, 3, DT, self.lag, int(self.holes))
        model = [fortran_test("points_model"), *(str(n) for n in numbers), self.kind]
        worker = python("points_worker.py", "case.yaml")
        return mpirun(directory, (self.ranks, model), (self.workers, worker)).stdout


CASES = {
    "one rank each": Points(ranks=1, workers=1, stay=1.0, shuffle=False),
    "permuted": Points(workers=1, stay=0.0),
    "permuted, windows": Points(workers=1, stay=0.0, transport="windows"),
    "permuted, holes, lag": Points(stay=0.0, holes=True, lag=1, workers=3),
    "long runs, holes": Points(kind="segments", shuffle=False, holes=True, stay=0.95, workers=3),
    "segments in any order": Points(kind="segments", lag=1, boundary=("closed", "closed")),
    # a T fold's last row shows its own left half, which a model of arbitrary values does not hold
    "fold F, holes": Points(north="F", holes=True, workers=3, halo=4, transport="windows"),
    "fold F, segments": Points(north="F", kind="segments", shuffle=False, lag=1, halo=9),
    "float32, one level": Points(
        wire="float32", nz=1, boundary=("periodic", "periodic"), lag=1, transport="windows"
    ),
    "more workers than cells": Points(ranks=4, workers=5, nx=2, ny=2, holes=True),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_value_arrives(tmp_path: Path, case: Points) -> None:
    assert SUCCESS in case.run(tmp_path)


@pytest.mark.parametrize("workers", [1, 3])
def test_a_model_of_boxes_drops_land(tmp_path: Path, workers: int) -> None:
    boxes = [(1, 3, 1, 2), (5, 7, 1, 2), (3, 5, 4, 5), (1, 0, 1, 0)]
    case = Case(boxes=boxes, holes=True, workers=workers, lag=1)
    assert "exchange_model: every value as expected" in run_exchange(tmp_path, case).stdout


def test_workers_whose_cells_were_all_dropped(tmp_path: Path) -> None:
    """Three of four have no step, the first among them; they take part in the restart."""
    case = Case(boxes=[(5, 6, 5, 5)], holes=True, workers=4, halo=0, lag=1, nx=8, ny=6)
    assert "exchange_model: every value as expected" in run_exchange(tmp_path, case).stdout
    assert (tmp_path / "restart.worker.nc").exists()
