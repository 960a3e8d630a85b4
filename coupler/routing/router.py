# SPDX-License-Identifier: MIT
"""Two decompositions, a halo and boundaries -> the messages. Plain data, no MPI.

The receiver plans: a worker rank finds the owners of every cell of its padded box, and the owners
of every cell that it answers for. Its partners are told their lists and hold no geometry.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import overload

import numpy as np
from numpy.typing import NDArray

from coupler.routing.boundary import Rectangle, Run, overlap, rectangles
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.points import Cells, Need, Owners, RowColumns, merged, owned_rows, row_spans
from coupler.spec import FieldSpec, GridSpec

CELLS = FieldSpec("cells", "T", "scalar", "zero", 1, "")  # which cells there are, as a field


@dataclass(frozen=True, slots=True)
class Patch:
    """A rectangle of one message, ny x nx values in the target's row order.

    Target cell (target_y + j, target_x + i) takes sign times source cell
    (source_y + j * step_y, source_x + i * step_x); both count from 0 within the local array,
    a worker's padded by its halo, a model's without the model's own.
    """

    ny: int
    nx: int
    target_y: int
    target_x: int
    source_y: int
    source_x: int
    step_y: int
    step_x: int
    sign: int = 1

    @property
    def cells(self) -> int:
        return self.ny * self.nx


class Rows(Sequence[Patch]):
    """Patches of one row each, as columns: an index list may need one for every cell."""

    def __init__(self, columns: RowColumns, to_worker: bool) -> None:
        """`to_worker`: the worker's cells are the targets, else the sources."""
        self.columns, self.to_worker = columns, to_worker

    def __len__(self) -> int:
        return len(self.columns.width)

    @overload
    def __getitem__(self, index: int) -> Patch: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Patch]: ...
    def __getitem__(self, index: int | slice) -> Patch | Sequence[Patch]:
        if isinstance(index, slice):
            return [self[place] for place in range(*index.indices(len(self)))]
        c = self.columns
        worker = int(c.target_y[index]), int(c.target_x[index])
        model = 0, int(c.place[index])
        ends = (*worker, *model) if self.to_worker else (*model, *worker)
        return Patch(1, int(c.width[index]), *ends, 1, int(c.step[index]), int(c.sign[index]))

    @cached_property
    def cells(self) -> int:
        return int(self.columns.width.sum())

    @cached_property
    def width(self) -> Cells:
        """Of the row that each cell belongs to; cells in the order in which they travel."""
        return self._of_cells(self.columns.width)

    @cached_property
    def before(self) -> Cells:
        """Cells before the row that each cell belongs to."""
        return self._of_cells(np.cumsum(self.columns.width) - self.columns.width)

    @cached_property
    def column(self) -> Cells:
        """Place of each cell in its row."""
        return np.arange(self.cells) - self.before

    @cached_property
    def in_worker(self) -> tuple[Cells, Cells]:
        """y and x of each cell in the worker's array."""
        y, x = (self._of_cells(c) for c in (self.columns.target_y, self.columns.target_x))
        return y, x + self.column

    def _of_cells(self, of_rows: NDArray[np.integer]) -> Cells:
        return np.repeat(of_rows.astype(np.int64), self.columns.width)


@dataclass(frozen=True, slots=True)
class FieldRoute:
    """The patches of one field in one message; values travel patch by patch, level by level."""

    field: FieldSpec
    patches: Sequence[Patch]

    @property
    def cells(self) -> int:
        if isinstance(self.patches, Rows):
            return self.patches.cells
        return sum(patch.cells for patch in self.patches)

    @property
    def values(self) -> int:
        return self.field.levels * self.cells


@dataclass(frozen=True, slots=True)
class Message:
    """All that travels between one worker rank and one rank `partner` in one exchange."""

    partner: int
    routes: tuple[FieldRoute, ...]

    @property
    def values(self) -> int:
        return sum(route.values for route in self.routes)


def _owners(decomposition: Decomposition, x: Run, y: Run) -> NDArray[np.int64]:
    """Ranks that own any source cell of the rectangle x * y."""
    x0, x1, y0, y1 = decomposition.edges
    touched = (x0 <= x.highest) & (x1 > x.lowest) & (x0 < x1)
    touched &= (y0 <= y.highest) & (y1 > y.lowest) & (y0 < y1)
    return np.flatnonzero(touched)


