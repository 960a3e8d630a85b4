# SPDX-License-Identifier: MIT
"""`halocline bench overlap`: how long a model waits, with lag 0 and lag 1, by the ranks' traces."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console

from coupler.command.bench.job import SPEC, run_bench_job
from coupler.command.bench.options import at_least, numbers
from coupler.command.bench.report import Bench, Measure, Progress
from coupler.command.help_texts import BENCH_OVERLAP
from coupler.command.launch import find_executable
from coupler.command.pictures import draw_timelines
from coupler.command.timeline import RankTrace, read_traces, waiting_share
from coupler.spec.document import SpecError
from coupler.trace import TRACE

MODEL = "halocline_overlap_bench"
WARM = 3  # steps before the first that counts
LAGS = (0, 1)
GOAL = 0.01  # of the model's time, at lag 1: what asking for an answer that is there costs


@dataclass(frozen=True)
class OverlapSetup:
    size: tuple[int, int, int]  # x, y, levels
    ranks: tuple[int, int]  # model, workers
    steps: int  # that count
    step: float = 0.020  # [s] that a model rank computes after its get
    inference: float = 0.012  # [s] that a worker computes


@dataclass(frozen=True)
class Overlap:
    """One job. Of both, `traces` have the steps that count."""

    lag: int
    traces: tuple[RankTrace, ...]

    @property
    def waiting(self) -> float:
        """Share of the model's time."""
        return waiting_share(self.traces)["model"]

    @property
    def step(self) -> float:
        """[s] between the model's steps, the mean"""
        model = self.traces[0]
        puts = [event.begin for event in model.events if event.what == "put"]
        return (puts[-1] - puts[0]) / (len(puts) - 1)


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """One job for each lag. Raises SpecError without the model, BenchFailed of a job."""
    model = find_executable(MODEL, Path.cwd())
    if model is None:
        raise SpecError([f"no '{MODEL}' on PATH or beside this Python; build it: meson install"])
    setup = OverlapSetup(options.size, options.ranks, options.steps)
    jobs: dict[str, tuple[RankTrace, ...]] = {}
    for lag in LAGS:
        progress(f"a model that computes {setup.step:g} s a step, lag {lag}")
        with tempfile.TemporaryDirectory() as directory:
            result = _run(Path(directory), str(model), setup, lag)
        jobs[f"lag {lag}"] = result.traces
        yield Measure(
            f"overlap: the model's waiting, lag {lag}",
            result.waiting,
            "share of its time",
            GOAL if lag else None,  # with lag 0 the model must wait
            f"a step takes {1e3 * result.step:.2f} ms",
        )
    if options.plot is not None:
        draw_timelines(Console(stderr=True), jobs, options.plot)


def _run(directory: Path, model: str, setup: OverlapSetup, lag: int) -> Overlap:
    steps = setup.steps + WARM
    numbers = (*setup.size, steps, round(1e6 * setup.step))
    line = ["mpirun", "-n", str(setup.ranks[0]), model, *map(str, numbers)]
    line += [":", "-n", str(setup.ranks[1]), sys.executable, "-m", "mpi4py"]
    line += ["-m", "coupler.command.bench.overlap_worker", SPEC, str(setup.inference)]
    traces = {TRACE: str(directory)}
    run_bench_job(f"overlap, lag {lag}", directory, _spec(setup, lag, steps), line, traces)
    return Overlap(lag, tuple(trace.since(WARM) for trace in read_traces(directory)))


def _spec(setup: OverlapSetup, lag: int, steps: int) -> dict[str, object]:
    x, y, z = setup.size
    model, workers = setup.ranks
    return {
        "run": {"dt": 1, "steps": steps},
        "components": {
            "model": {"command": MODEL, "ranks": model},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {"grid": {"size": {"x": x, "y": y, "z": z}}},
        "exchanges": [
            {"from": "model", "to": "worker", "fields": ["a"]},
            {"from": "worker", "to": "model", "lag": lag, "fields": ["b"]},
        ],
    }


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", metavar="X,Y,Z", type=numbers(3), default=(200, 200, 4))
    parser.add_argument("--ranks", metavar="MODEL,WORKERS", type=numbers(2), default=(1, 1))
    parser.add_argument("--steps", metavar="N", type=at_least(1), default=15, help="that count")
    parser.add_argument("--plot", metavar="FILE", type=Path, help="draw both jobs")


OVERLAP = Bench(
    "overlap",
    "how long a model waits, with lag 0 and lag 1",
    BENCH_OVERLAP,
    _add_options,
    measure,
)
