# SPDX-License-Identifier: MIT
"""Where integrals are conserved every cell is counted by one rank, and corrected by all that show
it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import shown
from coupler.regridding.areas import answer_areas, input_areas
from coupler.regridding.regrid import plan_exchange
from coupler.routing.decomposition import Box, answer_split
from coupler.spec import ExchangeSpec, FieldSpec, GridSpec, RegridSpec
from coupler.weights import Weights, WeightsError, weights_of
from coupling_cases import examples, halos, model_decompositions, sizes, worker_decompositions
from regrid_cases import random_weights, worker_grids

FIELDS = (
    FieldSpec("t", "T", "scalar", "replicate", 1, "case.yaml:1"),
    FieldSpec("u", "U", "vector_i", "zero", 1, "case.yaml:2"),
    FieldSpec("masked", "T", "scalar", "zero", 1, "case.yaml:3", masks=("mask",)),
    FieldSpec("mask", "T", "scalar", "zero", 1, "case.yaml:4"),
)


def exchange_of(model: GridSpec, worker: GridSpec, halo: int) -> ExchangeSpec:
    regrid = RegridSpec(
        worker, None, "auto", None, "fraction", 7.0, "case.yaml:5", conserve="global"
    )
    kinds = ("float64", "messages", True)
    return ExchangeSpec(
        "model", "worker", model, 1, 0, halo, *kinds, FIELDS, (), "case.yaml:6", regrid=regrid
    )


def weights_with_areas(seed: int, source: tuple[int, int], target: tuple[int, int]) -> Weights:
    """Many sources without a link, some cells without an area."""
    made = random_weights(seed, source, target, most=2)
    rng = np.random.default_rng(seed)
    fraction = np.where(made.mapped, rng.uniform(0.5, 1, made.target_cells), 0.0)
    areas = [
        rng.uniform(1, 2, n) * (rng.random(n) < 0.8) for n in (made.source_cells, made.target_cells)
    ]
    links = made.target, made.source, made.value
    return weights_of(source, target, *links, fraction, *areas)


def test_scalars_at_t_points_without_a_mask_are_conserved() -> None:
    grids = (GridSpec(name, 2, 2, 1, "closed", "closed") for name in ("model", "worker"))
    exchange = exchange_of(*grids, 0)
    assert exchange.conserved == FIELDS[:1]
    assert exchange.regrid is not None
    without = replace(exchange, regrid=replace(exchange.regrid, conserve=None))
    assert without.conserved == ()


@settings(max_examples=examples(60))
@given(st.data(), sizes, sizes, worker_grids(), halos, st.integers(0, 2**32))
def test_to_the_worker_every_cell_is_counted_once(
    data: st.DataObject, nx: int, ny: int, grid: GridSpec, halo: int, seed: int
) -> None:
    """Also where the model has dropped what one of its ranks would own."""
    model = GridSpec("model", nx, ny, 1, "closed", "closed")
    weights = weights_with_areas(seed, (ny, nx), (grid.ny, grid.nx))
    exchange = exchange_of(model, grid, halo)
    split = data.draw(model_decompositions(nx, ny))
    dropped = data.draw(st.integers(0, split.ranks))
    owners = replace(
        split, edges=np.delete(split.edges, slice(dropped, dropped + 1), 1), holes=True
    )
    has = np.zeros((ny, nx), bool)
    for box in map(owners.box, range(owners.ranks)):
        has[box.y0 : box.y1, box.x0 : box.x1] = True
    linked = np.zeros(weights.target_cells, bool)
    linked[weights.target[has.ravel()[weights.source] & (weights.value != 0)]] = True
    area = (weights.counted_area() * linked).reshape(grid.ny, grid.nx)

    counted, summed = np.zeros(nx * ny), np.zeros((grid.ny, grid.nx))
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    for rank in range(workers.ranks):
        box = workers.box(rank)
        plan = plan_exchange(exchange, lambda _: weights, box, True)
        mine = input_areas(exchange, lambda _: weights, plan, box, owners)["t"]
        sources = plan.sources["T"]
        assert not mine.source[~sources.needed].any()
        cells = sources.y[:, None] * nx + sources.x
        counted[cells.ravel()] += mine.source.ravel()
        if not box.cells:
            continue
        padded = box.padded(halo)
        own = np.s_[halo : halo + box.ny, halo : halo + box.nx]
        summed[box.y0 : box.y1, box.x0 : box.x1] += mine.target[own]
        assert mine.target.sum() == pytest.approx(mine.target[own].sum())
        for y, x in np.ndindex(padded.ny, padded.nx):
            cell = shown(grid, FIELDS[0], padded.x0 + x, padded.y0 + y)
            assert mine.corrected[y, x] == (cell is not None and area[cell[:2]] > 0)
    np.testing.assert_array_equal(counted, weights.source_area)
    itself = [shown(grid, FIELDS[0], x, y)[:2] == (y, x) for y, x in np.ndindex(area.shape)]
    np.testing.assert_array_equal(summed, np.where(np.reshape(itself, area.shape), area, 0.0))


@settings(max_examples=examples(40))
@given(st.data(), sizes, sizes, worker_grids(), st.integers(0, 2**32))
def test_of_answers_every_cell_is_counted_once(
    data: st.DataObject, nx: int, ny: int, grid: GridSpec, seed: int
) -> None:
    model = GridSpec("model", nx, ny, 1, "closed", "closed")
    weights = weights_with_areas(seed, (grid.ny, grid.nx), (ny, nx))
    exchange = exchange_of(model, grid, 0)
    workers = data.draw(worker_decompositions(grid.nx, grid.ny))
    split = answer_split(workers, nx, ny)
    counted, summed = np.zeros((grid.ny, grid.nx)), np.zeros((ny, nx))
    for rank in range(workers.ranks):
        box, answered = workers.box(rank), split.box(rank)
        mine = answer_areas(exchange, lambda _: weights, box, answered)["t"]
        counted[box.y0 : box.y1, box.x0 : box.x1] += mine.source
        summed[answered.y0 : answered.y1, answered.x0 : answered.x1] += mine.target
        np.testing.assert_array_equal(mine.corrected, mine.target > 0)
    assert weights.source_area is not None
    np.testing.assert_array_equal(counted, weights.source_area.reshape(counted.shape))
    np.testing.assert_array_equal(summed, weights.counted_area().reshape(summed.shape))


def test_answers_that_a_fold_repeats_are_corrected_and_not_counted() -> None:
    model = GridSpec("model", 4, 2, 1, "periodic", "closed", "T")
    worker = GridSpec("worker", 7, 1, 1, "closed", "closed")
    area = np.array([1.0, 1, 1, 1, 1, 1, 1, 0])  # the last one repeats that before the pivot
    links = np.arange(7), np.arange(7), np.ones(7)
    weights = weights_of((1, 7), (2, 4), *links, None, np.ones(7), area)
    exchange = exchange_of(model, worker, 0)
    mine = answer_areas(exchange, lambda _: weights, Box(0, 7, 0, 1), Box(0, 4, 0, 2))["t"]
    assert mine.target.ravel().tolist() == area.tolist()
    assert mine.corrected.all()


@pytest.mark.parametrize("to_worker", [True, False])
def test_weights_without_areas_conserve_nothing(to_worker: bool) -> None:
    grids = [GridSpec(name, 2, 1, 1, "closed", "closed") for name in ("model", "worker")]
    weights = weights_of((1, 2), (1, 2), [0, 1], [0, 1], [1.0, 1.0])
    exchange = exchange_of(*grids, 0)
    with pytest.raises(WeightsError, match=r"case.yaml:5: conserve needs areas"):
        plan_exchange(exchange, lambda _: weights, Box(0, 2, 0, 1), to_worker)
