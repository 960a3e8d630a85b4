# SPDX-License-Identifier: MIT
"""The coupled jobs of `halocline bench inference`: what coupling adds to a network's time, and what
it adds to a model's where both compute at the same time."""

from __future__ import annotations

import json
import re
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import f90nml

from coupler.command.bench.inference_alone import Case, Runner
from coupler.command.bench.inference_network import LAYERS, described, halo_of
from coupler.command.bench.job import SPEC, run_bench_job
from coupler.command.bench.report import BenchFailed, Measure, Progress
from coupler.monitor import MONITOR

MODEL, OCEAN = "halocline_inference_bench", "ocean_model"
WORKER = f"{__package__}.inference_worker"
NETWORK = "coupler.command.bench.inference_network:Network"
WARM = 4  # steps before the first that counts
PYTHON = [sys.executable, "-m", "mpi4py", "-m"]

# 300 x 300 x 12 cells, which take one rank about 0.15 s a step; the network gets two of the levels
LEVELS, COUPLED_LEVELS = 12, 2
LOAD: dict[str, dict[str, Any]] = {
    "experiment": {"name": "load"},
    "grid": {
        **{"nx": 300, "ny": 300, "nz": LEVELS, "geometry": "cartesian"},
        **{"length_x": 6.0e6, "length_y": 6.0e6, "f0": 1e-4, "beta": 2e-11},
    },
    "layers": {
        "thickness": [200.0] * LEVELS,
        "reduced_gravity": [0.98] + [0.0098] * (LEVELS - 1),
    },
    "time": {"dt": 200, "steps": 20, "write_restart": False},
    "viscosity": {"smagorinsky_biharmonic": 0.06},
    "forcing": {"wind": "double_gyre", "wind_stress": 0.1},
    "output": {"log_every": 1000},
}


def job_spec(
    network: str,
    levels: dict[str, Any],
    size: Sequence[int],
    names: tuple[str, str],
    lag: int = 0,
) -> dict[str, Any]:
    """`names`: of the model and of its executable; `size` x, y, z of the model's grid."""
    model, command = names
    u = {"point": "U", "kind": "vector_i"} | levels
    v = {"point": "V", "kind": "vector_j"} | levels
    return {
        "run": {"dt": 200 if lag else 1},
        "components": {
            model: {"command": command},
            "worker": {"worker": True, "predictor": {"python": NETWORK, "name": network}},
        },
        "grids": {"ocean" if lag else "grid": {"size": dict(zip("xyz", size, strict=True))}},
        "exchanges": [
            {
                **{"from": model, "to": "worker", "halo": halo_of(LAYERS[network])},
                "fields": {"u": u, "v": v},
            },
            # random weights answer about 0.1; an ocean bears 1e-9 m s-2
            {
                **{"from": "worker", "to": model, "lag": lag},
                "fields": {"su": u | {"scale": 1e-8}, "sv": v | {"scale": 1e-8}},
            },
        ],
    }


def overhead(
    directory: Path, network: str, size: tuple[int, int, int], goal: float, turns: int
) -> Measure:
    """Of steps in turn: (put to get, less plain tuned inference of the same values) / the latter.
    The model computes nothing between put and get, so all of it counts."""
    spec = job_spec(network, {}, size, ("model", MODEL))
    lines = _run(
        directory,
        spec,
        [MODEL, *map(str, size), str(2 * (turns + WARM))],
        [*PYTHON, WORKER, SPEC, "seconds"],
    )
    lines += (directory / "seconds").read_text().splitlines()
    found: dict[str, list[list[float]]] = {"coupled": [], "worker": [], "plain": []}
    for word, *rest in filter(None, map(str.split, lines)):
        if word in found:
            found[word].append(list(map(float, rest)))
    coupled = [seconds for (seconds,) in found["coupled"][::2][WARM:]]
    plain, plain_cpu = zip(*found["plain"][WARM:], strict=True)
    worker, worker_cpu = zip(*found["worker"][WARM:], strict=True)
    pure = statistics.median(plain)
    added = statistics.median(c - p for c, p in zip(coupled, plain, strict=True))
    exchange = statistics.median(c - w for c, w in zip(coupled, worker, strict=True))
    note = (
        f"coupled {1e3 * statistics.median(coupled):.4g} ms, plain {1e3 * pure:.4g} ms; "
        f"{1e3 * exchange:.3g} ms outside the worker's call, whose CPU time is "
        f"{1e3 * statistics.median(worker_cpu):.4g} ms, plain "
        f"{1e3 * statistics.median(plain_cpu):.4g} ms"
    )
    x, y, z = size
    name = f"{network} at {x} x {y} x {z}: coupled step less plain inference"
    return Measure(name, 100 * added / pure, "% of the inference", goal, note)


