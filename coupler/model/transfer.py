# SPDX-License-Identifier: MIT
"""A model's half of `transfer`: its cells to the workers, and their answers into its cells."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.model.plan import ModelExchange, Peer
from coupler.protocol import HEADER_WORDS, STATIC, TAG_DATA, Words
from coupler.routing.chunks import values_of
from coupler.routing.router import Patch
from coupler.transport.outbox import Parcel
from coupler.transport.packing import message_buffer, unpack
from coupler.transport.window import LINE
from coupler.world import World

Array = NDArray[np.floating]


class Neighbours:
    """The memory that workers on this node share. Collective over the node, as `Segment`."""

    def __init__(self, node: MPI.Intracomm) -> None:
        self.window = MPI.Win.Allocate_shared(0, 1, MPI.INFO_NULL, node)
        self.window.Lock_all()
        node.Barrier()  # workers have set their memory to zero

    def _bytes(self, peer: Peer) -> NDArray[np.uint8]:
        memory, _ = self.window.Shared_query(peer.node_rank)
        return np.asarray(memory, np.uint8)

    def arrays(self, peer: Peer, slot: int, wire: str) -> list[Array]:
        """The worker's arrays (level, y, x) of one slot."""
        assert peer.places is not None
        memory, found = self._bytes(peer), []
        for at, shape in zip(peer.places.arrays, peer.places.shapes, strict=True):
            begin = at + slot * peer.places.slot
            size = int(np.prod(shape)) * np.dtype(wire).itemsize
            found.append(memory[begin : begin + size].view(wire).reshape(shape))
        return found

    def counter(self, peer: Peer) -> Words:
        """One counter, in the worker's memory."""
        assert peer.places is not None
        begin = peer.places.counters
        return self._bytes(peer)[begin : begin + LINE].view(np.int64)[:1]

    def sync(self) -> None:
        self.window.Sync()

    def free(self) -> None:
        self.window.Unlock_all()
        self.window.Free()


class _End:
    """What both ends of a model's exchange have: slots with the parcels of each peer."""

    def __init__(
        self, world: World, exchange: ModelExchange, shared: Neighbours | None, slots: int
    ) -> None:
        self.world, self.exchange, self.shared = world, exchange, shared
        self.count = 0  # exchanges completed
        self.parcels = [[self._open(peer) for peer in exchange.peers] for _ in range(slots)]

    def _open(self, peer: Peer) -> list[Parcel]:
        wire = np.dtype(self.exchange.wire)
        opened = []
        for chunk in peer.chunks:
            count = 0 if peer.places is not None else values_of(peer.message, chunk)
            words, values = message_buffer(count, wire)
            opened.append(Parcel(chunk, words, values, self._request(words, peer.rank)))
        return opened

    def _request(self, words: Words, rank: int) -> MPI.Prequest:
        raise NotImplementedError

    @property
    def _slots(self) -> int:
        """Of the workers' shared arrays, whatever this rank's messages have."""
        return self.exchange.lag + 2

    def _shared_arrays(self, peer: Peer) -> list[Array]:
        assert self.shared is not None
        return self.shared.arrays(peer, self.count % self._slots, self.exchange.wire)


class Sender(_End):
    """An exchange out of this rank: `put` packs a field, the last one of a date sends them."""

    def __init__(self, world: World, exchange: ModelExchange, shared: Neighbours | None) -> None:
        super().__init__(
            world, exchange, shared, 1 if exchange.direction == STATIC else exchange.lag + 2
        )

    def _request(self, words: Words, rank: int) -> MPI.Prequest:
        return self.world.comm.Send_init(words, rank, TAG_DATA + self.exchange.number)

    def wait_for_room(self, what: str) -> None:
        """Until every worker has taken what the slot held, lag + 2 exchanges ago."""
        slot = self.parcels[self.count % len(self.parcels)]
        self.world.wait_requests([p.request for parcels in slot for p in parcels], what)
        for peer in self.exchange.peers:
            if peer.places is not None and self.shared is not None:
                read = self.shared.counter(peer)
                self.world.wait(partial(self._has_read, read), what)

    def _has_read(self, counter: Words) -> bool:
        return bool(counter[0] >= self.count - self.exchange.lag - 1)

    def pack(self, place: int, values: Array) -> None:
        """Own cells (level, y, x) of field number `place`, the levels that travel."""
        slot = self.parcels[self.count % len(self.parcels)]
        for peer, parcels in zip(self.exchange.peers, slot, strict=True):
            route = peer.message.routes[place]
            if peer.places is not None:
                array = self._shared_arrays(peer)[place]
                for p in route.patches:
                    block = _block(values, p)
                    array[:, p.target_y : p.target_y + p.ny, p.target_x : p.target_x + p.nx] = block
                continue
            for parcel in parcels:
                _pack_chunk(peer, parcel, place, values)

    def send(self, date: int) -> None:
        if self.shared is not None:
            self.shared.sync()
        for parcels in self.parcels[self.count % len(self.parcels)]:
            for parcel in parcels:
                head = (self.exchange.number, date, self.count, parcel.values.nbytes)
                parcel.words[:HEADER_WORDS] = head
                parcel.request.Start()
        self.count += 1

    def close(self) -> None:
        for slot in self.parcels:
            for parcel in (parcel for parcels in slot for parcel in parcels):
                parcel.request.Wait()
                parcel.request.Free()


