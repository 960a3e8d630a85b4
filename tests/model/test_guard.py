# SPDX-License-Identifier: MIT
"""A value that is not physical ends all ranks, names its place, and leaves the state for a look."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from jobs import run_ocean
from model.configurations import tiny


def write_initial(path: Path, **fields: np.ndarray) -> None:
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("layer", 2), ("y", 20), ("x", 22)):
            file.createDimension(name, size)
        for name, values in fields.items():
            file.createVariable(name, "f8", ("layer", "y", "x"))[:] = values


@pytest.mark.parametrize("ranks", [1, 3])
def test_nan(tmp_path: Path, ranks: int) -> None:
    u = np.zeros((2, 20, 22))
    u[1, 14, 17] = np.nan
    write_initial(tmp_path / "state.nc", u=u)
    groups = tiny(initial={"kind": "file", "file": "state.nc"})
    job = run_ocean(tmp_path, groups, ranks=ranks, check=False)
    assert job.returncode == 1
    assert "step 0, date 0 s: u at (i, j, k) = (18, 15, 2) is NaN, allowed: -20" in job.stderr
    assert job.stderr.count("ocean_model: error") == 1
    assert not list(tmp_path.glob("*_restart.nc"))
    with netCDF4.Dataset(tmp_path / "tiny_error.nc") as file:
        assert np.isnan(file["u"][1, 14, 17])
    with netCDF4.Dataset(tmp_path / "tiny_steps.nc") as file:  # closed, readable
        assert file["time"].size == 1


def test_speed(tmp_path: Path) -> None:
    groups = tiny(guard={"speed_max": 0.1})
    job = run_ocean(tmp_path, groups, ranks=2, check=False)
    assert job.returncode == 1
    assert "allowed: -0.1" in job.stderr
    assert "m s-1" in job.stderr


def test_thickness(tmp_path: Path) -> None:
    h = np.full((2, 20, 22), 1000.0)
    h[0, 3, 4] = -5.0
    write_initial(tmp_path / "state.nc", h=h)
    groups = tiny(initial={"kind": "file", "file": "state.nc"})
    job = run_ocean(tmp_path, groups, check=False)
    assert job.returncode == 1
    assert "h at (i, j, k) = (5, 4, 1) is -5" in job.stderr