def overlapped(directory: Path, turns: int, progress: Progress) -> Iterator[Measure]:
    """Runs of the ocean model alone, beside the network in a process that knows nothing of it, and
    coupled with lag 1, in turn. In the last two model and network compute at the same time, on a
    core each: what the second costs no coupling can undo."""
    network = "cnn"
    progress(f"ocean_model, lag 1, {network} on {COUPLED_LEVELS} levels")
    grid, steps = LOAD["grid"], LOAD["time"]["steps"]
    nx, ny, halo = grid["nx"], grid["ny"], halo_of(LAYERS[network])
    some = {"levels": {"from": 1, "to": COUPLED_LEVELS, "of": LEVELS}}
    spec = job_spec(network, some, (nx, ny, LEVELS), ("ocean", f"{OCEAN} coupled.nml"), lag=1)
    f90nml.Namelist(LOAD).write(directory / "alone.nml", force=True)
    coupled = LOAD | {"closure": {"kind": "coupled"}, "coupling": {"enabled": True}}
    f90nml.Namelist(coupled).write(directory / "coupled.nml", force=True)
    worker = [*PYTHON, "ml_server", SPEC, "--component", "worker"]
    found: list[tuple[float, float, float, float]] = []  # [s] a step: alone, beside, coupled; calls
    inference = 0.0
    same = Case(network, (COUPLED_LEVELS, ny + 2 * halo, nx + 2 * halo), 0.0)
    with Runner(same, "{}", "cpu", threads=1) as stranger:
        for _ in range(turns):
            alone = _seconds(_run(directory, spec, [OCEAN, "alone.nml"], None)) / steps
            turn = partial(_turn, stranger, alone)
            beside = _seconds(_run(directory, spec, [OCEAN, "alone.nml"], None, turn)) / steps
            lines = _run(directory, spec, [OCEAN, "coupled.nml"], worker)
            profile = json.loads((directory / "worker.json").read_text())
            calls = sum(profile["model"][name] for name in ("packing", "waiting", "unpacking"))
            found.append((alone, beside, _seconds(lines) / steps, calls / steps))
            inference = profile["inference"] / steps
    base, uncoupled, lagged, calls = (statistics.median(c) for c in zip(*found, strict=True))
    yield Measure(
        "ocean_model coupled with lag 1",
        statistics.median(both / alone for alone, _, both, _ in found),
        "of the model alone",
        1.05,
        f"{1e3 * lagged:.4g} ms a step, alone {1e3 * base:.4g} ms, inference "
        f"{1e3 * inference:.3g} ms; {described(LAYERS[network])}",
    )
    yield Measure(
        "ocean_model beside the same network, uncoupled",
        statistics.median(beside / alone for alone, beside, _, _ in found),
        "of the model alone",
        note=f"{1e3 * uncoupled:.4g} ms a step",
    )
    share = statistics.median(calls / alone for alone, _, _, calls in found)
    note = f"{1e3 * calls:.3g} ms a step"
    yield Measure("put and get of ocean_model, lag 1", 100 * share, "% of a step alone", note=note)


def _turn(stranger: Runner, period: float) -> None:
    """One inference in every `period` [s], as the coupled worker computes."""
    begun = time.perf_counter()
    stranger.turn()
    time.sleep(max(begun + period - time.perf_counter(), 0.0))


def _seconds(lines: list[str]) -> float:
    """Of the model's time loop: `30 steps in 4.5 s, ...`."""
    for line in lines:
        if found := re.match(r"\d+ steps in (\S+) s", line.strip()):
            return float(found[1])
    raise BenchFailed("bench inference: the ocean model did not say how long it took")


def _run(
    directory: Path,
    spec: dict[str, Any],
    model: list[str],
    worker: list[str] | None,
    meanwhile: Callable[[], None] | None = None,
) -> list[str]:
    """The lines that a job prints; without `worker` the model runs alone. `meanwhile` is called
    again and again until it ends."""
    line = ["mpirun", "-n", "1", *model, *([":", "-n", "1", *worker] if worker else [])]
    environment = {MONITOR: str(directory)}
    printed = run_bench_job("inference", directory, spec, line, environment, meanwhile)
    return printed.splitlines()