class Receiver(_End):
    """An exchange into this rank: the answers of a date, all fields at once."""

    def __init__(self, world: World, exchange: ModelExchange, shared: Neighbours | None) -> None:
        super().__init__(world, exchange, shared, 1)
        for parcel in (parcel for parcels in self.parcels[0] for parcel in parcels):
            parcel.request.Start()
        self.dropped = [0] * len(exchange.peers)  # chunks of each

    def _request(self, words: Words, rank: int) -> MPI.Prequest:
        return self.world.comm.Recv_init(words, rank, TAG_DATA + self.exchange.number)

    def receive(self, date: int, arrays: Mapping[str, Array]) -> None:
        """The answers to be used at `date`, into own cells (level, y, x) of each field."""
        what = f"{', '.join(self.exchange.fields)} of {date} s from the workers"
        expected = [
            self.exchange.number,
            date - self.exchange.lag * self.exchange.period,
            self.count,
        ]
        for peer, parcels in zip(self.exchange.peers, self.parcels[0], strict=True):
            for parcel in parcels:
                self.world.wait_requests([parcel.request], what)
                if parcel.words[:3].tolist() != expected:
                    raise CouplingError(
                        f"message of worker rank {peer.rank}: got exchange, date, sequence "
                        f"{parcel.words[:3].tolist()}, expected {expected}; do both sides start at "
                        "the same date?"
                    )
                if peer.places is None:
                    unpack(peer.message, parcel.chunk, parcel.values, arrays)
                parcel.request.Start()
            if peer.places is not None:
                self._read_shared(peer, arrays)
        self.count += 1

    def _read_shared(self, peer: Peer, arrays: Mapping[str, Array]) -> None:
        assert self.shared is not None
        self.shared.sync()
        held = self._shared_arrays(peer)
        for route, array in zip(peer.message.routes, held, strict=True):
            own = arrays[route.field.name]
            for p in route.patches:
                part = array[:, p.source_y : p.source_y + p.ny, p.source_x : p.source_x + p.nx]
                own[:, p.target_y : p.target_y + p.ny, p.target_x : p.target_x + p.nx] = part
        self.shared.sync()
        self.shared.counter(peer)[0] = self.count + 1

    def drop(self) -> None:
        """Take what has come behind the last get: what a lag owes may be more than the receives
        that are posted, and a worker ends when all of it has been taken."""
        for number, parcels in enumerate(self.parcels[0]):
            # in turn: a receive has room for its own chunk alone
            while (request := parcels[self.dropped[number] % len(parcels)].request).Test():
                request.Start()
                self.dropped[number] += 1

    def close(self) -> None:
        """Withdraw the receives that were posted ahead."""
        for parcel in (parcel for parcels in self.parcels[0] for parcel in parcels):
            parcel.request.Cancel()
            parcel.request.Wait()
            parcel.request.Free()


def _block(values: Array, p: Patch) -> Array:
    """The patch's source cells (level, ny, nx), with its sign."""
    y = p.source_y + p.step_y * np.arange(p.ny)
    x = p.source_x + p.step_x * np.arange(p.nx)
    block: Array = values[:, y[:, None], x]
    return -block if p.sign < 0 else block


def _pack_chunk(peer: Peer, parcel: Parcel, place: int, values: Array) -> None:
    """The pieces of field number `place` in one chunk; others are packed when they are put."""
    at = 0
    for piece in parcel.chunk:
        route = peer.message.routes[piece.field]
        if piece.field != place:
            at += piece.levels * route.cells
            continue
        levels = slice(piece.first, piece.first + piece.levels)
        for p in route.patches:
            part = parcel.values[at : at + piece.levels * p.cells]
            part.reshape(-1, p.ny, p.nx)[...] = _block(values[levels], p)
            at += part.size
