# SPDX-License-Identifier: MIT
"""The worker of `halocline bench record`: blocks of steps with and without recording, in turn.

A block with it ends when all of its records are written. Usage: SPEC FILE WARM BLOCK; what was
measured goes to FILE.
"""

from __future__ import annotations

import json
import os
import statistics
import sys
import time
from pathlib import Path

from mpi4py import MPI

from coupler.component import Component
from coupler.driver import load_for


def processor_time(process: int) -> float:
    """[s] that a process has computed: proc(5)."""
    words = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(words[11]) + int(words[12])) / os.sysconf("SC_CLK_TCK")


def main(path: str, file: str, warm: int, block: int) -> None:
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with Component("closure", path, MPI.COMM_WORLD) as closure:
        predictor = load_for(closure.spec, "closure")
        recorder = closure.recorder
        assert recorder is not None
        every = recorder.record.period // closure.spec.time_step
        before, begun = recorder.path.stat().st_size, 0.0
        used = processor_time(recorder.process.pid)
        for number in range(1, (closure.spec.steps or 0) + 1):
            step = closure.receive()
            assert step is not None
            for name, answer in predictor(closure.static | dict(step), step.due).items():
                step[name] = answer
            closure.send(step)
            if number < warm or (number - warm) % block:
                continue
            recorder.drain()
            if number > warm:
                seconds[closure.recorder is not None].append((time.perf_counter() - begun) / block)
            closure.recorder = recorder if closure.recorder is None else None
            begun = time.perf_counter()
        closure.recorder = recorder
        size = recorder.path.stat().st_size - before
        used = processor_time(recorder.process.pid) - used
        steps = recorder.written * every  # whose records these are
        for _ in closure.steps():
            raise RuntimeError("the model went on after its last step")
    found = {
        "with": statistics.median(seconds[True]),
        "without": statistics.median(seconds[False]),
        "bytes": size / steps,
        "writer": used / steps,
    }
    Path(file).write_text(json.dumps(found))


main(sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
