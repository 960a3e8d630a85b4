# SPDX-License-Identifier: MIT
"""The partner of points_model: every padded cell is compared with its formula, cell by cell.

lists.txt says which cells have an owner: the others are zero. Usage: points_worker.py SPEC
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from cells import shown
from mpi4py import MPI

from coupler import Component
from coupler.spec import FieldSpec

NUMBERS = {"a": 1, "u": 2, "flat": 3}  # of each field, in points_model


def owned_cells(nx: int) -> set[tuple[int, int]]:
    """(y, x) from 0"""
    lines = [line.split() for line in Path("lists.txt").read_text().splitlines()]
    return {divmod(int(index) - 1, nx) for line in lines for index in line[1:]}


def expected(worker: Component, field: FieldSpec, date: int) -> np.ndarray:
    exchange = worker.spec.incoming("worker")[0]
    grid, padded = exchange.grid, worker.box.padded(exchange.halo)
    owned = owned_cells(grid.nx)
    array = np.zeros((field.levels, padded.ny, padded.nx), exchange.wire)
    for y in range(padded.ny):
        for x in range(padded.nx):
            found = shown(grid, field, padded.x0 + x, padded.y0 + y)
            if found is not None and found[:2] in owned:
                j, i, sign = found
                for k in range(field.levels):
                    value = date % 991 + 7 * NUMBERS[field.name] + 13 * (i + 1) + 1009 * (j + 1)
                    array[k, y, x] = sign * (value + 3 * (k + 1))
    return array


def numbers(worker: Component, mask: FieldSpec) -> np.ndarray:
    """The number of the cell whose T point each padded cell shows, -1 for nobody's."""
    exchange = worker.spec.incoming("worker")[0]
    grid, padded = exchange.grid, worker.box.padded(exchange.halo)
    owned = owned_cells(grid.nx)
    array = np.full((padded.ny, padded.nx), -1, np.int64)
    for y, x in np.ndindex(array.shape):
        found = shown(grid, mask, padded.x0 + x, padded.y0 + y)
        if found is not None and found[:2] in owned:
            array[y, x] = found[1] + found[0] * grid.nx
    return array


def main(spec: str) -> None:
    with Component("worker", spec, MPI.COMM_WORLD) as worker:
        exchange = worker.spec.incoming("worker")[0]
        if worker.box.cells:
            (static,) = exchange.static
            np.testing.assert_array_equal(worker.static["flat"], expected(worker, static, 1))
            mask = FieldSpec("a", "T", "scalar", "zero", 1, "")
            np.testing.assert_array_equal(worker.owned, expected(worker, mask, 0)[0] != 0)
            np.testing.assert_array_equal(worker.cells, numbers(worker, mask))
        for step in worker.steps():
            for field in exchange.fields:
                want = expected(worker, field, step.date)
                np.testing.assert_array_equal(step[field.name], want, f"{field} {step.date}")
                step[field.name][:, ~worker.owned] += 5  # a network may write there
            h, box = exchange.halo, worker.box
            answer = np.divide(1, worker.owned) * (step["a"] * 2 + 1)  # not finite on dropped land
            step["answer"] = answer[:, h : h + box.ny, h : h + box.nx]
            step["top"] = answer[-1:]


if __name__ == "__main__":
    with np.errstate(divide="ignore"):
        main(sys.argv[1])
