# SPDX-License-Identifier: MIT
"""Grids with places: centres, corners, areas, masks, and what can be wrong with them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.spec import Boundary, Pivot

RADIUS = 6.371e6  # [m] of the sphere on which areas are


class GridError(Exception):
    """A grid that cannot be right: got, expected, fix."""


@dataclass(frozen=True)
class Grid:
    """A logically rectangular grid; arrays are (y, x), corners (y, x, 4)."""

    name: str
    area: NDArray[np.float64]  # [m2]; all 1 where nothing says more
    mask: NDArray[np.bool_]  # true: active
    # None: cells without places, as of a model on a plane; they can be coarsened and refined
    lon: NDArray[np.float64] | None = None  # [degrees] of the centres
    lat: NDArray[np.float64] | None = None
    corner_lon: NDArray[np.float64] | None = None  # [degrees], counterclockwise
    corner_lat: NDArray[np.float64] | None = None
    angle: NDArray[np.float64] | None = None  # [radians] from east to local i, counterclockwise
    boundary_x: Boundary = "closed"
    boundary_y: Boundary = "closed"  # of the south alone where there is a north fold
    north: Pivot | None = None

    @property
    def shape(self) -> tuple[int, int]:
        """(ny, nx)"""
        ny, nx = self.mask.shape
        return ny, nx

    @property
    def active_area(self) -> NDArray[np.float64]:
        """(cells,) [m2]; 0 where masked."""
        return np.where(self.mask, self.area, 0.0).ravel()

    def __str__(self) -> str:
        ny, nx = self.shape
        return f"Grid({self.name} {nx} x {ny}, {self.mask.mean():.0%} active)"
