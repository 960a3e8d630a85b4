# SPDX-License-Identifier: MIT
"""Small namelists of the ocean model, as groups of keys, and readers of what it writes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import f90nml
import netCDF4
import numpy as np

REPOSITORY = Path(__file__).parents[2]

Groups = dict[str, dict[str, Any]]


def changed(groups: Groups, changes: Mapping[str, Mapping[str, Any]]) -> Groups:
    """A copy of `groups` with some keys set; a key set to None is taken out."""
    copy = {name: dict(keys) for name, keys in groups.items()}
    for group, keys in changes.items():
        copy[group] = {k: v for k, v in (copy.get(group, {}) | keys).items() if v is not None}
    return copy


def shipped(name: str, **changes: Mapping[str, Any]) -> Groups:
    """A namelist of the repository with changes."""
    read = f90nml.read(REPOSITORY / "namelists" / f"{name}.nml").todict()
    groups = {group: dict(keys) for group, keys in read.items() if not group.startswith("_")}
    return changed(groups, changes)


def tiny(**changes: Mapping[str, Any]) -> Groups:
    """The tiny double gyre with changes: tiny(time={"steps": 3})."""
    return shipped("tiny", **changes)


def everything(**changes: Mapping[str, Any]) -> Groups:
    """All terms at once: land, no slip, nonlinear, every viscosity and drag, three layers."""
    groups = tiny(
        grid={"nz": 3, "land": "island", "free_slip": False},
        layers={"thickness": [700.0, 500.0, 800.0], "reduced_gravity": [0.98, 0.0098, 0.006]},
        initial={"kind": "jet", "jet_speed": 0.15},
        viscosity={
            "laplacian": 50.0,
            "biharmonic": 1.0e10,
            "smagorinsky_laplacian": 0.02,
            "smagorinsky_biharmonic": 0.06,
        },
        forcing={"drag_quadratic": 0.003, "drag_rayleigh": 1.0e-8},
    )
    return changed(groups, changes)


def restart(directory: Path, step: int, name: str = "tiny") -> dict[str, np.ndarray]:
    """All fields of the restart after `step` steps, and its step and date."""
    with netCDF4.Dataset(directory / f"{name}_{step:08d}_restart.nc") as file:
        fields = {key: np.ma.getdata(file[key][:]) for key in file.variables}
        return fields | {"step": np.array(file.step), "date": np.array(file.date)}


def assert_same_bits(got: Mapping[str, np.ndarray], expected: Mapping[str, np.ndarray]) -> None:
    assert got.keys() == expected.keys()
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, name)
