# SPDX-License-Identifier: MIT
"""Means, standard deviations and scales of the spec: numbers, or variables of files beside it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec.document import Value, hint


def beside(value: Value, name: str) -> Path | None:
    """The file `name` beside the spec; None, noted as a mistake, where there is none."""
    path = value.path.parent / name
    if path.is_file():
        return path
    folder = path.parent
    near = [item.name for item in folder.glob(f"*{path.suffix}")] if folder.is_dir() else []
    text = f"{value.name}: no file '{name}' beside {value.path.name}{hint(path.name, near)}"
    value.problems.add(value.place, text)
    return None


def read_statistic(value: Value, field: str) -> tuple[float, ...]:
    """0.5, [0.5, 0.7], norm.nc or norm.npz:name -> its numbers, finite, and above 0 for std."""
    if value.is_number():
        numbers: tuple[float, ...] = (value.finite(1.0),)
    elif value.is_sequence():
        numbers = tuple(item.finite(1.0) for item in value.sequence())
    else:
        numbers = _from_file(value, f"{field}_{value.name}")
    allowed = {"mean": True, "scale": all(numbers), "std": all(n > 0 for n in numbers)}
    if not allowed[value.name]:
        value.wrong("numbers above 0" if value.name == "std" else "numbers other than 0")
    return numbers


def _from_file(value: Value, usual: str) -> tuple[float, ...]:
    """One variable of a file, one number or one a level."""
    name, _, variable = value.string("?").partition(":")
    readers = {".nc": _from_netcdf, ".npz": _from_npz}
    reader = readers.get(Path(name).suffix)
    if reader is None:
        value.wrong("a number, a list of numbers, or a file *.nc or *.npz")
        return ()
    path = beside(value, name)
    if path is None:
        return ()
    try:
        numbers = reader(path, variable or usual)
    except KeyError as error:
        value.problems.add(value.place, f"{value.name}: {name} has no {error.args[0]}")
        return ()
    except (OSError, ValueError, zipfile.BadZipFile) as error:
        value.problems.add(value.place, f"{value.name}: {name} cannot be read: {error}")
        return ()
    numbers = np.squeeze(numbers)
    if numbers.dtype.kind not in "fiu" or numbers.ndim > 1 or not np.isfinite(numbers).all():
        text = f"{numbers.dtype} values of shape {numbers.shape}"
        value.problems.add(
            value.place,
            f"{value.name}: got {text} in {name}, expected finite numbers, one or one a level",
        )
        return ()
    return tuple(float(n) for n in np.atleast_1d(numbers))


def _from_netcdf(path: Path, name: str) -> NDArray[Any]:
    import netCDF4

    with netCDF4.Dataset(path) as file:
        if name not in file.variables:
            raise KeyError(f"'{name}'{hint(name, file.variables)}")
        values = np.ma.asarray(file[name][...])
        return np.ma.filled(values.astype(np.float64), np.nan)


def _from_npz(path: Path, name: str) -> NDArray[Any]:
    if not zipfile.is_zipfile(path):
        raise ValueError("no archive of numpy.savez")
    with np.load(path, allow_pickle=False) as file:
        if name not in file:
            raise KeyError(f"'{name}'{hint(name, file.files)}")
        return np.asarray(file[name])
