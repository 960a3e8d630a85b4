# SPDX-License-Identifier: MIT
"""Where the time of a coupled run goes, and how far it is."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from coupler.trace import Trace

MONITOR = "HALOCLINE_MONITOR"  # environment: the directory for <component>.json
INTERVAL = 0.2  # [s] between two reports

Activity = Literal["wait", "exchange", "inference"]
PlainProfile = dict[str, Any]  # a Profile as JSON holds it, with "elapsed"


@dataclass
class Profile:
    """Seconds of one worker rank, summed over its steps."""

    steps: int = 0
    date: int = 0
    wait: float = 0.0  # for the model's fields
    exchange: float = 0.0  # unpacking, packing, sending
    inference: float = 0.0
    model: dict[str, float] = field(default_factory=dict)  # total, packing, waiting, unpacking
    how: str = ""  # the network is run: device, threads and the like
    begun: float = field(default_factory=time.perf_counter)
    trace: Trace | None = None  # for a timeline

    @contextmanager
    def measure(self, what: Activity, date: int, fields: str = "") -> Iterator[None]:
        """The block belongs to `what`, also if it raises."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.add(what, begun, time.perf_counter(), date, fields)

    def add(self, what: Activity, begun: float, ended: float, date: int, fields: str) -> None:
        """`begun` and `ended` are those of perf_counter [s]."""
        setattr(self, what, getattr(self, what) + ended - begun)
        if self.trace is not None:
            self.trace.record(what, begun, ended, date, fields)

    def count_step(self, date: int) -> None:
        self.steps += 1
        self.date = date


class Reporter:
    """Tells the launcher how far a component is, every INTERVAL at most, by a file.

    Without a launcher there is nobody to tell: then the end prints where the time went.
    """

    def __init__(self, component: str, model: str) -> None:
        directory = os.environ.get(MONITOR)
        self.component, self.model = component, model
        self.path = Path(directory) / f"{component}.json" if directory else None
        self._last = 0.0

    def report(self, profile: Profile) -> None:
        """A report that finds no room is left out: no run ends for it."""
        now = time.perf_counter()
        if self.path is not None and now - self._last >= INTERVAL:
            self._last = now
            with suppress(OSError):
                self._write(self.path, _plain(profile))

    def end(self, profile: Profile) -> None:
        try:
            if self.path is not None:
                self._write(self.path, _plain(profile))
                return
        except OSError as error:
            print(f"halocline: {self.path}: {error.strerror}", file=sys.stderr, flush=True)
        print(summary_text(self.component, self.model, _plain(profile)), flush=True)

    @staticmethod
    def _write(path: Path, profile: PlainProfile) -> None:
        partial = path.with_suffix(".partial")
        partial.write_text(json.dumps(profile))
        os.replace(partial, path)  # a reader sees all of it or the one before


def _plain(profile: Profile) -> PlainProfile:
    names = ("steps", "date", "wait", "exchange", "inference", "model", "how", "begun")
    elapsed = time.perf_counter() - profile.begun
    return {name: getattr(profile, name) for name in names} | {"elapsed": elapsed}


def summary_text(component: str, model: str, profile: PlainProfile) -> str:
    """A few plain lines for a job that was started by hand."""
    lines = [f"halocline: {profile['steps']} coupling steps in {profile['elapsed']:.1f} s"]
    if profile.get("how"):
        lines.append(f"halocline:   {component:<12} {profile['how']}")
    for name, what, seconds, share in summary(component, model, profile):
        lines.append(f"halocline:   {name:<12} {what:<10} {seconds:10.6f} s/step {share:6.1%}")
    return "\n".join(lines)


def summary(
    component: str, model: str, profile: PlainProfile
) -> list[tuple[str, str, float, float]]:
    """Rows (component, what, seconds per step, share of the component's time)."""
    steps = max(int(profile["steps"]), 1)
    rows: list[tuple[str, str, float, float]] = []
    times = profile["model"]
    if times:
        exchange = times["packing"] + times["unpacking"]
        compute = times["total"] - exchange - times["waiting"]
        parts = {"compute": compute, "exchange": exchange, "wait": times["waiting"]}
        rows += _shares(model, parts, steps)
    parts = {name: float(profile[name]) for name in ("inference", "exchange", "wait")}
    return rows + _shares(component, parts, steps)


def _shares(
    component: str, parts: dict[str, float], steps: int
) -> list[tuple[str, str, float, float]]:
    total = sum(parts.values()) or 1.0
    return [(component, name, value / steps, value / total) for name, value in parts.items()]
