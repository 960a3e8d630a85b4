# SPDX-License-Identifier: MIT
"""`halocline bench plan`: what a plan costs one rank, and all of them, of a 1/36 degree ocean."""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import yaml

from coupler.command.bench.report import Bench, BenchFailed, Measure, Progress
from coupler.command.help_texts import BENCH_PLAN
from coupler.protocol import encode_plan
from coupler.routing.decomposition import Box, Decomposition, decompose
from coupler.routing.points import directory_part
from coupler.routing.router import cells_needed, route_from_worker, route_to_worker
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec

RANK_MS, RANK_MB, ALL_S = 50, 100, 60  # goals
MODEL_RANKS, WORKERS = 10_000, 256
LEVELS, HALO = 75, 10
SPEC = {
    "run": {"dt": 90},
    "components": {
        "ocean": {"command": "ocean", "ranks": MODEL_RANKS},
        "closure": {"worker": True, "ranks": WORKERS},
    },
    "grids": {
        "grid": {
            "size": {"x": 12960, "y": 10850, "z": LEVELS},
            "boundary": {"x": "periodic", "y": "closed", "north": "fold F"},
        }
    },
    "exchanges": [
        {
            "from": "ocean",
            "to": "closure",
            "halo": HALO,
            "fields": {
                "u": {"point": "U", "kind": "vector_i"},
                "v": {"point": "V", "kind": "vector_j"},
                "t": {"point": "T"},
            },
        },
        {"from": "closure", "to": "ocean", "fields": {"su": {"point": "U", "kind": "vector_i"}}},
    ],
}


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """Raises BenchFailed if `halocline plan` fails."""
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "grid.yaml"
        path.write_text(yaml.safe_dump(SPEC))
        spec = load_spec(path)
        progress(f"boxes: halocline plan of {MODEL_RANKS} model ranks and {WORKERS} workers")
        yield from _boxes(path)
    progress("index lists: one worker at the fold")
    yield from _lists(spec)


def _boxes(path: Path) -> Iterator[Measure]:
    """A process of its own, so that its memory is a plan's and nothing else's."""
    command = [sys.executable, "-m", "coupler.command.cli", "plan", str(path), "--json"]
    job = subprocess.run(command, text=True, capture_output=True, check=False)
    if job.returncode:
        raise BenchFailed(f"halocline plan: exit code {job.returncode}\n{job.stderr.strip()}")
    plan = json.loads(job.stdout)
    (planning,) = plan["planning"]
    yield Measure("boxes: slowest worker", 1e3 * planning["slowest_rank_seconds"], "ms", RANK_MS)
    note = "all workers, messages and JSON, with Python and NumPy"
    yield Measure("boxes: memory", plan["peak_memory_bytes"] / 1e6, "MB", RANK_MB, note)
    yield Measure(f"boxes: all {WORKERS} workers", planning["seconds"], "s", ALL_S)


def _lists(spec: CouplingSpec) -> Iterator[Measure]:
    """Time and memory of the answers to a look-up, the routes and the lists that are sent.

    The messages that carry them, and the memory of Python and NumPy, are not counted.
    """
    grid = spec.exchanges[0].grid
    model = decompose("ocean", grid.nx, grid.ny, MODEL_RANKS)
    worker = decompose("closure", grid.nx, grid.ny, WORKERS)
    box = worker.box(WORKERS - 1)  # in the last row of boxes
    there = spec.exchanges[0].fields
    first = int(cells_needed(there, grid, box, HALO)[0, 0])
    yield from _cost("row by row", spec, box, _row_by_row(model, first))
    near = Box(box.x0 - HALO, box.x1 + HALO, box.y0, box.y1)
    yield from _cost("in random order", spec, box, _permuted(model, first, near))


def _cost(
    order: str, spec: CouplingSpec, box: Box, lists: list[tuple[int, np.ndarray]]
) -> Iterator[Measure]:
    grid = spec.exchanges[0].grid
    there, back = (exchange.fields for exchange in spec.exchanges)
    directory = directory_part(0, grid.nx * grid.ny, lists)

    def plan() -> None:
        owners = directory.within(cells_needed(there, grid, box, HALO))
        for message in route_to_worker(there, grid, owners, box, HALO):
            encode_plan(0, message, to_worker=True)
        for message in route_from_worker(back, grid, owners, box):
            encode_plan(0, message, to_worker=False)

    seconds = statistics.median(_seconds(plan) for _ in range(3))
    yield Measure("index lists: a worker at the fold", 1e3 * seconds, "ms", RANK_MS, order)
    tracemalloc.start()  # behind the timing, which it would slow
    plan()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    yield Measure("index lists: its memory", peak / 1e6, "MB", RANK_MB, order)


def _seconds(work: Callable[[], None]) -> float:
    """Of a core."""
    begun = time.process_time()
    work()
    return time.process_time() - begun


def _row_by_row(model: Decomposition, first: int) -> list[tuple[int, np.ndarray]]:
    """For each model rank with cells from number `first` on its runs: start, length, place."""
    lists = []
    for rank in range(model.ranks):
        box = model.box(rank)
        if box.y1 * model.nx > first:
            start = np.arange(box.y0, box.y1) * model.nx + box.x0
            runs = (start, np.full(box.ny, box.nx), np.arange(box.ny) * box.nx)
            lists.append((rank, np.stack(runs, axis=1)))
    return lists


def _permuted(model: Decomposition, first: int, near: Box) -> list[tuple[int, np.ndarray]]:
    """The same where ranks around `near`, or beyond the fold, list their cells in random order:
    each is then a run of its own."""
    random = np.random.default_rng(1)
    lists = []
    for rank, runs in _row_by_row(model, first):
        box = model.box(rank)
        spans = ((box.x0, box.x1), (model.nx - box.x1, model.nx - box.x0))
        if any(x0 < near.x1 and x1 > near.x0 for x0, x1 in spans):
            cells = np.arange(box.y0, box.y1)[:, None] * model.nx + np.arange(box.x0, box.x1)
            start = random.permutation(cells.ravel())
            runs = np.stack((start, np.ones_like(start), np.arange(start.size)), axis=1)
        lists.append((rank, runs))
    return lists


def _add_options(parser: argparse.ArgumentParser) -> None:
    pass


PLANNING = Bench(
    "plan", "the cost of planning a large run, without MPI", BENCH_PLAN, _add_options, measure
)
