# SPDX-License-Identifier: MIT
"""The process that writes a worker rank's record: `python -m coupler.record_writer`.

A process of its own, not a thread: netCDF is not safe in two threads, and `MPI_Abort` or a signal
ends a rank at once, but not this process. It reads what to do from its standard input; when that
ends, however the rank ended, it writes what it has, closes the file and ends.

Orders are lines: the file's description (JSON), then `record SLOT DATE` for each record that waits
in shared memory, and at a regular end `end SKIPPED`. Each is answered with `ok`, or with
`error TEXT`, after which nothing more is written.
"""

from __future__ import annotations

import errno
import json
import mmap
import os
import signal
import sys
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
    # values: written once; static: where in memory such values are; record: where in a slot
    compression: dict[str, Any]  # of all variables that are neither time nor coordinates
    memory: int  # file descriptor
    static_bytes: int  # before the first slot
    slot_bytes: int
    slots: int
    flush: int  # records
    overwrite: bool


class RecordFile:
    """A record while it is written. `flush` leaves it complete and readable."""

    def __init__(self, layout: Layout) -> None:
        self.layout = layout
        size = layout.static_bytes + layout.slots * layout.slot_bytes
        self.memory = mmap.mmap(layout.memory, max(size, 1), prot=mmap.PROT_READ)
        self.data = netCDF4.Dataset(layout.path, "w", clobber=layout.overwrite)
        self.file = os.open(layout.path, os.O_RDWR)
        self.records = 0
        self.unflushed = 0
        self.end = 0
        for name, length in layout.dimensions.items():
            self.data.createDimension(name, length)
        self.data.setncatts(layout.attributes)
        for item in layout.variables:
            self._define(item)
        self.flush()

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
            variable[...] = self._values(item, item["static"])

    def _values(self, item: dict[str, Any], at: int) -> np.ndarray[Any, Any]:
        shape = item["shape"]
        values = np.frombuffer(self.memory, item["dtype"], prod(shape), at)
        return values.reshape(shape)

    def claim(self, size: int) -> None:
        """Room for `size` more bytes, or OSError: a full disk is found before a record is begun,
        so that no half of one is ever in the file."""
        needed = size + MARGIN
        try:
            os.posix_fallocate(self.file, self.end, needed)
        except OSError as error:
            if error.errno not in NO_CLAIMS:
                raise

    def write(self, slot: int, date: int) -> None:
        self.claim((self.unflushed + 1) * self.layout.slot_bytes)
        begin = self.layout.static_bytes + slot * self.layout.slot_bytes
        for item in self.layout.variables:
            if "record" in item:
                values = self._values(item, begin + item["record"])
                self.data[item["name"]][self.records] = values
        self.data["time"][self.records] = date
        self.records += 1
        self.unflushed += 1
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
            elif line.startswith("record "):
                record.write(*(int(word) for word in line.split()[1:]))
            else:
                complete, skipped = 1, int(line.split()[1])
                break
            print("ok", flush=True)
        if record is not None:
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
