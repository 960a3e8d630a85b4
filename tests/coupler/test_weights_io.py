# SPDX-License-Identifier: MIT
"""Weight files: what is written is read again, what others write is understood or refused."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import netCDF4
import numpy as np
import pytest

from coupler.grids.make import rectilinear_grid
from coupler.grids.sphere import RADIUS
from coupler.weights import Weights, WeightsError
from coupler.weights.io import Format, read_weights, write_weights
from coupler.weights.own import bilinear, conservative

SOURCE = rectilinear_grid("source", np.linspace(0, 360, 9), np.linspace(-90, 90, 5))
TARGET = rectilinear_grid("target", np.linspace(0, 360, 7), np.linspace(-90, 90, 4))
LAND = replace(SOURCE, mask=np.arange(32).reshape(4, 8) % 5 > 0)
SHAPES = SOURCE.shape, TARGET.shape


@pytest.mark.parametrize("kind", get_args(Format))
@pytest.mark.parametrize("normalisation", ["fraction", "destination"])
def test_there_and_back(kind: Format, normalisation: Any, tmp_path: Path) -> None:
    weights = conservative(LAND, TARGET, normalisation)
    write_weights(tmp_path / "weights.nc", weights, kind, LAND, TARGET)
    got = read_weights(tmp_path / "weights.nc", *SHAPES)
    assert got.target.tolist() == weights.target.tolist()
    assert got.source.tolist() == weights.source.tolist()
    assert (got.value == weights.value).all()
    if kind == "yac":  # it knows neither areas nor shapes, and fractions only by row sums
        assert got.source_area is None
        with pytest.raises(WeightsError, match="does not say the source grid's nx and ny"):
            read_weights(tmp_path / "weights.nc")
        if normalisation == "destination":
            np.testing.assert_allclose(got.fraction, weights.fraction, atol=1e-14)
        return
    assert (got.fraction == weights.fraction).all()
    assert (got.source_area == weights.source_area).all()
    assert (got.target_area == weights.target_area).all()
    again = read_weights(tmp_path / "weights.nc")
    assert (again.source_shape, again.target_shape) == SHAPES


def written(path: Path, kind: Format = "rmp", weights: Weights | None = None) -> Path:
    write_weights(path, weights or conservative(LAND, TARGET, "fraction"), kind, LAND, TARGET)
    return path


@pytest.mark.parametrize("kind", get_args(Format))
def test_weights_for_another_grid(kind: Format, tmp_path: Path) -> None:
    path = written(tmp_path / "weights.nc", kind)
    with pytest.raises(WeightsError, match="source cells, expected 8 x 5; make them for this grid"):
        read_weights(path, (5, 8), TARGET.shape)
    with pytest.raises(WeightsError, match="target cells, expected 3 x 7; make them for this grid"):
        read_weights(path, SOURCE.shape, (7, 3))


def test_areas_in_square_radians(tmp_path: Path) -> None:
    """SCRIP's, and covered parts of the source."""
    path = written(tmp_path / "rmp.nc")
    with netCDF4.Dataset(path, "a") as file:
        area = file.variables["dst_grid_area"]
        area.units = "square radians"
        area[:] = 0.5
        file.createVariable("src_grid_frac", "f8", ("src_grid_size",))[:] = 0.25
    got = read_weights(path)
    assert got.target_area is not None
    np.testing.assert_allclose(got.target_area, 0.5 * RADIUS**2)
    weights = conservative(LAND, TARGET, "fraction")
    assert got.source_area is not None
    assert weights.source_area is not None
    np.testing.assert_array_equal(got.source_area, 0.25 * weights.source_area)


def test_scrip_without_normalisation(tmp_path: Path) -> None:
    """Values are areas [square radians]: divided by the covered part of the target cell."""
    weights = conservative(LAND, TARGET, "fraction")
    assert weights.target_area is not None
    covered = weights.target_area / RADIUS**2 * weights.fraction
    path = written(
        tmp_path / "rmp.nc", "rmp", replace(weights, value=weights.value * covered[weights.target])
    )
    with netCDF4.Dataset(path, "a") as file:
        file.normalization = "none"
        file.variables["dst_grid_area"].units = "square radians"
        file.variables["dst_grid_area"][:] = weights.target_area / RADIUS**2
    np.testing.assert_allclose(read_weights(path).value, weights.value, rtol=1e-14)


def test_scrip_normalises_conservative_weights_alone(tmp_path: Path) -> None:
    """CDO and SCRIP write `none` also of methods whose weights are as they are to be used."""
    weights = replace(bilinear(LAND, TARGET, "fraction"), source_area=None, target_area=None)
    path = written(tmp_path / "rmp.nc", "rmp", weights)
    with netCDF4.Dataset(path, "a") as file:
        file.normalization, file.map_method = "none", "Bilinear remapping"
    assert (read_weights(path).value == weights.value).all()


