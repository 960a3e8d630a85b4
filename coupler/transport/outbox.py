# SPDX-License-Identifier: MIT
"""Answers out of a rank: packed and sent, or read by partners where they are."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from coupler.channel import Channel
from coupler.protocol import HEADER_WORDS, TAG_DATA, Words
from coupler.regridding.conserve import Conservation, conservation_of
from coupler.regridding.gather import Gather
from coupler.routing.chunks import Chunk, values_of
from coupler.routing.router import (
    Message,
    reversed_message,
    unanswered_cells,
)
from coupler.transport.blank import blank, rectangles_of
from coupler.transport.packing import Array, Arrays, message_buffer, pack, unpack
from coupler.transport.slots import counters_of, slot_arrays
from coupler.transport.window import Segment
from coupler.world import World


@dataclass
class Parcel:
    """A chunk with its buffer: the values of partners on the node travel by themselves."""

    chunk: Chunk
    words: Words
    values: Array
    request: MPI.Prequest


@dataclass
class Sink:
    """One rank of the model to which an exchange goes."""

    message: Message
    windowed: bool
    parcels: list[Parcel]


class Outbox:
    """One exchange out of this rank; a slot's arrays (level, y, x, no halo) hold one answer.

    Partners on the node read them where they are; to others they are packed and sent.
    """

    def __init__(
        self, world: World, channel: Channel, ranks: Sequence[int], segment: Segment | None
    ) -> None:
        self.world, self.channel, self.segment = world, channel, segment
        self.arrays = slot_arrays(channel, segment, private=channel.slots)
        self._gather = Gather(world, channel, channel.peers) if channel.peers else None
        self._conservation = _conservation(world, channel)
        nobodys = unanswered_cells(channel.messages, channel.box)
        self.outside = {field.name: nobodys for field in channel.fields}
        self._blank = rectangles_of(nobodys)
        self._taken = counters_of(channel, segment, len(channel.windowed))
        self.names = " ".join(f.name for f in channel.fields)
        self.sequence = 0
        self.slots = [
            [_sink(world, channel, m, ranks[m.partner]) for m in channel.messages]
            for _ in range(channel.slots)
        ]

    @property
    def _slot(self) -> int:
        return self.sequence % len(self.slots)

    def next_arrays(self) -> Arrays:
        """Where the next answer goes, once every partner has read what is there."""
        what = "the model to take an earlier answer"
        self.world.wait_requests(_requests(self.slots[self._slot]), what)
        if (taken := self._taken) is not None:
            oldest = self.sequence - len(self.slots) + 1
            self.world.wait(lambda: bool((taken >= oldest).all()), what)
        return self.arrays[self._slot]

    @property
    def step_arrays(self) -> Arrays:
        """Where a step's answers may be computed: what `next_arrays` gave, or on another grid."""
        return self._gather.own if self._gather else self.arrays[self._slot]

    def settle(self, answers: Arrays) -> Arrays:
        """The answers as they leave, in the wire's precision.

        They are copied into `next_arrays`, unless they lie there or messages can take them from
        where they are. On another grid than the model's they are regridded into it, which every
        rank of the worker that has steps does at the same time. Where nobody takes an answer its
        inputs were zero and it may be 0 / 0: zero.
        """
        arrays = self.arrays[self._slot]
        if self._gather is not None:
            gathered, rows = self._gather(answers), self._gather.rows
            for name, sources in gathered.items():
                partner = gathered.get(str(rows[name].partner))
                rows[name].fill(sources, arrays[name], (), partner)
            if self._conservation is not None:
                self._conservation.correct(self._gather.own, arrays)
            for array in arrays.values():
                blank(array, self._blank)
            return arrays
        kept = self.channel.windowed or self._blank or self.channel.exchange.statistics
        if not kept and all(answers[name].dtype == arrays[name].dtype for name in arrays):
            return {name: answers[name] for name in arrays}
        for name, array in arrays.items():
            answer = answers[name]
            in_place = (answer.ctypes.data, answer.strides) == (array.ctypes.data, array.strides)
            if not in_place:
                np.copyto(array, answer, casting="same_kind")
            blank(array, self._blank)
        return arrays

    def send(self, date: int, answers: Arrays) -> None:
        """Answers that `settle` gave, computed from the inputs of `date`; they may change after."""
        sinks = self.slots[self._slot]
        if self.segment is not None:
            self.segment.sync()
        # of all partners in turn, so that none waits for another's
        for number in range(max((len(sink.parcels) for sink in sinks), default=0)):
            for sink in sinks:
                if number < len(sink.parcels):
                    self._send(sink, sink.parcels[number], date, answers)
        self.sequence += 1

    def _send(self, sink: Sink, parcel: Parcel, date: int, answers: Arrays) -> None:
        if not sink.windowed:
            pack(sink.message, parcel.chunk, answers, parcel.values)
        head = (self.channel.number, date, self.sequence, parcel.values.nbytes)
        parcel.words[:HEADER_WORDS] = head
        parcel.request.Start()

    def pending(self) -> list[Arrays]:
        """The last `lag` answers, oldest first: what a restart must hold."""
        sequences = range(self.sequence - self.channel.lag, self.sequence)
        return [self._held(sequence % self.channel.slots) for sequence in sequences]

    def _held(self, slot: int) -> Arrays:
        """An answer that was sent; what messages took from elsewhere is still in their buffers."""
        arrays = self.arrays[slot]
        for sink in self.slots[slot]:
            if not sink.windowed:
                back = reversed_message(sink.message)
                for parcel in sink.parcels:
                    unpack(back, parcel.chunk, parcel.values, arrays)
        return arrays

    def close(self) -> None:
        for sinks in self.slots:
            self.world.wait_requests(_requests(sinks), "the model to take the last answers")
            for request in _requests(sinks):
                request.Free()
        if self._gather is not None:
            self._gather.close()


def _conservation(world: World, channel: Channel) -> Conservation | None:
    if channel.peers is None:
        return None
    members = world.members[world.name].ranks
    return conservation_of(world, channel, tuple(members[rank] for rank in channel.peers.ranks))


def _sink(world: World, channel: Channel, message: Message, rank: int) -> Sink:
    windowed = message.partner in channel.windowed
    parcels = []
    for chunk in channel.chunks(message):
        count = 0 if windowed else values_of(message, chunk)
        words, values = message_buffer(count, np.dtype(channel.exchange.wire))
        request = world.comm.Send_init(words, rank, TAG_DATA + channel.number)
        parcels.append(Parcel(chunk, words, values, request))
    return Sink(message, windowed, parcels)


def _requests(sinks: Sequence[Sink]) -> list[MPI.Request]:
    return [parcel.request for sink in sinks for parcel in sink.parcels]
