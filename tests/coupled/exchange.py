# SPDX-License-Identifier: MIT
"""Jobs of exchange_model and its Python partners: spec, boxes and command line of one case."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from jobs import fortran_test, mpirun

HERE = Path(__file__).parent
Boxes = list[tuple[int, int, int, int]]  # first and last cell in x, in y, from 1; one a rank
DT = 10  # [s]

WHOLE: Boxes = [(1, 7, 1, 5)]
HALVES: Boxes = [(1, 3, 1, 5), (4, 7, 1, 5)]
UNEVEN: Boxes = [(1, 3, 1, 2), (4, 7, 1, 2), (1, 7, 3, 5)]


@dataclass(frozen=True)
class Case:
    """What the spec and the model's arguments are made of."""

    boxes: Boxes = field(default_factory=lambda: UNEVEN)
    workers: int = 2
    nx: int = 7
    ny: int = 5
    nz: int = 3
    boundary: tuple[str, str] = ("periodic", "closed")
    north: str | None = None  # pivot of a fold
    a: Mapping[str, Any] = field(default_factory=lambda: {"fill": "replicate"})  # at T points
    b: Mapping[str, Any] = field(default_factory=dict)
    flat: Mapping[str, Any] = field(default_factory=dict)
    halo: int = 2
    model_halo: int = 1
    wire: str = "float64"
    bits: int = 64  # of the model's arrays
    lag: int = 0
    every: int = 1  # steps
    start: int = 0  # [s]
    holes: bool = False  # the boxes leave out cells
    steps: int = 6
    transport: str = "auto"

    def spec(self) -> dict[str, Any]:
        boundary = dict(zip("xy", self.boundary, strict=True))
        if self.north is not None:
            boundary["north"] = f"fold {self.north}"
        inputs = {
            "from": "model",
            "to": "worker",
            "every": f"{self.every} steps",
            "halo": self.halo,
            "wire": self.wire,
            "transport": self.transport,
            "fields": {"a": dict(self.a), "b": dict(self.b)},
            "static": {"flat": dict(self.flat)},
        }
        return {
            "run": {"dt": DT, "steps": self.steps, "time_limit": 60},
            "components": {
                "model": {"command": "exchange_model", "ranks": len(self.boxes)},
                "worker": {"worker": True, "ranks": self.workers},
            },
            "grids": {
                "grid": {
                    "size": {"x": self.nx, "y": self.ny, "z": self.nz},
                    "boundary": boundary,
                }
            },
            "exchanges": [
                inputs,
                {"from": "worker", "to": "model", "lag": self.lag, "fields": {"answer": {}}},
            ],
        }

    def arguments(self) -> list[str]:
        """Of exchange_model."""
        numbers = (
            *(self.nx, self.ny, self.nz, self.model_halo),
            *(self.start, self.steps, DT, DT * self.every, self.lag, self.bits),
        )
        return [*(str(n) for n in numbers), self.north or "none", str(int(self.holes))]


def python(script: str, *arguments: str) -> list[str]:
    return [sys.executable, "-m", "mpi4py", str(HERE / script), *arguments]


def write_case(directory: Path, case: Case, spec: dict[str, Any] | None = None) -> None:
    lines = [" ".join(str(edge) for edge in box) for box in case.boxes]
    (directory / "boxes.txt").write_text("\n".join(lines) + "\n")
    (directory / "case.yaml").write_text(yaml.safe_dump(spec or case.spec(), sort_keys=False))


def run_exchange(
    directory: Path,
    case: Case,
    spec: dict[str, Any] | None = None,
    partner: list[str] | None = None,
    more: tuple[tuple[int, list[str]], ...] = (),
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """One job: exchange_model, `partner` (default: exchange_worker), and `more` blocks."""
    write_case(directory, case, spec)
    return mpirun(
        directory,
        (len(case.boxes), [fortran_test("exchange_model"), *case.arguments()]),
        (case.workers, partner or python("exchange_worker.py", "case.yaml")),
        *more,
        check=check,
    )
