# SPDX-License-Identifier: MIT
"""Regridding on one rank against slices of the globally regridded field, bit for bit: every message
is planned, packed and unpacked in one process."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import shown
from coupler.regridding.regrid import (
    Sources,
    own_cells,
    owned_targets,
    plan_exchange,
    plan_rows,
    route_inputs,
)
from coupler.routing.decomposition import Box, answer_split, decompose
from coupler.routing.router import route_cells
from coupler.spec import ExchangeSpec, FieldSpec, GridSpec, Normalisation, RegridSpec
from coupler.transport.packing import unpack, whole
from coupler.weights import Weights, WeightsError, apply, weights_of
from coupling_cases import examples, halos, sizes, worker_decompositions
from regrid_cases import owners_of, random_weights, sent, some_fields, worker_grids


def exchange_of(
    model: GridSpec,
    worker: GridSpec,
    fields: tuple[FieldSpec, ...],
    halo: int = 0,
    fallback: Literal["nearest"] | float = 7.0,
    normalisation: Normalisation = "fraction",
) -> ExchangeSpec:
    regrid = RegridSpec(worker, None, "auto", None, normalisation, fallback, "case.yaml:2")
    numbers = (1, 0, halo)
    kinds = ("float64", "messages", True)
    return ExchangeSpec(
        "model", "worker", model, *numbers, *kinds, fields, (), "case.yaml:3", regrid=regrid
    )


def expected(
    weights: Weights, grid: GridSpec, field: FieldSpec, source: np.ndarray, box, fallback: float
) -> np.ndarray:
    """The padded box (level, y, x), cell by cell from the globally regridded field."""
    whole_grid = apply(weights, source)
    whole_grid[:, ~weights.mapped.reshape(weights.target_shape)] = fallback
    array = np.zeros((len(source), box.ny, box.nx))
    for y, x in np.ndindex(box.ny, box.nx):
        cell = shown(grid, field, box.x0 + x, box.y0 + y)
        if cell is not None:
            array[:, y, x] = cell[2] * whole_grid[:, cell[0], cell[1]]
    return array


def bits(array: np.ndarray) -> np.ndarray:
    """Of float64, with one zero."""
    return (array + 0.0).view(np.int64)


@settings(max_examples=examples(60))
@given(st.data(), sizes, sizes, worker_grids(), halos, some_fields(), st.integers(0, 2**32))
def test_padded_boxes_are_slices_of_the_globally_regridded_field(
    data: st.DataObject,
    nx: int,
    ny: int,
    grid: GridSpec,
    halo: int,
    fields: tuple[FieldSpec, ...],
    seed: int,
) -> None:
    model = GridSpec("model", nx, ny, 2, "closed", "closed")
    shapes = (ny, nx), (grid.ny, grid.nx)
    weights = {point: random_weights(seed + n, *shapes) for n, point in enumerate("TUVF")}
    owners, cells = data.draw(owners_of(nx, ny))
    rng = np.random.default_rng(seed)
    sources = {f.name: rng.normal(size=(f.levels, ny, nx)) for f in fields}
    exchange = exchange_of(model, grid, fields, halo)
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    for rank in range(workers.ranks):
        box = workers.box(rank)
        plan = plan_exchange(exchange, lambda f: weights[f.point], box, True)
        messages = route_inputs(fields, exchange, owners, box, plan)
        gathered = {
            f.name: np.full((f.levels, *plan.sources[f.point].shape), np.nan) for f in fields
        }
        for message in messages:
            mine = cells[message.partner]
            arrays = [sources[f.name].reshape(f.levels, -1)[:, mine] for f in fields]
            unpack(message, whole(message), sent(message, arrays), gathered)
        for field in fields:
            needed = plan.sources[field.point].needed
            got = gathered[field.name]
            np.testing.assert_array_equal(~np.isnan(got), np.broadcast_to(needed, got.shape))
            got[np.isnan(got)] = 0.0  # as the array is before
            padded = box.padded(halo)
            filled = np.empty((field.levels, padded.ny, padded.nx))
            plan.fields[field.name].fill(got, filled)
            want = expected(weights[field.point], grid, field, sources[field.name], padded, 7.0)
            np.testing.assert_array_equal(bits(filled), bits(want))
        if box.cells:
            mapped = weights["T"].mapped.reshape(grid.ny, grid.nx)
            like = FieldSpec("t", "T", "scalar", "zero", 1, "")
            marks = [
                (cell := shown(grid, like, padded.x0 + x, padded.y0 + y)) is not None
                and bool(mapped[cell[:2]])
                for y, x in np.ndindex(padded.ny, padded.nx)
            ]
            owned = owned_targets(plan, model, owners)
            np.testing.assert_array_equal(owned.ravel(), marks)


@settings(max_examples=examples(50))
@given(st.data(), sizes, sizes, worker_grids(), some_fields(), st.integers(0, 2**32))
def test_every_cell_of_the_model_is_answered_once_from_cells_that_several_ranks_have(
    data: st.DataObject,
    nx: int,
    ny: int,
    grid: GridSpec,
    fields: tuple[FieldSpec, ...],
    seed: int,
) -> None:
    model = GridSpec("model", nx, ny, 2, "closed", "closed")
    shapes = (grid.ny, grid.nx), (ny, nx)
    weights = {point: random_weights(seed + n, *shapes) for n, point in enumerate("TUVF")}
    rng = np.random.default_rng(seed)
    answers = {f.name: rng.normal(size=(f.levels, grid.ny, grid.nx)) for f in fields}
    exchange = exchange_of(model, grid, fields)
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    split = answer_split(workers, nx, ny)
    got = {f.name: np.zeros((f.levels, ny, nx)) for f in fields}
    count = np.zeros((ny, nx), int)
    for rank in range(workers.ranks):
        box = split.box(rank)
        assert workers.box(rank).cells or not box.cells  # only ranks with a step answer
        plan = plan_exchange(exchange, lambda f: weights[f.point], box, False)
        needs = [plan.sources[f.point].rectangles() for f in fields]
        gathered = {f.name: np.zeros((f.levels, *plan.sources[f.point].shape)) for f in fields}
        for message in route_cells(fields, needs, grid, workers):
            b = workers.box(message.partner)
            arrays = [answers[f.name][:, b.y0 : b.y1, b.x0 : b.x1] for f in fields]
            unpack(message, whole(message), sent(message, arrays), gathered)
        here = np.s_[box.y0 : box.y1, box.x0 : box.x1]
        count[here] += 1
        for field in fields:
            mine = got[field.name][:, *here]
            plan.fields[field.name].fill(gathered[field.name], mine)
    assert (count == 1).all()
    for field in fields:
        want = apply(weights[field.point], answers[field.name])
        want[:, ~weights[field.point].mapped.reshape(ny, nx)] = 7.0
        np.testing.assert_array_equal(bits(got[field.name]), bits(want))


@given(st.data(), st.integers(1, 12), st.integers(1, 9))
def test_sources_are_asked_for_once_and_only_where_they_are_needed(
    data: st.DataObject, nx: int, ny: int
) -> None:
    cells = np.array(data.draw(st.lists(st.integers(0, nx * ny - 1))), np.int64)
    sources = Sources.of(cells, nx)
    came = np.full(sources.shape, -1)
    for r in sources.rectangles():
        for j in range(r.y.length):
            for i in range(r.x.length):
                assert came[r.y.target + j, r.x.target + i] == -1
                cell = (r.y.source + j) * nx + r.x.source + i
                came[r.y.target + j, r.x.target + i] = cell
    assert sorted(came[came >= 0]) == sorted(set(cells.tolist()))
    np.testing.assert_array_equal(came.ravel()[sources.places(cells)], cells)


@pytest.mark.parametrize("normalisation", get_args(Normalisation))
def test_a_mask_says_what_counts(normalisation: Normalisation) -> None:
    """Two cells are the mean of two each; of the first pair one is masked, and holds NaN."""
    weights = weights_of((1, 6), (1, 3), [0, 0, 1, 1, 2, 2], range(6), [0.5] * 6)
    model = GridSpec("model", 6, 1, 2, "closed", "closed")
    worker = GridSpec("worker", 3, 1, 2, "closed", "closed")
    field = FieldSpec("a", "T", "scalar", "zero", 2, "", masks=("m",))
    exchange = exchange_of(model, worker, (field,), fallback=-1.0, normalisation=normalisation)
    box = decompose("worker", 3, 1, 1).box(0)
    plan = plan_exchange(exchange, lambda _: weights, box, True)
    values = np.array([[[np.nan, 4.0, 2.0, 8.0, 5.0, np.inf]], [[1.0, 3.0, 2.0, 8.0, 5.0, 7.0]]])
    flat = np.array([[[0.0, 1.0, 1.0, 1.0, 0.0, 0.0]]])
    filled = np.zeros((2, 1, 3))
    plan.fields["a"].fill(values, filled, [flat])
    whole_cell = normalisation == "fraction"
    first = [4.0, 3.0] if whole_cell else [2.0, 1.5]
    assert filled.tolist() == [[[first[0], 5.0, -1.0]], [[first[1], 5.0, -1.0]]]
    deep = np.concatenate((flat, np.array([[[1.0, 0.0, 0.5, 0.5, 1.0, 1.0]]])))
    plan.fields["a"].fill(values, filled, [deep])
    second = [1.0, 5.0, 6.0] if whole_cell else [0.5, 2.5, 6.0]
    assert filled.tolist() == [[[first[0], 5.0, -1.0]], [second]]
    areas = np.array([[[9.0, 9.0, 0.25, 0.75, 9.0, 9.0]]])
    plan.fields["a"].fill(values, filled, [flat, areas])
    if whole_cell:
        assert filled.tolist() == [[[4.0, 6.5, -1.0]], [[3.0, 6.5, -1.0]]]


def test_cells_without_a_source_are_an_error_where_nothing_says_what_they_hold() -> None:
    weights = weights_of((1, 2), (1, 2), [0], [1], [1.0])
    grids = [GridSpec(name, 2, 1, 2, "closed", "closed") for name in ("model", "worker")]
    field = FieldSpec("a", "T", "scalar", "zero", 1, "case.yaml:9")
    for fallback, other in ((np.nan, "nearest, or a number"), ("nearest", "a number, as nearest")):
        exchange = exchange_of(*grids, (field,), fallback=fallback)
        text = rf"case.yaml:9: field 'a': 1 of 2 cells .*fallback \({other}"
        with pytest.raises(WeightsError, match=text):
            plan_exchange(exchange, lambda _: weights, decompose("w", 2, 1, 1).box(0), True)


def test_sums_go_from_the_first_link_to_the_last() -> None:
    """In any other order the two large terms would not be the last to cancel."""
    weights = weights_of((1, 3), (1, 1), [0, 0, 0], [0, 1, 2], [1.0, 1.0, 1.0])
    field = FieldSpec("a", "T", "scalar", "zero", 1, "")
    box = decompose("w", 1, 1, 1).box(0)
    plan = plan_rows((field,), lambda _: own_cells(box, 1), lambda _: weights)
    filled = np.zeros((1, 1, 1))
    plan.fields["a"].fill(np.array([[[1.0, 1e17, -1e17]]]), filled)
    assert filled.item() == 0.0
    plan.fields["a"].fill(np.array([[[1e17, -1e17, 1.0]]]), filled)
    assert filled.item() == 1.0


@pytest.mark.parametrize("kind", ["scalar", "vector_j"])
@pytest.mark.parametrize("parts", [1, 3])
def test_cells_that_a_fold_repeats_get_the_answers_of_those_that_they_repeat(
    kind: Literal["scalar", "vector_j"], parts: int
) -> None:
    """About a T point the last row meets itself; weights leave out its right half."""
    model = GridSpec("model", 6, 3, 2, "periodic", "closed", "T")
    cells = [cell for cell in range(18) if cell not in (1, 16, 17)]  # 1 is land
    weights = weights_of((1, 15), (3, 6), cells, np.arange(15), np.ones(15))
    field = FieldSpec("t", "T", kind, "zero", 1, "case.yaml:1")
    exchange = exchange_of(model, GridSpec("worker", 15, 1, 2, "closed", "closed"), (field,))
    got = np.zeros((1, 3, 6))
    for x0 in range(0, 6, 6 // parts):
        box = Box(x0, x0 + 6 // parts, 0, 3)
        plan = plan_exchange(exchange, lambda _: weights, box, False)
        gathered = (1.0 + plan.sources["T"].x)[None, None]
        plan.fields["t"].fill(gathered, got[:, :, box.x0 : box.x1])
    sign = 1 if kind == "scalar" else -1
    last = [12.0, 13.0, 14.0, 15.0, sign * 14.0, sign * 13.0]
    assert got[0].tolist() == [[1.0, 7.0, 2.0, 3.0, 4.0, 5.0], list(range(6, 12)), last]
