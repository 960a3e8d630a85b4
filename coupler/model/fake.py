# SPDX-License-Identifier: MIT
"""`python -m mpi4py -m coupler.model.fake SPEC --as ocean`: a model with synthetic fields.

It puts what the spec says at every step, and gets and checks the answers of the real workers.
"""

from __future__ import annotations

import argparse
import sys
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.model.component import ModelComponent
from coupler.model.synthetic import Synthetic, parse_limits
from coupler.routing.decomposition import Box, decompose
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec, GridSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

Array = NDArray[np.floating]


@dataclass
class Seen:
    """What this rank saw of a field, put or got."""

    values: int = 0
    least: float = np.inf
    most: float = -np.inf
    total: float = 0.0
    squares: float = 0.0

    def add(self, array: Array) -> None:
        if array.size:
            self.values += array.size
            self.least, self.most = min(self.least, array.min()), max(self.most, array.max())
            self.total += float(array.sum())
            self.squares += float((array * array).sum())

    def combined(self, other: Seen) -> Seen:
        return Seen(
            self.values + other.values,
            min(self.least, other.least),
            max(self.most, other.most),
            self.total + other.total,
            self.squares + other.squares,
        )

    def __str__(self) -> str:
        if not self.values:
            return "nothing"
        mean = self.total / self.values
        spread = max(self.squares / self.values - mean * mean, 0.0) ** 0.5
        return f"{self.least:12.4e} {self.most:12.4e} {mean:12.4e} {spread:12.4e}"


@dataclass(frozen=True)
class Fake:
    """A model of a spec: its name, its fields, and how often each travels."""

    spec: CouplingSpec
    name: str
    seed: int
    limits: dict[str, tuple[float, float]]

    def run(self, model: ModelComponent, steps: int) -> dict[str, Seen]:
        """What this rank put and got, by field. Raises CouplingError."""
        seen: dict[str, Seen] = {}
        boxes = self._declare(model)
        model.start()
        for exchange in self.spec.outgoing(self.name):
            for field in exchange.static:
                self._put(model, field, exchange.grid, boxes, 0, seen)
        for date in range(0, steps * self.spec.time_step, self.spec.time_step):
            put: set[str] = set()
            for exchange in self.spec.exchanges:  # in the order of a model's calls
                if exchange.source == self.name:
                    for field in exchange.fields:
                        if field.name not in put:  # which goes to all that take it
                            self._put(model, field, exchange.grid, boxes, date, seen)
                            put.add(field.name)
                elif exchange.target == self.name:
                    self._get(model, exchange, boxes, date, seen)
        return seen

    def _declare(self, model: ModelComponent) -> dict[str, Box]:
        """This rank's box of each grid."""
        boxes: dict[str, Box] = {}
        mine = [e for e in self.spec.exchanges if self.name in (e.source, e.target)]
        for exchange in mine:
            grid = exchange.grid
            if grid.name not in boxes:
                split = decompose(self.name, grid.nx, grid.ny, model.local.size)
                boxes[grid.name] = split.box(model.local.rank)
                model.define_grid(grid.name, grid.nx, grid.ny, boxes[grid.name])
            for field in exchange.fields:
                out = exchange.source == self.name
                levels = field.declared_levels
                model.define_field(field.name, grid.name, "out" if out else "in", levels)
            for field in exchange.static:
                model.define_field(field.name, grid.name, "static", field.declared_levels)
        return boxes

    def _put(
        self,
        model: ModelComponent,
        field: FieldSpec,
        grid: GridSpec,
        boxes: dict[str, Box],
        date: int,
        seen: dict[str, Seen],
    ) -> None:
        limits = self.limits.get(field.name)
        synthetic = Synthetic(field, grid, self.spec.time_step, self.seed, limits)
        values = synthetic.values(boxes[grid.name], date)
        seen.setdefault(f"put {field.name}", Seen()).add(values)
        model.put(field.name, date, values)

    def _get(
        self,
        model: ModelComponent,
        exchange: ExchangeSpec,
        boxes: dict[str, Box],
        date: int,
        seen: dict[str, Seen],
    ) -> None:
        for field in exchange.fields:
            answer = model.get(field.name, date)
            if answer is None:
                continue
            wrong = np.argwhere(~np.isfinite(answer))
            if len(wrong):
                level, y, x = wrong[0].tolist()
                box = boxes[exchange.grid.name]
                raise CouplingError(
                    f"answer '{field.name}' of date {date} s has {len(wrong)} values that are not "
                    f"finite, the first at level {level}, y {box.y0 + y}, x {box.x0 + x} of the "
                    "grid, from 0"
                )
            seen.setdefault(f"got {field.name}", Seen()).add(answer)


def report(seen: list[dict[str, Seen]]) -> list[str]:
    """Lines for people, of what all ranks saw."""
    lines = [f"{'':24}{'min':>12} {'max':>12} {'mean':>12} {'spread':>12}"]
    names = list(dict.fromkeys(name for of_rank in seen for name in of_rank))
    for name in names:
        total = Seen()
        for of_rank in seen:
            total = total.combined(of_rank.get(name, Seen()))
        lines.append(f"{name:24}{total}")
    return lines


def main() -> None:
    parser = argparse.ArgumentParser("coupler.model.fake", description=__doc__)
    parser.add_argument("spec")
    parser.add_argument("--as", dest="name", required=True)
    parser.add_argument("--steps", type=int, required=True)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--range", dest="limits", type=parse_limits, default={})
    options = parser.parse_args()
    try:
        spec = load_spec(options.spec)
    except SpecError as error:
        print(f"halocline: {error}", file=sys.stderr, flush=True)
        MPI.COMM_WORLD.Abort(2)
        return
    with ModelComponent(options.name) as model:
        seen = Fake(spec, options.name, options.seed, options.limits).run(model, options.steps)
        everything = model.local.gather(seen)
    if everything is not None:
        for line in report(everything):
            print(f"halocline: {options.name}: {line}", flush=True)


if __name__ == "__main__":
    main()
