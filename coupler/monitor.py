# SPDX-License-Identifier: MIT
"""Where the time of a coupled run goes, and how far it is."""

from __future__ import annotations

import json
import os
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path

MONITOR = "HALOCLINE_MONITOR"  # environment: the directory for <component>.json
INTERVAL = 0.2  # [s] between two reports


@dataclass
class Profile:
    """Seconds of one worker rank, summed over its steps."""

    steps: int = 0
    date: int = 0
    wait: float = 0.0  # for the model's fields
    exchange: float = 0.0  # unpacking, packing, sending
    inference: float = 0.0
    model: dict[str, float] = field(default_factory=dict)  # total, packing, waiting, unpacking
    begun: float = field(default_factory=time.perf_counter)

    def count_step(self, date: int) -> None:
        self.steps += 1
        self.date = date


class Reporter:
    """Writes a component's profile to the launcher's directory, every INTERVAL at most."""

    def __init__(self, component: str) -> None:
        directory = os.environ.get(MONITOR)
        self.path = Path(directory) / f"{component}.json" if directory else None
        self._last = 0.0

    def report(self, profile: Profile, final: bool = False) -> None:
        if self.path is None:
            return
        now = time.perf_counter()
        if not final and now - self._last < INTERVAL:
            return
        self._last = now
        partial = self.path.with_suffix(".partial")
        partial.write_text(json.dumps(asdict(profile) | {"elapsed": now - profile.begun}))
        os.replace(partial, self.path)


def summary(
    component: str, model: str, profile: dict[str, float | int | dict[str, float]]
) -> list[tuple[str, str, float, float]]:
    """Rows (component, what, seconds per step, share of the component's time)."""
    steps = max(int(profile["steps"]), 1)  # type: ignore[arg-type]
    rows: list[tuple[str, str, float, float]] = []
    times = profile["model"]
    assert isinstance(times, dict)
    if times:
        exchange = times["packing"] + times["unpacking"]
        compute = times["total"] - exchange - times["waiting"]
        parts = {"compute": compute, "exchange": exchange, "wait": times["waiting"]}
        rows += _shares(model, parts, steps)
    parts = {name: float(profile[name]) for name in ("inference", "exchange", "wait")}  # type: ignore[arg-type]
    return rows + _shares(component, parts, steps)


def _shares(
    component: str, parts: dict[str, float], steps: int
) -> list[tuple[str, str, float, float]]:
    total = sum(parts.values()) or 1.0
    return [(component, name, value / steps, value / total) for name, value in parts.items()]
