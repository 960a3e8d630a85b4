# SPDX-License-Identifier: MIT
"""Grids with places: centres, corners, areas, masks, and what can be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coupler.grids.sphere import RADIUS, encloses, points, polygon_area
from coupler.spec import Boundary, Pivot

Array = NDArray[np.float64]

OUTSIDE = 0.01  # of the active cells: so many centres may lie outside their corners
CLOSED = 1e-3  # of a cell: a grid around the world whose ends are nearer to each other is closed
FEW = 0.05  # of the cells: an ocean smaller than this is suspicious


class GridError(Exception):
    """A grid that cannot be right: got, expected, fix."""


@dataclass(frozen=True)
class Grid:
    """A logically rectangular grid; arrays are (y, x), corners (y, x, 4)."""

    name: str
    area: Array  # [m2]; of cells without places, in units of one of the model's
    mask: NDArray[np.bool_]  # true: active
    # None: cells without places, as of a model on a plane; they can be coarsened and refined
    lon: Array | None = None  # [degrees] of the centres
    lat: Array | None = None
    corner_lon: Array | None = None  # [degrees], counterclockwise in the plane of i and j from the
    corner_lat: Array | None = None  # corner of least i and j on; clockwise on a mirrored grid
    angle: Array | None = None  # [radians] from east to local i, counterclockwise
    boundary_x: Boundary = "closed"
    boundary_y: Boundary = "closed"  # of the south alone where there is a north fold
    north: Pivot | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        ny, nx = self.mask.shape
        return ny, nx

    @property
    def active_area(self) -> Array:
        """(cells,) [m2]; 0 where masked."""
        return np.where(self.mask, self.area, 0.0).ravel()

    @property
    def centres(self) -> Array:
        """(cells, 3) on the unit sphere. Raises GridError of a grid without places."""
        if self.lon is None or self.lat is None:
            raise GridError(f"grid '{self.name}' has no geometry: say where its cells are")
        return points(self.lon, self.lat).reshape(-1, 3)

    @property
    def corners(self) -> Array:
        """(cells, 4, 3) on the unit sphere. Raises GridError where there are none."""
        if self.corner_lon is None or self.corner_lat is None:
            raise GridError(
                f"grid '{self.name}' has no corners, which conservative weights need: take a file "
                "that has them, or another method"
            )
        return points(self.corner_lon, self.corner_lat).reshape(-1, 4, 3)

    def __str__(self) -> str:
        ny, nx = self.shape
        return f"Grid({self.name} {nx} x {ny}, {self.mask.mean():.0%} active)"


@dataclass(frozen=True)
class Axes:
    """The edges of a rectilinear grid: the cell in row j and column i is the product of
    y[j]..y[j+1] and x[i]..x[i+1]."""

    x: Array  # (nx + 1,) [degrees]; in a plane, in cells
    y: Array  # (ny + 1,)
    period: float | None = None  # of x, where the grid closes upon itself
    spherical: bool = True

    @property
    def wrap(self) -> float | None:
        """Along x, places that far apart are the same."""
        return 360.0 if self.spherical else self.period


def axes_of(grid: Grid) -> Axes | None:
    """The edges of a grid whose cells are bounded by circles of longitude and latitude."""
    lon, lat = grid.corner_lon, grid.corner_lat
    if lon is None or lat is None:
        return None
    x = onwards(np.concatenate((lon[0, :, 0], lon[0, -1:, 1])))
    y = np.concatenate((lat[:, 0, 0], lat[-1:, 0, 3]))
    wanted = corners_of(x, y)
    # by how much each corner is elsewhere, around the world once or not
    off = (lon - wanted[0] + 180.0) % 360.0 - 180.0, lat - wanted[1]
    if not all(np.allclose(part, 0.0, rtol=0, atol=1e-9) for part in off):
        return None
    step = np.diff(x)
    if not ((step > 0).all() or (step < 0).all()):
        return None
    once = 360.0 if x[-1] > x[0] else -360.0
    # places in single precision are off by a little, which is no gap and no overlap
    whole = abs(x[-1] - x[0] - once) < CLOSED * np.abs(step).min()
    if whole:
        x[-1] = x[0] + once
    return Axes(x, y, 360.0 if whole else None)


def onwards(lon: Array) -> Array:
    """Of 178, 179, -180, -179 the same places as 178, 179, 180, 181."""
    step = np.diff(lon)
    return lon if (step > 0).all() or (step < 0).all() else np.unwrap(lon, period=360.0)


def corners_of(x: Array, y: Array) -> tuple[Array, Array]:
    """(y, x, 4) twice: the corners of the cells between these edges."""
    shape = (y.size - 1, x.size - 1, 4)
    west, east, south, north = x[:-1], x[1:], y[:-1, None], y[1:, None]
    lon, lat = np.empty(shape), np.empty(shape)
    for number, (side, end) in enumerate(
        ((west, south), (east, south), (east, north), (west, north))
    ):
        lon[..., number], lat[..., number] = side, end
    return lon, lat


def cell_areas(grid: Grid) -> Array:
    """(y, x) [m2] of the corners: exact between parallels, else between great circles."""
    axes = axes_of(grid)
    if axes is not None:
        width = np.abs(np.diff(np.radians(axes.x)))
        height = np.abs(np.diff(np.sin(np.radians(axes.y))))
        return RADIUS**2 * height[:, None] * width
    return RADIUS**2 * np.abs(polygon_area(grid.corners)).reshape(grid.shape)


def checked_grid(grid: Grid) -> Grid:
    """`grid` if it can be right, its duplicate cells masked.

    Raises GridError for units that are not degrees, masks without an active cell, corners that do
    not enclose their centres, or that turn one way here and the other way there.
    """
    if not grid.mask.any():
        raise GridError(
            f"grid '{grid.name}': got a mask without an active cell; {_polarity('the mask')}"
        )
    if grid.lon is None or grid.lat is None:
        return grid
    _check_degrees(grid)
    grid = replace(grid, mask=grid.mask & ~duplicates(grid))
    if grid.corner_lon is not None:
        _check_corners(grid)
    return grid


def _check_degrees(grid: Grid) -> None:
    assert grid.lon is not None
    assert grid.lat is not None
    lon, lat = grid.lon[grid.mask], grid.lat[grid.mask]
    if not (np.isfinite(lon).all() and np.isfinite(lat).all()):
        raise GridError(f"grid '{grid.name}': got places of active cells that are not finite")
    if grid.corner_lon is not None and not np.isfinite(grid.corners[grid.mask.ravel()]).all():
        raise GridError(f"grid '{grid.name}': got corners of active cells that are not finite")
    if np.abs(lat).max() > 90.0 + 1e-5:  # pi / 2 in single precision is 90.0000025 degrees
        raise GridError(
            f"grid '{grid.name}': got latitudes to {lat[np.argmax(np.abs(lat))]:g}, expected -90 "
            "to 90 degrees; are longitude and latitude exchanged?"
        )
    if np.abs(lat).max() < np.pi / 2 + 1e-6 and 4.0 < np.ptp(lon) < 2 * np.pi + 1e-6:
        raise GridError(
            f"grid '{grid.name}': got longitudes {lon.min():.4g} to {lon.max():.4g} and latitudes "
            f"{lat.min():.4g} to {lat.max():.4g}, expected degrees; these look like radians: "
            "give the variables the attribute units = 'radians', or convert them"
        )


def _check_corners(grid: Grid) -> None:
    active = grid.mask.ravel()
    corners, centres = grid.corners[active], grid.centres[active]
    area = polygon_area(corners)
    turned = (area < 0).mean()
    axes = axes_of(grid)  # whose cells may be wide: great circles between corners are no edges then
    if axes is None and OUTSIDE < turned < 1 - OUTSIDE:
        raise GridError(
            f"grid '{grid.name}': got corners that go clockwise around {turned:.0%} of the active "
            "cells, expected all or none; are the corners of each cell in order?"
        )
    if turned > 0.5:
        corners = corners[:, ::-1]
    outside = ~(encloses(corners, centres) if axes is None else _between(grid, axes)[active])
    if outside.mean() > OUTSIDE:
        cell = int(np.flatnonzero(active)[np.flatnonzero(outside)[0]])
        row, column = divmod(cell, grid.shape[1])
        raise GridError(
            f"grid '{grid.name}': got {outside.sum():,} of {outside.size:,} active cells whose "
            f"corners do not enclose their centre, such as x {column}, y {row} (from 0); are "
            "corners and centres of the same points (T, U, V, F), and in degrees both?"
        )


def _between(grid: Grid, axes: Axes) -> NDArray[np.bool_]:
    """(cells,): whether the centre lies between its edges, on a rectilinear grid."""
    assert grid.lon is not None
    assert grid.lat is not None
    x0, x1 = np.sort((axes.x[:-1], axes.x[1:]), axis=0)
    y0, y1 = np.sort((axes.y[:-1], axes.y[1:]), axis=0)[..., None]
    shift = (grid.lon - x0 + 1e-9) % 360.0 <= x1 - x0 + 2e-9
    inside: NDArray[np.bool_] = shift & (y0 - 1e-9 <= grid.lat) & (grid.lat <= y1 + 1e-9)
    return inside.ravel()


def duplicates(grid: Grid) -> NDArray[np.bool_]:
    """(y, x): cells that repeat an active one before them, as a periodic overlap or the row in
    which a folded grid meets itself. Their centres agree, and their corners where there are any."""
    keys = [grid.centres]
    if grid.corner_lon is not None:
        keys.append(np.sort(grid.corners, axis=1).reshape(-1, 12))
    # places are equal within 1e-7 (0.6 m); the shift keeps round numbers off the bins' edges
    active = np.flatnonzero(grid.mask.ravel())
    place = np.floor(np.concatenate(keys, axis=1)[active] * 1e7 + 0.3712).astype(np.int64)
    _, first = np.unique(place, axis=0, return_index=True)
    repeated = np.zeros(grid.mask.size, bool)
    repeated[np.delete(active, first)] = True
    if grid.corner_lon is None:  # a row of cells at a pole has one place, and repeats nothing
        repeated &= np.hypot(*grid.centres[:, :2].T) > 1e-7
    return repeated.reshape(grid.shape)


def remarks(grid: Grid) -> list[str]:
    """What is suspicious about a grid, and no mistake for sure."""
    found = []
    name = f"grid '{grid.name}'"
    active = float(grid.mask.mean())
    if active < FEW:
        found.append(
            f"{name}: {active:.1%} of the cells are active: that is a small ocean; "
            + _polarity("is the mask the right way round?")
        )
    if grid.lat is not None and active < 1.0:
        pole = grid.lat < -86.0
        if pole.any() and grid.mask[pole].mean() > 0.5:
            text = "the South Pole is active, and other cells are not; "
            found.append(f"{name}: {text}{_polarity('is the mask the right way round?')}")
    if grid.corner_lon is not None:
        ratio = float(np.median(grid.area[grid.mask] / cell_areas(grid)[grid.mask]))
        if not 0.9 < ratio < 1.1:
            found.append(
                f"{name}: the areas are {ratio:.3g} of what the corners enclose on a sphere of "
                f"{RADIUS / 1000:g} km; are they in m2?"
            )
    return found


def _polarity(text: str) -> str:
    return f"{text} (OASIS masks have 0 where a cell is active, SCRIP and NEMO 1)"
