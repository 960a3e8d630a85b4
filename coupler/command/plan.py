# SPDX-License-Identifier: MIT
"""What a coupled run will send, without running it: the messages of any spec and rank counts.

The model's own decomposition is known only when it runs; the automatic split stands in for it.
"""

from __future__ import annotations

import gc
import resource
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.protocol import HEADER_WORDS
from coupler.regridding.exchange_weights import row_planner
from coupler.regridding.regrid import route_inputs
from coupler.routing.decomposition import Decomposition, answer_split, decompose
from coupler.routing.router import Message, route_from_worker
from coupler.spec import ComponentSpec, CouplingSpec, ExchangeSpec, FieldSpec, GridSpec
from coupler.spec.document import SpecError, hint
from coupler.weights import WeightsError

WORD = 8  # [bytes]; a message is whole words


@dataclass(frozen=True, slots=True)
class PlannedMessage:
    """One message from a rank of the exchange's source to a rank of its target."""

    source_rank: int
    target_rank: int
    cells: int  # of one level of the widest field
    values: int  # over all fields and levels
    bytes: int  # with the header


@dataclass(frozen=True)
class PlannedExchange:
    """Every message of one exchange at one date, or of the static fields at the start."""

    exchange: ExchangeSpec
    static: bool
    source: Decomposition
    target: Decomposition
    messages: tuple[PlannedMessage, ...]

    @property
    def fields(self) -> tuple[FieldSpec, ...]:
        return self.exchange.static if self.static else self.exchange.fields

    @property
    def cells(self) -> int:
        return sum(message.cells for message in self.messages)

    @property
    def bytes(self) -> int:
        return sum(message.bytes for message in self.messages)

    @property
    def halo_overhead(self) -> float:
        """Cells that travel beyond one for each cell of the model's grid, as a share of it."""
        return self.cells / (self.exchange.grid.nx * self.exchange.grid.ny) - 1.0

    def __str__(self) -> str:
        ends = f"{self.source.name} {self.source.ranks} -> {self.target.name} {self.target.ranks}"
        halo = f", halo {self.exchange.halo}" if self.exchange.halo else ""
        plural = "" if len(self.messages) == 1 else "s"
        return f"Router({ends}{halo}: {len(self.messages)} message{plural}, {self.cells:,} cells)"


@dataclass(frozen=True)
class Plan:
    decompositions: dict[str, dict[str, Decomposition]]  # by component and grid
    exchanges: tuple[PlannedExchange, ...]
    seconds: dict[str, NDArray[np.float64]]  # by worker: of a core, for the plan of each rank


def with_ranks(spec: CouplingSpec, ranks: Mapping[str, int]) -> CouplingSpec:
    """`spec` with other rank counts. Raises SpecError for those that a decomposition forbids."""
    messages = []
    components = []
    for component in spec.components:
        count = ranks.get(component.name, component.ranks)
        shape = component.decomposition
        if shape is not None and shape[0] * shape[1] != count:
            messages.append(
                f"{component.place}: decomposition: got {shape[0]} x {shape[1]} boxes, "
                f"expected {count} (ranks of {component.name})"
            )
        components.append(replace(component, ranks=count))
    if messages:
        raise SpecError(messages)
    return replace(spec, components=tuple(components))


def parse_ranks(text: str, spec: CouplingSpec) -> dict[str, int]:
    """`ocean=4,closure=2` -> counts. Raises SpecError."""
    names = [component.name for component in spec.components]
    ranks: dict[str, int] = {}
    messages = []
    for part in text.split(","):
        name, _, count = (word.strip() for word in part.partition("="))
        if name not in names:
            messages.append(f"--ranks: unknown component '{name}'{hint(name, names)}")
        elif not count.isascii() or not count.isdigit() or int(count) < 1:
            messages.append(f"--ranks: {name}: got '{count}', expected a whole number, 1 or more")
        else:
            ranks[name] = int(count)
    if messages:
        raise SpecError(messages)
    return ranks


def plan_decompositions(spec: CouplingSpec) -> dict[str, dict[str, Decomposition]]:
    """By component and grid."""
    found: dict[str, dict[str, Decomposition]] = {c.name: {} for c in spec.components}
    for exchange in spec.exchanges:
        for name in (exchange.source, exchange.target):
            grid = grid_of(spec, name, exchange)
            found[name][grid.name] = _split(spec.component(name), grid)
    return found


def grid_of(spec: CouplingSpec, component: str, exchange: ExchangeSpec) -> GridSpec:
    """The grid that `component` has in `exchange`."""
    return exchange.worker_grid if spec.component(component).is_worker else exchange.grid


@contextmanager
def _without_collection() -> Iterator[None]:
    """A plan has no cycles; each collection would look again at all messages made so far, and the
    time that this takes would be counted to a rank that happens to be planned then."""
    collected = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collected:
            gc.enable()


