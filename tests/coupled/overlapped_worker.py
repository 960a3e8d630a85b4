# SPDX-License-Identifier: MIT
"""A partner of exchange_model that shows overlap: it computes the answer to the inputs of a date
until the model has finished its get of that date. With lag 0 that would be never.

Usage: overlapped_worker.py SPEC; the model's traces must be where the job runs.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from coupler import Component

TRACE = Path("model.0.trace.csv")


def main(spec: str) -> None:
    with Component("worker", spec) as worker:
        for step in worker.steps():
            step["answer"] = step["a"] * 2 + 1
            until = time.monotonic() + worker.spec.time_limit
            while f",unpack,{step.date},answer\n" not in TRACE.read_text():
                assert time.monotonic() < until, f"the model waits in its get of {step.date}"


if __name__ == "__main__":
    main(*sys.argv[1:])
