# SPDX-License-Identifier: MIT
"""One experiment of the verification: a C-grid, an initial state, a run of the model, its records.

Arrays are (level, y, x), records (record, level, y, x). u lies on the east face of its cell, v on
the north face, corners are north-east.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from jobs import run_ocean

Array = NDArray[np.float64]
Groups = dict[str, dict[str, Any]]

NAME = "case"
STREAM = "record"


@dataclass(frozen=True, slots=True)
class Grid:
    """A Cartesian box of nx x ny cells."""

    nx: int
    ny: int
    length_x: float  # [m]
    length_y: float  # [m]

    @property
    def dx(self) -> float:
        return self.length_x / self.nx

    @property
    def dy(self) -> float:
        return self.length_y / self.ny

    def points(self, shift_x: float, shift_y: float) -> tuple[Array, Array]:
        """x (1, nx) and y (ny, 1) [m], shifted from T by parts of a cell: (0.5, 0) for u."""
        x = (np.arange(self.nx) + 0.5 + shift_x) * self.dx
        y = (np.arange(self.ny) + 0.5 + shift_y) * self.dy
        return x[None, :], y[:, None]

    def groups(self, thickness: list[float], gravity: list[float], **grid: Any) -> Groups:
        """The namelist of this box with layers; `grid` are more keys of &grid."""
        box = {"nx": self.nx, "ny": self.ny, "length_x": self.length_x, "length_y": self.length_y}
        return {
            "experiment": {"name": NAME},
            "grid": {"geometry": "cartesian", "nz": len(thickness)} | box | grid,
            "time": {"write_restart": False},
            "layers": {"thickness": thickness, "reduced_gravity": gravity},
            "output": {"log_every": 10**6},
        }


@dataclass(frozen=True, slots=True)
class Records:
    """What a stream holds; time since the start [s], u, v [m s-1], h [m]."""

    time: Array
    u: Array
    v: Array
    h: Array


def merged(groups: Mapping[str, Mapping[str, Any]], **changes: Mapping[str, Any]) -> Groups:
    """`groups` with some keys changed or added, given as group=dict(key=value)."""
    names = list(groups) + [name for name in changes if name not in groups]
    return {name: {**groups.get(name, {}), **changes.get(name, {})} for name in names}


def write_fields(path: Path, **fields: Array) -> None:
    """A NetCDF file of (level, y, x) or (y, x) variables, all of the same horizontal shape."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(path, "w") as file:
        for name, field in fields.items():
            for dimension, length in zip("zyx"[-field.ndim :], field.shape, strict=True):
                if dimension not in file.dimensions:
                    file.createDimension(dimension, length)
            file.createVariable(name, "f8", tuple("zyx"[-field.ndim :]))[:] = field


def run_records(
    directory: Path,
    groups: Groups,
    steps: int,
    every: int,
    initial: Mapping[str, Array] | None = None,
    operation: str = "instant",
    ranks: int = 1,
) -> Records:
    """Run `steps` steps from `initial` (u, v, h; else rest), a record each `every` steps."""
    changes: dict[str, dict[str, Any]] = {
        "time": {"steps": steps},
        "output": {
            "stream_name": STREAM,
            "stream_every": every,
            "stream_operation": operation,
        },
    }
    if initial is not None:
        write_fields(directory / "initial.nc", **initial)
        changes["initial"] = {"kind": "file", "file": "initial.nc"}
    run_ocean(directory, merged(groups, **changes), ranks=ranks, timeout=300)
    first = 0 if operation == "instant" else 1
    with netCDF4.Dataset(directory / f"{NAME}_{STREAM}.nc") as file:
        u, v, h = (np.ma.filled(file[name][:], 0.0) for name in ("uo", "vo", "thickness"))
    time = groups["time"]["dt"] * every * np.arange(first, first + len(u), dtype=float)
    return Records(time, u, v, h)


def read_grid(directory: Path) -> dict[str, Array]:
    """Metrics and masks (y, x) of the grid file."""
    with netCDF4.Dataset(directory / f"{NAME}_grid.nc") as file:
        return {
            name: np.ma.filled(variable[:], 0.0)
            for name, variable in file.variables.items()
            if variable.ndim == 2
        }


def frequency(time: Array, amplitude: Array) -> float:
    """omega of a complex amplitude ~ exp(-i omega t), from a line through its phase [s-1]."""
    phase = np.unwrap(np.angle(amplitude))
    return float(-np.polyfit(time, phase, 1)[0])


def stream_function(v: Array, dx: float) -> Array:
    """psi with v = dpsi/dx at corners, 0 on the west wall: (y, x + 1), the wall included."""
    psi = np.cumsum(v, axis=-1) * dx
    return np.concatenate([np.zeros_like(psi[..., :1]), psi], axis=-1)
