# SPDX-License-Identifier: MIT
"""The only place that moves fields: messages into padded arrays, and answers out of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.protocol import HEADER_WORDS, TAG_DATA, Words
from coupler.router import FieldRoute, Message, Rows
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
Arrays = Mapping[str, Array]

ROW = 256  # values; shorter rows move faster by indexing cell by cell than row by row


def message_buffer(message: Message, wire: np.dtype[np.floating]) -> tuple[Words, Array]:
    """The words of a message, and its values behind the header in the wire's kind."""
    words = np.zeros(HEADER_WORDS + -(-message.values * wire.itemsize // 8), np.int64)
    return words, words[HEADER_WORDS:].view(wire)[: message.values]


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
            y, x = cells.targets
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
            y, x = cells.sources
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
    """One exchange into this rank. Receives are posted ahead: a message must find its buffer."""

    def __init__(
        self,
        world: World,
        number: int,
        ranks: Sequence[int],
        messages: Sequence[Message],
        wire: str,
        slots: int,
    ) -> None:
        """`ranks`: the model's ranks in the job; `messages` name their partners in the model."""
        self.world, self.number, self.messages, self.slots = world, number, messages, slots
        self.ranks = [ranks[message.partner] for message in messages]
        self.buffers = [
            [message_buffer(message, np.dtype(wire)) for message in messages] for _ in range(slots)
        ]
        self.requests = [self._post(slot) for slot in range(slots)]
        self.sequence = 0

    def _post(self, slot: int) -> list[MPI.Request]:
        return [
            self.world.comm.Irecv(words, rank, TAG_DATA + self.number)
            for rank, (words, _) in zip(self.ranks, self.buffers[slot], strict=True)
        ]

    def arrived(self) -> bool:
        """Is the next exchange complete?"""
        return bool(MPI.Request.Testall(self.requests[self.sequence % self.slots]))

    def take(self, date: int, arrays: Arrays, post_again: bool = True) -> None:
        """The next exchange, which has arrived, into `arrays`; it must be the one of `date`."""
        slot = self.sequence % self.slots
        for message, rank, (words, values) in zip(
            self.messages, self.ranks, self.buffers[slot], strict=True
        ):
            expected = [self.number, date, self.sequence]
            if words[:3].tolist() != expected:
                raise CouplingError(
                    f"message of rank {rank} of the job: got exchange, date, sequence "
                    f"{words[:3].tolist()}, expected {expected}; "
                    "do all ranks put at the same dates?"
                )
            unpack(message, values, arrays)
        self.sequence += 1
        if post_again:
            self.requests[slot] = self._post(slot)

    def close(self) -> None:
        """Withdraw the receives that were posted ahead."""
        for requests in self.requests:
            for request in requests:
                if request != MPI.REQUEST_NULL:
                    request.Cancel()
                    request.Wait()


class Outbox:
    """One exchange out of this rank; `slots` messages to each partner may be under way."""

    def __init__(
        self,
        world: World,
        number: int,
        ranks: Sequence[int],
        messages: Sequence[Message],
        wire: str,
        slots: int,
    ) -> None:
        self.world, self.number, self.messages, self.slots = world, number, messages, slots
        self.ranks = [ranks[message.partner] for message in messages]
        self.buffers = [
            [message_buffer(message, np.dtype(wire)) for message in messages] for _ in range(slots)
        ]
        self.requests: list[list[MPI.Request]] = [[] for _ in range(slots)]
        self.sequence = 0

    def send(self, date: int, arrays: Arrays) -> None:
        """`arrays` (level, y, x) without halo, computed from the inputs of `date`."""
        slot = self.sequence % self.slots
        self.world.wait_requests(self.requests[slot], "the model to take an earlier answer")
        for message, (words, values) in zip(self.messages, self.buffers[slot], strict=True):
            words[:HEADER_WORDS] = (self.number, date, self.sequence, values.nbytes)
            pack(message, arrays, values)
        self.requests[slot] = [
            self.world.comm.Isend(words, rank, TAG_DATA + self.number)
            for rank, (words, _) in zip(self.ranks, self.buffers[slot], strict=True)
        ]
        self.sequence += 1

    def flush(self) -> None:
        for requests in self.requests:
            self.world.wait_requests(requests, "the model to take the last answers")
