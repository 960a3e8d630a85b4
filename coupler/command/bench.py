# SPDX-License-Identifier: MIT
"""`halocline bench exchange`: Fortran ranks against workers, beside raw MPI in the same run."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import yaml

from coupler.command.launch import find_executable, mpi_environment
from coupler.spec_yaml import SpecError

MODEL = "halocline_exchange_bench"
WARM = 3  # steps before the first that counts


@dataclass(frozen=True)
class Variant:
    """One way of moving a field there and back; `goal` is for 400 x 400 x 31, 2 x 2 ranks."""

    transport: str
    wire: str
    in_place: bool
    goal: float  # ratio to raw MPI of the float64 values

    def __str__(self) -> str:
        how = "in place" if self.in_place else "copied"
        return f"{self.transport}, {self.wire}, answer {how}"


VARIANTS = (
    Variant("windows", "float32", True, 1.0),
    Variant("windows", "float64", True, 1.2),
    Variant("windows", "float32", False, 1.3),
    Variant("windows", "float64", False, 1.9),
    Variant("messages", "float32", False, 1.5),
    Variant("messages", "float64", False, 2.0),
)


@dataclass(frozen=True)
class Setup:
    size: tuple[int, int, int]  # x, y, levels
    ranks: tuple[int, int]  # model, workers
    halo: int
    steps: int


@dataclass(frozen=True)
class Result:
    """Medians over the steps of one run, in which both took turns; every value was compared."""

    variant: Variant
    coupled: float  # [s] put to get, the slowest model rank
    raw: float  # [s] contiguous MPI of as many float64 values

    @property
    def ratio(self) -> float:
        return self.coupled / self.raw


def bench_exchange(setup: Setup, variants: Sequence[Variant] = VARIANTS) -> Iterator[Result]:
    """One job for each variant. Raises SpecError if the model is not installed or a job fails."""
    model = find_executable(MODEL, Path.cwd())
    if model is None:
        raise SpecError([f"no '{MODEL}' on PATH or beside this Python; build it: meson install"])
    for variant in variants:
        with tempfile.TemporaryDirectory() as directory:
            yield _measure(Path(directory), str(model), setup, variant)


def _measure(directory: Path, model: str, setup: Setup, variant: Variant) -> Result:
    steps = setup.steps + WARM
    (directory / "bench.yaml").write_text(yaml.safe_dump(_spec(setup, variant, steps)))
    how = "in-place" if variant.in_place else "copy"
    worker = [
        sys.executable,
        "-m",
        "mpi4py",
        "-m",
        "coupler.command.bench_worker",
        "bench.yaml",
        how,
    ]
    arguments = [str(number) for number in (*setup.size, steps)]
    line = ["mpirun", "-n", str(setup.ranks[0]), model, *arguments]
    job = subprocess.run(
        [*line, ":", "-n", str(setup.ranks[1]), *worker],
        cwd=directory,
        env=os.environ | mpi_environment(),
        text=True,
        capture_output=True,
        check=False,
    )
    if job.returncode:
        raise SpecError([f"bench exchange, {variant}: exit code {job.returncode}", job.stderr])
    lines = [line.split()[1:] for line in job.stdout.splitlines() if line.startswith("seconds")]
    coupled, raw = zip(*(map(float, numbers) for numbers in lines[WARM:]), strict=True)
    return Result(variant, statistics.median(coupled), statistics.median(raw))


def _spec(setup: Setup, variant: Variant, steps: int) -> dict[str, object]:
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
            "model": {"command": MODEL, "ranks": model},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {"grid": {"size": {"x": x, "y": y, "z": z}}},
        "exchanges": [there, {"from": "worker", "to": "model", "fields": ["b"]}],
    }


def as_objects(results: Sequence[Result]) -> list[dict[str, object]]:
    """The form that all benches share: name, value, unit, goal, ok."""
    return [
        {
            "name": f"exchange: {result.variant}",
            "value": round(result.ratio, 3),
            "unit": "ratio to raw MPI of the float64 values",
            "goal": result.variant.goal,
            "ok": result.ratio <= result.variant.goal,
        }
        for result in results
    ]
