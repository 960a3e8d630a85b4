# SPDX-License-Identifier: MIT
"""Answers to exchange_model, right and wrong; tests put this file beside their spec."""

from __future__ import annotations

import os
import signal
import time
from typing import Any

calls = 0


def _nth_call(n: int) -> bool:
    global calls
    calls += 1
    return calls == n


def double(a: Any, b: Any) -> Any:
    return a * 2 + 1


double.halo = 1  # type: ignore[attr-defined]


def wide(a: Any) -> Any:
    return a * 2 + 1


wide.halo = 3  # type: ignore[attr-defined]


def silent(a: Any) -> Any:
    """Says nothing of its halo."""
    return a * 2 + 1


def slow(a: Any) -> Any:
    time.sleep(0.05)
    return a * 2 + 1


def needs_salinity(a: Any, salinity: Any) -> Any:
    return a + salinity


def raises(a: Any) -> Any:
    if _nth_call(3):
        raise ValueError("no water left")
    return a * 2 + 1


def dies(a: Any) -> Any:
    if _nth_call(3):
        os.kill(os.getpid(), signal.SIGKILL)
    return a * 2 + 1


def hangs(a: Any) -> Any:
    time.sleep(1000)


class Refuses:
    def __init__(self, strength: float) -> None:
        raise ValueError(f"strength {strength} is too much")

    def __call__(self, a: Any) -> Any:
        return a


def no_forcing(u: Any, v: Any) -> dict[str, Any]:
    return {"su": 0 * u, "sv": 0 * v}
