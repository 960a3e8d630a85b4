# SPDX-License-Identifier: MIT
"""What this rank did when, for a timeline: one line for each span of time, in a file of its own.

The Fortran half is hcl_trace.f90. Each line is written at once, so that a job that fails or is
killed leaves what it did.
"""

from __future__ import annotations

import os
import platform
import time
from io import TextIOWrapper
from pathlib import Path

TRACE = "HALOCLINE_TRACE"  # environment: the directory for the ranks' files; off without it
LIMIT = "HALOCLINE_TRACE_LIMIT"  # environment: events of a rank
DEFAULT_LIMIT = 20_000
LOOKS = 9  # at the clocks
ENDING = ".trace.csv"
MAGIC = "# halocline trace"  # then component, rank, model or worker, host
COLUMNS = "begin,end,what,date,fields"  # seconds since 1970 by the node's clock
CUT = "# cut"  # the last line of a file that reached its limit


class Trace:
    """The file of one rank."""

    def __init__(self, file: TextIOWrapper, limit: int) -> None:
        self._file, self._left = file, limit
        # a rank may lose its core between the two clocks: of some looks the best is the latest
        self._origin = max(time.time() - time.perf_counter() for _ in range(LOOKS))

    def record(self, what: str, begun: float, ended: float, date: int, fields: str) -> None:
        """`what` (wait, exchange, inference) took from `begun` to `ended`, of perf_counter [s]."""
        if self._file.closed:
            return
        if self._left == 0:
            self._write(f"{CUT}\n")
            self._file.close()
            return
        self._left -= 1
        begun, ended = begun + self._origin, ended + self._origin
        self._write(f"{begun:.6f},{ended:.6f},{what},{date},{fields}\n")

    def _write(self, line: str) -> None:
        """Raises OSError with the file's name, which that of a full disk has not."""
        try:
            self._file.write(line)
        except OSError as error:
            raise OSError(error.errno, error.strerror, self._file.name) from error

    def close(self) -> None:
        self._file.close()


def open_trace(component: str, rank: int) -> Trace | None:
    """None where no trace is asked for. Raises OSError if the directory is not there, ValueError
    for a limit that is no number of events."""
    directory = os.environ.get(TRACE)
    if not directory:
        return None
    text = os.environ.get(LIMIT) or str(DEFAULT_LIMIT)
    if not text.isdigit() or int(text) < 1:
        raise ValueError(f"{LIMIT}: got {text}, expected a number of events")
    path = Path(directory) / f"{component}.{rank}{ENDING}"
    file = path.open("w", buffering=1, encoding="utf-8")
    file.write(f"{MAGIC},{component},{rank},worker,{platform.node()}\n{COLUMNS}\n")
    return Trace(file, int(text))
