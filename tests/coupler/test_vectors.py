# SPDX-License-Identifier: MIT
"""Vectors between grids that turn against each other: near the pole, on faces, over the fold."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coupler.grids.grid import Grid, GridError
from coupler.grids.make import grid_of, rectilinear_grid
from coupler.regridding.vectors import Way, centred, directions, on_faces, vector_weights
from coupler.spec import AxesGeometry, GridSpec, Method, RegridSpec, TripolarGeometry
from coupler.weights import Weights, apply
from coupler.weights.make import make_weights

TRIPOLAR = GridSpec("tripolar", 90, 74, 1, "periodic", "closed", "F", TripolarGeometry(-78.0, 40.0))
LON_LAT = GridSpec(
    *("lonlat", 72, 72, 1, "periodic", "closed", None),
    AxesGeometry(tuple(np.linspace(0, 360, 73)), tuple(np.linspace(-90, 90, 73))),
)


def rotation(grid: Grid) -> tuple[np.ndarray, np.ndarray]:
    """Along i and j: a solid rotation about an axis that is no pole of any grid; of size 1."""
    assert grid.lon is not None
    assert grid.lat is not None
    lon, lat = np.radians(grid.lon), np.radians(grid.lat)
    places = np.stack((np.cos(lat) * np.cos(lon), np.cos(lat) * np.sin(lon), np.sin(lat)), -1)
    velocity = np.cross(np.array([0.8, 0.36, 0.48]), places)
    i, j = (along.reshape(*grid.shape, 3) for along in directions(grid))
    return (velocity * i).sum(-1), (velocity * j).sum(-1)


def applied(weights: Weights, field: np.ndarray) -> np.ndarray:
    return np.nan_to_num(apply(weights, field[None])[0])


@pytest.mark.parametrize("way", ["to_worker", "to_model"])
@pytest.mark.parametrize(("method", "most"), [("nearest", 0.03), ("barycentric", 0.003)])
def test_north_of_60_a_vector_keeps_its_direction(way: Way, method: Method, most: float) -> None:
    """The nearest cell of grids of 4 degrees is off by a degree or two; each component by itself is
    off by the angle between the grids."""
    if method == "barycentric":
        pytest.importorskip("yac")
    specs = (TRIPOLAR, LON_LAT) if way == "to_worker" else (LON_LAT, TRIPOLAR)
    source, target = map(grid_of, specs)
    regrid = RegridSpec(specs[1], method, "auto", None, "fraction", "nan", "")
    weights = make_weights(source, target, regrid, False)
    pairs = vector_weights(weights, source, target, TRIPOLAR, way, False)
    u, v = rotation(source)
    expected = rotation(target)
    north = target.mask & (np.asarray(target.lat) > 60) & weights.mapped.reshape(target.shape)
    assert north.sum() > 100

    def rms(*got: np.ndarray) -> float:
        error = sum((a - b)[north] ** 2 for a, b in zip(got, expected, strict=True))
        return float(np.sqrt(np.mean(error)))

    assert rms(*(applied(pair.i, u) + applied(pair.j, v) for pair in pairs)) < most
    assert rms(applied(weights, u), applied(weights, v)) > 0.3


@pytest.mark.parametrize("north", [1, -1])
@pytest.mark.parametrize("east", [1, -1])
def test_i_and_j_point_where_the_grid_goes(east: int, north: int) -> None:
    """Also on a grid that goes south, as atmospheres do: there j does, too."""
    lon, lat = np.linspace(0, 40, 5)[::east], np.linspace(0, 40, 5)[::north]
    grid = rectilinear_grid("grid", lon, lat)
    places = grid.centres.reshape(4, 4, 3)
    i, j = (along.reshape(4, 4, 3) for along in directions(grid))
    # 10 degrees apart along a circle of latitude or a meridian
    assert ((i[:, :-1] * (places[:, 1:] - places[:, :-1])).sum(-1) > 0.1).all()
    assert ((j[:-1] * (places[1:] - places[:-1])).sum(-1) > 0.1).all()


def test_vectors_without_corners_have_no_direction() -> None:
    """East and north would be wrong by up to 90 degrees on a tripolar grid."""
    grid = replace(grid_of(TRIPOLAR), corner_lon=None, corner_lat=None, angle=None)
    with pytest.raises(GridError, match="grid 'tripolar' has no corners, which say where i and j"):
        directions(grid)


def test_faces_are_averaged_also_over_walls_and_the_fold() -> None:
    grid = GridSpec("grid", 4, 2, 1, "periodic", "closed", "F")
    u, v = np.arange(1.0, 9.0), np.arange(10.0, 18.0)
    at_t = centred(grid, 0) @ u
    assert at_t.tolist() == [2.5, 1.5, 2.5, 3.5, 6.5, 5.5, 6.5, 7.5]
    # the southern wall is 0; the row on the fold meets itself, its right half changes sign
    rows = v.reshape(2, 4)
    seam = np.array([rows[1, 0], rows[1, 1], -rows[1, 1], -rows[1, 0]])
    expected = np.concatenate((rows[0] / 2, (rows[0] + seam) / 2))
    np.testing.assert_allclose(centred(grid, 1) @ v, expected)
    t = np.arange(1.0, 9.0)
    assert (on_faces(grid, 0) @ t).tolist() == [1.5, 2.5, 3.5, 2.5, 5.5, 6.5, 7.5, 6.5]
    # north of the last row lies the same row from the other side, and the arrow is turned
    north = [(5 - 8) / 2, (6 - 7) / 2, (7 - 6) / 2, (8 - 5) / 2]
    assert (on_faces(grid, 1) @ t).tolist() == [3.0, 4.0, 5.0, 6.0, *north]


def test_walls_of_a_closed_grid_hold_nothing() -> None:
    grid = GridSpec("grid", 3, 1, 1, "closed", "closed")
    assert (centred(grid, 0) @ np.array([2.0, 4.0, 0.0])).tolist() == [1.0, 3.0, 2.0]
    assert (on_faces(grid, 0) @ np.array([2.0, 4.0, 6.0])).tolist() == [3.0, 5.0, 0.0]
    assert (on_faces(grid, 1) @ np.array([2.0, 4.0, 6.0])).tolist() == [0.0, 0.0, 0.0]
