# SPDX-License-Identifier: MIT
"""What both sides of a coupled job must agree on. The Fortran half is hcl_protocol.f90."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.routing.chunks import Chunk
from coupler.routing.decomposition import Decomposition
from coupler.routing.points import IndexLists, RowColumns
from coupler.routing.router import Message, Patch, Rows
from coupler.spec import FieldSpec

MAGIC = "HALOCL04"
NAME_LENGTH = 64
KIND_LENGTH = 8
DIGEST_LENGTH = 64
RECORD_LENGTH = len(MAGIC) + KIND_LENGTH + NAME_LENGTH + DIGEST_LENGTH

TAG_DECLARE = 1  # model leader -> worker leader: integers
TAG_NAMES = 2  # model leader -> worker leader: names
TAG_CONFIG = 3  # worker leader -> model leader
TAG_COUNTS = 4  # worker leader -> model leader: plans for each rank
TAG_PLAN = 5  # worker rank -> model rank
TAG_CONTROL = 6  # model leader -> every worker rank
TAG_REPLY = 7  # worker leader -> model leader
TAG_FAILURE = 8  # anyone -> anyone: text
TAG_LISTS = 9  # model rank -> worker rank: index lists
TAG_CONSERVE = 11  # worker rank <-> worker leader
TAG_STATISTICS = 10  # worker rank -> worker leader
TAG_DATA = 1000  # plus the exchange's number

CONTROL_RESTART = 1
CONTROL_END = 2

OUT, IN, STATIC = 1, 2, 3  # direction of a field or exchange, seen from the model
PARTIAL = 4  # direction of partly accumulated fields: out for a restart, in at start

# of the messages of one exchange: NUMBERS * its index in the spec, plus
NUMBERS, NUMBER_STATIC, NUMBER_PARTIAL = 4, 1, 2
OPERATIONS = {"instant": 0, "average": 1, "accumulate": 2, "min": 3, "max": 4}

LOW, HIGH = (0, 1) if sys.byteorder == "little" else (1, 0)  # halves of a word in memory
HEADER_WORDS = 4  # exchange, date, sequence, bytes behind the header

Words = NDArray[np.int64]


@dataclass(frozen=True)
class Record:
    """What each rank of the job says of itself at start."""

    kind: str  # "model" or "worker"
    name: str
    digest: str  # of the spec; a model reads none and leaves it blank

    def encode(self) -> bytes:
        text = MAGIC + self.kind.ljust(KIND_LENGTH) + self.name.ljust(NAME_LENGTH)
        return (text + self.digest.ljust(DIGEST_LENGTH)).encode()

    @classmethod
    def decode(cls, data: bytes) -> Record:
        """Raises ValueError when the rank speaks another protocol."""
        text = data.decode("latin-1")
        if not text.startswith(MAGIC):
            raise ValueError(f"speaks protocol {text[: len(MAGIC)]!r}, expected {MAGIC!r}")
        at = len(MAGIC)
        kind = text[at : at + KIND_LENGTH].strip()
        at += KIND_LENGTH
        return cls(kind, text[at : at + NAME_LENGTH].strip(), text[at + NAME_LENGTH :].strip())


@dataclass(frozen=True)
class DeclaredField:
    grid: str
    direction: int
    levels: int
    index: int  # from 1, in the order of declaration


@dataclass(frozen=True)
class Declaration:
    """What a model component declared: its grids with every rank's box, its fields, its start.

    `lists`: how many ranks send their index lists to each rank of this worker.
    """

    component: str
    start_date: int  # [s]
    restart_file: str  # "" for none
    grids: dict[str, Decomposition | IndexLists]  # in the order of declaration
    periodic: dict[str, tuple[int, int]]  # x, y: 1 yes, 0 no, -1 not said
    fields: dict[str, DeclaredField]
    lists: Words

    @classmethod
    def decode(cls, component: str, words: Words, names: bytes) -> Declaration:
        date, ranks, n_grids, n_fields = (int(word) for word in words[:4])
        labels = [
            names[NAME_LENGTH * i : NAME_LENGTH * (i + 1)].decode("latin-1").strip()
            for i in range(n_grids + n_fields)
        ]
        sizes = words[4 : 4 + 6 * n_grids].reshape(n_grids, 6)
        at = 4 + 6 * n_grids
        declared = words[at : at + 3 * n_fields].reshape(n_fields, 3)
        at += 3 * n_fields
        boxes = words[at : at + 4 * ranks * n_grids].reshape(ranks, n_grids, 4)
        lists = words[at + 4 * ranks * n_grids :]
        grids: dict[str, Decomposition | IndexLists] = {}
        periodic = {}
        for g, (nx, ny, periodic_x, periodic_y, points, holes) in enumerate(sizes.tolist()):
            edges = boxes[:, g, :].T.copy()
            edges[[0, 2]] -= 1  # first..last from 1 -> half-open from 0
            if points:
                grids[labels[g]] = IndexLists(component, nx, ny, bool(holes))
            else:
                grids[labels[g]] = Decomposition(component, nx, ny, edges, bool(holes))
            periodic[labels[g]] = (periodic_x, periodic_y)
        fields = {
            labels[n_grids + f]: DeclaredField(labels[grid - 1], direction, levels, f + 1)
            for f, (grid, direction, levels) in enumerate(declared.tolist())
        }
        restart_file = os.fsdecode(names[NAME_LENGTH * (n_grids + n_fields) :].strip())
        return cls(component, date, restart_file, grids, periodic, fields, lists)


def encode_treatment(field: FieldSpec) -> list[int]:
    """Time operation, first and last level, scale and offset (the bits of float64)."""
    # x + -0.0 is x for every x; 0.0 would change the sign of -0.0
    numbers = np.array([field.scale, -0.0 if field.offset is None else field.offset])
    levels = (field.first_level, field.last_level)
    return [OPERATIONS[field.time], *levels, *numbers.view(np.int64).tolist()]


def encode_plan(
    number: int,
    message: Message,
    to_worker: bool,
    window: Sequence[int] = (),
    chunks: Sequence[Chunk] = (),
) -> Words:
    """One exchange with one model rank, as the client reads it.

    `window` is empty for messages, else what `encode_window` makes. Of each field the number of
    patches, and of each of them nx, ny, the model's side (x, y, step x, step y), sign, and the
    first cell in the worker's array (x, y). Rows count with a minus sign: see `_encode_rows`. Of
    each chunk how many pieces, and of each its field and first level, from 1, and levels.
    """
    words = [np.array([number, 1 if window else 0, *window], np.int64)]
    rows: dict[int, Words] = {}  # of fields that share them
    for route in message.routes:
        patches = route.patches
        words.append(np.array([-len(patches) if isinstance(patches, Rows) else len(patches)]))
        if isinstance(patches, Rows):
            key = id(patches.columns)
            if key not in rows:
                rows[key] = _encode_rows(patches.columns)
            words.append(rows[key])
        else:
            words.append(_encode_patches(patches, to_worker))
    cuts = [len(chunks)]
    for chunk in chunks:
        cuts.append(len(chunk))
        for piece in chunk:
            cuts += [piece.field + 1, piece.first + 1, piece.levels]
    return np.concatenate([*words, np.array(cuts, np.int64)])


def _encode_patches(patches: Sequence[Patch], to_worker: bool) -> Words:
    table = np.array([astuple(patch) for patch in patches], np.int64).reshape(len(patches), 9)
    ny, nx, target_y, target_x, source_y, source_x, step_y, step_x, sign = table.T
    source, target, one = (source_x, source_y), (target_x, target_y), np.ones_like(nx)
    if to_worker:
        columns = (nx, ny, *source, step_x, step_y, sign, *target)
    else:
        columns = (nx, ny, *target, one, one, one, *source)
    return np.stack(columns, axis=1).ravel()


def _encode_rows(c: RowColumns) -> Words:
    """Two words a row, since a list may need one for every cell: place in the model's list * 2**32
    + width; and the worker's y * 2**32 + x * 8 + (step + 1) * 2 + (1 where the sign changes)."""
    halves = np.empty((len(c.width), 2, 2), np.int32)  # of words: no wide copies are made
    halves[:, 0, HIGH] = c.place
    halves[:, 0, LOW] = c.width
    halves[:, 1, HIGH] = c.target_y
    halves[:, 1, LOW] = (c.target_x << 3) | (((c.step + 1) << 1) | (c.sign < 0))
    return halves.view(np.int64).ravel()


def encode_window(
    rank: int, counter: int, slot: int, arrays: Sequence[int], shapes: Sequence[Sequence[int]]
) -> list[int]:
    """Rank on the node; counter, slot and each array in 8-byte words; each array's ny, nx."""
    words = [rank, counter // 8, slot // 8]
    for at, (_, ny, nx) in zip(arrays, shapes, strict=True):
        words += [at // 8, ny, nx]
    return words


@dataclass(frozen=True)
class Control:
    """A command of the model: its `counts` say how many exchanges come before it."""

    kind: int
    date: int
    counts: dict[int, int]
    profile: dict[str, float]  # slowest rank's seconds: total, packing, waiting, unpacking
    file: str

    @classmethod
    def decode(cls, words: Words) -> Control:
        n = int(words[2])
        counts = {int(k): int(c) for k, c in words[3 : 3 + 2 * n].reshape(n, 2)}
        at = 3 + 2 * n
        names = ("total", "packing", "waiting", "unpacking")
        profile = {k: w / 1e9 for k, w in zip(names, words[at : at + 4].tolist(), strict=True)}
        length = int(words[at + 4])
        file = os.fsdecode(words[at + 5 :].tobytes()[:length])
        return cls(int(words[0]), int(words[1]), counts, profile, file)
