# SPDX-License-Identifier: MIT
"""One job of `halocline bench exchange`: its spec, its command line, and what its ranks printed."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coupler.command.bench.job import SPEC, run_bench_job
from coupler.command.bench.report import BenchFailed

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
    block: int = 1  # cells along a side of one of the workers' grid

    def __str__(self) -> str:
        x, y, z = self.size
        there = "" if self.block == 1 else f" to {x // self.block} x {y // self.block} and back"
        ranks = f"{self.ranks[0]} x {self.ranks[1]} ranks"
        return f"{x} x {y} x {z}{there}, {ranks}, halo {self.halo}"


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
    line = _command(model, setup, variant, steps, yac)
    printed = run_bench_job(f"exchange: {setup}, {variant}", directory, spec, line)

    def medians(text: str) -> list[float]:
        rows = [list(map(float, line.split())) for line in text.splitlines()]
        if len(rows) != steps:
            raise BenchFailed(f"bench exchange: got {len(rows)} of {steps} steps: {text}")
        return [statistics.median(column) for column in zip(*rows[WARM:-FRESH], strict=True)]

    traced, field = map(int, (directory / TRACED).read_text().split())
    coupled, raw = medians(printed)
    of_yac = medians((directory / YAC_SECONDS).read_text())[0] if yac else None
    return Result(coupled, raw, of_yac, traced, field)


def _command(model: str, setup: Setup, variant: Variant, steps: int, yac: bool) -> Sequence[str]:
    ranks, workers = setup.ranks
    python = [sys.executable, "-m", "mpi4py", "-m"]
    how = "in-place" if variant.in_place else "copied"
    line = ["mpirun", "-n", f"{ranks}", model, *map(str, setup.size), f"{steps}", f"{workers}"]
    line.append(f"{setup.block}")
    line += [":", "-n", f"{workers}", *python, WORKER, SPEC, how]
    if yac:
        numbers = map(str, (*setup.size, steps, ranks, setup.block))
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
    back: dict[str, object] = {"from": "worker", "to": "model", "fields": ["b"]}
    grids: dict[str, object] = {"grid": {"size": {"x": x, "y": y, "z": z}}}
    if setup.block > 1:
        grids["coarse"] = {"coarsen": "grid", "by": setup.block}
        there |= {"grid": "grid", "regrid": {"to": "coarse"}}
        back |= {"grid": "grid", "regrid": {"from": "coarse"}}
    return {
        "run": {"dt": 1, "steps": steps},
        "components": {
            "model": {"command": MODEL, "ranks": model, "decomposition": {"x": model, "y": 1}},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": grids,
        "exchanges": [there, back],
    }
