# SPDX-License-Identifier: MIT
"""`halocline bench exchange`: Fortran ranks against workers, beside raw MPI and YAC in one run."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from pathlib import Path

import yaml

from coupler.command.bench.exchange_job import (
    MODEL,
    Result,
    Setup,
    Variant,
    job_spec,
    run_job,
)
from coupler.command.bench.exchange_room import why_skip
from coupler.command.bench.options import at_least, numbers
from coupler.command.bench.report import Bench, Measure, Progress, digits
from coupler.command.help_texts import BENCH_EXCHANGE
from coupler.command.launch import find_executable
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

# ratios to raw MPI of the float64 values, for 400 x 400 x 31 cells
GOALS = {
    Variant("windows", "float32", True): 1.0,
    Variant("windows", "float64", True): 1.2,
    Variant("windows", "float32", False): 1.3,
    Variant("windows", "float64", False): 1.9,
    Variant("messages", "float32", False): 1.5,
    Variant("messages", "float64", False): 2.0,
}
SMALL, MIDDLE, LARGE = (180, 148, 1), (400, 400, 31), (1442, 1021, 75)
SMALL_GOAL = 1.8  # for each of them
GOAL_RANKS, GOAL_HALO = (2, 2), 8  # all goals are for these
YAC_VARIANT, YAC_GOAL = Variant("windows", "float32", True), 0.5  # of YAC's time, for MIDDLE

# sizes, ranks, halos: what has a goal, and what is swept over
GOAL_CASES = ([MIDDLE, SMALL], [GOAL_RANKS], [GOAL_HALO])
SWEEP_CASES = ([SMALL, MIDDLE, LARGE], [(1, 1), (2, 1), (2, 2)], [0, 1, 10])
TIMED_VALUES = 80e6  # an estimate of what keeps a job within some seconds; 3 to 31 steps


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """One job for each setup and variant. Raises SpecError, and BenchFailed of a job."""
    model = find_executable(MODEL, Path.cwd())
    if model is None:
        raise SpecError([f"no '{MODEL}' on PATH or beside this Python; build it: meson install"])
    yac = _yac_version(options)
    setups = _setups(options)
    jobs = [(setup, variant, False) for setup in setups for variant in _variants(options)]
    jobs += [(setup, YAC_VARIANT, True) for setup in setups if yac]
    worst: dict[Setup, Result] = {}
    for number, (setup, variant, with_yac) in enumerate(jobs, 1):
        name = f"{setup}: {variant}{f', beside YAC {yac}' if with_yac else ''}"
        progress(f"{number} of {len(jobs)}: {name}")
        with tempfile.TemporaryDirectory() as directory:
            path = Path(directory)
            reason = _no_room(path, setup, variant)
            if reason is not None:
                progress(f"  left out: {reason}")
                continue
            result = run_job(path, str(model), setup, variant, with_yac)
        worst[setup] = max(worst.get(setup, result), result, key=_fields_allocated)
        if with_yac:
            yield _against_yac(setup, variant, result, yac)
        else:
            yield _ratio(setup, variant, result)
    for setup, result in worst.items():
        yield _allocations(setup, result)


def _ratio(setup: Setup, variant: Variant, result: Result) -> Measure:
    goal = None
    if (setup.ranks, setup.halo) == (GOAL_RANKS, GOAL_HALO):
        goal = {MIDDLE: GOALS[variant], SMALL: SMALL_GOAL}.get(setup.size)
    times = f"{milliseconds(result.coupled)}, raw {milliseconds(result.raw)}"
    return Measure(f"{setup}: {variant}", result.coupled / result.raw, "of raw MPI", goal, times)


def _against_yac(setup: Setup, variant: Variant, result: Result, yac: str) -> Measure:
    assert result.yac is not None
    goal = YAC_GOAL if (setup.size, setup.ranks) == (MIDDLE, GOAL_RANKS) else None
    times = (
        f"{milliseconds(result.coupled)}, YAC {milliseconds(result.yac)}, "
        f"raw {milliseconds(result.raw)}"
    )
    ratio = result.coupled / result.yac
    return Measure(f"{setup}: {variant}", ratio, f"of YAC {yac}", goal, times)


def _fields_allocated(result: Result) -> float:
    """What the worst worker held at most above what it held when the step began, in fields."""
    return result.traced / result.field


def _allocations(setup: Setup, result: Result) -> Measure:
    """Whole fields: a step may allocate small things."""
    note = f"{result.traced / 1e3:.1f} kB, a field has {result.field / 1e3:.1f} kB"
    name, unit = f"{setup}: allocated by Python in a step", "fields"
    return Measure(name, int(_fields_allocated(result)), unit, 0, note)


def milliseconds(seconds: float) -> str:
    return f"{digits(1e3 * seconds)} ms"


def _no_room(directory: Path, setup: Setup, variant: Variant) -> str | None:
    path = directory / "plan.yaml"
    path.write_text(yaml.safe_dump(job_spec(setup, variant, 1)))
    return why_skip(setup, variant, load_spec(path))


def _setups(options: argparse.Namespace) -> list[Setup]:
    cases = SWEEP_CASES if options.sweep else GOAL_CASES
    sizes, ranks, halos = cases
    setups = [
        Setup(size, pair, halo, options.steps or _steps(size))
        for size, pair, halo in product(
            options.size or sizes, options.ranks or ranks, options.halo or halos
        )
    ]
    for setup in setups:
        x, y, z = setup.size
        model, workers = setup.ranks
        if min(x, y, z, model, workers) < 1 or model > x or workers > x * y:
            raise SpecError(
                [
                    f"bench exchange: got {setup}, expected a column of cells for each model rank, "
                    "a cell for each worker, and 1 or more of all"
                ]
            )
    return setups


def _steps(size: tuple[int, int, int]) -> int:
    x, y, z = size
    return int(max(3, min(31, TIMED_VALUES // (x * y * z))))


def _variants(options: argparse.Namespace) -> Sequence[Variant]:
    return [
        variant
        for variant in GOALS
        if variant.transport in (options.transport or [variant.transport])
        and variant.wire in (options.wire or [variant.wire])
    ]


def _yac_version(options: argparse.Namespace) -> str:
    """Empty where YAC takes no part."""
    if options.yac is False or (options.yac is None and options.sweep):
        return ""
    try:
        return version("yac")
    except PackageNotFoundError:
        if options.yac:
            fix = "install it: pip install 'halocline[bench]'"
            raise SpecError([f"bench exchange --yac: there is no YAC; {fix}"]) from None
        return ""


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--sweep", action="store_true", help="all sizes, ranks and halos, not those with a goal"
    )
    parser.add_argument("--size", metavar="X,Y,Z", nargs="+", type=numbers(3))
    parser.add_argument("--ranks", metavar="MODEL,WORKERS", nargs="+", type=numbers(2))
    parser.add_argument("--halo", metavar="N", nargs="+", type=at_least(0))
    parser.add_argument("--wire", nargs="+", choices=["float32", "float64"])
    parser.add_argument("--transport", nargs="+", choices=["windows", "messages"])
    parser.add_argument("--steps", metavar="N", type=at_least(1), help="that count (by size)")
    parser.add_argument(
        "--yac",
        action=argparse.BooleanOptionalAction,
        help="compare with YAC, too (default: if it is installed, and not in a sweep)",
    )


EXCHANGE = Bench(
    "exchange",
    "a field there and back, beside raw MPI and YAC",
    BENCH_EXCHANGE,
    _add_options,
    measure,
)
