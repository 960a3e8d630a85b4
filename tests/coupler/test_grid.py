# SPDX-License-Identifier: MIT
"""Grids: from edges, by formula, coarser and finer; and what is wrong with them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.grids.grid import (
    Grid,
    GridError,
    axes_of,
    cell_areas,
    checked_grid,
    duplicates,
    remarks,
)
from coupler.grids.make import coarsened, grid_of, rectilinear_grid, refined
from coupler.grids.sphere import RADIUS, degrees, direction, points, polygon_area
from coupler.grids.tripolar import supergrid
from coupler.routing.boundary import Fold
from coupler.spec import AxesGeometry, Derived, FieldSpec, GridSpec, Pivot, Point, TripolarGeometry

SPHERE = 4 * np.pi * RADIUS**2
SHAPE = TripolarGeometry(-78.0, 40.0)
PIVOTS: tuple[Pivot, ...] = ("T", "F")


def tripolar(nx: int, ny: int, pivot: Pivot) -> Grid:
    return grid_of(GridSpec("tripolar", nx, ny, 1, "periodic", "closed", pivot, SHAPE))


def world() -> Grid:
    return rectilinear_grid("world", np.linspace(0, 360, 25), np.linspace(-90, 90, 13))


def test_an_octant() -> None:
    corners = np.array([[[1.0, 0, 0], [0, 1, 0], [0, 0, 1]]])
    assert np.isclose(polygon_area(corners)[0], np.pi / 2)
    assert np.isclose(polygon_area(corners[:, ::-1])[0], -np.pi / 2)


def test_small_areas_keep_their_digits() -> None:
    """A square of a micrometre on the unit sphere, at a place without zeros in it."""
    size = 1e-6
    lon, lat = 37.0 + np.degrees(size) * np.array([[0, 1, 1, 0]]), np.array([[0.0] * 4])
    lat = lat + np.degrees(size) * np.array([[-0.5, -0.5, 0.5, 0.5]])
    assert np.isclose(polygon_area(points(lon, lat))[0], size**2, rtol=1e-8)


@given(st.floats(-180, 180), st.floats(-89, 89), st.floats(-np.pi, np.pi))
def test_directions(lon: float, lat: float, angle: float) -> None:
    place = points(np.array(lon), np.array(lat))
    x, y = np.radians(lon), np.radians(lat)
    east = np.array([-np.sin(x), np.cos(x), 0.0])
    north = np.array([-np.sin(y) * np.cos(x), -np.sin(y) * np.sin(x), np.cos(y)])
    way = np.cos(angle) * east + np.sin(angle) * north
    got = direction(place, place, place + 1e-3 * way)
    assert abs((got - angle + np.pi) % (2 * np.pi) - np.pi) < 1e-9


def test_a_world_of_edges() -> None:
    grid = checked_grid(world())
    assert np.isclose(grid.area.sum(), SPHERE, rtol=1e-14)
    axes = axes_of(grid)
    assert axes is not None
    assert axes.period == 360.0
    assert axes.y.tolist() == np.linspace(-90, 90, 13).tolist()
    assert grid.lat is not None
    assert grid.lat[0, 0] == -82.5
    assert str(grid) == "Grid(world 24 x 12, 100% active)"
    assert remarks(grid) == []


def test_edges_whose_longitudes_are_within_0_and_360() -> None:
    """As in OASIS' and SCRIP's files: the first cell of such a world has corners at 355 and 5."""
    known = rectilinear_grid("world", np.linspace(-5, 355, 37), np.linspace(-90, 90, 19))
    assert known.corner_lon is not None
    axes = axes_of(replace(known, corner_lon=known.corner_lon % 360.0))
    assert axes is not None
    np.testing.assert_allclose(axes.x, 360.0 + np.linspace(-5, 355, 37))
    assert axes.period == 360.0


def test_wide_cells_between_meridians_are_no_mistake() -> None:
    """The great circle between corners 200 degrees apart goes the other way around."""
    grid = checked_grid(
        rectilinear_grid("wide", np.array([0.0, 200, 360]), np.linspace(-90, 90, 4))
    )
    np.testing.assert_allclose(grid.area.sum(), 4 * np.pi * RADIUS**2)


def test_edges_of_the_spec() -> None:
    geometry = AxesGeometry((350.0, 360.0, 370.0), (40.0, 30.0, 20.0, 10.0))
    grid = grid_of(GridSpec("region", 2, 3, 1, "closed", "closed", None, geometry))
    assert grid.mask.all()
    assert grid.lat is not None
    assert grid.lat[:, 0].tolist() == [35.0, 25.0, 15.0]
    axes = axes_of(grid)
    assert axes is not None
    assert axes.period is None


@pytest.mark.parametrize("pivot", PIVOTS)
def test_the_tripolar_grid_covers_the_sphere_once(pivot: Pivot) -> None:
    grid = tripolar(60, 40, pivot)
    covered = (1 - np.sin(np.radians(SHAPE.south))) / 2
    assert np.isclose(grid.area[grid.mask].sum() / SPHERE, covered, rtol=1e-3)
    # of the T pivot's last row half is the other half, and two cells are the poles
    assert (~grid.mask).sum() == (60 // 2 + 1 if pivot == "T" else 0)
    assert (~grid.mask[:-1]).sum() == 0


def test_the_tripolar_grid_is_orthogonal() -> None:
    place = supergrid(240, 160, "F", SHAPE)
    west, east = place[1:-1, :-2], place[1:-1, 2:]
    south, north = place[:-2, 1:-1], place[2:, 1:-1]
    middle = place[1:-1, 1:-1]
    turned = direction(middle, south, north) - direction(middle, west, east)
    off = np.abs((turned - np.pi / 2 + np.pi) % (2 * np.pi) - np.pi)
    # away from the last rows, where the columns turn around the poles
    assert off[:-20].max() < 0.005
    assert np.median(off) < 1e-4


@pytest.mark.parametrize("pivot", PIVOTS)
@pytest.mark.parametrize("point", ["T", "U", "V", "F"])
def test_the_tripolar_grid_folds_as_halos_do(pivot: Pivot, point: Point) -> None:
    nx, ny = 12, 8
    spec = GridSpec("tripolar", nx, ny, 1, "periodic", "closed", pivot, SHAPE)
    fold = Fold.of(pivot, FieldSpec("f", point, "scalar", "zero", 1, ""), spec)
    y = 2 * np.arange(ny) + (2 if point in "VF" else 1)
    x = 2 * np.arange(nx) + (2 if point in "UF" else 1)
    place = supergrid(nx, ny, pivot, SHAPE)[np.ix_(y, x)]
    row = ny - 1
    for column in range(nx):
        image = fold.rows - row, (fold.columns - column) % nx
        if image[0] < ny:
            np.testing.assert_allclose(place[row, column], place[image], atol=1e-12)


def test_coarser_and_finer_tripolar_grids() -> None:
    parent = tripolar(24, 16, "F")
    mask = parent.mask.copy()
    mask[:5, :7] = False
    parent = replace(parent, mask=mask)
    coarse, fine = coarsened(parent, 2), refined(parent, 2)
    assert coarse.mask[2, 3]
    assert not coarse.mask[:2, :3].any()
    assert np.isclose(coarse.area.sum(), parent.area.sum(), rtol=1e-14)
    assert np.isclose(fine.area.sum(), parent.area.sum(), rtol=1e-14)
    assert (fine.mask == mask.repeat(2, 0).repeat(2, 1)).all()
    for grid in (coarse, fine):
        assert checked_grid(grid).mask.sum() == grid.mask.sum()
        ratio = cell_areas(grid) / grid.area
        assert 0.7 < ratio.min() < ratio.max() < 1.1
        assert abs(np.median(ratio) - 1) < 0.02
    again = coarsened(fine, 2)
    np.testing.assert_allclose(again.corners, parent.corners, atol=1e-12)
    with pytest.raises(GridError, match="got 24 x 16 cells, expected multiples of 5"):
        coarsened(parent, 5)


def test_a_grid_without_places_can_be_coarsened() -> None:
    parent = GridSpec("plane", 6, 4, 1, "periodic", "closed")
    grid = grid_of(
        GridSpec("coarse", 3, 2, 1, "periodic", "closed", None, Derived(parent, "coarsen", 2))
    )
    assert grid.area.tolist() == [[4.0] * 3] * 2
    assert grid.lon is None
    assert grid.boundary_x == "periodic"
    with pytest.raises(GridError, match="grid 'coarse' has no geometry"):
        _ = grid.centres


def test_repeated_columns_are_masked() -> None:
    """An overlap of two columns, as in files of NEMO before 4.2; a pole is no repetition."""
    edges = np.linspace(0, 360, 25)
    overlap = np.concatenate((edges, 360 + edges[1:3]))
    grid = rectilinear_grid("overlap", overlap, np.linspace(-90, 90, 13))
    assert np.flatnonzero(duplicates(grid).any(axis=0)).tolist() == [24, 25]
    assert checked_grid(grid).mask[:, :24].all()
    land = replace(grid, mask=grid.mask & (np.arange(26) != 0))
    assert np.flatnonzero(duplicates(land).any(axis=0)).tolist() == [25]


def test_rows_at_the_poles_repeat_nothing() -> None:
    """Without corners all their cells have one place."""
    lon, lat = np.meshgrid(np.arange(0.0, 360.0, 45.0), np.linspace(-90.0, 90.0, 5))
    lon[:, -1] = 0.0  # a column that repeats the first
    grid = checked_grid(Grid("points", np.ones(lon.shape), np.ones(lon.shape, bool), lon, lat))
    assert grid.mask[[0, -1]].all()
    assert grid.mask[1:-1].sum(axis=0).tolist() == [3] * 7 + [0]


def test_a_pole_in_single_precision() -> None:
    lat = np.degrees(np.float64(np.float32(np.pi / 2)))
    assert lat > 90.0
    lon = np.arange(0.0, 360.0, 45.0)
    place = np.full((1, 8), lat)
    assert checked_grid(Grid("pole", np.ones((1, 8)), np.ones((1, 8), bool), lon[None], place))


def test_latitudes_beyond_the_poles() -> None:
    with pytest.raises(GridError, match=r"latitude 95, expected -90 to 90 .* exchanged"):
        rectilinear_grid("turned", np.linspace(0, 10, 3), np.linspace(85, 95, 3))
    grid = world()
    with pytest.raises(GridError, match=r"got latitudes to 352\.5, expected"):
        checked_grid(replace(grid, lon=grid.lat, lat=grid.lon))


def test_radians_for_degrees() -> None:
    grid = world()
    assert grid.lon is not None
    assert grid.lat is not None
    bad = replace(grid, lon=np.radians(grid.lon), lat=np.radians(grid.lat))
    with pytest.raises(
        GridError, match=r"expected degrees; these look like radians: give .* units"
    ):
        checked_grid(bad)


def test_corners_of_other_points() -> None:
    grid = tripolar(24, 16, "F")
    assert grid.corner_lon is not None
    shifted = replace(
        grid,
        corner_lon=np.roll(grid.corner_lon, 3, axis=1),
        corner_lat=np.roll(grid.corner_lat, 3, axis=1),
    )
    with pytest.raises(GridError, match="corners do not enclose their centre, such as x 0, y 0"):
        checked_grid(shifted)
    edges = rectilinear_grid("edges", np.linspace(0, 80, 9), np.linspace(0, 80, 9))
    assert edges.lon is not None
    with pytest.raises(GridError, match="64 of 64 active cells whose corners do not enclose"):
        checked_grid(replace(edges, lon=edges.lon + 6.0))


def test_corners_in_no_order() -> None:
    grid = tripolar(24, 16, "F")
    assert grid.corner_lon is not None
    assert grid.corner_lat is not None
    turned = np.arange(16)[:, None, None] % 2 == 0
    mixed = replace(
        grid,
        corner_lon=np.where(turned, grid.corner_lon[..., ::-1], grid.corner_lon),
        corner_lat=np.where(turned, grid.corner_lat[..., ::-1], grid.corner_lat),
    )
    with pytest.raises(GridError, match="corners that go clockwise around 50% of the active cells"):
        checked_grid(mixed)
    mirrored = replace(
        grid, corner_lon=grid.corner_lon[..., ::-1], corner_lat=grid.corner_lat[..., ::-1]
    )
    assert checked_grid(mirrored).mask.all()


def test_corners_and_places_that_are_no_numbers() -> None:
    grid = tripolar(24, 16, "F")
    assert grid.corner_lat is not None
    assert grid.lat is not None
    hole = np.where(np.arange(24) == 3, np.nan, 0.0)
    with pytest.raises(GridError, match="corners of active cells that are not finite"):
        checked_grid(replace(grid, corner_lat=grid.corner_lat + hole[:, None]))
    with pytest.raises(GridError, match="places of active cells that are not finite"):
        checked_grid(replace(grid, lat=grid.lat + hole))
    masked = replace(grid, lat=grid.lat + hole, mask=grid.mask & np.isfinite(hole))
    assert checked_grid(masked).mask.sum() == 23 * 16


def test_an_ocean_that_is_none_or_small_hints_at_the_polarity() -> None:
    grid = world()
    with pytest.raises(GridError, match=r"without an active cell; the mask \(OASIS masks have 0"):
        checked_grid(replace(grid, mask=np.zeros(grid.shape, bool)))
    few = np.zeros(grid.shape, bool)
    few[5, :6] = True
    assert remarks(replace(grid, mask=few)) == [
        "grid 'world': 2.1% of the cells are active: that is a small ocean; is the mask the right "
        "way round? (OASIS masks have 0 where a cell is active, SCRIP and NEMO 1)"
    ]
    land = rectilinear_grid("fine", np.linspace(0, 360, 13), np.linspace(-90, 90, 46))
    inverted = replace(land, mask=np.repeat(np.arange(45)[:, None] < 20, 12, axis=1))
    assert ["the South Pole is active" in text for text in remarks(inverted)] == [True]


def test_areas_in_other_units() -> None:
    grid = world()
    text = remarks(replace(grid, area=grid.area / 1e6))
    assert text == [
        "grid 'world': the areas are 1e-06 of what the corners enclose on a sphere of 6371 km; "
        "are they in m2?"
    ]


def test_degrees_are_the_inverse_of_points() -> None:
    lon, lat = degrees(3.0 * points(np.array([0.0, 123.0, 359.0]), np.array([-90.0, 45.0, 12.0])))
    np.testing.assert_allclose(lat, [-90.0, 45.0, 12.0])
    np.testing.assert_allclose(lon[1:], [123.0, 359.0])
