# SPDX-License-Identifier: MIT
"""What the ocean model's files say of a run: vorticity at its end, energy over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import netCDF4
import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY = 86400.0  # [s]
UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": DAY}  # [s]
GRID_NAMES = ("x_f", "y_f", "dx_u", "dy_v", "area_t", "area_f", "coriolis_f", "mask_t", "mask_f")
DENSITY = 1035.0  # [kg m-3]
KILOMETRE = 1000.0  # [m]


class OutputError(Exception):
    """The files of a run do not hold what a picture shows."""


@dataclass(frozen=True)
class RunOutput:
    """What a picture shows of one run."""

    name: str
    x: Array  # of corners, in `x_label`'s unit
    y: Array
    x_label: str
    y_label: str
    days: Array  # (time)
    vorticity: Array  # (y, x) of the top layer at the last record, over |f|
    energy: Array  # (time) [J]


def read_run(directory: Path) -> RunOutput:
    """The run in `directory`: `<name>_grid.nc` and the stream with uo, vo. Raises OutputError."""
    grids = sorted(directory.glob("*_grid.nc"))
    if not grids:
        raise OutputError(f"no *_grid.nc in {directory}; set grid_file in the model's namelist")
    if len(grids) > 1:
        names = ", ".join(path.name for path in grids)
        raise OutputError(f"{directory} holds several runs: {names}; give each its own directory")
    name = grids[0].name.removesuffix("_grid.nc")
    with netCDF4.Dataset(grids[0]) as file:
        missing = [key for key in GRID_NAMES if key not in file.variables]
        if missing:
            raise OutputError(f"{grids[0]} has no {', '.join(missing)}")
        grid = {key: _plain(file[key][:]) for key in GRID_NAMES}
        (x, x_label), (y, y_label) = _axis(file, "x_f"), _axis(file, "y_f")
    with netCDF4.Dataset(_stream(directory, name)) as file:
        time = file["time"]
        unit = str(time.units).split()[0].rstrip("s")
        days = _plain(time[:]) * UNITS.get(unit, DAY) / DAY
        energy = [
            kinetic_energy(_plain(file["uo"][n]), _plain(file["vo"][n]), _plain(h), grid)
            for n, h in enumerate(file["thickness"])
        ]
        vorticity = vorticity_over_f(_plain(file["uo"][-1, 0]), _plain(file["vo"][-1, 0]), grid)
    return RunOutput(name, x, y, x_label, y_label, days, vorticity, np.array(energy))


def _stream(directory: Path, name: str) -> Path:
    """The file with velocities and thickness that has most records."""
    records: dict[Path, int] = {}
    for path in sorted(directory.glob(f"{name}_*.nc")):
        with netCDF4.Dataset(path) as file:
            if {"uo", "vo", "thickness", "time"} <= set(file.variables):
                records[path] = len(file["time"])
    if not records or max(records.values()) == 0:
        raise OutputError(f"no output stream with uo, vo and thickness in {directory}")
    return max(records, key=lambda path: records[path])


def _axis(file: netCDF4.Dataset, name: str) -> tuple[Array, str]:
    """A coordinate of corners, which varies along its own axis only, with its label."""
    values = _plain(file[name][:])
    if values.ndim == 2:
        values = values[0] if name.startswith("x") else values[:, 0]
    unit = str(getattr(file[name], "units", ""))
    if unit.startswith("degree"):
        return values, "longitude [°E]" if name.startswith("x") else "latitude [°N]"
    return values / KILOMETRE, f"{name[0]} [km]"


def _plain(values: NDArray[np.floating]) -> Array:
    """Missing values become 0: closed faces and land carry nothing."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=np.float64), 0.0))


def vorticity_over_f(u: Array, v: Array, grid: dict[str, Array]) -> Array:
    """ζ / |f| at corners (y, x), north-east of each cell; NaN off the inner corners."""
    v_dy, u_dx = v * grid["dy_v"], u * grid["dx_u"]
    # round the end is right where the grid is periodic; elsewhere the corner is masked
    circulation = (np.roll(v_dy, -1, axis=1) - v_dy) - (np.roll(u_dx, -1, axis=0) - u_dx)
    inner = grid["mask_f"] > 0
    planetary = np.abs(grid["coriolis_f"]) * grid["area_f"]
    known = inner & (planetary > 0)
    return np.where(known, circulation / np.where(known, planetary, 1.0), np.nan)


def kinetic_energy(u: Array, v: Array, thickness: Array, grid: dict[str, Array]) -> float:
    """[J] of u, v [m s-1], thickness [m] (level, y, x): squares of faces averaged to cells."""
    # the west wall of a closed basin is outside the array, and its east wall, 0 too, comes round
    west, south = np.roll(u, 1, axis=-1), np.roll(v, 1, axis=-2)
    square = 0.5 * (u**2 + west**2 + v**2 + south**2)
    mass = DENSITY * thickness * grid["area_t"] * grid["mask_t"]
    return float(0.5 * (mass * square).sum())
