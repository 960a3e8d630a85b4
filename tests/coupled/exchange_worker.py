# SPDX-License-Identifier: MIT
"""The partner of exchange_model: every padded cell is compared with its formula, cell by cell."""

import sys

import numpy as np
from mpi4py import MPI

from coupler import Component
from coupler.spec import ExchangeSpec, FieldSpec


def value(date: int, number: int, i: int, j: int, k: int) -> float:
    return date % 991 + 7 * number + 13 * i + 1009 * j + 3 * k


def source(index: int, size: int, boundary: str, fill: str) -> int | None:
    """The cell of the grid that padded index `index` shows, from 0; None for zero."""
    if boundary == "periodic":
        return index % size
    if fill == "zero" and not 0 <= index < size:
        return None
    return min(max(index, 0), size - 1)


def expected(
    component: Component, exchange: ExchangeSpec, field: FieldSpec, date: int, number: int
) -> np.ndarray:
    box, halo, grid = component.box, exchange.halo, exchange.grid
    array = np.zeros((field.levels, box.ny + 2 * halo, box.nx + 2 * halo), exchange.wire)
    for y in range(array.shape[1]):
        for x in range(array.shape[2]):
            i = source(box.x0 - halo + x, grid.nx, grid.boundary_x, field.fill)
            j = source(box.y0 - halo + y, grid.ny, grid.boundary_y, field.fill)
            if i is not None and j is not None:
                for k in range(field.levels):
                    array[k, y, x] = value(date, number, i + 1, j + 1, k + 1)
    return array


def main(spec: str) -> None:
    with Component("worker", spec, MPI.COMM_WORLD) as worker:
        exchange = worker.spec.exchanges[0]
        fields = {field.name: field for field in exchange.fields}
        if worker.box.cells:
            flat = expected(worker, exchange, exchange.static[0], 1, 3)
            np.testing.assert_array_equal(worker.static["flat"], flat)
        for step in worker.steps():
            for number, name in enumerate(("a", "b"), start=1):
                want = expected(worker, exchange, fields[name], step.date, number)
                np.testing.assert_array_equal(step[name], want, f"{name} at {step.date}")
            answer = step["a"] * 2 + 1
            step["a"][...] = np.nan  # a network may overwrite its input
            step["answer"] = answer


main(sys.argv[1])
