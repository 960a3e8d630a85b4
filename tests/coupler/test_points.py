# SPDX-License-Identifier: MIT
"""Index lists: directory, look-ups, plans and packing in one process, against a fill that goes
cell by cell."""

from __future__ import annotations

import random
import tracemalloc
from itertools import pairwise
from unittest.mock import patch

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import shown
from coupler.protocol import encode_plan
from coupler.routing.chunks import cut, values_of
from coupler.routing.decomposition import Box, Decomposition, decompose
from coupler.routing.points import (
    IndexLists,
    Owners,
    clipped,
    directory_part,
    list_error,
    merged,
    part_edges,
)
from coupler.routing.router import (
    CELLS,
    cell_numbers,
    cells_needed,
    owned_cells,
    route_from_worker,
    route_to_worker,
    unanswered_cells,
    unowned_cells,
)
from coupler.spec import FieldSpec, GridSpec
from coupler.transport import packing
from coupling_cases import examples, most_bytes, packed, unpacked, values

Lists = list[list[int]]  # of each rank, cells from 0 in the order of its array


@st.composite
def folded_or_not(draw: st.DrawFn) -> GridSpec:
    north = draw(st.sampled_from([None, None, "T", "F"]))
    if north is not None:
        nx, ny = 2 * draw(st.integers(1, 4)), draw(st.integers(2, 7))
        return GridSpec("grid", nx, ny, 1, "periodic", "closed", north)
    size, side = st.integers(1, 7), st.sampled_from(["closed", "periodic"])
    return GridSpec("grid", draw(size), draw(size), 1, draw(side), draw(side))


@st.composite
def any_field(draw: st.DrawFn, number: int) -> FieldSpec:
    point, kind = (
        draw(st.sampled_from("TUVF")),
        draw(st.sampled_from(["scalar", "vector_i", "vector_j", "east"])),
    )
    fill = draw(st.sampled_from(["zero", "replicate", "reflect"]))
    return FieldSpec(f"field_{number}", point, kind, fill, draw(st.integers(1, 2)), "")


@st.composite
def index_lists(draw: st.DrawFn, cells: int) -> tuple[Lists, bool]:
    """Every cell belongs to a rank, or to nobody if there are holes; some ranks may own nothing."""
    rng = random.Random(draw(st.integers(0, 10**6)))
    ranks, holes = draw(st.integers(1, 6)), draw(st.booleans())
    stay = draw(st.sampled_from([0.0, 0.7, 0.95]))  # how often the next cell has the same owner
    lists: Lists = [[] for _ in range(ranks + holes)]
    owner = 0
    for cell in range(cells):
        owner = owner if rng.random() < stay else rng.randrange(ranks + holes)
        lists[owner].append(cell)
    if draw(st.booleans()):
        for cells_of_rank in lists:
            rng.shuffle(cells_of_rank)
    return lists[:ranks], holes


def as_runs(cells: list[int]) -> np.ndarray:
    """As runs_of_points of the client: first cell, length, first place in the list."""
    runs: list[list[int]] = []
    for place, cell in enumerate(cells):
        if runs and cell == runs[-1][0] + runs[-1][1]:
            runs[-1][1] += 1
        else:
            runs.append([cell, 1, place])
    return np.array(runs, np.int64).reshape(-1, 3)


def directory(grid: IndexLists, lists: Lists, parts: int) -> list[Owners]:
    runs = [(rank, as_runs(cells)) for rank, cells in enumerate(lists)]
    edges = part_edges(grid.nx * grid.ny, parts).tolist()
    return [directory_part(first, stop, runs) for first, stop in pairwise(edges)]


def first_error(grid: IndexLists, lists: Lists, parts: int) -> str | None:
    edges = part_edges(grid.nx * grid.ny, parts).tolist()
    found = zip(directory(grid, lists, parts), pairwise(edges), strict=True)
    errors = [list_error(grid, owners, *ends) for owners, ends in found]
    return next((error for error in errors if error), None)


