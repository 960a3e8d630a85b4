# SPDX-License-Identifier: MIT
"""The partner of exchange_model: every padded cell is compared with its formula, cell by cell.

Usage: exchange_worker.py SPEC [COMPONENT]. A component that owes no answer only compares.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from cells import shown
from mpi4py import MPI

from coupler import Component
from coupler.spec import ExchangeSpec, FieldSpec

BOXES = Path("boxes.txt").read_text().splitlines()
NUMBERS = {"a": 1, "b": 2, "flat": 3, "unused": 1}  # of each field, in exchange_model


def value(date: int, number: int, i: int, j: int, k: int) -> float:
    return date % 991 + 7 * number + 13 * i + 1009 * j + 3 * k


def has_owner(i: int, j: int) -> bool:
    boxes = [[int(edge) for edge in line.split()] for line in BOXES]
    return any(box[0] <= i <= box[1] and box[2] <= j <= box[3] for box in boxes)


def expected(
    component: Component, exchange: ExchangeSpec, field: FieldSpec, date: int
) -> np.ndarray:
    box, halo, grid = component.box, exchange.halo, exchange.grid
    array = np.zeros((field.levels, box.ny + 2 * halo, box.nx + 2 * halo), exchange.wire)
    for y in range(array.shape[1]):
        for x in range(array.shape[2]):
            cell = shown(grid, field, box.x0 - halo + x, box.y0 - halo + y)
            if cell is not None and has_owner(cell[1] + 1, cell[0] + 1):
                j, i, sign = cell
                for k in range(field.levels):
                    number = NUMBERS[field.name]
                    array[k, y, x] = sign * value(date, number, i + 1, j + 1, k + 1)
    return array


def main(spec: str, name: str = "worker") -> None:
    with Component(name, spec, MPI.COMM_WORLD) as worker:
        incoming = worker.spec.incoming(name)
        period = incoming[0].period
        for exchange in incoming:
            for field in exchange.static if worker.box.cells else ():
                flat = expected(worker, exchange, field, 1)
                np.testing.assert_array_equal(worker.static[field.name], flat)
        for step in worker.steps():
            seen = set()
            for exchange in incoming:
                for field in exchange.fields if step.date % exchange.period == 0 else ():
                    want = expected(worker, exchange, field, step.date)
                    np.testing.assert_array_equal(step[field.name], want, f"{field} {step.date}")
                    assert step[field.name].dtype == exchange.wire
                    seen.add(field.name)
            assert set(step) == seen
            if worker.outputs and step.date % period == 0:
                step["answer"] = step["a"] * 2 + 1
            for array in step.inputs.values():
                array[...] = np.nan  # a network may overwrite its inputs


if __name__ == "__main__":
    main(*sys.argv[1:])
