# SPDX-License-Identifier: MIT
"""The worker of `halocline bench record`: blocks of steps with and without recording, in turn.

A block with it ends when all of its records are written. Usage: SPEC WARM BLOCK
"""

from __future__ import annotations

import json
import statistics
import sys
import time

from mpi4py import MPI

from coupler.component import Component
from coupler.driver import load_for


def main(path: str, warm: int, block: int) -> None:
    seconds: dict[bool, list[float]] = {True: [], False: []}
    with Component("closure", path, MPI.COMM_WORLD) as closure:
        predictor = load_for(closure.spec, "closure")
        recorder = closure.recorder
        assert recorder is not None
        before, begun = recorder.path.stat().st_size, 0.0
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
        written = recorder.written
        for _ in closure.steps():
            raise RuntimeError("the model went on after its last step")
    found = {
        "with": statistics.median(seconds[True]),
        "without": statistics.median(seconds[False]),
        "bytes": size / written,
    }
    print(json.dumps(found), flush=True)


main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
