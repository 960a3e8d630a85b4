# SPDX-License-Identifier: MIT
"""The grids of a spec, with places: from its edges, from a file, generated, coarsened, refined."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coupler.grid import Array, Grid, GridError, cell_areas, checked_grid, corners_of
from coupler.grid_read import read_grid
from coupler.spec import AxesGeometry, Derived, FileGeometry, GridSpec, TripolarGeometry
from coupler.sphere import degrees, direction, points
from coupler.tripolar import tripolar_grid

Scalar = TypeVar("Scalar", bound=np.generic)


def grid_of(spec: GridSpec) -> Grid:
    """The grid that `spec` describes, checked, duplicate cells masked.

    Without a geometry: cells of area 1, all active, without places. Raises GridError, and OSError
    of a file.
    """
    geometry = spec.geometry
    shape = spec.ny, spec.nx
    if isinstance(geometry, Derived):
        parent = grid_of(geometry.parent)
        grid = (coarsened if geometry.step == "coarsen" else refined)(parent, geometry.by)
    elif isinstance(geometry, AxesGeometry):
        grid = rectilinear_grid(spec.name, np.array(geometry.lon), np.array(geometry.lat))
    elif isinstance(geometry, TripolarGeometry):
        grid = tripolar_grid(spec.name, spec.nx, spec.ny, spec.north, geometry)
    elif isinstance(geometry, FileGeometry):
        grid = read_grid(spec, geometry)
    else:
        grid = Grid(spec.name, np.ones(shape), np.ones(shape, bool))
    if grid.shape != shape:
        raise GridError(
            f"grid '{spec.name}': got {grid.shape[1]} x {grid.shape[0]} cells, expected "
            f"{spec.nx} x {spec.ny}, its size in the spec"
        )
    sides = spec.boundary_x, spec.boundary_y
    return checked_grid(
        replace(grid, name=spec.name, boundary_x=sides[0], boundary_y=sides[1], north=spec.north)
    )


def rectilinear_grid(name: str, lon: Array, lat: Array) -> Grid:
    """Cells between these edges [degrees]; all active."""
    if np.abs(lat).max() > 90.0 + 1e-9:
        raise GridError(
            f"grid '{name}': got edges at latitude {lat[np.argmax(np.abs(lat))]:g}, expected -90 "
            "to 90 degrees; are longitude and latitude exchanged?"
        )
    shape = lat.size - 1, lon.size - 1
    corners = corners_of(lon, lat)
    grid = Grid(
        name,
        np.empty(shape),
        np.ones(shape, bool),
        np.broadcast_to((lon[1:] + lon[:-1]) / 2, shape).copy(),
        np.broadcast_to(((lat[1:] + lat[:-1]) / 2)[:, None], shape).copy(),
        *corners,
        np.full(shape, 0.0 if lon[-1] > lon[0] else np.pi),
    )
    return replace(grid, area=cell_areas(grid))


def blocks(array: NDArray[Scalar], by: int) -> NDArray[Scalar]:
    """(y, x) -> (y / by, x / by, by * by): the cells of each block, row by row."""
    ny, nx = array.shape
    parts = array.reshape(ny // by, by, nx // by, by).swapaxes(1, 2)
    return parts.reshape(ny // by, nx // by, by * by)


def spread(array: NDArray[Scalar], by: int) -> NDArray[Scalar]:
    """(y, x) -> (y * by, x * by): each value by * by times."""
    return array.repeat(by, axis=0).repeat(by, axis=1)


def coarsened(grid: Grid, by: int) -> Grid:
    """`by` x `by` cells become one: active where one of them is. Its area is that of all of them,
    masked ones too."""
    ny, nx = grid.shape
    if ny % by or nx % by:
        raise GridError(f"grid '{grid.name}': got {nx} x {ny} cells, expected multiples of {by}")
    mask: NDArray[np.bool_] = np.any(blocks(grid.mask, by), axis=-1)
    area = blocks(grid.area, by).sum(axis=-1)
    coarse = Grid(f"{grid.name} coarsened by {by}", area, mask)
    if grid.corner_lon is None or grid.corner_lat is None:
        return coarse
    # the corners of a block are corners of its four outermost cells
    ends = ((0, 0), (0, by - 1), (by - 1, by - 1), (by - 1, 0))
    lon = np.stack([grid.corner_lon[j::by, i::by, n] for n, (j, i) in enumerate(ends)], axis=-1)
    lat = np.stack([grid.corner_lat[j::by, i::by, n] for n, (j, i) in enumerate(ends)], axis=-1)
    return _between_corners(coarse, _unrolled(lon), lat, grid)


def refined(grid: Grid, by: int) -> Grid:
    """Each cell becomes `by` x `by` cells, which share its area and its mask."""
    mask = spread(grid.mask, by)
    fine = Grid(f"{grid.name} refined by {by}", np.empty(mask.shape), mask)
    if grid.corner_lon is None or grid.corner_lat is None:
        return replace(fine, area=spread(grid.area, by) / by**2)
    ny, nx = grid.shape
    across = np.arange(by + 1) / by
    y, x = across[:, None], across
    # bilinear in degrees keeps meridians and parallels, but only on the sphere does it work at
    # poles: so each cell is refined where its own corners are alike
    flat = np.stack((_unrolled(grid.corner_lon), grid.corner_lat), axis=-1)
    place = points(grid.corner_lon, grid.corner_lat)
    weights = np.stack(((1 - x) * (1 - y), x * (1 - y), x * y, (1 - x) * y), axis=-1)
    on_parallels = (
        (flat[..., 0, 1] == flat[..., 1, 1])
        & (flat[..., 2, 1] == flat[..., 3, 1])
        & (flat[..., 0, 0] == flat[..., 3, 0])
        & (flat[..., 1, 0] == flat[..., 2, 0])
    )[..., None, None, None]
    lon, lat = degrees(np.einsum("abn,yxnk->yxabk", weights, place))
    inside = np.einsum("abn,yxnk->yxabk", weights, flat)
    nodes = np.where(on_parallels, inside, np.stack((lon, lat), axis=-1))  # (y, x, b + 1, b + 1, 2)
    parts = (nodes[:, :, :-1, :-1], nodes[:, :, :-1, 1:], nodes[:, :, 1:, 1:], nodes[:, :, 1:, :-1])
    corners = np.stack(parts, axis=-2).swapaxes(1, 2).reshape(ny * by, nx * by, 4, 2)
    fine = _between_corners(fine, _unrolled(corners[..., 0]), corners[..., 1], grid)
    part = cell_areas(fine) if fine.corner_lon is not None else np.ones(mask.shape)
    whole = spread(blocks(part, by).sum(axis=-1), by)
    return replace(fine, area=spread(grid.area, by) * part / whole)


def _unrolled(lon: Array) -> Array:
    """Corners' longitudes without jumps of 360 degrees within a cell."""
    return lon[..., :1] + (lon - lon[..., :1] + 180.0) % 360.0 - 180.0


def _between_corners(grid: Grid, lon: Array, lat: Array, parent: Grid) -> Grid:
    """`grid` with these corners; centres in their middle, which on parallels is that in degrees."""
    place = points(lon, lat)
    middle = degrees(place.mean(axis=-2))
    on_parallels = (lat[..., 0] == lat[..., 1]) & (lat[..., 2] == lat[..., 3])
    centre_lon = np.where(on_parallels, lon.mean(axis=-1), middle[0])
    centre_lat = np.where(on_parallels, lat.mean(axis=-1), middle[1])
    west, east = place[..., 0, :] + place[..., 3, :], place[..., 1, :] + place[..., 2, :]
    angle = direction(points(centre_lon, centre_lat), west, east)
    if parent.angle is None:
        return replace(grid, lon=centre_lon, lat=centre_lat, corner_lon=lon, corner_lat=lat)
    return Grid(grid.name, grid.area, grid.mask, centre_lon, centre_lat, lon, lat, angle)
