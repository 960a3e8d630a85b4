# SPDX-License-Identifier: MIT
"""What the Fortran client sends, encoded here as it lays it out, and decoded by the workers."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.protocol import (
    NAME_LENGTH,
    RECORD_LENGTH,
    Control,
    Declaration,
    DeclaredField,
    Record,
    encode_plan,
    encode_treatment,
)
from coupler.routing.chunks import Piece
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.points import IndexLists, RowColumns
from coupler.routing.router import FieldRoute, Message, Patch, Rows
from coupler.spec import FieldSpec

names = st.from_regex(r"[a-zA-Z][a-zA-Z0-9_]{0,63}", fullmatch=True) | st.just("n" * 64)
paths = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=90)
words = st.integers(-(2**62), 2**62)


def declared(
    date: int,
    restart_file: str,
    grids: dict[str, tuple[int, int, int, int, int, int]],
    boxes: list[list[Box]],
    fields: dict[str, tuple[int, int, int]],
    lists: list[int],
) -> tuple[np.ndarray, bytes]:
    """As hcl_handshake's `declare`: words, and names of fixed length before the file's name.

    `grids`: nx, ny, periodic in x and y, points, holes. `boxes[rank][grid]` is half-open from 0 as
    here, sent as first and last from 1. `fields`: grid from 1, direction, levels. `lists`: of each
    worker rank.
    """
    sent = [date, len(boxes), len(grids), len(fields)]
    for grid in grids.values():
        sent += grid
    for field in fields.values():
        sent += field
    for of_rank in boxes:
        for box in of_rank:
            sent += [box.x0 + 1, box.x1, box.y0 + 1, box.y1]
    sent += lists
    text = "".join(name.ljust(NAME_LENGTH) for name in (*grids, *fields)).encode()
    return np.array(sent, np.int64), text + restart_file.encode()


def commanded(
    kind: int, date: int, counts: dict[int, int], profile: list[int], file: str
) -> np.ndarray:
    """As hcl_control's `command`: the file's name is its length and its bytes in 8-byte words."""
    data = file.encode()
    tail = np.frombuffer(data.ljust(-(-len(data) // 8) * 8), np.int64)
    pairs = [word for pair in counts.items() for word in pair]
    return np.array([kind, date, len(counts), *pairs, *profile, len(data), *tail], np.int64)


@given(st.sampled_from(["model", "worker"]), names, st.sampled_from(["", "0123456789abcdef" * 4]))
def test_record_round_trip(kind: str, name: str, digest: str) -> None:
    record = Record(kind, name, digest)
    assert len(record.encode()) == RECORD_LENGTH
    assert Record.decode(record.encode()) == record


def test_record_as_fortran_writes_it() -> None:
    data = b"HALOCL04" + b"model   " + b"ocean".ljust(64) + b" " * 64
    assert Record.decode(data) == Record("model", "ocean", "")


def test_record_of_another_protocol() -> None:
    with pytest.raises(ValueError, match="speaks protocol 'HALOCL00', expected 'HALOCL04'"):
        Record.decode(b"HALOCL00".ljust(RECORD_LENGTH))


@st.composite
def declarations(draw: st.DrawFn) -> tuple[np.ndarray, bytes, Declaration]:
    labels = draw(st.lists(names, unique=True, min_size=1, max_size=7))
    cut = draw(st.integers(1, len(labels)))
    ranks = draw(st.integers(1, 5))
    size, yes = st.integers(1, 10**6), st.sampled_from([-1, 0, 1])
    flag = st.integers(0, 1)
    lists = draw(st.lists(size, min_size=1, max_size=4))
    edge = st.integers(0, 10**6)
    grids = {name: draw(st.tuples(size, size, yes, yes, flag, flag)) for name in labels[:cut]}
    boxes = [[draw(st.builds(Box, edge, edge, edge, edge)) for _ in grids] for _ in range(ranks)]
    field = st.tuples(st.integers(1, cut), st.integers(1, 3), st.integers(1, 75))
    fields = {name: draw(field) for name in labels[cut:]}
    date, file = draw(words), draw(paths)
    expected = Declaration(
        "ocean",
        date,
        file,
        {
            name: IndexLists("ocean", nx, ny, bool(holes))
            if points
            else replace(
                Decomposition.from_boxes("ocean", nx, ny, [of_rank[g] for of_rank in boxes]),
                holes=bool(holes),
            )
            for g, (name, (nx, ny, _, _, points, holes)) in enumerate(grids.items())
        },
        {name: (x, y) for name, (_, _, x, y, _, _) in grids.items()},
        {
            name: DeclaredField(labels[grid - 1], direction, levels, index)
            for index, (name, (grid, direction, levels)) in enumerate(fields.items(), start=1)
        },
        np.array(lists),
    )
    return *declared(date, file, grids, boxes, fields, lists), expected


@given(declarations())
def test_declaration_round_trip(case: tuple[np.ndarray, bytes, Declaration]) -> None:
    sent, text, expected = case
    got = Declaration.decode("ocean", sent, text)
    assert (got.component, got.start_date, got.restart_file) == (
        expected.component,
        expected.start_date,
        expected.restart_file,
    )
    assert got.periodic == expected.periodic
    assert got.fields == expected.fields
    assert list(got.grids) == list(expected.grids)
    np.testing.assert_array_equal(got.lists, expected.lists)
    for name, grid in got.grids.items():
        other = expected.grids[name]
        if isinstance(grid, IndexLists):
            assert grid == other
            continue
        assert (grid.nx, grid.ny, grid.holes) == (other.nx, other.ny, other.holes)
        np.testing.assert_array_equal(grid.edges, other.edges)


@given(
    st.integers(1, 2),
    words,
    st.dictionaries(st.integers(0, 99), st.integers(0, 2**62), max_size=4),
    st.lists(st.integers(0, 10**15), min_size=4, max_size=4),
    paths,
)
def test_control_round_trip(
    kind: int, date: int, counts: dict[int, int], profile: list[int], file: str
) -> None:
    got = Control.decode(commanded(kind, date, counts, profile, file))
    assert (got.kind, got.date, got.counts, got.file) == (kind, date, counts, file)
    assert list(got.profile) == ["total", "packing", "waiting", "unpacking"]
    assert list(got.profile.values()) == [nanoseconds / 1e9 for nanoseconds in profile]


def test_plan_by_hand() -> None:
    """Of each patch nx, ny, the model's side (sources to a worker, else targets), sign, other."""
    field = FieldSpec("u", "U", "vector_i", "zero", 3, "case.yaml:1")
    patch = Patch(ny=2, nx=5, target_y=7, target_x=8, source_y=3, source_x=4, step_y=0, step_x=1)
    message = Message(0, (FieldRoute(field, (patch,)), FieldRoute(field, ())))
    chunks = ((Piece(0, 0, 2),), (Piece(0, 2, 1), Piece(1, 0, 3)))
    to_worker = encode_plan(6, message, True, chunks=chunks).tolist()
    assert to_worker[:13] == [6, 0, 1, 5, 2, 4, 3, 1, 0, 1, 8, 7, 0]
    assert to_worker[13:] == [2, 1, 1, 1, 2, 2, 1, 3, 1, 2, 1, 3]
    to_model = encode_plan(6, message, to_worker=False)
    assert to_model.tolist() == [6, 0, 1, 5, 2, 8, 7, 1, 1, 1, 4, 3, 0, 0]
    assert message.values == 30


