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
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.record.contents import Contents, Cut, Place, record_of
from coupler.record.writer import Layout
from coupler.spec import CouplingSpec, ExchangeSpec

Array = NDArray[np.floating]
# bytes that records may take while they wait for the disk, where no count is given
MEMORY = 1 << 26
FEWEST, MOST = 2, 32  # such records
CLOSING = 1.0  # [s] for a failed rank's file to be closed, before the job is ended


class Recorder:
    """Copies a date's fields to shared memory, from which a process writes them in its own time.

    `take` what arrives and what is answered, then `commit` the date. Memory is bounded: when all
    `buffer` records wait for the disk, the rank waits too (and says so, once), or skips the date.
    """

    def __init__(self, spec: CouplingSpec, place: Place, static: Mapping[str, Array]) -> None:
        """`static` (level, y, x): padded. Raises CouplingError where the file cannot be made."""
        self.spec, self.place, self.record = spec, place, record_of(spec, place.worker)
        self.contents = Contents(spec, place)
        self.fields, self.path = self.contents.fields, self.contents.path
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
        self._skipped_date: int | None = None  # whole, also if there is room later in the step
        self._busy: list[int] = []  # oldest first
        self._text = b""
        self.skipped = self.written = self.waits = 0
        self.waited = 0.0  # [s]
        self._start(static)

    def _start(self, static: Mapping[str, Array]) -> None:
        record_bytes = sum(self.contents.bytes(r) for r in self.fields if r.role != "static")
        slots = self.record.buffer or min(max(MEMORY // max(record_bytes, 1), FEWEST), MOST)
        self._free = list(range(slots))
        variables, size = self.contents.variables(slots)
        memory = os.memfd_create("halocline record")
        os.truncate(memory, size)
        self.memory = mmap.mmap(memory, size)
        self.views: list[dict[str, Array]] = [{} for _ in range(slots)]
        for item, recorded in zip(variables, self.fields, strict=True):
            if "static" in item:
                values = self._view(item, item["static"])
                own = static[recorded.field.name][self.contents.own(recorded)]
                np.copyto(values, own, casting="same_kind")
            for slot in range(slots if "record" in item else 0):
                at = item["record"] + slot * self.contents.bytes(recorded)
                self.views[slot][recorded.variable] = self._view(item, at)
        dimensions, fixed = self.contents.axes()
        layout = Layout(
            path=str(self.path),
            attributes=self.contents.attributes(),
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

    def _of_exchanges(self) -> dict[ExchangeSpec, list[tuple[str, str, Cut]]]:
        """By exchange what `take` copies: each field's name, its variable, its own cells."""
        found: dict[ExchangeSpec, list[tuple[str, str, Cut]]] = {}
        for recorded in self.fields:
            items = found.setdefault(recorded.exchange, [])
            if recorded.role != "static":
                items.append((recorded.field.name, recorded.variable, self.contents.own(recorded)))
        return found

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
        if not self.wants(date) or date == self._skipped_date:
            return
        if self._date != date:
            self._look()
            if not self._free and self.record.when_slow == "skip":
                self._skipped_date = date
                return
            self._wait_for_room()
            self._date = date
        view = self.views[self._free[0]]
        for name, variable, own in self._taken.get(exchange, ()):
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
