# SPDX-License-Identifier: MIT
"""Who owns which cells where each model rank lists them: runs of cells, their directory, look-ups.

A cell's number is x + y * nx, from 0. A rank's list is runs: cells of consecutive numbers that are
neighbours in the rank's array too. The lists of all ranks would not fit on one rank: each worker
rank keeps the owners of an even share of the cell numbers, its part of the directory, and asks the
others for the cells that its own fields need. Everything here is plain data; directory.py moves it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from coupler.routing.boundary import Rectangle
from coupler.routing.decomposition import HOLES_HINT

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

    @cached_property
    def by_rank(self) -> list[tuple[int, Owners]]:
        """Each rank's runs apart, ranks in order."""
        order = _order(self.rank)
        start, stop, local = (column[order] for column in (self.start, self.stop, self.local))
        counts = np.bincount(self.rank)
        ranks, ends = np.flatnonzero(counts), np.cumsum(counts)
        parts = [(int(rank), slice(ends[rank] - counts[rank], ends[rank])) for rank in ranks]
        return [
            (rank, Owners(start[p], stop[p], np.broadcast_to(rank, counts[rank]), local[p]))
            for rank, p in parts
        ]

    @classmethod
    def sorted(cls, start: Cells, stop: Cells, rank: Cells, local: Cells) -> Owners:
        order = np.argsort(start, kind="stable")
        return cls(start[order], stop[order], rank[order], local[order])

    def within(self, spans: Cells) -> Owners:
        """What is owned of `spans`."""
        _, run, found = overlaps(spans, self)
        return replace(found, rank=self.rank[run])


@dataclass(frozen=True)
class RowColumns:
    """Rows of cells that one rank owns, a number of each in every column; small integers, since a
    list in random order has a row for each cell.

    Worker's cells target_x.. of row target_y show sign times cells place, place + step, ... of the
    rank's list.
    """

    target_y: NDArray[np.int32]
    width: NDArray[np.int32]  # cells
    target_x: NDArray[np.int32]
    place: NDArray[np.int32]
    step: NDArray[np.int8]
    sign: NDArray[np.int8]

    @classmethod
    def joined(cls, parts: Sequence[RowColumns]) -> RowColumns:
        names = [field.name for field in fields(cls)]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def _order(ranks: Cells) -> Cells:
    """A stable order of ranks below 2**32, in parts of 16 bits: those NumPy sorts by counting."""
    order = np.argsort((ranks & 0xFFFF).astype(np.uint16), kind="stable")
    high = (ranks >> 16).astype(np.uint16)
    return order[np.argsort(high[order], kind="stable")] if high.any() else order


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


def overlaps(spans: Cells, owners: Owners) -> tuple[Cells, Cells | slice, Owners]:
    """How many runs each span meets, which, and what the spans have of them, span by span.

    The ranks of what is found are left to the caller, who may know them.
    """
    begin = np.searchsorted(owners.stop, spans[0], side="right")
    counts = np.searchsorted(owners.start, spans[1], side="left") - begin
    ends = np.cumsum(counts)
    run: Cells | slice
    if len(begin) and np.array_equal(begin[1:], begin[:-1] + counts[:-1]):
        run = slice(begin[0], begin[0] + ends[-1])  # one behind the other: no gathering
    else:
        run = np.arange(int(counts.sum())) + np.repeat(begin - ends + counts, counts)
    start, stop, local = (column[run] for column in (owners.start, owners.stop, owners.local))
    if isinstance(run, slice):
        start, stop, local = start.copy(), stop.copy(), local.copy()  # their ends are cut below
    met = counts > 0
    last = ends[met] - 1
    first = last - counts[met] + 1
    before = np.maximum(spans[0][met] - start[first], 0)  # only a span's ends are cut
    start[first] += before
    local[first] += before
    stop[last] = np.minimum(stop[last], spans[1][met])
    return counts, run, Owners(start, stop, owners.rank, local)


Need = tuple[Rectangle, ...]  # of one field


def owned_rows(needs: Sequence[Need], nx: int, owners: Owners) -> dict[Need, dict[int, RowColumns]]:
    """Of each need and each rank that owns any of it: its rows, rectangle by rectangle.

    A rectangle that several needs have is looked up once, and its rows are the same in memory.
    """
    spans = {rectangle: row_spans(rectangle, nx) for need in needs for rectangle in need}
    found: dict[Need, dict[int, RowColumns]] = {need: {} for need in needs}
    for rank, runs in owners.by_rank:
        owned = {rectangle: _owned(rectangle, spans[rectangle], runs) for rectangle in spans}
        for need, of_rank in found.items():
            parts = [part for rectangle in need if (part := owned[rectangle]) is not None]
            if parts:
                of_rank[rank] = parts[0] if len(parts) == 1 else RowColumns.joined(parts)
    return found


def _owned(rectangle: Rectangle, spans: Cells, runs: Owners) -> RowColumns | None:
    """`spans`: the rows of `rectangle`; `runs`: of one rank."""
    x, y = rectangle.x, rectangle.y
    near = np.flatnonzero((spans[1] > runs.start[0]) & (spans[0] < runs.stop[-1]))
    if not len(near):
        return None
    spans = spans[:, near[0] : near[-1] + 1]  # rows go up, or down
    counts, _, found = overlaps(spans, runs)
    if not len(found.start):
        return None
    rows = np.arange(y.target + near[0], y.target + near[-1] + 1, dtype=np.int32)
    width, place = found.stop - found.start, found.local
    if x.step < 0:  # the row's last target is its lowest cell
        target_x = np.repeat(spans[1] + x.target, counts) - found.stop
        place = place + width - 1
    else:
        target_x = found.start - np.repeat(spans[0] - x.target, counts)
    if x.step == 0:
        width = np.full_like(width, x.length)
    small = [column.astype(np.int32) for column in (width, target_x, place)]
    signs = [np.full(len(width), number, np.int8) for number in (x.step, rectangle.sign)]
    return RowColumns(np.repeat(rows, counts), small[0], small[1], small[2], signs[0], signs[1])
