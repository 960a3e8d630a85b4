# SPDX-License-Identifier: MIT
"""Shared memory of a node: the model writes into the worker's arrays, and reads its answers there.

Each worker rank owns a segment: for every exchange with partners on its node the padded arrays of
each slot, and counters that say what has been read, so that nothing is overwritten too early.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.protocol import Words

LINE = 64  # bytes: a cache line, so that two counters never share one
Shape = tuple[int, int, int]  # level, y, x


@dataclass(frozen=True)
class Places:
    """Where an exchange lies in a worker's segment, in bytes."""

    counters: int  # the first counter; the next one is a LINE further
    arrays: tuple[int, ...]  # of each field, in slot 0
    shapes: tuple[Shape, ...]
    slot: int  # from one slot to the next


def lay_out(begin: int, counters: int, shapes: Sequence[Shape], itemsize: int) -> Places:
    """Places of one exchange from byte `begin` on; `end_of` says where it ends."""
    at = begin + counters * LINE
    first, arrays = at, []
    for shape in shapes:
        arrays.append(at)
        at += -(-prod(shape) * itemsize // LINE) * LINE
    return Places(begin, tuple(arrays), tuple(shapes), at - first)


def end_of(places: Places, slots: int) -> int:
    return places.arrays[0] + places.slot * slots


class Segment:
    """This worker rank's part of the node's window. Collective over the node's communicator."""

    def __init__(self, node: MPI.Intracomm, size: int) -> None:
        self.rank = int(node.rank)
        self.window = MPI.Win.Allocate_shared(max(size, LINE), 1, MPI.INFO_NULL, node)
        self.window.Lock_all()
        memory, _ = self.window.Shared_query(self.rank)
        self.bytes: NDArray[np.uint8] = np.asarray(memory, np.uint8)
        self.bytes[:] = 0
        self.window.Sync()
        node.Barrier()  # the model writes as soon as it can

    def arrays(self, places: Places, slot: int, wire: str) -> list[NDArray[np.floating]]:
        """The arrays (level, y, x) of one slot."""
        found = []
        for at, shape in zip(places.arrays, places.shapes, strict=True):
            begin = at + slot * places.slot
            size = prod(shape) * np.dtype(wire).itemsize
            found.append(self.bytes[begin : begin + size].view(wire).reshape(shape))
        return found

    def counters(self, places: Places, count: int) -> Words:
        """`count` counters, one a cache line."""
        end = places.counters + count * LINE
        return self.bytes[places.counters : end].view(np.int64)[:: LINE // 8]

    def sync(self) -> None:
        """What was written before is seen by others after."""
        self.window.Sync()

    def free(self) -> None:
        self.window.Unlock_all()
        self.window.Free()