def looked_up(grid: IndexLists, parts: list[Owners], spans: np.ndarray) -> Owners:
    """What directory.py does with messages."""
    edges = part_edges(grid.nx * grid.ny, len(parts)).tolist()
    told = [p.within(clipped(spans, *e)) for p, e in zip(parts, pairwise(edges), strict=True)]
    columns = ([getattr(p, key) for p in told] for key in ("start", "stop", "rank", "local"))
    return Owners(*(np.concatenate(column) for column in columns))


@settings(max_examples=examples(150))
@given(st.data(), folded_or_not(), st.integers(1, 5), st.sampled_from([0, 10**6]), most_bytes)
def test_index_lists_against_brute_force(
    data: st.DataObject, grid: GridSpec, ranks: int, row: int, most: int
) -> None:
    lists, holes = data.draw(index_lists(grid.nx * grid.ny))
    fields = tuple(data.draw(any_field(n)) for n in range(data.draw(st.integers(1, 3))))
    mirror = grid.north is not None and any(field.fill == "reflect" for field in fields)
    halo = data.draw(st.integers(0, grid.ny - 1 if mirror else 12))
    declared = IndexLists("model", grid.nx, grid.ny, holes)
    workers = decompose("worker", grid.nx, grid.ny, ranks)
    assert first_error(declared, lists, ranks) is None
    parts = directory(declared, lists, ranks)
    arrays = [values(field, grid, number) for number, field in enumerate(fields)]
    locals_ = [[a.reshape(len(a), 1, -1)[:, :, cells] for a in arrays] for cells in lists]
    owned = {cell for cells in lists for cell in cells}
    answers = [[np.zeros_like(a) for a in of_rank] for of_rank in locals_]
    counts = [[np.zeros(a.shape, int) for a in of_rank] for of_rank in locals_]
    with patch.object(packing, "ROW", row):  # row by row, or cell by cell
        for rank in range(ranks):
            box = workers.box(rank)
            owners = looked_up(declared, parts, cells_needed(fields, grid, box, halo))
            to_worker = route_to_worker(fields, grid, owners, box, halo)
            assert [m.partner for m in to_worker] == sorted({m.partner for m in to_worker})
            padded = box.padded(halo)
            got = {f.name: np.full((f.levels, padded.ny, padded.nx), np.nan) for f in fields}
            for message in to_worker:
                mine = lists[message.partner]
                chunks = cut(message, 8, False, most)
                words = encode_plan(3, message, to_worker=True, chunks=chunks)
                sent = packed(words, locals_[message.partner], Box(0, len(mine), 0, 1))
                assert sum(part.size for part in sent) == message.values
                for chunk, part in zip(chunks, sent, strict=True):
                    packing.unpack(message, chunk, part, got)
            for index, (field, array) in enumerate(zip(fields, arrays, strict=True)):
                expected = filled(field, grid, array, owned, padded)
                np.testing.assert_array_equal(got[field.name], expected)
                cells = sum(message.routes[index].cells for message in to_worker)
                assert cells == np.isfinite(expected[0]).sum()  # none is sent twice
                nobodys = unowned_cells(to_worker, index, box, halo) if box.cells else []
                np.testing.assert_array_equal(nobodys, np.isnan(expected[0]) if box.cells else [])
            if not box.cells:
                continue
            one = np.ones((1, grid.ny, grid.nx))
            seen = np.isfinite(filled(CELLS, grid, one, owned, padded)[0])
            np.testing.assert_array_equal(owned_cells(grid, owners, box, halo), seen)
            numbers = cell_numbers(grid, owners, box, halo)
            np.testing.assert_array_equal(numbers, numbered(grid, owned, padded))
            own = {
                f.name: a[:, box.y0 : box.y1, box.x0 : box.x1]
                for f, a in zip(fields, arrays, strict=True)
            }
            to_model = route_from_worker(fields, grid, owners, box)
            for message in to_model:
                chunks = cut(message, 8, False, most)
                sent = [np.full(values_of(message, chunk), np.nan) for chunk in chunks]
                for chunk, part in zip(chunks, sent, strict=True):
                    packing.pack(message, chunk, own, part)
                words = encode_plan(0, message, to_worker=False, chunks=chunks)
                p = message.partner
                unpacked(words, sent, answers[p], counts[p], Box(0, len(lists[p]), 0, 1))
            lost = [
                [y * grid.nx + x not in owned for x in range(box.x0, box.x1)]
                for y in range(box.y0, box.y1)
            ]
            np.testing.assert_array_equal(unanswered_cells(to_model, box), lost)
    for of_rank in zip(answers, locals_, counts, strict=True):
        for answer, array, count in zip(*of_rank, strict=True):
            np.testing.assert_array_equal(answer, array)
            assert (count == 1).all()


