# SPDX-License-Identifier: MIT
"""`halocline replay`: a worker's predictor against its record, without a model and without MPI."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.clock import is_due
from coupler.command.fitting import load_fitted
from coupler.command.plan import plan_decompositions
from coupler.errors import CouplingError
from coupler.record import Record, RecordedField, RecordError
from coupler.routing.decomposition import Box
from coupler.routing.padding import Padding
from coupler.routing.router import CELLS
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec
from coupler.spec.document import SpecError, hint
from coupler.step import as_array, interior
from ml_server.predictor import Predictor, PredictorError

Array = NDArray[np.floating]


class ReplayError(Exception):
    """The predictor did not answer as a coupled run needs it."""


@dataclass
class Difference:
    """Between the recorded and the replayed answers of one field, over the dates so far."""

    name: str
    largest: float = 0.0
    scale: float = 0.0  # largest magnitude in the record
    unequal: int = 0  # values, of which bits differ
    first: int | None = None  # [s], the first date that differs
    worst: int | None = None  # [s], the date of `largest`
    place: tuple[int, int, int] | None = None  # level, y, x of `largest`, from 0

    @property
    def relative(self) -> float:
        """To the largest magnitude in the record."""
        return self.largest / self.scale if self.scale else (np.inf if self.largest else 0.0)

    def within(self, tolerance: float) -> bool:
        return self.unequal == 0 if tolerance == 0 else self.relative <= tolerance

    def add(self, date: int, recorded: Array, replayed: Array) -> None:
        """(level, y, x) of one date. NaN equals NaN, and differs from everything else."""
        same = (recorded == replayed) | (np.isnan(recorded) & np.isnan(replayed))
        with np.errstate(invalid="ignore"):
            distance = np.where(same, 0, np.abs(recorded.astype(float) - replayed.astype(float)))
        distance[np.isnan(distance)] = np.inf
        finite = recorded[np.isfinite(recorded)]
        self.scale = max(self.scale, float(np.abs(finite).max(initial=0)))
        if same.all():
            return
        self.unequal += int((~same).sum())
        if self.first is None:
            self.first = date
        if distance.max() > self.largest:
            self.largest, self.worst = float(distance.max()), date
            level, y, x = np.unravel_index(int(distance.argmax()), distance.shape)
            self.place = int(level), int(y), int(x)


@dataclass(frozen=True)
class Subdomain:
    """What one planned worker rank has of each field: its box, and its padding by exchange."""

    boxes: Mapping[str, Box]  # by grid
    paddings: Mapping[str, Padding]  # by input or static field
    cell: NDArray[np.int64]  # (y, x) of the first exchange's padded box: see Padding


@dataclass(frozen=True)
class Replay:
    """A worker's predictor, what it gets from a record, and in which boxes."""

    spec: CouplingSpec
    worker: str
    predictor: Predictor
    record: Record
    inputs: Mapping[str, RecordedField]
    answers: Mapping[str, RecordedField]
    static: Mapping[str, Array]  # global (level, y, x)
    subdomains: tuple[Subdomain, ...]

    def answers_of(self, number: int) -> dict[str, Array]:
        """Global answers (level, y, x) to the record's inputs number `number`, wire precision.

        Raises ReplayError; whatever else a predictor raises is its own.
        """
        date = int(self.record.dates[number])
        whole = {name: field[number] for name, field in self.inputs.items()}
        due = [e for e in self.spec.outgoing(self.worker) if is_due(date, e.period)]
        found = {
            f.name: np.zeros((f.levels, e.worker_grid.ny, e.worker_grid.nx), e.wire)
            for e in due
            for f in e.fields
        }
        for subdomain in self.subdomains:
            try:
                self._answer(subdomain, date, whole, due, found)
            except (PredictorError, CouplingError) as error:
                raise ReplayError(f"date {date} s: {error}") from error
        return found

    def _answer(
        self,
        subdomain: Subdomain,
        date: int,
        whole: Mapping[str, Array],
        due: list[ExchangeSpec],
        found: Mapping[str, Array],
    ) -> None:
        arguments: dict[str, Any] = {
            name: subdomain.paddings[name].pad(values).astype(self._wire(name), copy=False)
            for name, values in {**self.static, **whole}.items()
        }
        asked = self.predictor.parameters or ()
        arguments |= {"date": date} if "date" in asked and "date" not in arguments else {}
        arguments |= {"cell": subdomain.cell} if "cell" in asked and "cell" not in arguments else {}
        names = [field.name for exchange in due for field in exchange.fields]
        answers = self.predictor(arguments, names)
        for exchange in due:
            box, halo = (
                subdomain.boxes[exchange.worker_grid.name],
                self.spec.answered(exchange).halo,
            )
            for name in (field.name for field in exchange.fields):
                if name not in answers:
                    raise CouplingError(f"the answer lacks '{name}'{hint(name, answers)}")
                target = found[name][:, box.y0 : box.y1, box.x0 : box.x1]
                target[...] = interior(name, as_array(name, answers[name]), target, halo)

    def _wire(self, name: str) -> str:
        return next(
            e.wire
            for e in self.spec.incoming(self.worker)
            if name in (f.name for f in (*e.fields, *e.static))
        )


