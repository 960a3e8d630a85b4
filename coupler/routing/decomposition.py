# SPDX-License-Identifier: MIT
"""Who owns which cells: one box of a global (y, x) grid for each rank."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

HOLES_HINT = "if the model drops land, declare the grid with holes=.true."


@dataclass(frozen=True, slots=True)
class Box:
    """Cells x0 <= x < x1, y0 <= y < y1, counted from 0."""

    x0: int
    x1: int
    y0: int
    y1: int

    @property
    def nx(self) -> int:
        return max(self.x1 - self.x0, 0)

    @property
    def ny(self) -> int:
        return max(self.y1 - self.y0, 0)

    @property
    def cells(self) -> int:
        return self.nx * self.ny

    def padded(self, halo: int) -> Box:
        """The box with `halo` cells on each side; an empty box stays empty."""
        if self.cells == 0:
            return self
        return Box(self.x0 - halo, self.x1 + halo, self.y0 - halo, self.y1 + halo)


@dataclass(frozen=True)
class Decomposition:
    """The boxes of a component's ranks, in rank order; `edges` (4, ranks) holds x0, x1, y0, y1."""

    name: str
    nx: int
    ny: int
    edges: NDArray[np.int64]
    holes: bool = False  # cells that nobody owns are meant: land that the model drops

    @property
    def ranks(self) -> int:
        return int(self.edges.shape[1])

    def box(self, rank: int) -> Box:
        return Box(*(int(edge) for edge in self.edges[:, rank]))

    def cells(self) -> NDArray[np.int64]:
        """Owned cells of each rank."""
        x0, x1, y0, y1 = self.edges
        cells: NDArray[np.int64] = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
        return cells

    def __str__(self) -> str:
        return f"{self.name} on {self.ranks} ranks of {self.nx} x {self.ny} cells"

    @classmethod
    def from_boxes(cls, name: str, nx: int, ny: int, boxes: list[Box]) -> Decomposition:
        edges = np.array([[b.x0, b.x1, b.y0, b.y1] for b in boxes], dtype=np.int64).T
        return cls(name, nx, ny, edges.reshape(4, len(boxes)))


def split(size: int, parts: int) -> list[tuple[int, int]]:
    """`size` cells in `parts` runs as even as can be; the runs behind the last cell are empty."""
    used = min(parts, size)  # so that the first run always has a cell: its rank reports for all
    runs = [(size * part // used, size * (part + 1) // used) for part in range(used)]
    return runs + [(size, size)] * (parts - used)


def nearest_aspect(nx: int, ny: int, ranks: int) -> tuple[int, int]:
    """(px, py) with px * py = ranks whose boxes have the least surface, so the least halo."""
    pairs = [(px, ranks // px) for px in range(1, ranks + 1) if ranks % px == 0]

    def cost(pair: tuple[int, int]) -> tuple[int, float, int]:
        px, py = pair
        idle = max(px - nx, 0) + max(py - ny, 0)  # ranks without a cell come last
        return idle, nx / px + ny / py, px

    return min(pairs, key=cost)


def decompose(
    name: str, nx: int, ny: int, ranks: int, shape: tuple[int, int] | None = None
) -> Decomposition:
    """An even split in px x py boxes, rank = x + px * y; `shape` (px, py) or the nearest aspect."""
    px, py = shape or nearest_aspect(nx, ny, ranks)
    boxes = [Box(*xs, *ys) for ys in split(ny, py) for xs in split(nx, px)]
    return Decomposition.from_boxes(name, nx, ny, boxes)


def answer_split(worker: Decomposition, nx: int, ny: int) -> Decomposition:
    """Boxes of the model's grid, nx x ny, one for each box of the worker's: the same share of the
    columns and rows. Every cell is in one; a rank without cells of the worker answers nothing."""
    x, y = (
        -(-edges * size // whole)
        for edges, size, whole in (
            (worker.edges[:2], nx, worker.nx),
            (worker.edges[2:], ny, worker.ny),
        )
    )
    return Decomposition(worker.name, nx, ny, np.concatenate((x, y)))


def ownership_error(decomposition: Decomposition) -> str | None:
    """None if every cell has one owner, or none where holes are meant; else what is wrong.

    Counted on the grid of all box edges, so the cost depends on the boxes and not on the cells.
    """
    nx, ny = decomposition.nx, decomposition.ny
    for rank in range(decomposition.ranks):
        box = decomposition.box(rank)
        if box.cells and (box.x0 < 0 or box.y0 < 0 or box.x1 > nx or box.y1 > ny):
            return (
                f"{decomposition.name} rank {rank}: got cells x {box.x0 + 1}..{box.x1}, "
                f"y {box.y0 + 1}..{box.y1}, expected them within 1..{nx}, 1..{ny}"
            )
    x0, x1, y0, y1 = decomposition.edges[:, decomposition.cells() > 0]
    xs = np.unique(np.concatenate(([0, nx], x0, x1)))
    ys = np.unique(np.concatenate(([0, ny], y0, y1)))
    owners = np.zeros((len(ys) - 1, len(xs) - 1), dtype=np.int64)
    columns = zip(*(np.searchsorted(xs, e) for e in (x0, x1)), strict=True)
    rows = zip(*(np.searchsorted(ys, e) for e in (y0, y1)), strict=True)
    for (left, right), (low, high) in zip(columns, rows, strict=True):
        owners[low:high, left:right] += 1
    wrong = np.argwhere(owners > 1 if decomposition.holes else owners != 1)
    if not len(wrong):
        return None
    row, column = wrong[0]
    count = int(owners[row, column])
    fix = HOLES_HINT if count == 0 else "do the boxes leave out the model's halo?"
    return (
        f"{decomposition.name}: cell x {xs[column] + 1}, y {ys[row] + 1} is owned by {count} "
        f"ranks, expected 1; {fix}"
    )
