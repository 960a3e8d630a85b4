# SPDX-License-Identifier: MIT
"""Means, standard deviations and scales of the spec: numbers, or variables of files beside it."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec.document import Value, hint

MISSING = "is not there"
POINTER = b"version https://git-lfs.github.com/spec/"  # how Git LFS stands in for a file


def beside(value: Value, name: str) -> Path | None:
    """The file `name` beside the spec; None, noted as a mistake, where there is none to read."""
    path = value.path.parent / name
    reason = _unreadable(path)
    if reason is None:
        return path
    text = f"{value.name}: '{name}' beside {value.path.name} {reason}"
    if reason == MISSING:
        near = path.parent.glob(f"*{path.suffix}") if path.parent.is_dir() else ()
        told = hint(path.name, [item.name for item in near])
        text = f"{value.name}: no file '{name}' beside {value.path.name}{told}"
    value.problems.add(value.place, text)
    return None


def _unreadable(path: Path) -> str | None:
    """Why there is nothing to read in `path`."""
    if path.is_dir():
        return "is a directory, expected a file"
    if path.is_symlink() and not path.exists():
        return f"is a link to {path.readlink()}, which is not there"
    if not path.is_file():
        return MISSING
    try:
        with path.open("rb") as file:
            head = file.read(len(POINTER))
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    if not head:
        return "is empty"
    if head == POINTER:
        return "is a pointer of Git LFS, not the file itself; fetch that with: git lfs pull"
    return None


def read_statistic(value: Value, field: str) -> tuple[float, ...]:
    """0.5, [0.5, 0.7], norm.nc or norm.npz:name -> its numbers, finite, and above 0 for std."""
    if value.is_number():
        numbers: tuple[float, ...] = (value.finite(1.0),)
    elif value.is_sequence():
        numbers = tuple(item.finite(1.0) for item in value.sequence())
        if not numbers:
            value.wrong("at least one number")
    else:
        numbers = _from_file(value, f"{field}_{value.name}")
    allowed = {"mean": True, "scale": all(numbers), "std": all(n > 0 for n in numbers)}
    if not allowed[value.name]:
        shown = ", ".join(f"{n:g}" for n in numbers[:6]) + (", ..." if len(numbers) > 6 else "")
        expected = "numbers above 0" if value.name == "std" else "numbers other than 0"
        value.problems.add(value.place, f"{value.name}: got {shown}, expected {expected}")
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
    numeric = numbers.dtype.kind in "fiu"
    if not numeric or numbers.ndim > 1 or not np.isfinite(numbers).all():
        text = f"{numbers.dtype} values of shape {numbers.shape}"
        if numeric and (wrong := int((~np.isfinite(numbers)).sum())):
            text += f", {wrong} of which are missing, NaN or infinite,"
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
