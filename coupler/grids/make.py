# SPDX-License-Identifier: MIT
"""The grids of a spec, with places: from its edges, from a file, generated, coarsened, refined."""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from coupler.grids.grid import Array, Grid, GridError, axes_of, cell_areas, checked_grid, corners_of
from coupler.grids.read import read_grid
from coupler.grids.sphere import degrees, direction
from coupler.grids.tripolar import tripolar_grid
from coupler.spec import AxesGeometry, Derived, FileGeometry, GridSpec, TripolarGeometry

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
    name = f"{grid.name} coarsened by {by}"
    mask: NDArray[np.bool_] = np.any(blocks(grid.mask, by), axis=-1)
    area = blocks(grid.area, by).sum(axis=-1)
    axes = axes_of(grid)
    if axes is not None:
        coarse = rectilinear_grid(name, axes.x[::by], axes.y[::by])
    elif grid.corner_lon is None:
        coarse = Grid(name, area, mask)
    else:
        # the corners of a block are corners of its four outermost cells
        corners = grid.corners.reshape(ny, nx, 4, 3)
        ends = ((0, 0), (0, by - 1), (by - 1, by - 1), (by - 1, 0))
        places = [corners[j::by, i::by, n] for n, (j, i) in enumerate(ends)]
        coarse = _of_corners(name, np.stack(places, axis=2), mask)
    return replace(coarse, area=area, mask=mask)


def refined(grid: Grid, by: int) -> Grid:
    """Each cell becomes `by` x `by` cells, which share its area and its mask."""
    ny, nx = grid.shape
    name = f"{grid.name} refined by {by}"
    mask = spread(grid.mask, by)
    axes = axes_of(grid)
    if axes is not None:
        fine = rectilinear_grid(name, *(_divided(edges, by) for edges in (axes.x, axes.y)))
    elif grid.corner_lon is None:
        fine = Grid(name, np.ones(mask.shape), mask)
    else:
        x = np.arange(by + 1) / by
        y = x[:, None]
        shares = np.stack(((1 - x) * (1 - y), x * (1 - y), x * y, (1 - x) * y), axis=-1)
        nodes = np.einsum("abn,yxnk->yxabk", shares, grid.corners.reshape(ny, nx, 4, 3))
        nodes /= np.linalg.norm(nodes, axis=-1, keepdims=True)
        low, high = slice(None, -1), slice(1, None)
        parts = [nodes[:, :, j, i] for j, i in ((low, low), (low, high), (high, high), (high, low))]
        corners = np.stack(parts, axis=4).swapaxes(1, 2).reshape(ny * by, nx * by, 4, 3)
        fine = _of_corners(name, corners, mask)
    whole = spread(blocks(fine.area, by).sum(axis=-1), by)
    return replace(fine, area=spread(grid.area, by) * (fine.area / whole), mask=mask)


def _divided(edges: Array, by: int) -> Array:
    """Each cell between `edges` as `by` cells; the edges stay as they are."""
    part = np.arange(by) / by
    inner = edges[:-1, None] + np.diff(edges)[:, None] * part
    return np.append(inner.ravel(), edges[-1])


def _of_corners(name: str, corners: Array, mask: NDArray[np.bool_]) -> Grid:
    """A grid of corners (y, x, 4, 3); centres in their middle."""
    middle = corners.sum(axis=2)
    middle /= np.linalg.norm(middle, axis=-1, keepdims=True)
    west, east = corners[:, :, 0] + corners[:, :, 3], corners[:, :, 1] + corners[:, :, 2]
    angle = direction(middle, west, east)
    grid = Grid(name, np.empty(mask.shape), mask, *degrees(middle), *degrees(corners), angle)
    return replace(grid, area=cell_areas(grid))
