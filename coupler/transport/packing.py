# SPDX-License-Identifier: MIT
"""Cells of arrays into the values of a message, and out of it. Plain data, no MPI."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from coupler.protocol import HEADER_WORDS, Words
from coupler.routing.chunks import Chunk, Piece
from coupler.routing.router import FieldRoute, Message, Rows

Array = NDArray[np.floating]
Arrays = Mapping[str, Array]

ROW = 256  # values; shorter rows move faster by indexing cell by cell than row by row


def message_buffer(count: int, wire: np.dtype[np.floating]) -> tuple[Words, Array]:
    """The words of a message, and its `count` values behind the header in the wire's kind."""
    words = np.zeros(HEADER_WORDS + -(-count * wire.itemsize // 8), np.int64)
    return words, words[HEADER_WORDS:].view(wire)[:count]


def whole(message: Message) -> Chunk:
    """All of `message` at once"""
    return tuple(Piece(f, 0, route.field.levels) for f, route in enumerate(message.routes))


def _by_cell(route: FieldRoute) -> Rows | None:
    """The rows of `route`, if they are many and short."""
    rows = route.patches
    return rows if isinstance(rows, Rows) and route.cells < ROW * len(rows) else None


# Both are written out: one generator of places for them makes a small field's step a tenth longer.


def unpack(message: Message, chunk: Chunk, values: Array, arrays: Arrays) -> None:
    """Values of a chunk of a message -> cells of padded arrays (level, y, x)."""
    at = 0
    for piece in chunk:
        route = message.routes[piece.field]
        array = arrays[route.field.name]
        levels = slice(piece.first, piece.first + piece.levels)
        if (cells := _by_cell(route)) is not None:
            first = at + piece.levels * cells.before + cells.column
            y, x = cells.in_worker
            for level in range(piece.levels):
                array[piece.first + level, y, x] = values[first + level * cells.width]
            at += piece.levels * route.cells
            continue
        for p in route.patches:
            part = values[at : at + piece.levels * p.cells]
            rows = slice(p.target_y, p.target_y + p.ny)
            array[levels, rows, p.target_x : p.target_x + p.nx] = part.reshape(-1, p.ny, p.nx)
            at += part.size


def pack(message: Message, chunk: Chunk, arrays: Arrays, values: Array) -> None:
    """Cells of a worker's own arrays (level, y, x), no halo -> values of a chunk of a message."""
    at = 0
    for piece in chunk:
        route = message.routes[piece.field]
        array = arrays[route.field.name]
        levels = slice(piece.first, piece.first + piece.levels)
        if (cells := _by_cell(route)) is not None:
            first = at + piece.levels * cells.before + cells.column
            y, x = cells.in_worker
            for level in range(piece.levels):
                values[first + level * cells.width] = array[piece.first + level, y, x]
            at += piece.levels * route.cells
            continue
        for p in route.patches:
            part = values[at : at + piece.levels * p.cells]
            rows = slice(p.source_y, p.source_y + p.ny)
            columns = slice(p.source_x, p.source_x + p.nx)
            part.reshape(-1, p.ny, p.nx)[...] = array[levels, rows, columns]
            at += part.size
