# SPDX-License-Identifier: MIT
"""A partner of exchange_model that measures what Python and NumPy allocate between two steps.

Usage: allocation_worker.py SPEC. Prints the most bytes that were allocated at once in any
exchange (send, receive) after the first two, and the bytes of one field.
"""

from __future__ import annotations

import sys
import tracemalloc

import numpy as np

from coupler import Component


def main(spec: str) -> None:
    peaks: list[int] = []
    with Component("worker", spec) as worker:
        halo, box = worker.spec.exchanges[0].halo, worker.box
        own = (slice(None), slice(halo, halo + box.ny), slice(halo, halo + box.nx))
        before = 0
        for step in worker.steps():
            if step.number == 2:
                tracemalloc.start()
            elif step.number > 2:
                peaks.append(tracemalloc.get_traced_memory()[1] - before)
            out = step.out["answer"]
            np.multiply(step["a"][own], 2, out=out)
            np.add(out, 1, out=out)
            step["answer"] = out
            size = out.nbytes
            if step.number >= 2:
                tracemalloc.reset_peak()
                before = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
    print("allocated", max(peaks), "of", size, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
