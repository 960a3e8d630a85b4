# SPDX-License-Identifier: MIT
"""The only place that moves fields: messages into padded arrays, and answers out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.handshake import Channel
from coupler.protocol import HEADER_WORDS, TAG_DATA, Words
from coupler.router import FieldRoute, Message, Rows, unanswered_cells, unowned_cells
from coupler.window import Segment
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
Arrays = Mapping[str, Array]

ROW = 256  # values; shorter rows move faster by indexing cell by cell than row by row


def message_buffer(count: int, wire: np.dtype[np.floating]) -> tuple[Words, Array]:
    """The words of a message, and its `count` values behind the header in the wire's kind."""
    words = np.zeros(HEADER_WORDS + -(-count * wire.itemsize // 8), np.int64)
    return words, words[HEADER_WORDS:].view(wire)[:count]


def _by_cell(route: FieldRoute) -> Rows | None:
    """The rows of `route`, if they are many and short."""
    rows = route.patches
    return rows if isinstance(rows, Rows) and route.values < ROW * len(rows) else None


def unpack(message: Message, values: Array, arrays: Arrays) -> None:
    """Values of a message -> cells of padded arrays (level, y, x)."""
    at = 0
    for route in message.routes:
        array = arrays[route.field.name]
        if (cells := _by_cell(route)) is not None:
            first = at + route.field.levels * cells.before + cells.column
            y, x = cells.in_worker
            for level in range(route.field.levels):
                array[level, y, x] = values[first + level * cells.width]
            at += route.values
            continue
        for p in route.patches:
            part = values[at : at + route.field.levels * p.cells]
            rows = slice(p.target_y, p.target_y + p.ny)
            array[:, rows, p.target_x : p.target_x + p.nx] = part.reshape(-1, p.ny, p.nx)
            at += part.size


def pack(message: Message, arrays: Arrays, values: Array) -> None:
    """Cells of a worker's own arrays (level, y, x), no halo -> values of a message."""
    at = 0
    for route in message.routes:
        array = arrays[route.field.name]
        if (cells := _by_cell(route)) is not None:
            first = at + route.field.levels * cells.before + cells.column
            y, x = cells.in_worker
            for level in range(route.field.levels):
                values[first + level * cells.width] = array[level, y, x]
            at += route.values
            continue
        for p in route.patches:
            part = values[at : at + route.field.levels * p.cells]
            rows = slice(p.source_y, p.source_y + p.ny)
            part.reshape(-1, p.ny, p.nx)[...] = array[:, rows, p.source_x : p.source_x + p.nx]
            at += part.size


class Inbox:
    """One exchange into this rank. Receives are posted ahead: a message must find its buffer.

    Partners on the node write into the arrays themselves and send the header alone; then each slot
    has arrays of its own. Otherwise one set of arrays serves all slots.
    """

    def __init__(
        self, world: World, channel: Channel, ranks: Sequence[int], segment: Segment | None
    ) -> None:
        """`ranks`: the model's ranks in the job; messages name their partners in the model."""
        self.world, self.channel, self.segment = world, channel, segment
        self.ranks = [ranks[message.partner] for message in channel.messages]
        self.arrays = slot_arrays(channel, segment)
        self.buffers = [message_buffers(channel) for _ in range(channel.slots)]
        self.outside = {
            field.name: cells
            for index, field in enumerate(channel.fields)
            if (cells := unowned_cells(channel.messages, index, channel.box, channel.halo)).any()
        }
        self.sequence = 0
        self.requests = [self._post(slot) for slot in range(channel.slots)]

    def _post(self, slot: int) -> list[MPI.Request]:
        return [
            self.world.comm.Irecv(words, rank, TAG_DATA + self.channel.number)
            for rank, (words, _) in zip(self.ranks, self.buffers[slot], strict=True)
        ]

    def arrived(self) -> bool:
        """Is the next exchange complete?"""
        return bool(MPI.Request.Testall(self.requests[self.sequence % self.channel.slots]))

    def take(self, date: int, post_again: bool = True) -> Arrays:
        """The next exchange, which has arrived and must be the one of `date`: padded arrays.

        They hold until `release`. Cells that nobody owns are zero, whatever a network did to them.
        """
        slot = self.sequence % self.channel.slots
        arrays = self.arrays[slot % len(self.arrays)]
        if self.segment is not None:
            self.segment.sync()
        for message, rank, (words, values) in zip(
            self.channel.messages, self.ranks, self.buffers[slot], strict=True
        ):
            expected = [self.channel.number, date, self.sequence]
            if words[:3].tolist() != expected:
                raise CouplingError(
                    f"message of rank {rank} of the job: got exchange, date, sequence "
                    f"{words[:3].tolist()}, expected {expected}; "
                    "do all ranks put at the same dates?"
                )
            if message.partner not in self.channel.windowed:
                unpack(message, values, arrays)
        for name, cells in self.outside.items():
            arrays[name][:, cells] = 0
        self.sequence += 1
        if post_again:
            self.requests[slot] = self._post(slot)
        return arrays

    def release(self) -> None:
        """The arrays that were taken last have been read: the model may write over them."""
        if self.segment is not None and self.channel.places is not None:
            self.segment.sync()
            self.segment.counters(self.channel.places, 1)[0] = self.sequence

    def close(self) -> None:
        """Withdraw the receives that were posted ahead."""
        for requests in self.requests:
            for request in requests:
                if request != MPI.REQUEST_NULL:
                    request.Cancel()
                    request.Wait()


class Outbox:
    """One exchange out of this rank; a slot's arrays (level, y, x, no halo) hold one answer.

    Partners on the node read them where they are; to others they are packed and sent.
    """

    def __init__(
        self, world: World, channel: Channel, ranks: Sequence[int], segment: Segment | None
    ) -> None:
        self.world, self.channel, self.segment = world, channel, segment
        self.ranks = [ranks[message.partner] for message in channel.messages]
        self.arrays = slot_arrays(channel, segment, private=channel.slots)
        self.buffers = [message_buffers(channel) for _ in range(channel.slots)]
        self.nobodys_cells = unanswered_cells(channel.messages, channel.box)
        self.requests: list[list[MPI.Request]] = [[] for _ in range(channel.slots)]
        self.sequence = 0

    def next_arrays(self) -> Arrays:
        """Where the next answer goes, once every partner has read what is there."""
        slot = self.sequence % self.channel.slots
        what = "the model to take an earlier answer"
        self.world.wait_requests(self.requests[slot], what)
        if self.segment is not None and self.channel.places is not None:
            taken = self.segment.counters(self.channel.places, len(self.channel.windowed))
            oldest = self.sequence - self.channel.slots + 1
            self.world.wait(lambda: bool((taken >= oldest).all()), what)
        return self.arrays[slot]

    def clear_nobodys_cells(self) -> None:
        """Zero where nobody takes the answer: there its inputs were zero, and it may be 0 / 0."""
        if self.nobodys_cells.any():
            for array in self.arrays[self.sequence % self.channel.slots].values():
                array[:, self.nobodys_cells] = 0

    def send(self, date: int) -> None:
        """The answer in `next_arrays`, computed from the inputs of `date`."""
        slot = self.sequence % self.channel.slots
        if self.segment is not None:
            self.segment.sync()
        for message, (words, values) in zip(self.channel.messages, self.buffers[slot], strict=True):
            words[:HEADER_WORDS] = (self.channel.number, date, self.sequence, values.nbytes)
            if message.partner not in self.channel.windowed:
                pack(message, self.arrays[slot], values)
        self.requests[slot] = [
            self.world.comm.Isend(words, rank, TAG_DATA + self.channel.number)
            for rank, (words, _) in zip(self.ranks, self.buffers[slot], strict=True)
        ]
        self.sequence += 1

    def pending(self) -> list[Arrays]:
        """The last `lag` answers, oldest first: what a restart must hold."""
        sequences = range(self.sequence - self.channel.lag, self.sequence)
        return [self.arrays[sequence % self.channel.slots] for sequence in sequences]

    def flush(self) -> None:
        for requests in self.requests:
            self.world.wait_requests(requests, "the model to take the last answers")


def slot_arrays(channel: Channel, segment: Segment | None, private: int = 1) -> list[Arrays]:
    """Arrays by name for each slot: in shared memory, or `private` sets of zeros."""
    names = [field.name for field in channel.fields]
    wire = channel.exchange.wire
    if segment is not None and channel.places is not None:
        sets = [segment.arrays(channel.places, slot, wire) for slot in range(channel.slots)]
    else:
        sets = [[np.zeros(shape, wire) for shape in channel.shapes] for _ in range(private)]
    return [dict(zip(names, arrays, strict=True)) for arrays in sets]


def message_buffers(channel: Channel) -> list[tuple[Words, Array]]:
    """For each partner a message and its values; partners on the node get the header alone."""
    wire = np.dtype(channel.exchange.wire)
    return [
        message_buffer(0 if message.partner in channel.windowed else message.values, wire)
        for message in channel.messages
    ]
