# SPDX-License-Identifier: MIT
"""A plan carried out in one process: what a worker's padded arrays hold, from global fields."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.decomposition import Box, Decomposition
from coupler.router import CELLS, route_to_worker
from coupler.spec import FieldSpec, GridSpec

Array = NDArray[Any]


def filled(
    fields: tuple[FieldSpec, ...],
    grid: GridSpec,
    model: Decomposition,
    box: Box,
    halo: int,
    whole: Mapping[str, Array],
) -> dict[str, Array]:
    """Arrays (level, y, x) of `box` and its halo, from the global fields `whole` (level, y, x).

    The messages are those that the ranks of `model` would send; cells that nobody owns are 0.
    """
    padded = box.padded(halo)
    arrays = {
        field.name: np.zeros(
            (len(whole[field.name]), padded.ny, padded.nx), whole[field.name].dtype
        )
        for field in fields
    }
    for message in route_to_worker(fields, grid, model, box, halo):
        owner = model.box(message.partner)
        for route in message.routes:
            source, target = whole[route.field.name], arrays[route.field.name]
            for p in route.patches:
                y = owner.y0 + p.source_y + p.step_y * np.arange(p.ny)
                x = owner.x0 + p.source_x + p.step_x * np.arange(p.nx)
                rows = slice(p.target_y, p.target_y + p.ny)
                values = source[:, y[:, None], x]
                target[:, rows, p.target_x : p.target_x + p.nx] = p.sign * values
    return arrays


def cell_numbers(grid: GridSpec, model: Decomposition, box: Box, halo: int) -> NDArray[np.int64]:
    """(y, x) of `box` and its halo: number x + y * nx of the cell shown, -1 where there is none."""
    numbers = 1 + np.arange(grid.nx * grid.ny).reshape(1, grid.ny, grid.nx)
    shown: NDArray[np.int64] = filled((CELLS,), grid, model, box, halo, {CELLS.name: numbers})[
        CELLS.name
    ][0]
    return shown - 1
