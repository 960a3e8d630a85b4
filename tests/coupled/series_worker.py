# SPDX-License-Identifier: MIT
"""The partner of series_model: what it receives at a date is computed from the model's series over
(date - period, date], in the order of time, and compared bit for bit.

Usage: series_worker.py SPEC ORIGIN BITS. Rank 0 prints the dates of its steps.
"""

from __future__ import annotations

import sys

import numpy as np
from mpi4py import MPI

from coupler import Component
from coupler.spec import ExchangeSpec, FieldSpec

NUMBERS = {"now": 1, "average": 2, "sum": 3, "low": 4, "high": 5, "other": 6, "flat": 7}
NUMBERS |= {"slow": 8, "quick": 9}  # the answers


def series(component: Component, field: FieldSpec, halo: int, at: int) -> np.ndarray:
    """Of a doubly periodic grid; levels counted as the model counts them."""
    box, grid, dt = component.box, component.spec.exchanges[0].grid, component.spec.time_step
    number = NUMBERS[field.name]
    levels = np.arange(field.first_level, field.last_level + 1)
    j = np.arange(box.y0 - halo, box.y1 + halo) % grid.ny + 1
    i = np.arange(box.x0 - halo, box.x1 + halo) % grid.nx + 1
    whole = i + 10 * j[:, None] + 100 * levels[:, None, None] + 1000 * number
    return 0.1 * whole + 0.3 * ((7 * (at // dt) + number) % 5)


def expected(
    component: Component,
    exchange: ExchangeSpec,
    field: FieldSpec,
    date: int,
    origin: int,
    kind: type[np.floating],
) -> np.ndarray:
    dt = component.spec.time_step
    first = date if field.time == "instant" else max(date - exchange.period + dt, origin)
    dates = range(first, date + 1, dt)
    values = [
        series(component, field, exchange.halo, at).astype(kind).astype(float) for at in dates
    ]
    result = values[0]
    for value in values[1:]:
        match field.time:
            case "min":
                result = np.minimum(result, value)
            case "max":
                result = np.maximum(result, value)
            case _:
                result = result + value
    if field.time == "average":
        result = result / len(values)
    result = result.astype(kind) * kind(field.scale) + kind(field.offset or 0)
    return result.astype(exchange.wire)


def main(spec: str, origin: int, bits: int) -> None:
    kind = np.float32 if bits == 32 else np.float64
    dates = []
    with Component("worker", spec, MPI.COMM_WORLD) as worker:
        inputs, answers = worker.spec.incoming("worker"), worker.spec.outgoing("worker")
        flat = inputs[0].static[0]
        if worker.box.cells:
            want = expected(worker, inputs[0], flat, origin, origin, np.float64)
            np.testing.assert_array_equal(worker.static["flat"], want)
        for step in worker.steps():
            dates.append(step.date)
            due = [e for e in inputs if step.date % e.period == 0]
            assert due, step.date
            assert set(step) == {f.name for e in due for f in e.fields}
            for exchange in due:
                for field in exchange.fields:
                    want = expected(worker, exchange, field, step.date, origin, kind)
                    np.testing.assert_array_equal(step[field.name], want, f"{field} {step.date}")
            owed = [e for e in answers if step.date % e.period == 0]
            assert step.due == tuple(f.name for e in owed for f in e.fields)
            for exchange in owed:
                for field in exchange.fields:
                    halo = worker.spec.answered(exchange).halo
                    step[field.name] = series(worker, field, halo, step.date)
        if worker.rank == 0:
            print("dates:", *dates)


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
