# SPDX-License-Identifier: MIT
"""`halocline bench record`: what recording every field costs a coupled run."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import f90nml

from coupler.command.bench.job import SPEC, run_bench_job
from coupler.command.bench.options import at_least, numbers
from coupler.command.bench.report import Bench, Measure, Progress
from coupler.command.help_texts import BENCH_RECORD
from coupler.command.launch import find_executable
from coupler.spec.document import SpecError

MODEL = "ocean_model"
GOAL = 1.05
WARM = 10  # steps
FOUND = "found.json"
SMALL: dict[str, Any] = {"precision": "float32", "deflate": 1}
VARIANTS: dict[str, dict[str, Any]] = {
    "every step, float64": {},
    "every step, float32, deflate 1": SMALL,
    "every 10 steps, float32, deflate 1": SMALL | {"every": "10 steps"},
}
NAMELIST: dict[str, dict[str, Any]] = {
    "experiment": {"name": "bench"},
    "grid": {"nz": 2, "south": 30.0, "width": 22.0, "height": 20.0},
    "layers": {"thickness": [1000.0, 1000.0], "reduced_gravity": [0.98, 0.0098]},
    "initial": {"kind": "jet", "jet_speed": 1.0, "jet_width": 6.0e4},
    "viscosity": {"smagorinsky_biharmonic": 0.06},
    "forcing": {"wind": "double_gyre", "wind_stress": 0.1, "drag_linear": 3.0e-4},
    "closure": {"kind": "coupled"},
    "coupling": {"enabled": True},
    "output": {"log_every": 1000},
}
STATIC = [
    *(f"{name}_{point}" for point in "tuvf" for name in ("dx", "dy", "area", "mask")),
]


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """One job for each variant. Raises SpecError without the model, BenchFailed if a job fails."""
    model = find_executable(MODEL, Path.cwd())
    if model is None:
        raise SpecError([f"no '{MODEL}' on PATH or beside this Python; build it: meson install"])
    for name, record in VARIANTS.items():
        text = f"{options.blocks} blocks of {options.steps} steps with it and without"
        progress(f"record {name}: {text}")
        with tempfile.TemporaryDirectory(dir=options.directory) as directory:
            found = _run(Path(directory), str(model), options, record)
        rate = found["bytes"] / found["with"] / 1e6
        yield Measure(
            f"record: {name}",
            found["with"] / found["without"],
            "ratio to the step without",
            GOAL,
            f"{1e3 * found['with']:.2f} ms a step, {1e3 * found['without']:.2f} ms without; "
            f"{rate:.0f} MB/s",
        )
        writer = found["writer"] / found["without"]
        yield Measure(f"record: {name}: the writer's processor time", writer, "of that step")


def _run(
    directory: Path, model: str, options: argparse.Namespace, record: dict[str, Any]
) -> dict[str, float]:
    """Of a step, in the median block: seconds `with` and `without`; `bytes`, and seconds of a
    processor that its `writer` took."""
    nx, ny = options.size
    grid = NAMELIST["grid"] | {"nx": nx, "ny": ny}
    steps = WARM + 2 * options.steps * options.blocks
    namelist = NAMELIST | {"grid": grid, "time": {"dt": 120, "steps": steps}}
    f90nml.Namelist(namelist).write(directory / "bench.nml")
    worker = ["-m", "mpi4py", "-m", "coupler.command.bench.record_worker", SPEC]
    line = ["mpirun", "-n", "1", model, "bench.nml", ":", "-n", "1", sys.executable, *worker]
    line += [FOUND, str(WARM), str(options.steps)]
    run_bench_job("record", directory, _spec(record), line)
    found: dict[str, float] = json.loads((directory / FOUND).read_text())
    return found


def _spec(record: dict[str, Any]) -> dict[str, Any]:
    vectors = {
        name: {"point": name[-1].upper(), "kind": f"vector_{'i' if name[-1] == 'u' else 'j'}"}
        for name in ("u", "v", "su", "sv")
    }
    static = {
        name: {
            "point": name[-1].upper(),
            "fill": "zero" if name.startswith("mask") else "replicate",
        }
        for name in STATIC
    }
    there = {
        "from": "ocean",
        "to": "closure",
        "halo": 10,
        "wire": "float64",
        "fields": {"u": vectors["u"], "v": vectors["v"], "h": {}},
        "static": static,
    }
    back = {"from": "closure", "to": "ocean", "fields": {n: vectors[n] for n in ("su", "sv")}}
    predictor = {"python": "ml_server.closures:ZannaBolton2020", "preset": "reynolds"}
    return {
        "run": {"namelist": "bench.nml"},
        "components": {
            "ocean": {"command": f"{MODEL} bench.nml"},
            "closure": {"worker": True, "predictor": predictor, "record": {"flush": 8} | record},
        },
        "grids": {"ocean": {}},
        "exchanges": [there, back],
    }


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--blocks", metavar="N", type=at_least(1), default=6, help="of each kind")
    parser.add_argument("--steps", metavar="N", type=at_least(1), default=40, help="of a block")
    parser.add_argument(
        "--size", metavar="X,Y", type=numbers(2), default=(176, 160), help="cells of the ocean"
    )
    parser.add_argument("--directory", metavar="DIR", type=Path, help="where to write (a disk)")


RECORD = Bench("record", "what recording costs a coupled run", BENCH_RECORD, _add_options, measure)