def _owned_patches(
    rectangles: Iterable[Rectangle], owners: Decomposition
) -> Iterator[tuple[int, Patch]]:
    """(owner rank, patch) for every part of `rectangles` that has an owner."""
    for rectangle in rectangles:
        for rank in _owners(owners, rectangle.x, rectangle.y):
            owner = owners.box(int(rank))
            x = overlap(rectangle.x, owner.x0, owner.x1)
            y = overlap(rectangle.y, owner.y0, owner.y1)
            if x is not None and y is not None:
                yield (
                    int(rank),
                    Patch(
                        *(y.length, x.length, y.target, x.target),
                        *(y.source - owner.y0, x.source - owner.x0, y.step, x.step),
                        rectangle.sign,
                    ),
                )


def _messages(
    fields: tuple[FieldSpec, ...], patches: list[list[tuple[int, Patch]]]
) -> tuple[Message, ...]:
    by_partner: dict[int, list[list[Patch]]] = {}
    for number, found in enumerate(patches):
        for rank, patch in found:
            by_partner.setdefault(rank, [[] for _ in fields])[number].append(patch)
    return tuple(
        Message(partner, tuple(map(FieldRoute, fields, map(tuple, by_partner[partner]))))
        for partner in sorted(by_partner)
    )


def _padded_rectangles(field: FieldSpec, grid: GridSpec, box: Box, halo: int) -> list[Rectangle]:
    padded = box.padded(halo)
    return rectangles(field, grid, padded.y0, padded.y1, padded.x0, padded.x1)


def own_rectangle(box: Box) -> Rectangle:
    """The cells of `box` itself; halo and boundaries play no part."""
    return Rectangle(Run(0, box.ny, box.y0, 1), Run(0, box.nx, box.x0, 1))


def cells_needed(fields: Sequence[FieldSpec], grid: GridSpec, box: Box, halo: int) -> Cells:
    """(2, n) first cell and end: the numbers of all cells whose owners routes of `box` ask for."""
    if box.cells == 0:
        return merged(())
    found = {r for field in (*fields, CELLS) for r in _padded_rectangles(field, grid, box, halo)}
    return spans_of((*found, own_rectangle(box)), grid.nx)


def spans_of(rectangles: Iterable[Rectangle], nx: int) -> Cells:
    """(2, n) first cell and end: the numbers of all source cells of `rectangles`."""
    return merged([row_spans(r, nx) for r in rectangles])


def _messages_of_rows(
    fields: tuple[FieldSpec, ...], found: list[dict[int, Rows]]
) -> tuple[Message, ...]:
    """`found`: of each field the rows by rank."""
    partners = sorted({rank for rows in found for rank in rows})
    return tuple(
        Message(rank, tuple(map(FieldRoute, fields, (rows.get(rank, ()) for rows in found))))
        for rank in partners
    )


def _rows(found: dict[int, RowColumns], to_worker: bool) -> dict[int, Rows]:
    return {rank: Rows(columns, to_worker) for rank, columns in found.items()}


def _but_last_row(rectangle: Rectangle, grid: GridSpec) -> Iterator[Rectangle]:
    """`rectangle` in two: what fields make of a fold's last row differs, not the rows before it."""
    last = grid.ny - 1
    for low, high in ((0, last), (last, grid.ny)):
        rows = overlap(rectangle.y, low, high)
        if rows is not None:
            yield Rectangle(rows, rectangle.x)


def route_to_worker(
    fields: tuple[FieldSpec, ...],
    grid: GridSpec,
    model: Decomposition | Owners,
    box: Box,
    halo: int,
) -> tuple[Message, ...]:
    """What each model rank sends to the worker that owns `box`; sorted by model rank.

    One step fills the halo: every padded cell comes straight from the rank that owns it. `model`:
    every rank's box, or the owners of (at least) the cells needed here.
    """
    if box.cells == 0:
        return ()
    padded = [_padded_rectangles(field, grid, box, halo) for field in fields]
    if isinstance(model, Owners):
        padded = [[p for r in found for p in _but_last_row(r, grid)] for found in padded]
    return route_cells(fields, [tuple(found) for found in padded], grid, model)


def route_cells(
    fields: tuple[FieldSpec, ...],
    needs: Sequence[Need],
    grid: GridSpec,
    owners: Decomposition | Owners,
) -> tuple[Message, ...]:
    """What the owners of the source cells of `needs`, rectangles of each field, send; by rank."""
    if isinstance(owners, Owners):
        owned = owned_rows(needs, grid.nx, owners)
        rows = {need: _rows(columns, to_worker=True) for need, columns in owned.items()}
        return _messages_of_rows(fields, [rows[need] for need in needs])
    found = {need: list(_owned_patches(need, owners)) for need in dict.fromkeys(needs)}
    return _messages(fields, [found[need] for need in needs])