def choose_component(spec: CouplingSpec, name: str | None, record: Record) -> str:
    workers = [component.name for component in spec.components if component.is_worker]
    chosen = name or record.component
    if chosen not in workers:
        whose = "--component" if name else "the record's worker"
        raise SpecError([f"{spec.path.name}: {whose}: no '{chosen}'{hint(chosen, workers)}"])
    return chosen


def prepare(spec: CouplingSpec, worker: str, record: Record) -> Replay:
    """Load the predictor and match the record with the spec. Raises SpecError."""
    try:
        predictor, fit = load_fitted(spec, worker)
        spec = fit.spec  # with the numbers of `halo: auto`
        inputs, answers = record.of_role("input"), record.of_role("answer")
        static = {name: field[0] for name, field in record.of_role("static").items()}
    except (PredictorError, RecordError) as error:
        raise SpecError([str(error)]) from error
    brought = [f.name for e in spec.incoming(worker) for f in (*e.fields, *e.static)]
    answered = {f.name for e in spec.outgoing(worker) for f in e.fields}
    # of what was recorded, what the spec of today has
    inputs = {name: field for name, field in inputs.items() if name in brought}
    static = {name: values for name, values in static.items() if name in brought}
    answers = {name: field for name, field in answers.items() if name in answered}
    mistakes = [
        *_other_shapes(spec, worker, record),
        *_other_dates(spec, worker, record, answers),
        *(
            f"the record has no '{name}', which {predictor.name} needs; add it to record.fields"
            for name in predictor.required
            if name in brought and name not in inputs and name not in static
        ),
    ]
    if not answers:
        mistakes.append("the record has no answers to compare with; add some to record.fields")
    if mistakes:
        raise SpecError(mistakes)
    boxes = _subdomains(spec, worker, record)
    return Replay(spec, worker, predictor, record, inputs, answers, static, boxes)


def _other_shapes(spec: CouplingSpec, worker: str, record: Record) -> Iterator[str]:
    for exchange in (*spec.incoming(worker), *spec.outgoing(worker)):
        role = "answer" if exchange.source == worker else "input"
        recorded = record.of_role(role)
        fields = [(recorded.get(field.name), field) for field in exchange.fields]
        static = record.of_role("static")
        fields += [(static.get(field.name), field) for field in exchange.static]
        expected = exchange.worker_grid.ny, exchange.worker_grid.nx
        for held, field in fields:
            if held is not None and held.shape[1:] != (field.levels, *expected):
                yield (
                    f"{field.place}: the record holds '{field.name}' with (level, y, x) = "
                    f"{held.shape[1:]}, expected {(field.levels, *expected)}"
                )


