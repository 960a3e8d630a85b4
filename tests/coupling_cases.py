# SPDX-License-Identifier: MIT
"""Random grids, partitions and fields for the property tests, and the Fortran client's packing.

`packed` and `unpacked` execute an encoded plan in the loops of hcl_move.f90.in, so that a test of
the router needs no MPI and still goes the whole way: plan -> words -> values -> padded array.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from hypothesis import settings
from hypothesis import strategies as st

from coupler.routing.decomposition import Box, Decomposition, decompose
from coupler.spec import FieldSpec, GridSpec


def examples(number: int) -> int:
    """So many examples of a property; of another profile than the usual one as many more as it has
    in place of Hypothesis' own 100."""
    return number * settings().max_examples // 100


sizes = st.integers(1, 9)
halos = st.integers(0, 12)
most_bytes = st.integers(0, 2000)  # of a chunk


@st.composite
def grids(draw: st.DrawFn) -> GridSpec:
    sides = st.sampled_from(["closed", "periodic"])
    return GridSpec("grid", draw(sizes), draw(sizes), 2, draw(sides), draw(sides))


@st.composite
def partitions(draw: st.DrawFn, nx: int, ny: int, most: int = 6) -> list[Box]:
    """Boxes that tile the grid: one box is cut in two, again and again, so that rows and columns
    of boxes need not line up. Ranks come in any order, and some may own nothing."""
    boxes = [Box(0, nx, 0, ny)]
    for _ in range(draw(st.integers(0, most - 1))):
        box = boxes.pop(draw(st.integers(0, len(boxes) - 1)))
        if draw(st.booleans()):
            cut = draw(st.integers(box.x0, box.x1))
            boxes += [Box(box.x0, cut, box.y0, box.y1), Box(cut, box.x1, box.y0, box.y1)]
        else:
            cut = draw(st.integers(box.y0, box.y1))
            boxes += [Box(box.x0, box.x1, box.y0, cut), Box(box.x0, box.x1, cut, box.y1)]
    return draw(st.permutations(boxes))


@st.composite
def model_decompositions(draw: st.DrawFn, nx: int, ny: int) -> Decomposition:
    return Decomposition.from_boxes("model", nx, ny, draw(partitions(nx, ny)))


@st.composite
def worker_decompositions(draw: st.DrawFn, nx: int, ny: int) -> Decomposition:
    """What the coupler makes for 1 to 12 ranks, also more ranks than cells along an axis."""
    shape = draw(st.none() | st.tuples(st.integers(1, 4), st.integers(1, 3)))
    ranks = shape[0] * shape[1] if shape else draw(st.integers(1, 12))
    return decompose("worker", nx, ny, ranks, shape)


@st.composite
def fields(draw: st.DrawFn, most: int = 3) -> tuple[FieldSpec, ...]:
    return tuple(
        FieldSpec(
            f"field_{number}",
            draw(st.sampled_from("TUVF")),
            draw(st.sampled_from(["scalar", "vector_i", "vector_j"])),
            draw(st.sampled_from(["zero", "replicate"])),
            draw(st.integers(1, 2)),
            "case.yaml:1",
        )
        for number in range(draw(st.integers(1, most)))
    )


def values(field: FieldSpec, grid: GridSpec, number: int = 0) -> np.ndarray:
    """(level, y, x); every value of every field is another one, none is 0."""
    shape = (field.levels, grid.ny, grid.nx)
    return 1.0 + np.arange(np.prod(shape)).reshape(shape) + 1000.0 * number


Patches = list[list[int]]
Pieces = list[tuple[int, int, int]]  # field, first level (both from 0), levels


def patches_of(words: Sequence[int], at: int) -> tuple[Patches, int]:
    """The patches of one field, whose words begin at `at`, as the client reads them; their end."""
    count, at = int(words[at]), at + 1
    if count >= 0:
        end = at + 9 * count
        return [[int(n) for n in words[p : p + 9]] for p in range(at, end, 9)], end
    rows = []
    for row in range(at, at - 2 * count, 2):
        place, width = divmod(int(words[row]), 2**32)
        y, low = divmod(int(words[row + 1]), 2**32)
        sign = -1 if low % 2 else 1
        rows.append([width, 1, place, 0, low // 2 % 4 - 1, 1, sign, low // 8, y])
    return rows, at - 2 * count


def decoded(words: Sequence[int], fields: int) -> tuple[list[Patches], list[Pieces]]:
    """One encoded plan by messages, as hcl_plan reads it: patches of each field, chunks."""
    assert words[1] == 0  # no window
    at, routes, chunks = 2, [], []
    for _ in range(fields):
        patches, at = patches_of(words, at)
        routes.append(patches)
    count, at = words[at], at + 1
    for _ in range(count):
        pieces, at = words[at], at + 1
        cuts = [words[at + 3 * n : at + 3 * n + 3] for n in range(pieces)]
        chunks.append([(field - 1, first - 1, levels) for field, first, levels in cuts])
        at += 3 * pieces
    assert at == len(words)
    return routes, chunks


def packed(words: Sequence[int], arrays: Sequence[np.ndarray], box: Box) -> list[np.ndarray]:
    """The chunks that a model rank that owns `box` sends: `words` is one encoded plan, `arrays` are
    global."""
    routes, chunks = decoded(words, len(arrays))
    mine = [array[:, box.y0 : box.y1, box.x0 : box.x1] for array in arrays]
    sent = []
    for chunk in chunks:
        chunk_values = [
            sign * mine[field][k, j0 + j * step_j, i0 + i * step_i]
            for field, first, levels in chunk
            for ni, nj, i0, j0, step_i, step_j, sign, *_ in routes[field]
            for k in range(first, first + levels)
            for j in range(nj)
            for i in range(ni)
        ]
        sent.append(np.array(chunk_values))
    return sent


def unpacked(
    words: Sequence[int],
    received: Sequence[np.ndarray],
    arrays: Sequence[np.ndarray],
    filled: Sequence[np.ndarray],
    box: Box,
) -> None:
    """What a model rank does with an answer's chunks: its cells of the global `arrays` are set, and
    counted in `filled`."""
    routes, chunks = decoded(words, len(arrays))
    for chunk, chunk_values in zip(chunks, received, strict=True):
        value = iter(chunk_values)
        for field, first, levels in chunk:
            mine = arrays[field][:, box.y0 : box.y1, box.x0 : box.x1]
            counted = filled[field][:, box.y0 : box.y1, box.x0 : box.x1]
            for ni, nj, i0, j0, step_i, step_j, sign, *_ in routes[field]:
                assert (step_i, step_j, sign) == (1, 1, 1)
                for k in range(first, first + levels):
                    for j in range(nj):
                        for i in range(ni):
                            mine[k, j0 + j, i0 + i] = next(value)
                            counted[k, j0 + j, i0 + i] += 1
        assert next(value, None) is None