def test_treatment_by_hand() -> None:
    """Operation, levels, and the bits of two doubles; no offset is -0.0, which changes no value."""
    field = FieldSpec("u", "U", "vector_i", "zero", 3, "case.yaml:1")
    assert encode_treatment(field) == [0, 1, 3, 0x3FF0000000000000, -(2**63)]
    field = replace(field, first_level=4, time="max", scale=-2.0, offset=0.5)
    assert encode_treatment(field) == [4, 4, 6, 0xC000000000000000 - 2**64, 0x3FE0000000000000]


def test_plan_of_an_index_list_by_hand() -> None:
    field = FieldSpec("u", "U", "vector_i", "zero", 3, "case.yaml:1")
    y, width, x, place = (np.array([number], np.int32) for number in (7, 5, 8, 4))
    step, sign = (np.array([number], np.int8) for number in (-1, -1))
    columns = RowColumns(y, width, x, place, step, sign)
    rows = Rows(columns, to_worker=True)
    message = Message(0, (FieldRoute(field, rows), FieldRoute(field, ())))
    row = [4 * 2**32 + 5, 7 * 2**32 + 8 * 8 + 0 * 2 + 1]
    assert encode_plan(6, message, to_worker=True).tolist() == [6, 0, -1, *row, 0, 0]
    assert message.values == 15
    assert list(rows) == [Patch(1, 5, 7, 8, 0, 4, 1, -1, -1)]
    assert list(Rows(columns, to_worker=False)) == [Patch(1, 5, 0, 4, 7, 8, 1, -1, -1)]
