# SPDX-License-Identifier: MIT
"""Every message of a job is planned, packed and unpacked in one process, and compared with a
global fill that knows nothing of ranks."""

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coupler.protocol import encode_plan
from coupler.routing.chunks import cut, values_of
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.router import (
    FieldRoute,
    Message,
    Patch,
    route_from_worker,
    route_to_worker,
    unowned_cells,
)
from coupler.spec import FieldSpec, GridSpec
from coupler.transport.packing import pack, unpack
from coupling_cases import (
    examples,
    fields,
    grids,
    halos,
    model_decompositions,
    most_bytes,
    packed,
    unpacked,
    values,
    worker_decompositions,
)


def shown(index: int, size: int, boundary: str, fill: str, wall_below: bool) -> int | None:
    """The cell that index `index` shows; None where nothing is: outside with policy zero, or on
    the low side of a velocity across the wall."""
    if boundary == "periodic":
        return index % size
    if index < 0 and wall_below:
        return None
    if fill == "replicate":
        return min(max(index, 0), size - 1)
    return index if 0 <= index < size else None


def globally_filled(
    array: np.ndarray, field: FieldSpec, grid: GridSpec, box: Box, halo: int
) -> tuple[np.ndarray, np.ndarray]:
    """(padded array, owned cells) of `box`, cell by cell."""
    shape = (field.levels, box.ny + 2 * halo, box.nx + 2 * halo)
    padded, owned = np.zeros(shape), np.zeros(shape[1:], bool)
    wall_x = field.point == "U" and field.kind == "vector_i"
    wall_y = field.point == "V" and field.kind == "vector_j"
    for y in range(shape[1]):
        for x in range(shape[2]):
            i = shown(box.x0 - halo + x, grid.nx, grid.boundary_x, field.fill, wall_x)
            j = shown(box.y0 - halo + y, grid.ny, grid.boundary_y, field.fill, wall_y)
            if i is not None and j is not None:
                padded[:, y, x] = array[:, j, i]
                owned[y, x] = True
    return padded, owned


class CountingArray:
    """Takes what `unpack` writes, and counts how often each cell is written."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.values = np.zeros(shape)
        self.written = np.zeros(shape, int)

    def __setitem__(self, where: tuple[slice, ...], part: np.ndarray) -> None:
        assert self.values[where].shape == part.shape  # no broadcasting, no clipping
        self.values[where] = part
        self.written[where] += 1


@settings(max_examples=examples(150))
@given(st.data(), grids(), halos, fields(), most_bytes)
def test_padded_cells_are_filled_once_with_the_value_of_their_owner(
    data: st.DataObject, grid: GridSpec, halo: int, fields: tuple[FieldSpec, ...], most: int
) -> None:
    model = data.draw(model_decompositions(grid.nx, grid.ny))
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    sources = [values(field, grid, number) for number, field in enumerate(fields)]
    for rank in range(workers.ranks):
        box = workers.box(rank)
        messages = route_to_worker(fields, grid, model, box, halo)
        if box.cells == 0:
            assert messages == ()
            continue
        padded = box.padded(halo)
        arrays = {f.name: CountingArray((f.levels, padded.ny, padded.nx)) for f in fields}
        assert [m.partner for m in messages] == sorted({m.partner for m in messages})
        for message in messages:
            owner = model.box(message.partner)
            chunks = cut(message, 8, False, most)
            words = encode_plan(7, message, to_worker=True, chunks=chunks)
            assert words[0] == 7
            sent = packed(words, sources, owner)
            assert [part.size for part in sent] == [values_of(message, chunk) for chunk in chunks]
            assert sum(part.size for part in sent) == message.values
            for chunk, part in zip(chunks, sent, strict=True):
                unpack(message, chunk, part, arrays)
        for index, field in enumerate(fields):
            expected, owned = globally_filled(sources[index], field, grid, box, halo)
            np.testing.assert_array_equal(arrays[field.name].values, expected)
            np.testing.assert_array_equal(
                arrays[field.name].written, np.broadcast_to(owned, expected.shape)
            )
            np.testing.assert_array_equal(unowned_cells(messages, index, box, halo), ~owned)


@settings(max_examples=examples(150))
@given(st.data(), grids(), fields(), most_bytes)
def test_every_model_cell_is_answered_once(
    data: st.DataObject, grid: GridSpec, fields: tuple[FieldSpec, ...], most: int
) -> None:
    model = data.draw(model_decompositions(grid.nx, grid.ny))
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    answers = [values(field, grid, number) for number, field in enumerate(fields)]
    got = [np.zeros_like(answer) for answer in answers]
    filled = [np.zeros(answer.shape, int) for answer in answers]
    for rank in range(workers.ranks):
        box = workers.box(rank)
        mine = {
            field.name: answer[:, box.y0 : box.y1, box.x0 : box.x1]
            for field, answer in zip(fields, answers, strict=True)
        }
        for message in route_from_worker(fields, grid, model, box):
            chunks = cut(message, 8, False, most)
            sent = [np.full(values_of(message, chunk), np.nan) for chunk in chunks]
            for chunk, part in zip(chunks, sent, strict=True):
                pack(message, chunk, mine, part)
            words = encode_plan(0, message, to_worker=False, chunks=chunks)
            unpacked(words, sent, got, filled, model.box(message.partner))
    for answer, result, count in zip(answers, got, filled, strict=True):
        np.testing.assert_array_equal(result, answer)
        assert (count == 1).all()


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(1, 75)), min_size=1, max_size=4),
    st.integers(0, 3000),
    st.booleans(),
)
def test_chunks_hold_every_level_once_in_order(
    fields: list[tuple[int, int]], most: int, windowed: bool
) -> None:
    """`fields`: cells and levels of each."""
    routes = tuple(
        FieldRoute(
            FieldSpec(f"f{n}", "T", "scalar", "zero", levels, ""),
            (Patch(1, cells, 0, 0, 0, 0, 1, 1),) if cells else (),
        )
        for n, (cells, levels) in enumerate(fields)
    )
    message = Message(0, routes)
    chunks = cut(message, 4, windowed, most)
    whole = [(n, k) for n, (cells, levels) in enumerate(fields) if cells for k in range(levels)]
    pieces = [piece for chunk in chunks for piece in chunk]
    assert whole == [(p.field, p.first + k) for p in pieces for k in range(p.levels)]
    assert sum(values_of(message, chunk) for chunk in chunks) == message.values
    if message.values * 4 <= most:
        assert len(chunks) == 1
    else:
        assert all(len(chunk) == 1 for chunk in chunks)
    for chunk in chunks if not windowed else ():
        assert values_of(message, chunk) * 4 <= most or chunk[0].levels == 1


def test_a_halo_wider_than_a_neighbour_reaches_the_next_one() -> None:
    """Four model ranks of one column each; a halo of 2 around column 0 needs three of them."""
    grid = GridSpec("grid", 4, 1, 1, "closed", "closed")
    model = Decomposition.from_boxes("model", 4, 1, [Box(i, i + 1, 0, 1) for i in range(4)])
    field = FieldSpec("h", "T", "scalar", "zero", 1, "case.yaml:1")
    messages = route_to_worker((field,), grid, model, Box(0, 1, 0, 1), 2)
    assert [(m.partner, m.values) for m in messages] == [(0, 1), (1, 1), (2, 1)]
