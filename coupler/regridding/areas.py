# SPDX-License-Identifier: MIT
"""What each rank's cells count with where integrals are conserved. No MPI.

Every cell of both grids is counted by one rank, however many have it in a halo.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.regridding.regrid import (
    Plan,
    WeightsOf,
    answered_cells,
    counted_sources,
    owned_targets,
    shown_cells,
)
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.points import Owners
from coupler.spec import ExchangeSpec


@dataclass(frozen=True)
class Areas:
    """Of one field on one rank, (y, x) of its arrays."""

    source: NDArray[np.float64]  # [m2]; 0: another rank counts the cell, or none does
    target: NDArray[np.float64]
    corrected: NDArray[np.bool_]  # of the target; a halo, too: it shows cells that are corrected


def answer_areas(
    exchange: ExchangeSpec, weights_of: WeightsOf, worker: Box, model: Box
) -> Mapping[str, Areas]:
    """`worker`: this rank's cells of its grid; `model`: the cells that it answers for."""
    found = {}
    for field in exchange.conserved:
        weights = weights_of(field)
        assert weights.source_area is not None
        source = weights.source_area.reshape(weights.source_shape)
        area = weights.counted_area()
        target = area.reshape(weights.target_shape)[model.y0 : model.y1, model.x0 : model.x1]
        source = source[worker.y0 : worker.y1, worker.x0 : worker.x1]
        cells, _ = answered_cells(field, weights, exchange.grid, model)
        found[field.name] = Areas(source, target, area[cells] > 0)
    return found


def input_areas(
    exchange: ExchangeSpec,
    weights_of: WeightsOf,
    plan: Plan,
    box: Box,
    model: Decomposition | Owners,
) -> Mapping[str, Areas]:
    """`box`: this rank's cells of the worker's grid. Sources are cells that its `plan` asks for;
    targets that the model has no cell for are not corrected."""
    found = {}
    padded = box.padded(exchange.halo)
    for field in exchange.conserved:
        weights = weights_of(field)
        assert weights.source_area is not None
        sources, counted = plan.sources[field.point], counted_sources(weights, box)
        source = np.zeros(sources.shape)
        source.ravel()[sources.places(counted)] = weights.source_area[counted]
        cells, _ = shown_cells(field, exchange.worker_grid, padded)
        area = np.where(cells >= 0, weights.counted_area()[cells], 0.0)
        area *= owned_targets(plan, exchange.grid, model, field.name)
        # a halo and the fold's second copies of a row show cells that are counted elsewhere
        y, x = np.ogrid[padded.y0 : padded.y1, padded.x0 : padded.x1]
        own = (box.y0 <= y) & (y < box.y1) & (box.x0 <= x) & (x < box.x1)
        own &= cells == y * exchange.worker_grid.nx + x
        found[field.name] = Areas(source, np.where(own, area, 0.0), area > 0)
    return found
