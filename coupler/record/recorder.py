# SPDX-License-Identifier: MIT
"""Hands copies of what a worker rank receives and answers to the process that writes them."""

from __future__ import annotations

import json
import mmap
import os
import select
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.record.writer import Layout
from coupler.routing.decomposition import Decomposition
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec, RecordSpec

Array = NDArray[np.floating]
Role = Literal["input", "answer", "static"]
Cut = tuple[slice, ...]
FORMAT = 1  # of the files
ALIGNED = 64  # bytes
MEMORY = (
    1 << 26
)  # bytes that records may take while they wait for the disk, where no count is given
FEWEST, MOST = 2, 32  # such records
CLOSING = 1.0  # [s] for a failed rank's file to be closed, before the job is ended


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


class Recorder:
    """Copies a date's fields to shared memory, from which a process writes them in its own time.

    `take` what arrives and what is answered, then `commit` the date. Memory is bounded: when all
    `buffer` records wait for the disk, the rank waits too (and says so, once), or skips the date.
    """

    def __init__(self, spec: CouplingSpec, place: Place, static: Mapping[str, Array]) -> None:
        """`static` (level, y, x): padded. Raises CouplingError where the file cannot be made."""
        self.spec, self.place, self.record = spec, place, record_of(spec, place.worker)
        self.fields = tuple(
            recorded
            for recorded in recorded_fields(spec, place.worker)
            if place.boxes[recorded.exchange.worker_grid.name].box(place.rank).cells
        )
        self.path = rank_file(record_base(spec, place.worker, place.start), place.rank)
        if self.path.exists() and not self.record.overwrite:
            raise CouplingError(
                f"{self.record.place}: record {self.path} exists; move it, or write "
                "'overwrite: true', or another 'file'"
            )
        if not self.path.parent.is_dir():
            raise CouplingError(
                f"{self.record.place}: record: got no directory {self.path.parent.absolute()}, "
                "expected one to write in; make it"
            )
        self._taken = self._of_exchanges()
        self._date: int | None = None  # that is being filled into the first free slot
        self._busy: list[int] = []  # oldest first
        self._text = b""
        self.skipped = self.written = self.waits = 0
        self.waited = 0.0  # [s]
        self._start(static)

    def _start(self, static: Mapping[str, Array]) -> None:
        record_bytes = sum(self._bytes(r) for r in self.fields if r.role != "static")
        slots = self.record.buffer or min(max(MEMORY // max(record_bytes, 1), FEWEST), MOST)
        self._free = list(range(slots))
        variables, size = self._variables(slots)
        memory = os.memfd_create("halocline record")
        os.truncate(memory, size)
        self.memory = mmap.mmap(memory, size)
        self.views: list[dict[str, Array]] = [{} for _ in range(slots)]
        for item, recorded in zip(variables, self.fields, strict=True):
            if "static" in item:
                values = self._view(item, item["static"])
                own = static[recorded.field.name][self._own(recorded)]
                np.copyto(values, own, casting="same_kind")
            for slot in range(slots if "record" in item else 0):
                at = item["record"] + slot * self._bytes(recorded)
                self.views[slot][recorded.variable] = self._view(item, at)
        dimensions, fixed = self._axes()
        layout = Layout(
            path=str(self.path),
            attributes=self._attributes(),
            dimensions=dimensions,
            variables=[*fixed, *variables],
            compression={
                "compression": "zlib" if self.record.deflate else None,
                "complevel": self.record.deflate or None,
                "shuffle": bool(self.record.deflate),
            },
            memory=memory,
            memory_bytes=size,
            record_bytes=record_bytes,
            # compression takes its time for each; without it calls are what costs
            batch=1 if self.record.deflate else max(min(self.record.flush, slots // 2), 1),
            flush=self.record.flush,
            overwrite=self.record.overwrite,
        )
        self.process = subprocess.Popen(
            [sys.executable, "-m", "coupler.record.writer"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            pass_fds=(memory,),
            start_new_session=True,  # launchers end a rank's process group; this ends by itself
        )
        os.close(memory)
        self._order(json.dumps(asdict(layout)))
        self._answer(self.spec.time_limit)

    def _view(self, item: Mapping[str, Any], at: int) -> Array:
        shape = item["shape"]
        return np.frombuffer(self.memory, item["dtype"], prod(shape), at).reshape(shape)

    def _shape(self, recorded: Recorded) -> tuple[int, int, int]:
        box = self.place.boxes[recorded.exchange.worker_grid.name].box(self.place.rank)
        return recorded.field.levels, box.ny, box.nx

    def _dtype(self, recorded: Recorded) -> np.dtype[np.floating]:
        return np.dtype(self.record.precision or recorded.exchange.wire)

    def _bytes(self, recorded: Recorded) -> int:
        """Of one date."""
        return prod(self._shape(recorded)) * self._dtype(recorded).itemsize

    def _variables(self, slots: int) -> tuple[list[dict[str, Any]], int]:
        """Of each field its variable, with the place of its slots in memory; the end of all."""
        found, end = [], 0
        for recorded in self.fields:
            shape = self._shape(recorded)
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
                    "dtype": self._dtype(recorded).str,
                    "dimensions": names,
                    "shape": shape,
                    "chunks": chunks,
                    "attributes": _describe(recorded),
                    kind: end,
                }
            )
            size = self._bytes(recorded) * (slots if kind == "record" else 1)
            end += -(-size // ALIGNED) * ALIGNED
        return found, max(end, 1)

    def _axes(self) -> tuple[dict[str, int | None], list[dict[str, Any]]]:
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

    def _attributes(self) -> dict[str, Any]:
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

    def _of_exchanges(self) -> dict[str, list[tuple[str, str, Cut]]]:
        """By exchange what `take` copies: each field's name, its variable, its own cells."""
        found: dict[str, list[tuple[str, str, Cut]]] = {}
        for recorded in self.fields:
            items = found.setdefault(recorded.exchange.place, [])
            if recorded.role != "static":
                items.append((recorded.field.name, recorded.variable, self._own(recorded)))
        return found

    def _own(self, recorded: Recorded) -> Cut:
        """Where in a field's array (level, y, x) this rank's own cells are."""
        if recorded.role == "answer":
            return ()
        box = self.place.boxes[recorded.exchange.worker_grid.name].box(self.place.rank)
        halo = recorded.exchange.halo
        return slice(None), slice(halo, halo + box.ny), slice(halo, halo + box.nx)

    def wants(self, date: int) -> bool:
        """Is anything recorded at `date`?"""
        r = self.record
        return (
            bool(self.views[0])
            and date % r.period == 0
            and (r.first is None or date >= r.first)
            and (r.last is None or date <= r.last)
        )

    def take(self, date: int, exchange: ExchangeSpec, arrays: Mapping[str, Array]) -> None:
        """Copy the fields of `exchange` that are recorded; they may change afterwards."""
        if not self.wants(date):
            return
        if self._date != date:
            self._look()
            if not self._free and self.record.when_slow == "skip":
                return
            self._wait_for_room()
            self._date = date
        view = self.views[self._free[0]]
        for name, variable, own in self._taken.get(exchange.place, ()):
            np.copyto(view[variable], arrays[name][own], casting="same_kind")

    def commit(self, date: int) -> None:
        """All of `date` has been taken: give it to the writer."""
        if self._date == date:
            slot = self._free.pop(0)
            self._busy.append(slot)
            self._order(f"record {slot} {date}")
            self.written += 1
            self._date = None
        elif self.wants(date):
            self.skipped += 1

    def _wait_for_room(self) -> None:
        if self._free:
            return
        self.waits += 1
        if self.waits == 1:
            text = f"the disk is slower than the model: waiting for it ({len(self._busy)} records)"
            who = f"{self.place.worker} rank {self.place.rank}"
            print(f"halocline: {who}: record {self.path}: {text}", file=sys.stderr, flush=True)
        begun = time.perf_counter()
        self._answer(self.spec.time_limit)
        self.waited += time.perf_counter() - begun

    def _order(self, line: str) -> None:
        assert self.process.stdin is not None
        try:
            self.process.stdin.write(f"{line}\n".encode())
            self.process.stdin.flush()
        except BrokenPipeError:  # its reason is in what it answered
            while self._answer(CLOSING):
                pass

    def _look(self) -> None:
        """What the writer has said by now."""
        while self._busy and self._answer(0.0):
            pass

    def _answer(self, limit: float) -> bool:
        """Take one answer of the writer, waiting for `limit` [s] at most. False: none with limit 0.

        Raises CouplingError if the writer failed, ended, or says nothing.
        """
        assert self.process.stdout is not None
        pipe = self.process.stdout.fileno()
        end = time.perf_counter() + limit
        while b"\n" not in self._text:
            ready, _, _ = select.select([pipe], [], [], max(end - time.perf_counter(), 0.0))
            if not ready:
                if limit == 0.0:
                    return False
                self._fail(f"nothing was written for {limit:g} s; is the disk alive?")
            data = os.read(pipe, 4096)
            if not data:
                self._fail(f"its process ended with code {self.process.wait()}")
            self._text += data
        line, _, self._text = self._text.partition(b"\n")
        if line != b"ok":
            self._fail(line.decode(errors="replace").removeprefix("error "))
        if self._busy:
            self._free.append(self._busy.pop(0))
        return True

    def _fail(self, text: str) -> None:
        after = "; what was written before stays readable" if self.written else ""
        raise CouplingError(
            f"record {self.path}: {text}{after}. "
            "Make room, or record less (record.fields, every, precision, deflate)"
        )

    def drain(self) -> None:
        """Returns when all that was committed is written."""
        if self._busy:
            self._order("write")
        while self._busy:
            self._answer(self.spec.time_limit)

    def close(self) -> str:
        """Wait until all is written. A word on what was."""
        self.drain()
        self._order(f"end {self.skipped}")
        self._answer(self.spec.time_limit)
        self._end(self.spec.time_limit)
        base = str(self.path).replace(f".rank{self.place.rank:04d}.nc", "")
        text = f"recorded {self.written} dates in {base}.rank*.nc"
        if self.skipped:
            text += f", skipped {self.skipped} for which the disk was too slow"
        if self.waits:
            text += f", waited {self.waits} times for the disk, {self.waited:.2f} s"
        return text

    def abandon(self) -> None:
        """The rank failed: the writer writes what it was given, and closes the file."""
        self._end(CLOSING)

    def _end(self, limit: float) -> None:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        with suppress(BrokenPipeError):
            self.process.stdin.close()
        with suppress(subprocess.TimeoutExpired):  # then it ends by itself
            self.process.wait(limit)
        self.process.stdout.close()


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
