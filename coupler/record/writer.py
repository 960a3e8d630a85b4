# SPDX-License-Identifier: MIT
"""The process that writes a worker rank's record: `python -m coupler.record.writer`.

A process of its own, not a thread: netCDF is not safe in two threads, and `MPI_Abort` or a signal
ends a rank at once, but not this process. It reads what to do from its standard input; when that
ends, however the rank ended, it writes what it has, closes the file and ends.

Orders are lines: the file's description (JSON), then `record SLOT DATE` for each record that waits
in shared memory, `write` to write all of them now, and at a regular end `end SKIPPED`. Each but
`write` is answered with `ok` when it is done, or with `error TEXT`, after which nothing more is
written. Records are written several at a time, unless they are compressed, which takes a third of
the processor's time.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import netCDF4
import numpy as np

NICE = 10  # where cores are few the ranks come first; the buffer waits
MARGIN = 1 << 18  # bytes that the file's own bookkeeping may take between two flushes
NO_CLAIMS = (errno.EOPNOTSUPP, errno.EINVAL, errno.ENODEV)  # of file systems that know no claims


@dataclass(frozen=True)
class Layout:
    """What a rank tells its writer; plain data that travels as JSON."""

    path: str
    attributes: dict[str, Any]  # of the file
    dimensions: dict[str, int | None]
    variables: list[dict[str, Any]]  # name, dtype, dimensions, attributes and one of:
    # values: written once; static: where in memory such values are; record: where those of the
    # first slot are, with the other slots behind them
    compression: dict[str, Any]  # of all variables that are neither time nor coordinates
    memory: int  # file descriptor
    memory_bytes: int
    record_bytes: int
    batch: int  # records that are written at once
    flush: int  # records
    overwrite: bool


class RecordFile:
    """A record while it is written. `flush` leaves it complete and readable."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        self.memory = mmap.mmap(layout.memory, layout.memory_bytes, prot=mmap.PROT_READ)
        self.data = netCDF4.Dataset(layout.path, "w", clobber=layout.overwrite)
        self.file = os.open(layout.path, os.O_RDWR)
        self.waiting: list[tuple[int, int]] = []  # slot and date of each record
        self.records = 0
        self.unflushed = 0
        self.end = 0
        for name, length in layout.dimensions.items():
            self.data.createDimension(name, length)
        self.data.setncatts(layout.attributes)
        for item in layout.variables:
            self._define(item)
        self.flush()
        self._write_through()

    def _define(self, item: dict[str, Any]) -> None:
        fixed = "values" in item or item["name"] == "time"
        options = {} if fixed else self.layout.compression | {"chunksizes": item["chunks"]}
        variable = self.data.createVariable(
            item["name"], item["dtype"], item["dimensions"], fill_value=False, **options
        )
        variable.setncatts(item["attributes"])
        variable.set_auto_maskandscale(False)
        if "values" in item:
            variable[...] = item["values"]
        elif "static" in item:
            variable[...] = self._values(item, item["static"], 0, 1)[0]

    def _write_through(self) -> None:
        """Chunks that are written whole, as they are, need no cache: half the time. To be called
        when the variables are in the file: before, netCDF forgets it."""
        for item in self.layout.variables:
            whole = "record" in item and item["chunks"][0] == 1
            if whole and not self.layout.compression["compression"]:
                self.data[item["name"]].set_var_chunk_cache(size=0)

    def _values(
        self, item: dict[str, Any], at: int, first: int, count: int
    ) -> np.ndarray[Any, Any]:
        """(slot, level, y, x) of `count` slots."""
        size = prod(item["shape"])
        begin = at + first * size * np.dtype(item["dtype"]).itemsize
        values = np.frombuffer(self.memory, item["dtype"], count * size, begin)
        return values.reshape(count, *item["shape"])

    def claim(self, size: int) -> None:
        """Room for `size` more bytes, or OSError: a full disk is found before a record is begun,
        so that no half of one is ever in the file."""
        needed = size + MARGIN
        try:
            os.posix_fallocate(self.file, self.end, needed)
        except OSError as error:
            if error.errno not in NO_CLAIMS:
                raise

    def write(self) -> Iterator[int]:
        """Write what waits; yields how many records are done."""
        while self.waiting:
            count = self._consecutive()
            try:
                self.claim((self.unflushed + count) * self.layout.record_bytes)
            except OSError:
                if count == 1:
                    raise
                count = 1  # as many as there is room for
                self.claim((self.unflushed + count) * self.layout.record_bytes)
            self._put(self.waiting[:count])
            del self.waiting[:count]
            yield count

    def _consecutive(self) -> int:
        """Of the records that wait, how many lie one behind the other, up to the next flush."""
        first = self.waiting[0][0]
        most = min(len(self.waiting), self.layout.flush - self.unflushed)
        return next((n for n in range(1, most) if self.waiting[n][0] != first + n), most)

    def _put(self, records: list[tuple[int, int]]) -> None:
        first, count, place = records[0][0], len(records), self.records
        for item in self.layout.variables:
            if "record" in item:
                values = self._values(item, item["record"], first, count)
                self.data[item["name"]][place : place + count] = values
        self.data["time"][place : place + count] = [date for _, date in records]
        self.records += count
        self.unflushed += count
        if self.unflushed >= self.layout.flush:
            self.flush()

    def flush(self) -> None:
        self.data.sync()
        self.unflushed = 0
        self.end = end_of_file(self.file)

    def close(self, **attributes: int) -> None:
        """Give back what was claimed and not used."""
        self.data.setncatts(attributes)
        self.data.close()
        os.truncate(self.file, end_of_file(self.file))
        os.close(self.file)


def end_of_file(file: int) -> int:
    """Bytes of an HDF5 file that are in use, as its superblock says (HDF5 file format
    specification, section II.A); the file on disk may be longer by what was claimed."""
    head = os.pread(file, 48, 0)
    at = 40 if head[8] < 2 else 28
    return int.from_bytes(head[at : at + 8], "little")


def write(record: RecordFile) -> None:
    for count in record.write():
        print("ok\n" * count, end="", flush=True)


def main() -> None:
    os.nice(NICE)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C ends the rank, which ends this
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    record: RecordFile | None = None
    complete, skipped = 0, 0
    try:
        for line in sys.stdin:
            if record is None:
                record = RecordFile(Layout(**json.loads(line)))
                print("ok", flush=True)
            elif line.startswith("record "):
                slot, date = line.split()[1:]
                record.waiting.append((int(slot), int(date)))
                if len(record.waiting) >= record.layout.batch:
                    write(record)
            elif line.startswith("write"):
                write(record)
            else:
                complete, skipped = 1, int(line.split()[1])
                break
        if record is not None:
            write(record)
            record.close(complete=complete, skipped=skipped)
    except Exception as error:  # all that netCDF may raise; the rank says it
        text = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else error
        written = record.records if record is not None else 0
        if isinstance(error, OSError) and record is not None:  # of a claim: the file is sound
            with suppress(Exception):
                record.close(complete=0)
        print(f"error {text} (after {written} records)".replace("\n", " "), flush=True)
        os._exit(1)  # not by netCDF's own end: what was flushed is complete, and shall stay so
    print("ok", flush=True)


if __name__ == "__main__":
    main()
