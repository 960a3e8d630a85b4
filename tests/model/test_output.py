# SPDX-License-Identifier: MIT
"""Streams and the grid file: CF attributes, bounds, areas, masks, instants and averages."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from jobs import run_ocean
from model.configurations import tiny

STREAMS = {
    "stream_name": ["each", "mean", "pairs"],
    "stream_every": [1, 3, 2],
    "stream_operation": ["instant", "average", "instant"],
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Six steps on two ranks with land and the closure."""
    path = tmp_path_factory.mktemp("output")
    groups = tiny(
        grid={"land": "island"},
        time={"steps": 6},
        output=STREAMS,
        closure={"kind": "zb20", "preset": "raw"},
    )
    run_ocean(path, groups, ranks=2)
    return path


def test_attributes(directory: Path) -> None:
    with netCDF4.Dataset(directory / "tiny_each.nc") as file:
        assert file.Conventions == "CF-1.8"
        assert file["time"].units == "seconds since 0001-01-01 00:00:00"
        assert file["time"].calendar == "noleap"
        assert file["x_t"].standard_name == "longitude"
        assert file["y_v"].units == "degrees_north"
        names = {"uo": "sea_water_x_velocity", "vo": "sea_water_y_velocity"}
        names |= {"thickness": "cell_thickness", "zos": "sea_surface_height_above_geoid"}
        for name, standard_name in names.items():
            assert file[name].standard_name == standard_name
            assert file[name].dtype == np.float64
            assert file[name].cell_methods == "time: point"
            area = file[name].cell_measures.removeprefix("area: ")
            assert file[area].dimensions == file[name].dimensions[-2:]
        assert file["uo"].dimensions == ("time", "layer", "y_t", "x_u")
        assert file["su"].units == file["sv"].units == "m s-2"


def test_coordinates_and_bounds(directory: Path) -> None:
    with netCDF4.Dataset(directory / "tiny_each.nc") as file:
        np.testing.assert_allclose(file["x_t"][:], np.arange(22) + 0.5)
        np.testing.assert_allclose(file["x_u"][:], np.arange(22) + 1.0)
        np.testing.assert_allclose(file["y_v"][:], np.arange(20) + 31.0)
        np.testing.assert_allclose(file["y_t_bounds"][3], [33.0, 34.0])
        assert file["layer"][:].tolist() == [1, 2]


def test_land(directory: Path) -> None:
    with netCDF4.Dataset(directory / "tiny_each.nc") as file:
        sea, u, h = file["mask_t"][:], file["uo"][:], file["thickness"][:]
        assert (sea == 0).sum() == 16  # the island: a fifth of 22 by a fifth of 20 cells
        assert np.all(h[:, :, sea == 0] == 1000.0)
        assert np.all(u[:, :, file["mask_u"][:] == 0] == 0.0)
        assert np.all(file["mask_u"][:, -1] == 0)  # the east wall


def test_instants_and_averages(directory: Path) -> None:
    with (
        netCDF4.Dataset(directory / "tiny_each.nc") as each,
        netCDF4.Dataset(directory / "tiny_mean.nc") as mean,
        netCDF4.Dataset(directory / "tiny_pairs.nc") as pairs,
    ):
        assert each["time"][:].tolist() == [600.0 * step for step in range(7)]
        assert pairs["time"][:].tolist() == [0.0, 1200.0, 2400.0, 3600.0]
        np.testing.assert_array_equal(pairs["vo"][1], each["vo"][2])
        assert mean["time"][:].tolist() == [900.0, 2700.0]
        assert mean["time_bounds"][:].tolist() == [[0.0, 1800.0], [1800.0, 3600.0]]
        assert mean["uo"].cell_methods == "time: mean"
        for name in ("uo", "vo", "thickness", "zos", "su", "sv"):
            expected = each[name][4:7].mean(axis=0)  # the instants after steps 4, 5, 6
            np.testing.assert_allclose(mean[name][1], expected, rtol=1e-12, atol=1e-12)
        assert np.all(each["su"][0] == 0.0)
        assert np.abs(each["su"][1]).max() > 0.0
        surface = each["thickness"][2].sum(axis=0) - 2000.0
        np.testing.assert_allclose(each["zos"][2], surface, atol=1e-11)


def test_grid_file(directory: Path) -> None:
    with netCDF4.Dataset(directory / "tiny_grid.nc") as grid:
        for point in "tuvf":
            for name in ("x", "y", "dx", "dy", "area", "mask"):
                assert grid[f"{name}_{point}"].shape == (20, 22)
            product = grid[f"dx_{point}"][:] * grid[f"dy_{point}"][:]
            np.testing.assert_array_equal(grid[f"area_{point}"][:], product)
        sea = np.pad(np.ma.getdata(grid["mask_t"][:]), ((0, 1), (0, 1)))
        np.testing.assert_array_equal(grid["mask_u"][:], sea[:-1, :-1] * sea[:-1, 1:])
        np.testing.assert_array_equal(grid["mask_v"][:], sea[:-1, :-1] * sea[1:, :-1])
        corner = sea[:-1, :-1] * sea[:-1, 1:] * sea[1:, :-1] * sea[1:, 1:]
        np.testing.assert_array_equal(grid["mask_f"][:], corner)
        # f = 2 omega sin(latitude), at corners
        expected = 2 * 7.2921e-5 * np.sin(np.deg2rad(grid["y_f"][:]))
        np.testing.assert_allclose(grid["coriolis_f"][:], expected, rtol=1e-14)


def test_a_long_name(tmp_path: Path) -> None:
    """Longer than the words that are choices."""
    name = "every_step_from_the_first_to_the_last_one"
    run_ocean(tmp_path, tiny(time={"steps": 0}, output={"stream_name": name}))
    assert (tmp_path / f"tiny_{name}.nc").exists()
