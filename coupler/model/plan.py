# SPDX-License-Identifier: MIT
"""A model's half of the handshake as plain data: what it declares, and what it is told to execute.

The Fortran client's counterpart is hcl_handshake.f90; the workers' half is in protocol.py.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from coupler.protocol import IN, NAME_LENGTH, OPERATIONS, Words
from coupler.routing.chunks import Chunk, Piece
from coupler.routing.decomposition import Box
from coupler.routing.router import FieldRoute, Message, Patch
from coupler.spec import FieldSpec
from coupler.transport.window import Places

OPERATION_NAMES = {number: name for name, number in OPERATIONS.items()}
WIRES = {4: "float32", 8: "float64"}


@dataclass(frozen=True)
class ModelGrid:
    name: str
    nx: int
    ny: int
    box: Box  # this rank's cells
    periodic: tuple[int, int]  # x, y: 1 yes, 0 no, -1 not said
    holes: bool


@dataclass(frozen=True)
class ModelField:
    name: str
    grid: str
    direction: int
    levels: int


@dataclass(frozen=True)
class Treatment:
    """What happens to a field between the model's array and the message."""

    operation: str
    first: int  # levels of the model's field, from 1
    last: int
    scale: float
    offset: float

    @property
    def levels(self) -> slice:
        return slice(self.first - 1, self.last)

    @property
    def converts(self) -> bool:
        """The offset of a field without one is -0.0, which changes no value."""
        return self.scale != 1.0 or self.offset != 0.0 or not np.signbit(self.offset)


@dataclass(frozen=True)
class Peer:
    """One exchange with one worker rank."""

    rank: int  # of the job
    message: Message
    chunks: tuple[Chunk, ...]
    node_rank: int  # of the worker in the node's window
    places: Places | None  # of what it shares with this rank; None: messages


@dataclass(frozen=True)
class ModelExchange:
    """Fields that travel together, as the model sees them."""

    number: int
    direction: int
    period: int  # [s]
    lag: int
    wire: str
    fields: tuple[str, ...]
    treatments: tuple[Treatment, ...]
    peers: list[Peer] = field(default_factory=list)


@dataclass(frozen=True)
class Config:
    time_limit: float  # [s]
    time_step: int  # [s]
    windows: bool
    exchanges: tuple[ModelExchange, ...]


def encode_declaration(
    date: int,
    grids: Sequence[ModelGrid],
    fields: Sequence[ModelField],
    boxes: Sequence[Sequence[Box]],
    worker_ranks: int,
) -> Words:
    """For one worker component; `boxes` of each rank, grid by grid."""
    words = [date, len(boxes), len(grids), len(fields)]
    for grid in grids:
        words += [grid.nx, grid.ny, *grid.periodic, 0, int(grid.holes)]
    names = [grid.name for grid in grids]
    for item in fields:
        words += [names.index(item.grid) + 1, item.direction, item.levels]
    for of_rank in boxes:
        for box in of_rank:
            words += [box.x0 + 1, box.x1, box.y0 + 1, box.y1]
    return np.array([*words, *([0] * worker_ranks)], np.int64)


def encode_names(
    grids: Sequence[ModelGrid], fields: Sequence[ModelField], restart_file: str
) -> bytes:
    names = [*(grid.name for grid in grids), *(item.name for item in fields)]
    return "".join([*(name.ljust(NAME_LENGTH) for name in names), restart_file]).encode()


def decode_config(words: Words, fields: Sequence[ModelField]) -> Config:
    """What the workers of one component exchange with this model."""
    exchanges, at = [], 3
    while at < len(words):
        number, direction, period, lag, wire, count = words[at : at + 6].tolist()
        at += 6
        names = tuple(fields[index - 1].name for index in words[at : at + count].tolist())
        at += count
        treatments = tuple(
            _treatment(words[at + 5 * n : at + 5 * (n + 1)].copy()) for n in range(count)
        )
        at += 5 * count
        exchanges.append(
            ModelExchange(number, direction, period, lag, WIRES[wire], names, treatments)
        )
    return Config(int(words[0]) / 1000, int(words[1]), bool(words[2]), tuple(exchanges))


def _treatment(words: Words) -> Treatment:
    scale, offset = words[3:].view(np.float64).tolist()
    return Treatment(OPERATION_NAMES[int(words[0])], int(words[1]), int(words[2]), scale, offset)


def decode_plan(
    words: Words, rank: int, exchanges: Mapping[int, ModelExchange]
) -> Iterator[tuple[ModelExchange, Peer]]:
    """The exchanges with worker rank `rank` of the job, from what `encode_plan` made."""
    at = 0

    def read(count: int) -> list[int]:
        nonlocal at
        at += count
        found: list[int] = words[at - count : at].tolist()
        return found

    while at < len(words):
        number, windowed = read(2)
        exchange = exchanges[number]
        node_rank, counter, slot = read(3) if windowed else (-1, 0, 0)
        shared = [read(3) for _ in exchange.fields] if windowed else []
        routes = []
        for name, treatment in zip(exchange.fields, exchange.treatments, strict=True):
            levels = treatment.last - treatment.first + 1
            spec = FieldSpec(name, "T", "scalar", "zero", levels, "")
            (count,) = read(1)
            patches = tuple(_patch(read(9), exchange.direction == IN) for _ in range(count))
            routes.append(FieldRoute(spec, patches))
        chunks = []
        for _ in range(*read(1)):
            pieces = [read(3) for _ in range(*read(1))]
            chunks.append(tuple(Piece(f - 1, first - 1, levels) for f, first, levels in pieces))
        places = None
        if windowed:
            shapes = [
                (route.field.levels, ny, nx)
                for route, (_, ny, nx) in zip(routes, shared, strict=True)
            ]
            arrays = tuple(8 * place for place, _, _ in shared)
            places = Places(8 * counter, arrays, tuple(shapes), 8 * slot)
        yield exchange, Peer(rank, Message(rank, tuple(routes)), tuple(chunks), node_rank, places)


def _patch(words: Sequence[int], answer: bool) -> Patch:
    nx, ny, x, y, step_x, step_y, sign, worker_x, worker_y = words
    if answer:
        return Patch(ny, nx, y, x, worker_y, worker_x, 1, 1)
    return Patch(ny, nx, worker_y, worker_x, y, x, step_y, step_x, sign)
