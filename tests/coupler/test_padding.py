# SPDX-License-Identifier: MIT
"""Padded arrays made from global ones are those that a coupled worker receives, bit for bit."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import shown
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.padding import Padding
from coupler.routing.router import owned_cells, route_to_worker
from coupler.spec import FieldSpec, GridSpec
from coupling_cases import examples, partitions

KINDS = st.sampled_from(["scalar", "vector_i", "vector_j", "east"])


@st.composite
def cases(draw: st.DrawFn) -> tuple[GridSpec, FieldSpec, int]:
    nx, ny, halo = draw(st.integers(1, 4)) * 2, draw(st.integers(2, 7)), draw(st.integers(0, 9))
    sides = draw(st.sampled_from([("closed", "closed"), ("periodic", "closed"), ("closed",) * 2]))
    north = draw(st.sampled_from([None, "T", "F"])) if sides[0] == "periodic" else None
    fills = ["zero", "replicate", "reflect"]
    if north is not None:
        halo = min(halo, ny - 1)  # as the spec's reader demands of reflect
    point, kind, fill = draw(st.sampled_from("TUVF")), draw(KINDS), draw(st.sampled_from(fills))
    return (
        GridSpec("grid", nx, ny, 2, *sides, north),
        FieldSpec("a", point, kind, fill, 2, ""),
        halo,
    )


@settings(max_examples=examples(200))
@given(st.data(), cases())
def test_padding_is_what_a_worker_receives(
    data: st.DataObject, case: tuple[GridSpec, FieldSpec, int]
) -> None:
    grid, field, halo = case
    boxes = data.draw(partitions(grid.nx, grid.ny))
    kept = [box for box in boxes if not box.cells or data.draw(st.integers(0, 4))] or boxes
    model = Decomposition.from_boxes("model", grid.nx, grid.ny, kept)
    box = data.draw(st.sampled_from([box for box in boxes if box.cells]))
    has = np.zeros((grid.ny, grid.nx), bool)
    for part in kept:
        has[part.y0 : part.y1, part.x0 : part.x1] = True
    values = np.random.default_rng(1).normal(size=(2, grid.ny, grid.nx)) * has
    wide = box.padded(halo)
    expected = np.zeros((2, wide.ny, wide.nx))
    for y, x in np.ndindex(expected.shape[1:]):
        cell = shown(grid, field, wide.x0 + x, wide.y0 + y)
        if cell is not None and has[cell[:2]]:
            expected[:, y, x] = cell[2] * values[:, *cell[:2]]
    padding = Padding.of(field, grid, box, halo, has)
    got = padding.pad(values)
    np.testing.assert_array_equal(got.view(np.int64), expected.view(np.int64))
    filled = {m.partner for m in route_to_worker((field,), grid, model, box, halo)}
    owners = {number for number, part in enumerate(kept) if part.cells}
    assert bool((padding.cell >= 0).any()) == bool(filled)
    assert filled <= owners


@settings(max_examples=examples(100))
@given(cases())
def test_what_a_run_records_as_owned_is_enough(case: tuple[GridSpec, FieldSpec, int]) -> None:
    """Padded from what one worker saw, whatever lay in the cells that are images in the grid."""
    grid, field, halo = case
    whole = Decomposition.from_boxes("model", grid.nx, grid.ny, partition_of(grid))
    box = whole.box(0)
    seen = Padding.of(field, grid, box, 0).pad(
        np.random.default_rng(2).normal(size=(2, grid.ny, grid.nx))
    )
    owned = owned_cells(grid, whole, box, 0)
    padded = Padding.of(field, grid, box, halo, owned).pad(seen)
    inner = padded[:, halo : halo + grid.ny, halo : halo + grid.nx]
    np.testing.assert_array_equal(inner, seen)


def partition_of(grid: GridSpec) -> list[Box]:
    return [Box(0, grid.nx, 0, grid.ny)]
