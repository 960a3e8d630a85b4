# SPDX-License-Identifier: MIT
"""Runs of one axis against the definition: index by index."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.routing.boundary import AxisFill, axis_fill, axis_runs
from coupler.spec import FieldSpec

policies = st.sampled_from(["zero", "replicate"])


def source_of(index: int, size: int, boundary: str, fill: AxisFill) -> int | None:
    """The cell that padded index `index` shows, None for a cell without owner."""
    if boundary == "periodic":
        while index < 0:
            index += size
        while index >= size:
            index -= size
        return index
    if index < 0:
        return 0 if fill.below == "replicate" else None
    if index >= size:
        return size - 1 if fill.above == "replicate" else None
    return index


@given(
    size=st.integers(1, 12),
    start=st.integers(0, 11),
    length=st.integers(1, 12),
    halo=st.integers(0, 40),
    boundary=st.sampled_from(["closed", "periodic"]),
    below=policies,
    above=policies,
)
def test_runs_name_the_source_of_every_index_once(
    size: int, start: int, length: int, halo: int, boundary: str, below: str, above: str
) -> None:
    start = min(start, size - 1)
    low, high = start - halo, min(start + length, size) + halo
    fill = AxisFill(below, above)
    runs = axis_runs(low, high, size, boundary, fill)
    found: dict[int, int] = {}
    for run in runs:
        assert run.length > 0
        assert run.step in (0, 1)
        for n in range(run.length):
            assert run.target + n not in found
            found[run.target + n] = run.source + n * run.step
    expected = {
        index - low: source
        for index in range(low, high)
        if (source := source_of(index, size, boundary, fill)) is not None
    }
    assert found == expected
    assert [run.target for run in runs] == sorted(run.target for run in runs)


def test_halo_of_two_cells_at_a_closed_wall() -> None:
    runs = axis_runs(-2, 4, 3, "closed", AxisFill("replicate", "zero"))
    assert [(r.target, r.length, r.source, r.step) for r in runs] == [(0, 2, 0, 0), (2, 3, 0, 1)]


@pytest.mark.parametrize(
    ("point", "kind", "in_x", "in_y"),
    [
        # u is 0 on the west wall, which is no cell of the array, and v on the south wall
        ("U", "vector_i", ("zero", "replicate"), ("replicate", "replicate")),
        ("V", "vector_j", ("replicate", "replicate"), ("zero", "replicate")),
        ("T", "scalar", ("replicate", "replicate"), ("replicate", "replicate")),
        ("U", "scalar", ("replicate", "replicate"), ("replicate", "replicate")),
        ("T", "vector_i", ("replicate", "replicate"), ("replicate", "replicate")),
        ("V", "vector_i", ("replicate", "replicate"), ("replicate", "replicate")),
        ("F", "vector_j", ("replicate", "replicate"), ("replicate", "replicate")),
    ],
)
def test_no_flow_through_the_west_and_south_walls(
    point: str, kind: str, in_x: tuple[str, str], in_y: tuple[str, str]
) -> None:
    field = FieldSpec("u", point, kind, "replicate", 1, "case.yaml:1")
    for axis, expected in (("x", in_x), ("y", in_y)):
        fill = axis_fill(field, axis)
        assert (fill.below, fill.above) == expected
    nothing = FieldSpec("u", point, kind, "zero", 1, "case.yaml:1")
    for fill in (axis_fill(nothing, "x"), axis_fill(nothing, "y")):
        assert (fill.below, fill.above) == ("zero", "zero")
