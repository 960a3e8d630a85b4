# SPDX-License-Identifier: MIT
"""Variables of grid files: found by name, in degrees, with what to do where they are missing."""

from __future__ import annotations

import difflib
from pathlib import Path

import netCDF4
import numpy as np

from coupler.grids.grid import Array, GridError


def opened(path: Path) -> netCDF4.Dataset:
    """Raises GridError where the file is none of NetCDF; OSError where there is none."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: no such file")
    try:
        return netCDF4.Dataset(path)
    except OSError as error:
        raise GridError(f"{path}: not a NetCDF file ({error})") from error


def variable(file: netCDF4.Dataset, name: str) -> Array:
    """Its values as float64; what is missing in it is NaN."""
    if name not in file.variables:
        near = difflib.get_close_matches(name, list(file.variables), 1, 0.5)
        names = ", ".join(list(file.variables)[:12])
        text = f"did you mean '{near[0]}'?" if near else f"it has {names}"
        raise GridError(f"{file.filepath()}: no variable '{name}'; {text}")
    data = file.variables[name][:]
    return np.asarray(np.ma.filled(np.ma.asarray(data, np.float64), np.nan), np.float64)


def angles(file: netCDF4.Dataset, name: str) -> Array:
    """A variable in degrees, whatever its units say."""
    values = variable(file, name)
    units = str(getattr(file.variables[name], "units", "degrees")).lower()
    if units.startswith("rad"):
        return np.degrees(values)
    if not units.startswith("deg"):
        raise GridError(
            f"{file.filepath()}: {name} has units '{units}', expected degrees or radians"
        )
    return values


def plane(values: Array) -> Array:
    """(y, x) of (time, y, x), (time, level, y, x) or (y, x): the first record and level."""
    while values.ndim > 2:
        values = values[0]
    return values
