# SPDX-License-Identifier: MIT
"""The workers of `halocline bench overlap`: arithmetic for a given time, then an answer."""

from __future__ import annotations

import sys
import time

import numpy as np

from coupler.component import Component


def main(spec: str, seconds: float) -> None:
    with Component("worker", spec) as worker:
        for step in worker.steps():
            until = time.perf_counter() + seconds
            levels = step["a"]
            answer = np.zeros_like(levels)
            while time.perf_counter() < until:
                for number, level in enumerate(levels):
                    if time.perf_counter() < until:
                        answer[number] = 0.5 * level
            step["b"] = answer


main(sys.argv[1], float(sys.argv[2]))
