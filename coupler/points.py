# SPDX-License-Identifier: MIT
"""Who owns which cells where each model rank lists them: runs of cells, their directory, look-ups.

A cell's number is x + y * nx, from 0. A rank's list is runs: cells of consecutive numbers that are
neighbours in the rank's array too. The lists of all ranks would not fit on one rank: each worker
rank keeps the owners of an even share of the cell numbers, its part of the directory, and asks the
others for the cells that its own fields need. Everything here is plain data; directory.py moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.boundary import Rectangle
from coupler.decomposition import HOLES_HINT

Cells = NDArray[np.int64]


@dataclass(frozen=True)
class IndexLists:
    """A grid of which every rank of component `name` lists its cells; the directory has them."""

    name: str
    nx: int
    ny: int
    holes: bool
    error: str | None = None  # what the directory found wrong with the lists


@dataclass(frozen=True)
class Owners:
    """Runs of cells start..stop-1, sorted by `start`: cells local, local+1, ... of `rank`."""

    start: Cells
    stop: Cells
    rank: Cells
    local: Cells

    @classmethod
    def sorted(cls, start: Cells, stop: Cells, rank: Cells, local: Cells) -> Owners:
        order = np.argsort(start, kind="stable")
        return cls(start[order], stop[order], rank[order], local[order])

    def within(self, spans: Cells) -> Owners:
        """What is owned of `spans`."""
        _, run, low, high = overlaps(spans, self)
        return Owners(low, high, self.rank[run], self.local[run] + low - self.start[run])


def part_edges(cells: int, parts: int) -> Cells:
    """Part p of a directory holds cell numbers edges[p]..edges[p+1]-1, as the client cuts them."""
    return cells * np.arange(parts + 1, dtype=np.int64) // parts


def directory_part(first: int, stop: int, lists: Iterable[tuple[int, Cells]]) -> Owners:
    """Cells first..stop-1 of (rank, runs): (run, 3) first cell, length, first place in the list."""
    starts, stops, ranks, locals_ = ([np.zeros(0, np.int64)] for _ in range(4))
    for rank, runs in lists:
        begin, length, local = runs.T
        low, high = np.maximum(begin, first), np.minimum(begin + length, stop)
        inside = low < high
        starts.append(low[inside])
        stops.append(high[inside])
        ranks.append(np.full(int(inside.sum()), rank, np.int64))
        locals_.append((local + low - begin)[inside])
    return Owners.sorted(*(np.concatenate(parts) for parts in (starts, stops, ranks, locals_)))


def list_error(grid: IndexLists, part: Owners, first: int, stop: int) -> str | None:
    """None if every cell first..stop-1 has one owner, or none where holes are meant."""
    again = np.flatnonzero(part.stop[:-1] > part.start[1:])
    if len(again):
        cell = int(part.start[again[0] + 1])
        ranks = part.rank[(part.start <= cell) & (part.stop > cell)].tolist()
        owners = sorted(set(ranks))
        if len(owners) == 1:
            return (
                f"{grid.name}: {_place(grid, cell)} is {len(ranks)} times in the list of rank "
                + (f"{owners[0]}, expected once")
            )
        names = f"{', '.join(str(rank) for rank in owners[:-1])} and {owners[-1]}"
        return (
            f"{grid.name}: {_place(grid, cell)} is owned by {len(owners)} ranks, expected 1: "
            f"{names}; do the lists leave out the model's halo?"
        )
    if grid.holes:
        return None
    ends = np.concatenate(([first], part.stop))
    gaps = np.flatnonzero(ends < np.concatenate((part.start, [stop])))
    if not len(gaps):
        return None
    place = _place(grid, int(ends[gaps[0]]))
    return f"{grid.name}: {place} is owned by 0 ranks, expected 1; {HOLES_HINT}"


def _place(grid: IndexLists, cell: int) -> str:
    return f"cell x {cell % grid.nx + 1}, y {cell // grid.nx + 1}"


def row_spans(rectangle: Rectangle, nx: int) -> Cells:
    """(2, rows): first cell and end of the source cells of each row of `rectangle`."""
    y, x = rectangle.y, rectangle.x
    first = (y.source + y.step * np.arange(y.length, dtype=np.int64)) * nx + x.lowest
    return np.stack((first, first + x.highest - x.lowest + 1))


def merged(spans: Sequence[Cells]) -> Cells:
    """Every cell of `spans` once: (2, n) in order, without overlap."""
    first, stop = np.concatenate((np.zeros((2, 0), np.int64), *spans), axis=1)
    order = np.argsort(first, kind="stable")
    first, reach = first[order], np.maximum.accumulate(stop[order])
    begins = np.ones(len(first), np.bool_)
    begins[1:] = first[1:] > reach[:-1]
    ends = np.roll(begins, -1)  # a span ends where the next one begins
    return np.stack((first[begins], reach[ends]))


def clipped(spans: Cells, first: int, stop: int) -> Cells:
    """What `spans`, in order, have of cells first..stop-1."""
    begin = np.searchsorted(spans[1], first, side="right")
    end = max(begin, np.searchsorted(spans[0], stop, side="left"))
    return np.clip(spans[:, begin:end], first, stop)


def overlaps(spans: Cells, owners: Owners) -> tuple[Cells, Cells, Cells, Cells]:
    """Span, run, first cell and end of every overlap of `spans` with the runs of `owners`."""
    begin = np.searchsorted(owners.stop, spans[0], side="right")
    counts = np.searchsorted(owners.start, spans[1], side="left") - begin
    span = np.repeat(np.arange(spans.shape[1]), counts)
    run = np.arange(len(span)) + np.repeat(begin - np.cumsum(counts) + counts, counts)
    low = np.maximum(spans[0][span], owners.start[run])
    high = np.minimum(spans[1][span], owners.stop[run])
    return span, run, low, high


def owned_rows(rectangles: Sequence[Rectangle], nx: int, owners: Owners) -> tuple[Cells, Cells]:
    """(ranks, rows): the owned parts of each row of `rectangles`, row by row, sorted by rank.

    `rows` (n, 9) has the columns of a Patch; a rank's array is one row of cells.
    """
    ranks, rows = [np.zeros(0, np.int64)], [np.zeros((0, 9), np.int64)]
    for rectangle in rectangles:
        y, x = rectangle.y, rectangle.x
        spans = row_spans(rectangle, nx)
        row, run, low, high = overlaps(spans, owners)
        offset, place = low - spans[0][row], owners.local[run] + low - owners.start[run]
        if x.step < 0:  # the row's last target is its lowest cell
            offset, place = spans[1][row] - high, place + high - low - 1
        found = np.ones((len(row), 9), np.int64)
        found[:, 1] = x.length if x.step == 0 else high - low
        found[:, 2], found[:, 3] = y.target + row, x.target + offset
        found[:, 4], found[:, 5] = 0, place
        found[:, 7], found[:, 8] = x.step, rectangle.sign
        ranks.append(owners.rank[run])
        rows.append(found)
    rank, table = np.concatenate(ranks), np.concatenate(rows)
    order = np.argsort(rank, kind="stable")
    return rank[order], table[order]
