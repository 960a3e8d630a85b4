# SPDX-License-Identifier: MIT
"""The shipped double gyre, made small: its namelist and spec with changes, run for real."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import f90nml
import netCDF4
import numpy as np
import yaml

from jobs import OCEAN, mpirun, write_namelist

REPOSITORY = Path(__file__).parents[2]
Changes = Mapping[str, Mapping[str, Any]]


def namelist(closure: Changes | None = None, steps: int = 200) -> dict[str, dict[str, Any]]:
    """The tiny test configuration with an island, viscosity and a jet; `closure` changes groups."""
    groups = f90nml.read(REPOSITORY / "namelists" / "tiny.nml").todict()
    groups = {name: dict(keys) for name, keys in groups.items() if not name.startswith("_")}
    changes: dict[str, dict[str, Any]] = {
        "experiment": {"name": "gyre"},
        "grid": {"land": "island"},
        "time": {"steps": steps},
        "initial": {"kind": "jet"},
    }
    for more in (changes, closure or {}):
        for group, keys in more.items():
            groups.setdefault(group, {}).update(keys)
    return groups


def coupled(preset: str = "reynolds") -> Changes:
    return {"closure": {"kind": "coupled", "preset": preset}, "coupling": {"enabled": True}}


def in_model(preset: str = "reynolds", delay: int = 0) -> Changes:
    return {"closure": {"kind": "zb20", "preset": preset, "delay": delay}}


def spec(preset: str = "reynolds", **answer: Any) -> dict[str, Any]:
    """The shipped spec for another preset; `answer` changes the exchange back to the ocean."""
    loaded: dict[str, Any] = yaml.safe_load(
        (REPOSITORY / "namelists" / "double_gyre.yaml").read_text()
    )
    loaded["run"]["namelist"] = "ocean.nml"
    loaded["run"]["time_limit"] = 60
    loaded["components"]["closure"]["predictor"]["preset"] = preset
    loaded["exchanges"][1] |= answer
    return loaded


def run_coupled(
    directory: Path,
    groups: Changes,
    loaded: Mapping[str, Any],
    ranks: int = 1,
    workers: int = 1,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """One real MPMD job in `directory`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_namelist(directory / "ocean.nml", groups)
    (directory / "spec.yaml").write_text(yaml.safe_dump(dict(loaded)))
    worker = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "spec.yaml"]
    return mpirun(
        directory,
        (ranks, [OCEAN, "ocean.nml"]),
        (workers, [*worker, "--component", "closure"]),
        check=check,
    )


def final_state(directory: Path, step: int) -> dict[str, np.ndarray]:
    """u, v, h of the restart after `step` steps, global (level, y, x)."""
    with netCDF4.Dataset(directory / f"gyre_{step:08d}_restart.nc") as file:
        return {name: np.ma.getdata(file[name][:]) for name in ("u", "v", "h")}
