# SPDX-License-Identifier: MIT
"""A message in chunks: one leaves, and is unpacked, while the next is being packed.

A chunk stays in a core's cache on its way; with one large message every value would go through
memory once more on either side. It also brings the first field before the last has been put.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

from coupler.errors import CouplingError
from coupler.routing.router import Message

CHUNK = 512 * 1024  # bytes: with its copy on the other side it fits a core's second cache


def chunk_bytes() -> int:
    """The most that travels at once; HALOCLINE_CHUNK [bytes] says otherwise.

    Raises CouplingError if that is no number of bytes.
    """
    text = os.environ.get("HALOCLINE_CHUNK", str(CHUNK))
    if not text.isdecimal():
        raise CouplingError(f"HALOCLINE_CHUNK: got '{text}', expected a number of bytes: {CHUNK}")
    return int(text)


@dataclass(frozen=True, slots=True)
class Piece:
    """Some levels of one field of a message, of all its patches; counted from 0."""

    field: int
    first: int
    levels: int


Chunk = tuple[Piece, ...]


def cut(message: Message, itemsize: int, windowed: bool, most: int) -> tuple[Chunk, ...]:
    """The chunks of `message` in the order in which they travel; fields without values have none.

    All of it in one, if it has `most` bytes; else each field by itself, a few levels at a time.
    `windowed` values travel through shared memory, and a chunk only says that they are there: then
    a field is one piece.
    """
    cells = [route.cells for route in message.routes]
    levels = [route.field.levels for route in message.routes]
    fields = [field for field, count in enumerate(cells) if count]
    if message.values * itemsize <= most:
        return (tuple(Piece(field, 0, levels[field]) for field in fields),)
    chunks: list[Chunk] = []
    for field in fields:
        step = levels[field] if windowed else max(most // (cells[field] * itemsize), 1)
        chunks += [
            (Piece(field, first, min(step, levels[field] - first)),)
            for first in range(0, levels[field], step)
        ]
    return tuple(chunks)


def values_of(message: Message, chunk: Chunk) -> int:
    """How many values travel in `chunk` if it carries them."""
    return sum(piece.levels * message.routes[piece.field].cells for piece in chunk)
