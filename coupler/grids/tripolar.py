# SPDX-License-Identifier: MIT
"""A tripolar grid by formula: parallels in the south, and a cap with two poles in the north.

As in Madec and Imbard 1996, the rows of the cap are ellipses in the stereographic plane that close
upon the segment between the two poles, which is the fold; the columns are orthogonal to them. The
projection is conformal, so the grid is orthogonal on the sphere. The ellipses are of this project:
with semi-axes A along the segment and B across it, A^2 = B^2 + a^2 (1 - B^2)^2, which joins the
parallels smoothly at B = 1 and is the segment -a..a at B = 0.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from coupler.grids.grid import Array, Grid, cell_areas
from coupler.grids.sphere import degrees, direction, points
from coupler.spec import Pivot, TripolarGeometry

FOCUS = 0.45  # a: distance of a pole from the middle of the cap, of its radius
POLE_LONGITUDE = 80.0  # [degrees] of one pole; the other is opposite
STEPS = 8  # of the integration along a column, for half a row


def tripolar_grid(
    name: str, nx: int, ny: int, north: Pivot | None, geometry: TripolarGeometry
) -> Grid:
    """No land. Rows are equally far apart on the meridian midway between the poles.

    The fold runs along the northern faces of the last row (F pivot, the default), or through its
    centres (T pivot); the first T point then lies on the meridian of a pole, and the two cells of
    the last row at the poles, which are folded flat, are masked.
    """
    place = supergrid(nx, ny, north, geometry)
    lon, lat = degrees(place)
    nodes = (slice(0, -2, 2), slice(2, None, 2))
    corners = [(nodes[j], nodes[i]) for j, i in ((0, 0), (0, 1), (1, 1), (1, 0))]
    centre = place[1::2, 1::2]
    grid = Grid(
        name,
        np.empty((ny, nx)),
        np.ones((ny, nx), bool),
        lon[1::2, 1::2],
        lat[1::2, 1::2],
        np.stack([lon[corner] for corner in corners], axis=-1),
        np.stack([lat[corner] for corner in corners], axis=-1),
        direction(centre, place[1::2, :-2:2], place[1::2, 2::2]),
        "periodic",
        "closed",
        north or "F",
    )
    area = cell_areas(grid)
    return replace(grid, area=area, mask=area > 1e-6 * np.median(area))


def supergrid(nx: int, ny: int, north: Pivot | None, geometry: TripolarGeometry) -> Array:
    """(2 ny + 1, 2 nx + 1, 3): points on the unit sphere, half a cell apart, from the south-western
    corner of the first cell on: T points are the odd ones [1::2, 1::2], U points [1::2, 2::2]."""
    fold = ny - 0.5 if north == "T" else float(ny)  # in rows from the southern edge
    # in half columns from a pole's meridian; there the first T point of a T pivot is
    columns = (np.arange(2 * nx + 1) - (1 if north == "T" else 0)) % (2 * nx)
    latitude = geometry.south + np.arange(2 * ny + 1) / 2 / fold * (90.0 - geometry.south)
    # B, 1 where the cap begins, 0 on the fold, below 0 beyond it
    radius = np.tan(np.radians(90.0 - geometry.cap) / 2)
    across = np.tan(np.radians(90.0 - latitude) / 2) / radius
    place = np.empty((latitude.size, columns.size, 3))
    in_cap = across < 1.0
    lon = columns * (180.0 / nx) + POLE_LONGITUDE
    place[~in_cap] = points(*np.meshgrid(lon, latitude[~in_cap]))
    x, y = _ellipses(columns, nx, across[in_cap])
    north_of = 90.0 - 2 * np.degrees(np.arctan(radius * np.hypot(x, y)))
    place[in_cap] = points(np.degrees(np.arctan2(y, x)) + POLE_LONGITUDE, north_of)
    return place


def _ellipses(columns: NDArray[np.int64], nx: int, across: Array) -> tuple[Array, Array]:
    """(rows, columns) twice: x along the segment between the poles, y across it.

    Of the four quarters only one is computed: near a pole's meridian columns part so fast that a
    rounding error on it would be seen.
    """
    half = np.minimum(columns, 2 * nx - columns)  # from one pole to the other
    quarter = np.minimum(half, nx - half)
    turned = _columns(quarter * (np.pi / nx), np.abs(across))
    b = across[:, None]
    x = np.sqrt(_squared(b**2)) * np.cos(turned) * np.where(half > quarter, -1.0, 1.0)
    y = b * np.sin(turned) * np.where(columns > nx, -1.0, 1.0)
    return x, y


def _squared(u: float | Array) -> float | Array:
    """A^2 of B^2."""
    return u + FOCUS**2 * (1 - u) ** 2


def _columns(columns: Array, levels: Array) -> Array:
    """(levels, columns): the ellipse's parameter t where a column crosses it.

    Orthogonal trajectories: dt/d(B^2) = (d(A^2)/d(B^2) - 1) / 2 * sin t cos t /
    (A^2 sin^2 t + B^2 cos^2 t); by Runge and Kutta, from level to level, in B.
    """

    def slope(b: float, t: Array) -> Array:
        u = b * b
        below = _squared(u) * np.sin(t) ** 2 + u * np.cos(t) ** 2
        steep = -(FOCUS**2) * (1 - u) * np.sin(t) * np.cos(t)
        return np.asarray(2 * b * np.divide(steep, below, out=np.zeros_like(t), where=below > 0))

    found = np.empty((levels.size, columns.size))
    b, t = 1.0, columns.copy()
    for number in np.argsort(-levels):
        step = (levels[number] - b) / STEPS
        for _ in range(STEPS if step else 0):
            k1 = slope(b, t)
            k2 = slope(b + step / 2, t + step / 2 * k1)
            k3 = slope(b + step / 2, t + step / 2 * k2)
            k4 = slope(b + step, t + step * k3)
            t = t + step / 6 * (k1 + 2 * k2 + 2 * k3 + k4)
            b += step
        b = float(levels[number])
        found[number] = t
    return found
