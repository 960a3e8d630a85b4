# SPDX-License-Identifier: MIT
"""One stream of messages between a worker rank and the model's ranks, as it was planned."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coupler.protocol import OUT, PARTIAL, STATIC
from coupler.regridding.areas import Areas
from coupler.regridding.peers import Peers
from coupler.regridding.regrid import Plan, shown_cells
from coupler.routing.chunks import Chunk, chunk_bytes, cut
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.points import Owners
from coupler.routing.router import CELLS, Message, cell_numbers, owned_cells
from coupler.spec import ExchangeSpec, FieldSpec
from coupler.transport.window import Places, Shape


@dataclass(frozen=True)
class Channel:
    """One stream of messages between this worker rank and the model's ranks."""

    exchange: ExchangeSpec
    number: int  # in message tags and headers
    direction: int  # seen from the model
    lag: int  # of the stream's answers: the sender holds lag + 2 exchanges
    fields: tuple[FieldSpec, ...]
    box: Box  # this rank's, without halo; of an answer and of half sums on the model's grid
    model: Decomposition | Owners  # who owns the cells that this rank's routes ask for
    messages: tuple[Message, ...]
    windowed: frozenset[int] = frozenset()  # partners that share this rank's memory
    places: Places | None = None  # of the arrays and counters that they share
    # where the worker has another grid than the model:
    rows: Plan | None = None  # to the worker: what comes are sources, what a step sees is made here
    owned: NDArray[np.bool_] | None = None  # (y, x) of the padded box: made of cells with an owner
    peers: Peers | None = None  # from the worker: an answer is made of what several ranks computed
    areas: Mapping[str, Areas] = field(default_factory=dict)  # of fields whose integrals are kept

    @property
    def slots(self) -> int:
        return self.lag + 2 if self.repeats else 1

    @property
    def repeats(self) -> bool:
        return self.direction != STATIC

    @property
    def halo(self) -> int:
        return self.exchange.halo if self.direction in (OUT, STATIC) else 0

    def chunks(self, message: Message) -> tuple[Chunk, ...]:
        """How `message` travels; a restart's half sums go whole, in messages of their own."""
        if self.direction == PARTIAL:
            return ()
        itemsize = np.dtype(self.exchange.wire).itemsize
        return cut(message, itemsize, message.partner in self.windowed, chunk_bytes())

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """(level, y, x) of what travels of each field: padded inputs, or answers without."""
        if self.rows is not None:
            sources = self.rows.sources
            return tuple((field.levels, *sources[field.point].shape) for field in self.fields)
        padded = self.box.padded(self.halo)
        return tuple((field.levels, padded.ny, padded.nx) for field in self.fields)

    @property
    def step_shapes(self) -> tuple[Shape, ...]:
        """(level, y, x) of this rank's array of each field as a step sees it."""
        box = (self.peers.box if self.peers else self.box).padded(self.halo)
        return tuple((field.levels, box.ny, box.nx) for field in self.fields)

    @property
    def owned_cells(self) -> NDArray[np.bool_]:
        """(y, x) of the padded box: cells with an owner, or made of such cells."""
        if self.owned is not None:
            return self.owned
        return owned_cells(self.exchange.grid, self.model, self.box, self.halo)

    @property
    def cell_numbers(self) -> NDArray[np.int64]:
        """(y, x) of the padded box: x + y * nx of the cell that each shows; -1 where not owned."""
        if self.owned is None:
            return cell_numbers(self.exchange.grid, self.model, self.box, self.halo)
        padded = self.box.padded(self.halo)
        shown, _ = shown_cells(CELLS, self.exchange.worker_grid, padded)
        return np.where(self.owned, shown, -1)


def owned_by_grid(
    channels: Iterable[Channel], boxes: Mapping[str, Box]
) -> dict[str, NDArray[np.bool_]]:
    """By the worker's grid (y, x) of this rank's box without halo: cells with an owner."""
    owned: dict[str, NDArray[np.bool_]] = {}
    for c in channels:
        name, box = c.exchange.worker_grid.name, c.box
        if c.exchange.regrid is None:
            owned[name] = owned_cells(c.exchange.worker_grid, c.model, box, 0)
        elif c.owned is not None:
            owned[name] = c.owned[c.halo : c.halo + box.ny, c.halo : c.halo + box.nx]
        elif name not in owned:  # of answers on a grid of their own
            owned[name] = np.ones((boxes[name].ny, boxes[name].nx), np.bool_)
    return owned
