# SPDX-License-Identifier: MIT
"""What a worker rank records, and how its file describes it: plain data for its writer."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Decomposition
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec, RecordSpec

Role = Literal["input", "answer", "static"]
Cut = tuple[slice, ...]  # of an array (level, y, x)
FORMAT = 1  # of the files
ALIGNED = 64  # bytes


@dataclass(frozen=True)
class Recorded:
    """A field of a record and its variable in the file."""

    field: FieldSpec
    role: Role
    exchange: ExchangeSpec
    variable: str


def recorded_fields(spec: CouplingSpec, worker: str) -> tuple[Recorded, ...]:
    """What `worker` records, in the spec's order. A name may come and go: then `u`, `u_answer`."""
    wanted = record_of(spec, worker).fields
    ends = [(e, role, f) for e in spec.incoming(worker) for role, f in _incoming(e)]
    ends += [(e, "answer", f) for e in spec.outgoing(worker) for f in e.fields]
    found: list[Recorded] = []
    for exchange, role, field in ends:
        if field.name in wanted:
            taken = any(other.variable == field.name for other in found)
            variable = f"{field.name}_{role}" if taken else field.name
            found.append(Recorded(field, role, exchange, variable))
    return tuple(found)


def _incoming(exchange: ExchangeSpec) -> Iterator[tuple[Role, FieldSpec]]:
    yield from (("static", field) for field in exchange.static)
    yield from (("input", field) for field in exchange.fields)


def record_of(spec: CouplingSpec, worker: str) -> RecordSpec:
    record = spec.component(worker).record
    assert record is not None
    return record


def record_base(spec: CouplingSpec, worker: str, start: int) -> str:
    return record_of(spec, worker).file.format(component=worker, start=start)


def rank_file(base: str, rank: int) -> Path:
    return Path(f"{base}.rank{rank:04d}.nc")


@dataclass(frozen=True)
class Place:
    """Of whom a record is: `boxes` by grid, of all ranks; `owned` (y, x) by grid, of this one."""

    worker: str
    rank: int
    writers: tuple[int, ...]  # the ranks that have steps; the others write no file
    start: int  # [s]
    boxes: Mapping[str, Decomposition]
    owned: Mapping[str, NDArray[np.bool_]]


