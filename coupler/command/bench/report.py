# SPDX-License-Identifier: MIT
"""What all benches share: measures with goals, as a table for people and as JSON for scripts."""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text

Progress = Callable[[str], None]  # called with a line before each part that takes long


class BenchFailed(Exception):
    """A job ended with an error, or moved wrong values: nothing was measured."""


@dataclass(frozen=True)
class Measure:
    """One number; less is better, so `goal` is the most that is good."""

    name: str
    value: float
    unit: str
    goal: float | None = None
    note: str = ""  # for the table alone: what the value was made of

    @property
    def ok(self) -> bool | None:
        """None without a goal."""
        return None if self.goal is None else self.value <= self.goal


@dataclass(frozen=True)
class Bench:
    """`halocline bench NAME`: `measure` yields as it goes and raises SpecError or BenchFailed."""

    name: str
    summary: str
    texts: tuple[str, str]  # of --help: a description, and examples
    add_options: Callable[[argparse.ArgumentParser], None]
    measure: Callable[[argparse.Namespace, Progress], Iterator[Measure]]


def as_objects(measures: Sequence[Measure]) -> list[dict[str, object]]:
    """The form that all benches share; `goal` and `ok` are null where there is no goal."""
    return [
        {
            "name": measure.name,
            "value": round(measure.value, 6),
            "unit": measure.unit,
            "goal": measure.goal,
            "ok": measure.ok,
        }
        for measure in measures
    ]


def print_measures(console: Console, measures: Sequence[Measure]) -> None:
    table = Table("measured", "value", "unit", "goal", "of which")
    table.columns[1].justify = table.columns[3].justify = "right"
    style = {True: "green", False: "yellow", None: ""}
    for measure in measures:
        table.add_row(
            measure.name,
            Text(digits(measure.value), style=style[measure.ok]),
            measure.unit,
            "" if measure.goal is None else f"{measure.goal:g}",
            measure.note,
        )
    if not console.is_terminal:  # a file has no edge at which to wrap
        wide = console.options.update(width=1000)
        console.width = max(console.width, Measurement.get(console, wide, table).maximum)
    console.print(table)


def digits(value: float) -> str:
    """Three of them, or all before the point."""
    return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def machine() -> str:
    """Processor, cores, MPI: what a number depends on besides the code."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return f"{_processor()}, {cores} cores; {_mpi()}; Python {platform.python_version()}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        lines = []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _mpi() -> str:
    try:
        job = subprocess.run(["mpirun", "--version"], text=True, capture_output=True, check=False)
    except OSError:
        return "no mpirun"
    first = (job.stdout.splitlines() or ["mpirun of an unknown version"])[0]
    return first.removeprefix("mpirun ")
