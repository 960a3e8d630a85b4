# SPDX-License-Identifier: MIT
"""Fields into padded arrays: messages, or what partners wrote there."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.protocol import TAG_DATA, Words
from coupler.regridding.gather import step_arrays
from coupler.routing.chunks import Chunk, values_of
from coupler.routing.router import (
    Message,
    unowned_cells,
)
from coupler.spec import FieldSpec
from coupler.transport.blank import blank, rectangles_of
from coupler.transport.packing import Array, Arrays, message_buffer, unpack
from coupler.transport.slots import counters_of, slot_arrays
from coupler.transport.window import Segment
from coupler.world import CouplingError, World

AHEAD = 2  # receives posted from each rank; the client's receives_ahead


@dataclass
class Posted:
    """A receive that waits for the next chunk, or has it."""

    words: Words
    values: Array
    request: MPI.Prequest


@dataclass
class Source:
    """One rank of the model from which an exchange comes."""

    message: Message
    rank: int  # of the job
    windowed: bool
    chunks: tuple[Chunk, ...]
    brings: tuple[tuple[str, ...], ...]  # of each chunk: a field for each piece that it waits for
    posted: list[Posted]  # chunks come into them in turn
    taken: int = 0  # chunks of this exchange
    total: int = 0  # chunks of all


class Inbox:
    """One exchange into this rank.

    Receives are posted ahead, but only AHEAD of them from each rank: what the others bring stays
    where it is until a buffer is free, and is unpacked while it is in the cache.

    Partners on the node write into the arrays themselves and send the header alone; then each slot
    has arrays of its own. Otherwise one set of arrays serves all slots.
    """

    def __init__(
        self, world: World, channel: Channel, ranks: Sequence[int], segment: Segment | None
    ) -> None:
        """`ranks`: the model's ranks in the job; messages name their partners in the model."""
        self.channel, self.segment = channel, segment
        self.slots = slot_arrays(channel, segment)
        lacking = unfilled_cells(channel)
        self.outside = lacking
        self._blank = {name: rectangles_of(cells) for name, cells in lacking.items()}
        self.masks: Arrays = {}  # static ones of the exchange; of sources
        self._landing: Arrays = self.slots[0]  # what messages bring, in their own places
        self.sequence = 0  # exchanges that have come whole
        self.unpacking = 0.0  # [s]
        brings = {  # what waits for a piece of a field: itself, and what is made with it
            f.name: [f.name, *(g.name for g in channel.fields if f.name in _needs(channel, g))]
            for f in channel.fields
        }
        self.sources = [
            _source(world, channel, m, ranks[m.partner], brings) for m in channel.messages
        ]
        names = [name for source in self.sources for chunk in source.brings for name in chunk]
        self._awaited = {f.name: names.count(f.name) for f in channel.fields}
        self.arrays: Arrays = self._landing  # what a step sees
        if channel.rows is not None:
            regrid, names = channel.rows.fields, [f.name for f in channel.fields]
            self.outside = {name: regrid[name].unmapped for name in names}
            self.arrays = step_arrays(channel)
        self._lacking: dict[str, int] = {}  # of each field the chunks that bring the rest of it
        self._open: list[Source] = []  # from which more is to come
        self._date: int | None = None
        self.names = " ".join(f.name for f in channel.fields)
        self._read = counters_of(channel, segment, 1)

    def expect(self, date: int) -> None:
        """The next exchange is that of `date`: from now on `poll` fills `arrays` with it."""
        self._date = date
        self._landing = self.slots[self.sequence % len(self.slots)]
        if self.channel.rows is None:
            self.arrays = self._landing
        self._lacking = self._awaited.copy()
        for source in self.sources:
            source.taken = 0
        self._open = list(self.sources)
        for name, lacking in self._lacking.items():
            if not lacking:
                self._complete(name)
        if not self._open:
            self.sequence += 1

    def has(self, name: str) -> bool:
        """Is all of a field here?"""
        return not self._lacking[name]

    @property
    def begun(self) -> bool:
        """Is any field here, all of it?"""
        return not all(self._lacking.values())

    @property
    def whole(self) -> bool:
        return not self._open

    def poll(self) -> None:
        """Take what has come of the expected exchange.

        Padded arrays hold until `release`. Cells that nobody owns are zero, whatever a network did
        to them. Raises CouplingError for a message of another exchange.
        """
        while self._open:  # one call for all sources: each may yield the core
            waiting = [(source, source.posted[source.total % AHEAD]) for source in self._open]
            here = MPI.Request.Testsome([posted.request for _, posted in waiting])
            if not here:
                return
            for index in here:
                self._take(*waiting[index])
            self._open = [s for s in self._open if s.taken < len(s.chunks)]
            self.sequence += not self._open

    def _take(self, source: Source, posted: Posted) -> None:
        begun = time.perf_counter()
        expected = [self.channel.number, self._date, self.sequence]
        if (got := posted.words[:3].tolist()) != expected:
            raise CouplingError(
                f"message of rank {source.rank} of the job: got exchange, date, sequence "
                f"{got}, expected {expected}; "
                "do all ranks put at the same dates?"
            )
        brought = source.brings[source.taken]
        if not source.windowed:
            unpack(source.message, source.chunks[source.taken], posted.values, self._landing)
        elif self.segment is not None:
            self.segment.sync()
        source.taken += 1
        source.total += 1
        if self.channel.repeats or source.total + AHEAD <= len(source.chunks):
            posted.request.Start()
        for name in brought:
            self._lacking[name] -= 1
            if not self._lacking[name]:
                self._complete(name)
        self.unpacking += time.perf_counter() - begun

    def _complete(self, name: str) -> None:
        """All of a field is here, and of what masks it."""
        if (rectangles := self._blank.get(name)) is not None:
            blank(self._landing[name], rectangles)
        if self.channel.rows is not None:
            sources = {**self.masks, **self._landing}
            masks = next(f.masks for f in self.channel.fields if f.name == name)
            regridding = self.channel.rows.fields[name]
            partner = sources.get(str(regridding.partner))
            parts = [sources[mask] for mask in masks]
            regridding.fill(sources[name], self.arrays[name], parts, partner)

    @property
    def sources_here(self) -> Arrays:
        """What messages brought, before it was regridded."""
        return self._landing

    def release(self) -> None:
        """The arrays of the last exchange have been read: the model may write over them."""
        if self.segment is not None and self._read is not None:
            self.segment.sync()
            self._read[0] = self.sequence

    def close(self) -> None:
        """Withdraw the receives that were posted ahead."""
        for posted in (posted for source in self.sources for posted in source.posted):
            if self.channel.repeats:
                posted.request.Cancel()
            posted.request.Wait()
            posted.request.Free()