@pytest.mark.parametrize("kind", get_args(Format))
def test_links_of_value_0_are_none(kind: Format, tmp_path: Path) -> None:
    """As SCRIP has them of cells that nothing covers: those are without a source, not 0."""
    weights = conservative(SOURCE, TARGET, "fraction")
    nothing = weights.target == 3
    fraction = weights.fraction.copy()
    fraction[3] = 0.0
    values = np.where(nothing, 0.0, weights.value)
    path = tmp_path / "weights.nc"
    write_weights(path, replace(weights, value=values, fraction=fraction), kind)
    got = read_weights(path, *SHAPES)
    assert np.flatnonzero(~got.mapped).tolist() == [3]
    assert (got.value == weights.value[~nothing]).all()


@pytest.mark.parametrize("kind", get_args(Format))
def test_no_links_at_all(kind: Format, tmp_path: Path) -> None:
    west, east = (
        rectilinear_grid(name, np.linspace(start, start + 8, 5), np.linspace(0, 8, 5))
        for name, start in (("west", 0.0), ("east", 90.0))
    )
    write_weights(tmp_path / "weights.nc", conservative(west, east, "fraction"), kind, west, east)
    got = read_weights(tmp_path / "weights.nc", west.shape, east.shape)
    assert not got.mapped.any()


def scrip(path: Path, columns: int) -> Path:
    """One link, of three or four weights."""
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (
            *(("num_links", 1), ("num_wgts", columns), ("src_grid_size", 2)),
            *(("dst_grid_size", 1), ("src_grid_rank", 2), ("dst_grid_rank", 2)),
        ):
            file.createDimension(name, size)
        file.createVariable("src_grid_dims", "i4", ("src_grid_rank",))[:] = (2, 1)
        file.createVariable("dst_grid_dims", "i4", ("dst_grid_rank",))[:] = (1, 1)
        file.createVariable("src_address", "i4", ("num_links",))[:] = 2
        file.createVariable("dst_address", "i4", ("num_links",))[:] = 1
        matrix = file.createVariable("remap_matrix", "f8", ("num_links", "num_wgts"))
        matrix[:] = [[1.0, 0.3, 0.2, 0.1][:columns]]
    return path


def test_scrip_with_gradients(tmp_path: Path) -> None:
    """Three weights: the first is the first order. Four: bicubic, of which it is no method."""
    got = read_weights(scrip(tmp_path / "three.nc", 3))
    assert (got.source.tolist(), got.value.tolist()) == ([1], [1.0])
    assert got.source_shape == (1, 2)
    with pytest.raises(WeightsError, match=r"four\.nc: got 4 weights of a link.*bicubic"):
        read_weights(scrip(tmp_path / "four.nc", 4))


WRONG = {
    "a cell beyond the grid": ("src_address", 0, 33, "source cell 32, expected 0 to 31"),
    "cells from 0": ("dst_address", 0, 0, "target cell -1, expected 0 to 17"),
    "a row of 2": ("remap_matrix", 0, 2.0, "row sums of 1 target cells are wrong"),
    "no number": ("remap_matrix", 3, np.nan, "values that are not finite"),
    "a fraction of 3": ("dst_grid_frac", 1, 3.0, "fractions from"),
    "a mask": (
        "src_grid_imask",
        1,
        0,
        "links are of masked cells, such as 1; is the mask the right",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_file_that_cannot_be_right(name: str, tmp_path: Path) -> None:
    key, place, value, message = WRONG[name]
    path = written(tmp_path / "rmp.nc")
    with netCDF4.Dataset(path, "a") as file:
        file.variables[key][place] = value
    with pytest.raises(WeightsError, match=rf"^rmp\.nc: .*{message}"):
        read_weights(path)


def test_files_of_something_else(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.nc: no such file"):
        read_weights(tmp_path / "none.nc")
    (tmp_path / "text.nc").write_text("no weights")
    with pytest.raises(WeightsError, match=r"text\.nc: not a NetCDF file"):
        read_weights(tmp_path / "text.nc")
    with netCDF4.Dataset(tmp_path / "other.nc", "w") as file:
        file.createDimension("x", 2)
        file.createVariable("temperature", "f8", ("x",))
    with pytest.raises(WeightsError, match=r"got the variables temperature, expected src_address"):
        read_weights(tmp_path / "other.nc")


def test_fixed_values_of_yac(tmp_path: Path) -> None:
    path = written(tmp_path / "yac.nc", "yac")
    with netCDF4.Dataset(path, "a") as file:
        file.contains_fixed_dst = "TRUE"
    with pytest.raises(WeightsError, match=r"fixed values of target cells, .* 'fallback: VALUE'"):
        read_weights(path, *SHAPES)