def filled(
    field: FieldSpec, grid: GridSpec, array: np.ndarray, owned: set[int], padded: Box
) -> np.ndarray:
    """The padded array of `padded`, cell by cell; NaN where nothing is or nobody owns it."""
    result = np.full((len(array), padded.ny, padded.nx), np.nan)
    for y in range(padded.ny):
        for x in range(padded.nx):
            found = shown(grid, field, padded.x0 + x, padded.y0 + y)
            if found is not None and found[0] * grid.nx + found[1] in owned:
                result[:, y, x] = found[2] * array[:, found[0], found[1]]
    return result


def numbered(grid: GridSpec, owned: set[int], padded: Box) -> np.ndarray:
    """The number of the cell that each cell of `padded` shows, cell by cell; -1 for nobody's."""
    numbers = np.arange(grid.nx * grid.ny, dtype=np.float64).reshape(1, grid.ny, grid.nx)
    return np.nan_to_num(filled(CELLS, grid, numbers, owned, padded)[0], nan=-1.0).astype(np.int64)


@settings(max_examples=examples(60))
@given(st.data(), folded_or_not(), st.integers(1, 4), st.integers(0, 12))
def test_boxes_with_holes(data: st.DataObject, grid: GridSpec, ranks: int, halo: int) -> None:
    """A model of boxes of which some are dropped: the same mask as from lists of their cells."""
    split = decompose("model", grid.nx, grid.ny, data.draw(st.integers(2, 9)))
    kept = data.draw(st.lists(st.booleans(), min_size=split.ranks, max_size=split.ranks))
    boxes = [split.box(rank) for rank in range(split.ranks) if kept[rank]]
    model = Decomposition.from_boxes("model", grid.nx, grid.ny, boxes)
    cells = {y * grid.nx + x for b in boxes for y in range(b.y0, b.y1) for x in range(b.x0, b.x1)}
    workers = decompose("worker", grid.nx, grid.ny, ranks)
    for rank in range(ranks):
        box = workers.box(rank)
        one = np.ones((1, grid.ny, grid.nx))
        expected = np.isfinite(filled(CELLS, grid, one, cells, box.padded(halo))[0])
        if box.cells:
            np.testing.assert_array_equal(owned_cells(grid, model, box, halo), expected)
            numbers = cell_numbers(grid, model, box, halo)
            np.testing.assert_array_equal(numbers, numbered(grid, cells, box.padded(halo)))
            lost = unanswered_cells(route_from_worker((CELLS,), grid, model, box), box)
            own = [[y * grid.nx + x in cells for x in range(grid.nx)] for y in range(grid.ny)]
            np.testing.assert_array_equal(~lost, np.array(own)[box.y0 : box.y1, box.x0 : box.x1])


REST = [4, 5, 6, 7, 8, 9, 10, 11]


