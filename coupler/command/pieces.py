# SPDX-License-Identifier: MIT
"""What one worker rank receives, piece by piece: from whom, from where, and over which boundary."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Literal

from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.router import Message, Patch
from coupler.spec import Boundary, GridSpec

Way = Literal["in place", "periodic", "fold", "wall"]  # wall: repeated or mirrored


@dataclass(frozen=True, slots=True)
class Piece:
    """Cells `target`, whose indices go on beyond the grid, show sign times the cells `source`."""

    rank: int
    way: Way
    sign: int
    target: Box
    source: Box


def pieces(
    messages: Iterable[Message],
    index: int,
    grid: GridSpec,
    model: Decomposition,
    box: Box,
    halo: int,
) -> Iterator[Piece]:
    """Of field number `index` in the `messages` to the worker that owns `box`."""
    padded = box.padded(halo)
    for message in messages:
        owner = model.box(message.partner)
        for p in message.routes[index].patches:
            x, y = padded.x0 + p.target_x, padded.y0 + p.target_y
            column, row = owner.x0 + p.source_x, owner.y0 + p.source_y
            target = Box(x, x + p.nx, y, y + p.ny)
            way = _way(grid, (x, y), (column, row))
            yield Piece(message.partner, way, p.sign, target, _source(p, column, row))


def _source(p: Patch, column: int, row: int) -> Box:
    """The cells of a patch whose first target shows (column, row)."""
    columns = sorted((column, column + p.step_x * (p.nx - 1)))
    rows = sorted((row, row + p.step_y * (p.ny - 1)))
    return Box(columns[0], columns[1] + 1, rows[0], rows[1] + 1)


def _way(grid: GridSpec, target: tuple[int, int], source: tuple[int, int]) -> Way:
    """How the first cell of a patch, and so every cell, comes from source to target (x, y)."""
    (x, y), (column, row) = target, source
    if grid.north is not None and y >= grid.ny - 1 and (x % grid.nx, y) != source:
        return "fold"
    ways = {
        _along(x, column, grid.boundary_x),
        _along(y, row, grid.boundary_y),
    }
    return "wall" if "wall" in ways else "periodic" if "periodic" in ways else "in place"


def _along(target: int, source: int, boundary: Boundary) -> Way:
    if source == target:
        return "in place"
    return "periodic" if boundary == "periodic" else "wall"