def _needs(channel: Channel, field: FieldSpec) -> tuple[str, ...]:
    """The fields that must be here before `field` is made: what masks it, its partner."""
    partner = channel.rows.fields[field.name].partner if channel.rows else None
    return field.masks if partner is None else (*field.masks, partner)


def _source(
    world: World, channel: Channel, message: Message, rank: int, brings: Mapping[str, list[str]]
) -> Source:
    chunks, windowed = channel.chunks(message), message.partner in channel.windowed
    most = 0 if windowed else max(values_of(message, chunk) for chunk in chunks)
    posted = []
    for _ in range(AHEAD if channel.repeats else min(AHEAD, len(chunks))):
        words, values = message_buffer(most, np.dtype(channel.exchange.wire))
        request = world.comm.Recv_init(words, rank, TAG_DATA + channel.number)
        posted.append(Posted(words, values, request))
        request.Start()
    fields = [field.name for field in channel.fields]
    waiting = [
        [name for piece in chunk for name in brings[fields[piece.field]]] for chunk in chunks
    ]
    return Source(message, rank, windowed, chunks, tuple(map(tuple, waiting)), posted)


def unfilled_cells(channel: Channel) -> dict[str, NDArray[np.bool_]]:
    """By field, if there are any: cells (y, x) of what messages fill that none of them fills."""
    found = {}
    for index, field in enumerate(channel.fields):
        box, halo = channel.box, channel.halo
        if channel.rows is not None:
            sources = channel.rows.sources[field.point]
            box, halo = sources.box, 0
        cells = unowned_cells(channel.messages, index, box, halo)
        if cells.any():
            found[field.name] = cells
    return found