def route_from_worker(
    fields: tuple[FieldSpec, ...], grid: GridSpec, model: Decomposition | Owners, box: Box
) -> tuple[Message, ...]:
    """What the worker that owns `box` answers to each model rank: targets are the model's cells.

    Sources count from the first cell of `box`, without its halo.
    """
    if box.cells == 0:
        return ()
    if isinstance(model, Owners):
        # what the worker takes of its own cells, it answers
        own = (own_rectangle(box),)
        rows = _rows(owned_rows([own], grid.nx, model)[own], to_worker=False)
        return _messages_of_rows(fields, [rows] * len(fields))
    found = list(_answers(model, box))
    return _messages(fields, [found for _ in fields])


def _answers(model: Decomposition, box: Box) -> Iterator[tuple[int, Patch]]:
    """The overlap of `box` with each model rank's box; halo and boundaries play no part."""
    x = Run(0, box.nx, box.x0, 1)
    y = Run(0, box.ny, box.y0, 1)
    for rank in _owners(model, x, y):
        owner = model.box(int(rank))
        x0, x1 = max(box.x0, owner.x0), min(box.x1, owner.x1)
        y0, y1 = max(box.y0, owner.y0), min(box.y1, owner.y1)
        yield (
            int(rank),
            Patch(
                *(y1 - y0, x1 - x0, y0 - owner.y0, x0 - owner.x0),
                *(y0 - box.y0, x0 - box.x0, 1, 1),
            ),
        )


def reversed_message(message: Message) -> Message:
    """What brings the values of an answer back: from the model's cells to the worker's."""

    def turned(p: Patch) -> Patch:
        return replace(
            p, target_y=p.source_y, target_x=p.source_x, source_y=p.target_y, source_x=p.target_x
        )

    routes = (FieldRoute(r.field, tuple(map(turned, r.patches))) for r in message.routes)
    return Message(message.partner, tuple(routes))


def unowned_cells(
    messages: tuple[Message, ...], index: int, box: Box, halo: int
) -> NDArray[np.bool_]:
    """(y, x) of the padded box: cells of field `index` that no message fills; they are zero."""
    padded = box.padded(halo)
    empty = np.ones((padded.ny, padded.nx), dtype=np.bool_)
    for message in messages:
        patches = message.routes[index].patches
        if isinstance(patches, Rows):
            empty[patches.in_worker] = False
            continue
        for p in patches:
            empty[p.target_y : p.target_y + p.ny, p.target_x : p.target_x + p.nx] = False
    return empty


def owned_cells(
    grid: GridSpec, model: Decomposition | Owners, box: Box, halo: int
) -> NDArray[np.bool_]:
    """(y, x) of the padded box: cells that have an owner, also as images beyond a boundary."""
    return ~unowned_cells(route_to_worker((CELLS,), grid, model, box, halo), 0, box, halo)


def cell_numbers(
    grid: GridSpec, model: Decomposition | Owners, box: Box, halo: int
) -> NDArray[np.int64]:
    """(y, x) of the padded box: the number x + y * nx of the cell of the grid that each shows (its
    own, or the one that it is an image of beyond a boundary), -1 where nobody owns it."""
    padded = box.padded(halo)
    numbers = np.full((padded.ny, padded.nx), -1, dtype=np.int64)
    for rectangle in _padded_rectangles(CELLS, grid, box, halo):
        y, x = rectangle.y, rectangle.x
        rows = y.source + y.step * np.arange(y.length, dtype=np.int64)
        columns = x.source + x.step * np.arange(x.length, dtype=np.int64)
        shown = rows[:, None] * grid.nx + columns
        numbers[y.target : y.target + y.length, x.target : x.target + x.length] = shown
    numbers[~owned_cells(grid, model, box, halo)] = -1
    return numbers


def unanswered_cells(messages: tuple[Message, ...], box: Box) -> NDArray[np.bool_]:
    """(y, x) of `box`: cells of which no answer goes anywhere; every field's are the same."""
    empty = np.ones((box.ny, box.nx), dtype=np.bool_)
    for message in messages:
        patches = message.routes[0].patches
        if isinstance(patches, Rows):
            empty[patches.in_worker] = False
            continue
        for p in patches:
            empty[p.source_y : p.source_y + p.ny, p.source_x : p.source_x + p.nx] = False
    return empty
