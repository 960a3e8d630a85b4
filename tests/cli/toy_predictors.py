# SPDX-License-Identifier: MIT
"""Answers to exchange_model, right and wrong; tests put this file beside their spec."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

import numpy as np

IN_JOB = (3, 7, 9)  # the padded box of one rank; what is asked to measure the halo has other sizes
calls = 0


def _nth_call(n: int, a: Any) -> bool:
    global calls
    calls += a.shape == IN_JOB
    return calls == n and a.shape == IN_JOB


def double(a: Any, b: Any) -> Any:
    """Reads b one cell away, and does nothing with it."""
    return a * 2 + 1 + 0 * np.roll(b, 1, axis=2)


def wide(a: Any) -> Any:
    return a + np.roll(a, 3, axis=1)


def slopes(a: Any) -> Any:
    return a - np.roll(a, 1, axis=2)


def mean(a: Any) -> Any:
    """Reads the whole domain."""
    return a - a.mean(axis=(1, 2), keepdims=True)


def noisy(a: Any) -> Any:
    return a + np.random.default_rng().normal(size=a.shape)


def slow(a: Any) -> Any:
    time.sleep(0.05)
    return a * 2 + 1


def needs_salinity(a: Any, salinity: Any) -> Any:
    return a + salinity


def raises(a: Any) -> Any:
    if _nth_call(3, a):
        raise ValueError("no water left")
    return a * 2 + 1


def dies(a: Any) -> Any:
    if _nth_call(3, a):
        os.kill(os.getpid(), signal.SIGKILL)
    return a * 2 + 1


def hangs(a: Any) -> Any:
    if a.shape == IN_JOB:
        time.sleep(1000)
    return a


class Refuses:
    def __init__(self, strength: float) -> None:
        raise ValueError(f"strength {strength} is too much")

    def __call__(self, a: Any) -> Any:
        return a


def no_forcing(u: Any, v: Any) -> dict[str, Any]:
    return {"su": 0 * u, "sv": 0 * v}
