# SPDX-License-Identifier: MIT
"""`halocline bench regrid`: rows of weights beside SciPy, a regridded exchange beside YAC."""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from coupler.command.bench.exchange import milliseconds
from coupler.command.bench.exchange_job import MODEL, Setup, Variant, run_job
from coupler.command.bench.options import at_least, numbers
from coupler.command.bench.report import Bench, Measure, Progress
from coupler.command.help_texts import BENCH_REGRID
from coupler.command.launch import find_executable
from coupler.regridding.regrid import Regridding, own_cells, plan_rows
from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec, GridSpec
from coupler.spec.document import SpecError
from coupler.weights import Weights
from coupler.weights.staggered import coarsening, refinement

SIZE, RANKS, BLOCK = (400, 400, 31), (2, 2), 2
VARIANTS = (Variant("windows", "float32", True), Variant("windows", "float64", True))
SCIPY_GOAL, YAC_GOAL = 1.5, 0.6  # of the time that the other takes, for SIZE
REPEATS = 7


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """Raises SpecError without the model, BenchFailed of a job."""
    model = find_executable(MODEL, Path.cwd())
    if model is None:
        raise SpecError([f"no '{MODEL}' on PATH or beside this Python; build it: meson install"])
    nx, ny, _ = options.size
    if nx % BLOCK or ny % BLOCK:
        raise SpecError([f"bench regrid --size: got {nx} x {ny}, expected multiples of {BLOCK}"])
    setup = Setup(options.size, options.ranks, options.halo, options.steps, BLOCK)
    progress("rows of weights beside SciPy's product")
    yield from _kernels(setup)
    yac = _yac_version() if options.yac else ""
    for variant in VARIANTS:
        progress(f"{setup}: {variant}{f', beside YAC {yac}' if yac else ''}")
        with tempfile.TemporaryDirectory() as directory:
            result = run_job(Path(directory), str(model), setup, variant, bool(yac))
        name, times = f"{setup}: {variant}", milliseconds(result.coupled)
        if result.yac is None:
            yield Measure(name, 1e3 * result.coupled, "ms")
            continue
        goal = YAC_GOAL if (setup.size, setup.ranks, setup.halo) == (SIZE, RANKS, 0) else None
        times += f", YAC {milliseconds(result.yac)}"
        yield Measure(name, result.coupled / result.yac, f"of YAC {yac}", goal, times)


def _yac_version() -> str:
    try:
        return version("yac")
    except PackageNotFoundError:
        return ""


def _kernels(setup: Setup) -> Iterator[Measure]:
    """Both ways, in one process, on the whole grid."""
    nx, ny, nz = setup.size
    fine = GridSpec("fine", nx, ny, nz, "closed", "closed")
    coarse = GridSpec("coarse", nx // BLOCK, ny // BLOCK, nz, "closed", "closed")
    field = FieldSpec("a", "T", "scalar", "zero", nz, "")
    for name, source, target, weights in (
        ("coarser", fine, coarse, coarsening(fine, coarse, field)),
        ("finer", coarse, fine, refinement(coarse, fine, field)),
    ):
        rows = _rows(field, target, weights)
        yield _kernel(f"{setup}: rows of weights, {name}", rows, source, target)


def _rows(field: FieldSpec, target: GridSpec, weights: Weights) -> Regridding:
    cells = own_cells(Box(0, target.nx, 0, target.ny), target.nx)
    return plan_rows((field,), lambda _: cells, lambda _: weights).fields[field.name]


def _kernel(name: str, rows: Regridding, source: GridSpec, target: GridSpec) -> Measure:
    values = np.random.default_rng(1).normal(size=(source.nz, source.ny, source.nx))
    out = np.empty((target.nz, target.ny, target.nx))
    flat = values.reshape(source.nz, -1)
    product = out.reshape(target.nz, -1)

    def plain() -> None:
        for level in range(source.nz):
            product[level] = rows.matrix @ flat[level]

    ours, theirs = _medians(lambda: rows.fill(values, out), plain)
    times = f"{milliseconds(ours)}, SciPy {milliseconds(theirs)}"
    return Measure(name, ours / theirs, "of SciPy", SCIPY_GOAL, times)


def _medians(*calls: Callable[[], None]) -> list[float]:
    """[s] of each, in turn."""
    spent: list[list[float]] = [[] for _ in calls]
    for _ in range(REPEATS):
        for call, seconds in zip(calls, spent, strict=True):
            begun = time.perf_counter()
            call()
            seconds.append(time.perf_counter() - begun)
    return [statistics.median(seconds) for seconds in spent]


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--size", metavar="X,Y,Z", type=numbers(3), default=SIZE)
    parser.add_argument("--ranks", metavar="MODEL,WORKERS", type=numbers(2), default=RANKS)
    parser.add_argument("--halo", metavar="N", type=at_least(0), default=0)
    parser.add_argument("--steps", metavar="N", type=at_least(1), default=15, help="that count")
    parser.add_argument(
        "--yac",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="compare with YAC, if it is installed",
    )


REGRID = Bench(
    "regrid",
    "rows of weights beside SciPy, a regridded exchange beside YAC",
    BENCH_REGRID,
    _add_options,
    measure,
)