@pytest.mark.parametrize("parts", [1, 3, 20])
@pytest.mark.parametrize(
    ("lists", "message"),
    [
        ([[0, 1, 2, 3], [7, 4, 5, 6, 9, 8, 10, 11]], None),
        ([[0, 1, 2, 1], [3, *REST]], "x 2, y 1 is 2 times in the list of rank 0, expected once"),
        ([[0, 1, 2, 3, *REST], [5]], "x 2, y 2 is owned by 2 ranks, expected 1: 0 and 1; do the"),
        ([[], [5], [5], [*range(12)]], "owned by 3 ranks, expected 1: 1, 2 and 3; do the lists"),
        ([[0, 1, 2, 3], REST[:-1]], "model: cell x 4, y 3 is owned by 0 ranks, expected 1; if the"),
        ([[0, 1, 3], REST], "model: cell x 3, y 1 is owned by 0 ranks"),
        ([[*range(1, 12)]], "model: cell x 1, y 1 is owned by 0 ranks"),
        ([[]], "model: cell x 1, y 1 is owned by 0 ranks"),
    ],
)
def test_what_is_wrong_with_lists(lists: Lists, message: str | None, parts: int) -> None:
    """On 4 x 3 cells, however many ranks keep the directory."""
    error = first_error(IndexLists("model", 4, 3, False), lists, parts)
    assert (error is None) if message is None else (message in str(error))
    error = first_error(IndexLists("model", 4, 3, True), lists, parts)
    gap = message is None or "by 0 ranks" in message
    assert (error is None) if gap else (str(message) in str(error))


@pytest.mark.parametrize("permuted", [False, True])
def test_one_worker_of_256_plans_with_the_lists_of_10000_ranks(permuted: bool) -> None:
    """12,960 x 10,850 cells, fold, halo 10, 3 fields: within 100 MB.

    `permuted`: every rank near the worker lists its cells in random order, each a run of its own.
    """
    grid = GridSpec("grid", 12960, 10850, 75, "periodic", "closed", "F")
    points = (("u", "U", "vector_i"), ("v", "V", "vector_j"), ("h", "T", "scalar"))
    fields = tuple(FieldSpec(n, p, kind, "replicate", 75, "") for n, p, kind in points)
    model = decompose("model", grid.nx, grid.ny, 10_000)
    box = decompose("worker", grid.nx, grid.ny, 256).box(250)  # at the fold
    spans = cells_needed(fields, grid, box, 10)
    lists = []
    rng = np.random.default_rng(1)
    for rank in range(model.ranks):
        b = model.box(rank)
        mirrored = Box(grid.nx - b.x1, grid.nx - b.x0, b.y0, b.y1)  # beyond the fold
        near_worker = any(c.x0 < box.x1 + 20 and c.x1 > box.x0 - 20 for c in (b, mirrored))
        if permuted and near_worker and b.y1 * grid.nx > spans[0, 0]:
            cells = np.arange(b.y0, b.y1)[:, None] * grid.nx + np.arange(b.x0, b.x1)
            start = rng.permutation(cells.ravel())
            lists.append((rank, np.stack((start, start * 0 + 1, np.arange(len(start))), axis=1)))
        elif not permuted and b.y1 * grid.nx > spans[0, 0]:
            start = np.arange(b.y0, b.y1) * grid.nx + b.x0
            width = np.full(b.ny, b.nx)
            lists.append((rank, np.stack((start, width, np.arange(b.ny) * b.nx), axis=1)))
    near = directory_part(0, grid.nx * grid.ny, lists)

    def plan() -> int:
        owners = near.within(cells_needed(fields, grid, box, 10))
        messages = route_to_worker(fields, grid, owners, box, 10)
        route_from_worker(fields[:1], grid, owners, box)
        return sum(encode_plan(0, message, to_worker=True).nbytes for message in messages)

    told = plan()
    if permuted:
        assert told > 3 * 16 * box.cells  # two words a cell and field
    else:
        assert told < 2_000_000
    tracemalloc.start()
    plan()
    assert tracemalloc.get_traced_memory()[1] < 100_000_000
    tracemalloc.stop()


def test_part_edges_by_hand() -> None:
    assert part_edges(10, 3).tolist() == [0, 3, 6, 10]
    assert part_edges(2, 4).tolist() == [0, 0, 1, 1, 2]


def test_merged_by_hand() -> None:
    spans = [np.array([[4, 0, 9], [6, 2, 12]]), np.array([[1, 6, 10], [3, 7, 11]])]
    assert merged(spans).T.tolist() == [[0, 3], [4, 7], [9, 12]]
    assert merged(()).shape == (2, 0)
