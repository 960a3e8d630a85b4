# SPDX-License-Identifier: MIT
"""Two decompositions, a halo and boundaries -> the messages. Plain data, no MPI.

The receiver plans: a worker rank finds the owners of every cell of its padded box, and the owners
of every cell that it answers for. Its partners are told their lists and hold no geometry.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from coupler.boundary import Run, overlap, rectangles
from coupler.decomposition import Box, Decomposition
from coupler.spec import FieldSpec, GridSpec


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


@dataclass(frozen=True, slots=True)
class FieldRoute:
    """The patches of one field in one message; values travel patch by patch, level by level."""

    field: FieldSpec
    patches: tuple[Patch, ...]

    @property
    def values(self) -> int:
        return self.field.levels * sum(patch.cells for patch in self.patches)


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


def _field_patches(
    field: FieldSpec, grid: GridSpec, owners: Decomposition, box: Box, halo: int
) -> Iterator[tuple[int, Patch]]:
    """(owner rank, patch) for every rectangle of the padded `box` that has an owner."""
    padded = box.padded(halo)
    for rectangle in rectangles(field, grid, padded.y0, padded.y1, padded.x0, padded.x1):
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


def route_to_worker(
    fields: tuple[FieldSpec, ...], grid: GridSpec, model: Decomposition, box: Box, halo: int
) -> tuple[Message, ...]:
    """What each model rank sends to the worker that owns `box`; sorted by model rank.

    One step fills the halo: every padded cell comes straight from the rank that owns it.
    """
    if box.cells == 0:
        return ()
    return _messages(fields, [list(_field_patches(f, grid, model, box, halo)) for f in fields])


def route_from_worker(
    fields: tuple[FieldSpec, ...], grid: GridSpec, model: Decomposition, box: Box
) -> tuple[Message, ...]:
    """What the worker that owns `box` answers to each model rank: targets are the model's cells.

    Sources count from the first cell of `box`, without its halo.
    """
    if box.cells == 0:
        return ()
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


def reversed_messages(messages: tuple[Message, ...]) -> tuple[Message, ...]:
    """What brings the values of an answer back: from the model's cells to the worker's."""

    def turned(p: Patch) -> Patch:
        return replace(
            p, target_y=p.source_y, target_x=p.source_x, source_y=p.target_y, source_x=p.target_x
        )

    return tuple(
        Message(
            message.partner,
            tuple(FieldRoute(r.field, tuple(map(turned, r.patches))) for r in message.routes),
        )
        for message in messages
    )


def unowned_cells(
    messages: tuple[Message, ...], index: int, box: Box, halo: int
) -> NDArray[np.bool_]:
    """(y, x) of the padded box: cells of field `index` that no message fills; they are zero."""
    padded = box.padded(halo)
    empty = np.ones((padded.ny, padded.nx), dtype=np.bool_)
    for message in messages:
        for p in message.routes[index].patches:
            empty[p.target_y : p.target_y + p.ny, p.target_x : p.target_x + p.nx] = False
    return empty
