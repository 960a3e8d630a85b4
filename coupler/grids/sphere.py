# SPDX-License-Identifier: MIT
"""Places on the sphere: points, polygons of great circles, directions."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]

RADIUS = 6.371e6  # [m] of the sphere on which areas are


def points(lon: Array, lat: Array) -> Array:
    """(..., 3) on the unit sphere, from degrees."""
    x, y = np.radians(lon), np.radians(lat)
    return np.stack((np.cos(y) * np.cos(x), np.cos(y) * np.sin(x), np.sin(y)), axis=-1)


def degrees(place: Array) -> tuple[Array, Array]:
    """Longitude in 0..360 and latitude of points (..., 3) of any length."""
    x, y, z = np.moveaxis(place, -1, 0)
    return np.degrees(np.arctan2(y, x)) % 360.0, np.degrees(np.arctan2(z, np.hypot(x, y)))


def _triple(a: Array, b: Array, c: Array) -> Array:
    """The volume that three vectors span: positive where they turn counterclockwise."""
    # differences first, so that small triangles keep their digits
    value: Array = np.einsum("...i,...i->...", a, np.cross(b - a, c - a))
    return value


def polygon_area(corners: Array) -> Array:
    """(cells,) on the unit sphere, of (cells, corners, 3); negative where they go clockwise.

    By triangles from the first corner: Van Oosterom and Strackee 1983, eq. 8.
    """
    area = np.zeros(len(corners))
    a = corners[:, 0]
    for number in range(1, corners.shape[1] - 1):
        b, c = corners[:, number], corners[:, number + 1]
        below = 1.0 + sum(np.einsum("ij,ij->i", p, q) for p, q in ((a, b), (b, c), (c, a)))
        area += 2.0 * np.arctan2(_triple(a, b, c), below)
    return area


def encloses(corners: Array, places: Array) -> NDArray[np.bool_]:
    """(cells,): whether (cells, corners, 3), counterclockwise, enclose (cells, 3) or touch it."""
    inside = np.ones(len(places), bool)
    for number in range(corners.shape[1]):
        start, end = corners[:, number - 1], corners[:, number]
        # a parallel lies north of the great circle between its ends: the touch is generous
        inside &= _triple(places, start, end) > -1e-9
    return inside


def east_and_north(place: Array) -> tuple[Array, Array]:
    """Unit vectors (..., 3) at points of the unit sphere; at a pole, those of longitude 0."""
    x, y, z = np.moveaxis(place, -1, 0)
    lon = np.arctan2(y, x)
    east = np.stack((-np.sin(lon), np.cos(lon), np.zeros_like(lon)), axis=-1)
    flat = np.hypot(x, y)
    north = np.stack((-z * np.cos(lon), -z * np.sin(lon), flat), axis=-1)
    return east, north


def direction(place: Array, start: Array, end: Array) -> Array:
    """[radians] from east, counterclockwise: the way from `start` to `end`, seen at `place`."""
    east, north = east_and_north(place)
    way = end - start
    turned: Array = np.arctan2(np.sum(way * north, axis=-1), np.sum(way * east, axis=-1))
    return turned
