# SPDX-License-Identifier: MIT
"""One job of `halocline bench exchange`: its spec, its command line, and what its ranks printed."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from coupler.command.bench.report import BenchFailed
from coupler.command.launch import mpi_environment

MODEL = "halocline_exchange_bench"
WORKER, YAC = f"{__package__}.exchange_worker", f"{__package__}.exchange_yac"
WARM = 3  # steps before the first that counts
# written by ranks in Python: lines of several ranks on stdout may be mixed
TRACED, YAC_SECONDS = "traced", "yac"
FRESH = 2  # steps at both ends, one for each slot, in which workers compute; see exchange_worker


@dataclass(frozen=True)
class Variant:
    """One way of moving a field there and back."""

    transport: str
    wire: str
    in_place: bool  # the worker computes its answer where it leaves from; else it is copied there

    def __str__(self) -> str:
        how = "in place" if self.in_place else "copied"
        return f"{self.transport}, {self.wire}, answer {how}"


@dataclass(frozen=True)
class Setup:
    size: tuple[int, int, int]  # x, y, levels
    ranks: tuple[int, int]  # model, workers
    halo: int
    steps: int  # that count

    def __str__(self) -> str:
        x, y, z = self.size
        return f"{x} x {y} x {z}, {self.ranks[0]} x {self.ranks[1]} ranks, halo {self.halo}"


@dataclass(frozen=True)
class Result:
    """Medians over the steps of one job, in which all took turns; every value was compared."""

    coupled: float  # [s] put to get, the slowest model rank
    raw: float  # [s] contiguous MPI of as many float64 values
    yac: float | None  # [s] put to get, the slowest source rank, if it took part
    traced: int  # [bytes] that Python allocated above the start of a step, on the worst worker
    field: int  # [bytes] of the smallest field there


def run_job(directory: Path, model: str, setup: Setup, variant: Variant, yac: bool) -> Result:
    """Raises BenchFailed if a rank fails, or gets a value that is not expected."""
    steps = WARM + setup.steps + FRESH
    spec = job_spec(setup, variant, steps)
    (directory / "bench.yaml").write_text(yaml.safe_dump(spec))
    job = subprocess.run(
        _command(model, setup, variant, steps, yac),
        cwd=directory,
        env=os.environ | mpi_environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    if job.returncode:
        failed = f"bench exchange: {setup}, {variant}: exit code {job.returncode}"
        raise BenchFailed(f"{failed}\n{job.stderr.strip()}")

    def medians(text: str) -> list[float]:
        rows = [list(map(float, line.split())) for line in text.splitlines()]
        if len(rows) != steps:
            raise BenchFailed(f"bench exchange: got {len(rows)} of {steps} steps: {text}")
        return [statistics.median(column) for column in zip(*rows[WARM:-FRESH], strict=True)]

    traced, field = map(int, (directory / TRACED).read_text().split())
    coupled, raw = medians(job.stdout)
    of_yac = medians((directory / YAC_SECONDS).read_text())[0] if yac else None
    return Result(coupled, raw, of_yac, traced, field)


def _command(model: str, setup: Setup, variant: Variant, steps: int, yac: bool) -> Sequence[str]:
    ranks, workers = setup.ranks
    python = [sys.executable, "-m", "mpi4py", "-m"]
    how = "in-place" if variant.in_place else "copied"
    line = ["mpirun", "-n", f"{ranks}", model, *map(str, setup.size), f"{steps}", f"{workers}"]
    line += [":", "-n", f"{workers}", *python, WORKER, "bench.yaml", how]
    if yac:
        numbers = map(str, (*setup.size, steps, ranks))
        line += [":", "-n", f"{ranks + workers}", *python, YAC, *numbers]
    return line


def job_spec(setup: Setup, variant: Variant, steps: int) -> dict[str, object]:
    x, y, z = setup.size
    model, workers = setup.ranks
    there = {
        "from": "model",
        "to": "worker",
        "halo": setup.halo,
        "wire": variant.wire,
        "transport": variant.transport,
        "check_finite": False,  # what is timed moves values only
        "fields": ["a"],
    }
    return {
        "run": {"dt": 1, "steps": steps},
        "components": {
            "model": {"command": MODEL, "ranks": model, "decomposition": {"x": model, "y": 1}},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {"grid": {"size": {"x": x, "y": y, "z": z}}},
        "exchanges": [there, {"from": "worker", "to": "model", "fields": ["b"]}],
    }