@dataclass(frozen=True)
class Contents:
    """Of one rank's file."""

    spec: CouplingSpec
    place: Place

    @property
    def record(self) -> RecordSpec:
        return record_of(self.spec, self.place.worker)

    @cached_property
    def fields(self) -> tuple[Recorded, ...]:
        return tuple(
            recorded
            for recorded in recorded_fields(self.spec, self.place.worker)
            if self.place.boxes[recorded.exchange.worker_grid.name].box(self.place.rank).cells
        )

    @property
    def path(self) -> Path:
        base = record_base(self.spec, self.place.worker, self.place.start)
        return rank_file(base, self.place.rank)

    def shape(self, recorded: Recorded) -> tuple[int, int, int]:
        box = self.place.boxes[recorded.exchange.worker_grid.name].box(self.place.rank)
        return recorded.field.levels, box.ny, box.nx

    def dtype(self, recorded: Recorded) -> np.dtype[np.floating]:
        return np.dtype(self.record.precision or recorded.exchange.wire)

    def bytes(self, recorded: Recorded) -> int:
        """Of one date."""
        return prod(self.shape(recorded)) * self.dtype(recorded).itemsize

    def variables(self, slots: int) -> tuple[list[dict[str, Any]], int]:
        """Of each field its variable, with the place of its slots in memory; the end of all."""
        found, end = [], 0
        for recorded in self.fields:
            shape = self.shape(recorded)
            kind = "static" if recorded.role == "static" else "record"
            names = (*(("time",) if kind == "record" else ()), *_dimensions(recorded))
            sizes = dict(zip(("time", "level", "y", "x"), (1, *shape), strict=True))
            wanted = {axis: min(n, sizes[axis]) for axis, n in self.record.chunks.items()}
            if "time" in wanted:
                wanted["time"] = self.record.chunks["time"]
            chunks = list((sizes | wanted).values())[0 if kind == "record" else 1 :]
            found.append(
                {
                    "name": recorded.variable,
                    "dtype": self.dtype(recorded).str,
                    "dimensions": names,
                    "shape": shape,
                    "chunks": chunks,
                    "attributes": _describe(recorded),
                    kind: end,
                }
            )
            size = self.bytes(recorded) * (slots if kind == "record" else 1)
            end += -(-size // ALIGNED) * ALIGNED
        return found, max(end, 1)

    def axes(self) -> tuple[dict[str, int | None], list[dict[str, Any]]]:
        """Dimensions, and the variables that are known now: axes, boxes of all ranks, owned."""
        dimensions: dict[str, int | None] = {"time": None}
        time_axis = {
            "standard_name": "time",
            "long_name": "date of the step whose fields these are",
            "units": self.record.units,
            "calendar": self.record.calendar,
            "axis": "T",
        }
        variables: list[dict[str, Any]] = [_fixed("time", "i8", ["time"], None, **time_axis)]
        for name, split in self.place.boxes.items():
            dimensions |= {"rank": split.ranks, "edge": 4}
            text = f"x0, x1, y0, y1 of every rank's cells of grid {name}: x0 <= x < x1"
            boxes = split.edges.T.tolist()
            shape = ["rank", "edge"]
            variables.append(_fixed(f"boxes_{name}", "i8", shape, boxes, long_name=text))
            box = split.box(self.place.rank)
            if not box.cells:
                continue
            for axis, first, last in (("y", box.y0, box.y1), ("x", box.x0, box.x1)):
                label = f"{axis}_{name}"
                dimensions[label] = last - first
                cells = list(range(first, last))
                text = f"number of the cell along {axis} on grid {name}, from 0"
                more = {"long_name": text, "units": "1", "axis": axis.upper()}
                variables.append(_fixed(label, "i4", [label], cells, **more))
            owned = self.place.owned[name].astype(np.int8).tolist()
            shape = [f"y_{name}", f"x_{name}"]
            text = "1 where the model has the cell, 0 on land that it dropped"
            variables.append(_fixed(f"owned_{name}", "i1", shape, owned, long_name=text))
        for recorded in self.fields:
            dimensions[f"level_{recorded.field.levels}"] = recorded.field.levels
        return dimensions, variables

    def attributes(self) -> dict[str, Any]:
        place, spec = self.place, self.spec
        return {
            "Conventions": "CF-1.11",
            "title": f"What {place.worker} received and answered, rank {place.rank}",
            "source": f"halocline, coupling spec {spec.path}",
            "halocline_record": FORMAT,
            "component": place.worker,
            "rank": place.rank,
            "ranks": next(iter(place.boxes.values())).ranks,
            "writers": list(place.writers),
            "start": place.start,
            "time_step": spec.time_step,
            "period": self.record.period,
            "spec_digest": spec.digest,
            "spec": spec.path.read_text(encoding="utf-8"),
            **{f"size_{name}": [box.nx, box.ny] for name, box in place.boxes.items()},
            "complete": 0,  # until the end
            "skipped": 0,
        }

    def own(self, recorded: Recorded) -> Cut:
        """Where in a field's array (level, y, x) this rank's own cells are."""
        if recorded.role == "answer":
            return ()
        box = self.place.boxes[recorded.exchange.worker_grid.name].box(self.place.rank)
        halo = recorded.exchange.halo
        return slice(None), slice(halo, halo + box.ny), slice(halo, halo + box.nx)


def _fixed(
    name: str, dtype: str, dimensions: Sequence[str], values: object, **attributes: str
) -> dict[str, Any]:
    item: dict[str, Any] = {"name": name, "dtype": dtype, "dimensions": dimensions}
    item["attributes"] = attributes
    return item if values is None else item | {"values": values}


def _dimensions(recorded: Recorded) -> tuple[str, str, str]:
    grid = recorded.exchange.worker_grid.name
    return f"level_{recorded.field.levels}", f"y_{grid}", f"x_{grid}"


def _describe(recorded: Recorded) -> dict[str, str | int]:
    field, exchange = recorded.field, recorded.exchange
    where = {"static": "sent once", "input": "received", "answer": "answered"}[recorded.role]
    text = f"{field.name}, {where}; {exchange.source} -> {exchange.target}"
    return {
        "long_name": text,
        "field": field.name,
        "role": recorded.role,
        "grid": exchange.worker_grid.name,
        "point": field.point,
        "kind": field.kind,
        "first_level": field.first_level,
        "time_operation": field.time,
        "wire": exchange.wire,
    }