def _other_dates(
    spec: CouplingSpec, worker: str, record: Record, answers: Mapping[str, RecordedField]
) -> Iterator[str]:
    """Nothing answers at a date at which no answer is due."""
    for exchange in spec.outgoing(worker):
        dates = [int(date) for date in record.dates if not is_due(int(date), exchange.period)]
        names = [field.name for field in exchange.fields if field.name in answers]
        if dates and names:
            yield (
                f"{exchange.place}: every: got {exchange.period} s, but the record holds "
                f"'{names[0]}' of {dates[0]} s; expected a period that all its dates are "
                "multiples of"
            )


def _subdomains(spec: CouplingSpec, worker: str, record: Record) -> tuple[Subdomain, ...]:
    splits = plan_decompositions(spec)[worker]
    incoming = spec.incoming(worker)
    grids = {e.worker_grid.name: e.worker_grid for e in incoming}
    recorded = {str(field.attributes["grid"]) for field in record.fields.values()}
    owned = {name: record.owned(name) if name in recorded else None for name in grids}
    found = []
    for rank in range(next(iter(splits.values())).ranks):
        boxes = {name: split.box(rank) for name, split in splits.items()}
        if not all(box.cells for box in boxes.values()):
            continue

        def padding(
            exchange: ExchangeSpec, field: FieldSpec, boxes: Mapping[str, Box] = boxes
        ) -> Padding:
            name = exchange.worker_grid.name
            return Padding.of(field, exchange.worker_grid, boxes[name], exchange.halo, owned[name])

        paddings = {f.name: padding(e, f) for e in incoming for f in (*e.fields, *e.static)}
        found.append(Subdomain(boxes, paddings, padding(incoming[0], CELLS).cell))
    return tuple(found)


@dataclass(frozen=True)
class Kept:
    """One field at one date, for a picture."""

    name: str
    date: int  # [s]
    recorded: Array  # (level, y, x)
    replayed: Array


def compare(
    replay: Replay, steps: int | None, output: Path | None
) -> Iterator[tuple[dict[str, Difference], Kept]]:
    """After each date the differences so far, and the field that is worth a look: the one that
    differs most from the record, at that date. `output`: a file for the replayed answers."""
    differences = {name: Difference(name) for name in replay.answers}
    kept: Kept | None = None
    count = len(replay.record.dates)
    file = _create(output, replay) if output else None
    try:
        for number in range(count if steps is None else min(steps, count)):
            date = int(replay.record.dates[number])
            found = replay.answers_of(number)
            for name, field in replay.answers.items():
                recorded, replayed = field[number], found[name].astype(field.dtype)
                grid = str(field.attributes["grid"])
                replayed[:, ~replay.record.owned(grid)] = 0  # nobody takes that answer
                before = max(d.relative for d in differences.values())
                differences[name].add(date, recorded, replayed)
                if kept is None or differences[name].relative > before:
                    kept = Kept(name, date, recorded, replayed)
                if file is not None:
                    file[name][number] = replayed
            if file is not None:
                file["time"][number] = date
            assert kept is not None
            yield differences, kept
    finally:
        if file is not None:
            file.close()


def _create(path: Path, replay: Replay) -> netCDF4.Dataset:
    """A NetCDF file for global answers (time, level, y, x)."""
    file = netCDF4.Dataset(path, "w")
    file.title = f"Answers of {replay.predictor.name} to a record of {replay.worker}"
    file.createDimension("time", None)
    time = file.createVariable("time", "i8", ("time",))
    time.units, time.calendar = replay.record.time_units
    for name, field in replay.answers.items():
        grid = field.attributes["grid"]
        sizes = dict(
            zip((f"level_{field.shape[1]}", f"y_{grid}", f"x_{grid}"), field.shape[1:], strict=True)
        )
        for label, size in sizes.items():
            if label not in file.dimensions:
                file.createDimension(label, size)
        variable = file.createVariable(name, field.dtype, ("time", *sizes))
        variable.point, variable.kind = field.attributes["point"], field.attributes["kind"]
    return file
