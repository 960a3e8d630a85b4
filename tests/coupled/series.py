# SPDX-License-Identifier: MIT
"""Jobs of series_model and series_worker: fields with every treatment, two periods each way."""

from __future__ import annotations

import subprocess
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import f90nml
import yaml

from coupled.exchange import HALVES, UNEVEN, Boxes, python
from jobs import fortran_test, mpirun

__all__ = ["DT", "HALVES", "SUCCESS", "UNEVEN", "Series", "run_series"]

DT = 10  # [s]
SUCCESS = "series_model: every value as expected"


@dataclass(frozen=True)
class Series:
    boxes: Boxes = field(default_factory=lambda: UNEVEN)
    workers: int = 2
    wire: str = "float64"
    transport: str = "auto"
    bits: int = 64
    lag: int = 0
    slow: int = 4  # steps between two dates of the first exchange and of its answer
    quick: int = 3
    origin: int = 0  # first date of the experiment [s]
    start: int = 0  # of this run
    steps: int = 9

    def spec(self) -> dict[str, Any]:
        ends = {"from": "model", "to": "worker", "wire": self.wire, "statistics": True}
        ends |= {"transport": self.transport}
        slow = {
            "now": {"point": "F", "levels": {"from": 2}},
            "average": {"point": "U", "time": "average", "scale": 0.7, "offset": 273.15},
            "sum": {"time": "accumulate", "levels": {"from": 1, "to": 2, "of": 3}},
            "low": {"point": "V", "time": "min", "scale": -2},
            "high": {"time": "max", "levels": {"to": 1}},
        }
        flat = {"flat": {"scale": 1.1, "offset": -4}}
        back = {"from": "worker", "to": "model"}
        answers = {"slow": {"levels": {"from": 2, "to": 2}, "scale": 0.3, "offset": 1.7}}
        return {
            "run": {"dt": DT, "time_limit": 60},
            "components": {
                "model": {"command": "series_model", "ranks": len(self.boxes)},
                "worker": {"worker": True, "ranks": self.workers},
            },
            "grids": {
                "grid": {
                    "size": {"x": 7, "y": 5, "z": 3},
                    "boundary": {"x": "periodic", "y": "periodic"},
                }
            },
            "exchanges": [
                ends | {"every": f"{self.slow} steps", "halo": 2, "fields": slow, "static": flat},
                ends
                | {
                    "every": f"{self.quick} steps",
                    "halo": 1,
                    "fields": {"other": {"time": "average"}},
                },
                back | {"lag": self.lag, "fields": answers},
                back | {"every": f"{self.quick} steps", "lag": 1, "fields": ["quick"]},
            ],
        }

    def namelist(self, restart: str) -> dict[str, Any]:
        """Of series_model."""
        return {
            "nx": 7,
            "ny": 5,
            "nz": 3,
            "halo": 1,
            "bits": self.bits,
            "wire": int(self.wire.removeprefix("float")),
            "origin": self.origin,
            "start": self.start,
            "steps": self.steps,
            "dt": DT,
            "levels": [2, 2],
            "boxes": [edge for box in self.boxes for edge in box],
            "lag": [self.lag, 1],
            "period": [self.slow * DT, self.quick * DT],
            "scale": [0.3, 1.0],
            "offset": [1.7, 0.0],
            "restart": restart,
        }


def run_series(
    directory: Path, case: Series, restart: str = ""
) -> subprocess.CompletedProcess[str]:
    (directory / "case.yaml").write_text(yaml.safe_dump(case.spec(), sort_keys=False))
    f90nml.Namelist({"case": case.namelist(restart)}).write(directory / "case.nml", force=True)
    worker = python("series_worker.py", "case.yaml", str(case.origin), str(case.bits))
    model = [fortran_test("series_model")]
    return mpirun(directory, (len(case.boxes), model), (case.workers, worker))
