# SPDX-License-Identifier: MIT
"""How far a running job is: a bar on a terminal, a line now and then elsewhere."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from coupler.spec import CouplingSpec

DAY = 86400.0  # [s]
LINE_INTERVAL = 10.0  # [s] between two lines where there is no terminal
STEP_OF_LOG = re.compile(r"\s*(?:step\s*[:=]?\s*)?(\d+)\b", re.IGNORECASE)

Source = Callable[[], int]  # model steps done


class JobProgress:
    """`with JobProgress(...) as progress:` then `show` each line and `update` now and then."""

    def __init__(self, console: Console, label: str, spec: CouplingSpec, source: Source) -> None:
        self.console, self.label, self.source = console, label, source
        self.steps, self.time_step = spec.steps, spec.time_step
        self.begun = self._printed = time.perf_counter()
        self._first: tuple[int, float] | None = None
        self._done = 0
        self._bar = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(bar_width=None),
            TaskProgressColumn(),
            TextColumn("{task.fields[figures]}"),
            TimeElapsedColumn(),
            console=console,
            disable=not console.is_terminal,
            transient=True,
        )
        self._task = self._bar.add_task(label, total=self.steps, figures="starting")

    def __enter__(self) -> JobProgress:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, line: str) -> None:
        """A line of the job, above the bar."""
        self.console.print(Text.from_ansi(line), soft_wrap=True, highlight=False)

    def update(self) -> None:
        done, now = self.source(), time.perf_counter()
        if done <= self._done:
            return
        self._done = done
        # the speed counts from the first step seen: starting a job takes seconds of its own
        self._first = self._first or (done, now)
        self._bar.update(self._task, completed=done, figures=self.figures(now))
        if not self.console.is_terminal and now - self._printed >= LINE_INTERVAL:
            self._printed = now
            of = f" of {self.steps}" if self.steps else ""
            text = f"{self.label}: step {done}{of}, {self.figures(now)}"
            self.console.print(text, soft_wrap=True, highlight=False)

    def figures(self, now: float) -> str:
        """`day 12.5 of 30, 210 steps/s, 0:42 left`"""
        days = f"day {self._done * self.time_step / DAY:.1f}"
        if self.steps:
            days += f" of {self.steps * self.time_step / DAY:.4g}"
        assert self._first is not None
        done, since = self._done - self._first[0], now - self._first[1]
        if done == 0 or since <= 0.0:
            return days
        text = f"{days}, {done / since:.4g} steps/s"
        if self.steps:
            minutes, seconds = divmod(round((self.steps - self._done) * since / done), 60)
            text += f", {minutes}:{seconds:02d} left"
        return text


def read_profiles(directory: Path, names: list[str]) -> dict[str, dict[str, Any]]:
    """What the workers last said of themselves; the one that said nothing yet is not there."""
    profiles = {}
    for name in names:
        try:
            profiles[name] = json.loads((directory / f"{name}.json").read_text())
        except OSError:
            continue
    return profiles


def steps_of_workers(spec: CouplingSpec, directory: Path) -> Source:
    """Model steps that every worker has answered, from their profiles in `directory`."""
    periods = {
        component.name: min(exchange.period for exchange in spec.incoming(component.name))
        for component in spec.components
        if component.is_worker
    }

    def done() -> int:
        profiles = read_profiles(directory, list(periods))
        if len(profiles) < len(periods):
            return 0
        steps = [int(p["steps"]) * periods[name] // spec.time_step for name, p in profiles.items()]
        return min(min(steps), spec.steps or 2**62)

    return done


class StepsOfLog:
    """Model steps from what a model prints: lines that begin with a step, `step 10` or `10`."""

    def __init__(self) -> None:
        self.first: int | None = None  # not 0 in a run that goes on from a restart
        self.done = 0

    def read(self, line: str) -> None:
        match = STEP_OF_LOG.match(line)
        if match:
            step = int(match.group(1))
            self.first = step if self.first is None else self.first
            self.done = max(self.done, step - self.first)

    def __call__(self) -> int:
        return self.done