@_without_collection()
def build_plan(spec: CouplingSpec) -> Plan:
    """Raises SpecError where weights for other grids cannot be made."""
    decompositions = plan_decompositions(spec)
    planned = []
    seconds = {c.name: np.zeros(c.ranks) for c in spec.components if c.is_worker}
    for exchange in spec.exchanges:
        source, target = (
            decompositions[name][grid_of(spec, name, exchange).name]
            for name in (exchange.source, exchange.target)
        )
        to_worker = spec.component(exchange.target).is_worker
        spent = seconds[exchange.target if to_worker else exchange.source]
        for static in (True, False):
            if exchange.static or not static:
                try:
                    messages = _messages(exchange, static, to_worker, source, target, spent)
                except WeightsError as error:
                    raise SpecError([str(error)]) from error
                planned.append(PlannedExchange(exchange, static, source, target, messages))
    # static fields travel once, before everything else
    exchanges = tuple(sorted(planned, key=lambda item: not item.static))
    return Plan(decompositions, exchanges, seconds)


def _split(component: ComponentSpec, grid: GridSpec) -> Decomposition:
    return decompose(component.name, grid.nx, grid.ny, component.ranks, component.decomposition)


def _messages(
    exchange: ExchangeSpec,
    static: bool,
    to_worker: bool,
    source: Decomposition,
    target: Decomposition,
    spent: NDArray[np.float64],
) -> tuple[PlannedMessage, ...]:
    """As each worker rank plans its own at the start of a run, for all of them.

    The seconds that each rank needs are added to `spent`.
    """
    model, worker = (source, target) if to_worker else (target, source)
    fields = exchange.static if static else exchange.fields
    planned = []
    planner = row_planner(exchange, to_worker) if exchange.regrid else None
    answers = answer_split(worker, model.nx, model.ny) if planner else worker
    for rank in range(worker.ranks):
        begun = time.process_time()
        if to_worker:
            box = worker.box(rank)
            rows = planner(box) if planner else None
            routed = route_inputs(fields, exchange, model, box, rows)
        else:
            routed = route_from_worker(fields, exchange.grid, model, answers.box(rank))
        spent[rank] += time.process_time() - begun
        for message in routed:
            ends = (message.partner, rank) if to_worker else (rank, message.partner)
            planned.append(_sized(message, *ends, np.dtype(exchange.wire).itemsize))
    return tuple(sorted(planned, key=lambda item: (item.source_rank, item.target_rank)))


def _sized(message: Message, source: int, target: int, itemsize: int) -> PlannedMessage:
    cells = max(sum(patch.cells for patch in route.patches) for route in message.routes)
    words = HEADER_WORDS + -(-message.values * itemsize // WORD)
    return PlannedMessage(source, target, cells, message.values, words * WORD)


def choose_worker(spec: CouplingSpec, plan: Plan, text: str | None) -> tuple[PlannedExchange, int]:
    """The worker rank that `text` names, `3` or `closure=3`, and the first exchange to it.

    Without a text, the rank that receives from most. Raises SpecError.
    """
    asked = [e for e in plan.exchanges if not e.static and spec.component(e.target.name).is_worker]
    asked.sort(key=lambda e: e.exchange.regrid is not None)  # which no picture shows
    name, _, number = (text or "").rpartition("=")
    names = [item.target.name for item in asked]
    if name and name not in names:
        raise SpecError([f"--worker: unknown worker '{name}'{hint(name, names)}"])
    item = asked[names.index(name) if name else 0]
    if not text:
        partners = Counter(message.target_rank for message in item.messages)
        return item, max(partners, key=lambda rank: (partners[rank], -rank))
    if not number.isascii() or not number.isdigit() or int(number) >= item.target.ranks:
        last = item.target.ranks - 1
        raise SpecError(
            [f"--worker: got '{number}', expected a rank of {item.target.name}, 0 to {last}"]
        )
    return item, int(number)


def imbalance(decomposition: Decomposition) -> float:
    """Cells of the largest box over the mean: 1 is even."""
    cells = decomposition.cells()
    return float(cells.max() / cells.mean())


def plan_json(plan: Plan) -> dict[str, Any]:
    """The plan as plain data."""
    return {
        "decompositions": [
            {
                "component": name,
                "grid": grid,
                "ranks": split.ranks,
                "imbalance": imbalance(split),
                # half-open, counted from 0: x0, x1, y0, y1
                "boxes": split.edges.T.tolist(),
            }
            for name, grids in plan.decompositions.items()
            for grid, split in grids.items()
        ],
        "exchanges": [
            {
                "from": item.source.name,
                "to": item.target.name,
                "grid": item.exchange.grid.name,
                "static": item.static,
                "fields": {field.name: field.levels for field in item.fields},
                "period_seconds": item.exchange.period,
                "lag": item.exchange.lag,
                "halo": item.exchange.halo,
                "wire": item.exchange.wire,
                "cells": item.cells,
                "bytes": item.bytes,
                "halo_overhead": item.halo_overhead,
                "messages": [
                    {
                        "from_rank": message.source_rank,
                        "to_rank": message.target_rank,
                        "cells": message.cells,
                        "values": message.values,
                        "bytes": message.bytes,
                    }
                    for message in item.messages
                ],
            }
            for item in plan.exchanges
        ],
        "planning": [
            {
                "component": name,
                "ranks": len(spent),
                "seconds": float(spent.sum()),
                "slowest_rank_seconds": float(spent.max()),
            }
            for name, spent in plan.seconds.items()
        ],
        "peak_memory_bytes": peak_memory(),
    }


def peak_memory() -> int:
    """The most that this process has held [bytes]; Linux counts in kB, macOS in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
