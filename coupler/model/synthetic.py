# SPDX-License-Identifier: MIT
"""Fields for a model that is not there: smooth, moving, the same for any decomposition."""

from __future__ import annotations

import math
import zlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec, GridSpec

Array = NDArray[np.float64]

WAVES = 6
TURN = 40  # steps in which the fastest wave moves by its length
CELL = 1.0e4  # [m], a cell's width
RELIEF = 0.2  # how much positive fields vary, as a part of their mean
ISLAND = 0.1  # radius, as a part of the grid
SPEED = 0.5  # [m s-1] of components of vectors

# Fields that must not change sign are known by how their names begin.
POSITIVE = {
    "dx": CELL,
    "dy": CELL,
    "e1": CELL,
    "e2": CELL,
    "area": CELL**2,
    "e3": 10.0,
    "h": 500.0,
    "thickness": 500.0,
    "depth": 500.0,
}


@dataclass(frozen=True)
class Synthetic:
    """Values of one field of a grid. `limits`: the range that a user asks for."""

    field: FieldSpec
    grid: GridSpec
    time_step: int  # [s]
    seed: int
    limits: tuple[float, float] | None = None

    def values(self, box: Box, date: int) -> Array:
        """(level, y, x) of the cells of `box` at `date` [s], all levels of the model's field."""
        levels = self.field.declared_levels
        x, y = np.meshgrid(np.arange(box.x0, box.x1), np.arange(box.y0, box.y1))
        if self._is("mask"):
            return np.repeat(self._mask(x, y)[None], levels, axis=0)
        pattern = np.stack([self._waves(x, y, date, level) for level in range(levels)])
        if self.limits is not None:
            low, high = self.limits
            return low + (high - low) * (0.5 + 0.5 * pattern)
        mean = next((mean for name, mean in POSITIVE.items() if self._is(name)), None)
        if mean is not None:
            return mean * (1.0 + RELIEF * pattern)
        if self.field.kind == "scalar":
            return pattern
        return SPEED * pattern * self._mask(x, y)

    def _is(self, name: str) -> bool:
        return self.field.name.lower().startswith(name)

    def _waves(self, x: NDArray[np.int64], y: NDArray[np.int64], date: int, level: int) -> Array:
        """Between -1 and 1; whole waves along x and y, so that they fit periodic boundaries."""
        random = np.random.default_rng([self.seed, zlib.crc32(self.field.name.encode())])
        found = np.zeros(x.shape)
        strengths = random.uniform(0.5, 1.0, WAVES)
        for strength in strengths / strengths.sum():
            across, up, speed = random.integers(1, 4), random.integers(-3, 4), random.integers(1, 4)
            phase = random.uniform(0, 2 * np.pi) + 0.3 * level
            moved = speed * date / (TURN * self.time_step)
            place = across * x / self.grid.nx + up * y / self.grid.ny - moved
            found += strength * np.sin(2 * np.pi * place + phase)
        return found

    def _mask(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> Array:
        """1 in the sea. A face is open between two cells of it, a corner among four."""
        east = (x, x + 1) if self.field.point in ("U", "F") else (x,)
        north = (y, y + 1) if self.field.point in ("V", "F") else (y,)
        open_ = [self._sea(i, j) for i in east for j in north]
        return np.asarray(np.stack(open_).min(axis=0))

    def _sea(self, x: NDArray[np.int64], y: NDArray[np.int64]) -> Array:
        """Cells of the grid, but for an island in its middle."""
        nx, ny = self.grid.nx, self.grid.ny
        if self.grid.boundary_x == "periodic":
            x = x % nx
        if self.grid.boundary_y == "periodic" or self.grid.north is not None:
            y = np.minimum(y, ny - 1) if self.grid.north is not None else y % ny
        away = ((x + 0.5) / nx - 0.5) ** 2 + ((y + 0.5) / ny - 0.5) ** 2
        inside = (x < nx) & (y < ny) & (away > ISLAND**2)
        return np.asarray(inside, np.float64)


def parse_limits(text: str) -> dict[str, tuple[float, float]]:
    """`h=100:500,t=0:30`, finite numbers, the lower one first. Raises ValueError."""
    found = {}
    for part in filter(None, text.split(",")):
        name, _, ends = part.partition("=")
        low, _, high = ends.partition(":")
        found[name.strip()] = (float(low), float(high))
        if not -math.inf < float(low) <= float(high) < math.inf:
            raise ValueError(f"got {part}")
    return found
