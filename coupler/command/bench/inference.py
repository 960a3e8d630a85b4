# SPDX-License-Identifier: MIT
"""`halocline bench inference`: a worker's network beside plain torch, alone and coupled."""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from coupler.command.bench.report import Bench, Measure, Progress
from coupler.command.help_texts import BENCH_INFERENCE
from coupler.command.launch import find_executable
from coupler.spec.document import SpecError
from ml_server.inference.tuning import Seat, choose_threads

PARTS = ("alone", "coupled", "lag")
# network, x, y, z of the model, the most that coupling may add [%]
COUPLED = (("gz21", (88, 80, 2), 3.0), ("cnn", (200, 200, 31), 5.0))


def measure(options: argparse.Namespace, progress: Progress) -> Iterator[Measure]:
    """Raises SpecError where something is not installed, and BenchFailed of a job."""
    if find_spec("torch") is None:
        raise SpecError(["bench inference: there is no torch; pip install 'halocline[torch]'"])
    parts = options.part or PARTS
    if "alone" in parts:
        from coupler.command.bench.inference_alone import measure_alone

        threads = choose_threads("auto", Seat(ranks=2))  # of a worker beside one model rank
        yield from measure_alone(options.device, options.turns, threads, progress)
    if options.device == "cpu" and {"coupled", "lag"} & set(parts):
        yield from _jobs(options, parts, progress)


def _jobs(
    options: argparse.Namespace, parts: tuple[str, ...], progress: Progress
) -> Iterator[Measure]:
    from coupler.command.bench.inference_job import MODEL, OCEAN, overhead, overlapped

    for name in (MODEL, OCEAN):
        if find_executable(name, Path.cwd()) is None:
            text = f"no '{name}' on PATH or beside this Python; build it: meson install"
            raise SpecError([text])
    for network, size, goal in COUPLED if "coupled" in parts else ():
        progress(f"coupled: {network}")
        with tempfile.TemporaryDirectory() as directory:
            yield overhead(Path(directory), network, size, goal, options.turns)
    if "lag" in parts:
        with tempfile.TemporaryDirectory() as directory:
            yield from overlapped(Path(directory), max(options.turns // 3, 1), progress)


def _add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--part", nargs="+", choices=PARTS, help="of the bench (default: all)")
    parser.add_argument(
        "--device", choices=["cpu", "cuda"], default="cpu", help="on a GPU, 'alone' is all"
    )
    parser.add_argument("--turns", metavar="N", type=_count, default=15, help="that count")


def _count(text: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise argparse.ArgumentTypeError(f"got '{text}', expected a whole number, 1 or more")
    return int(text)


INFERENCE = Bench(
    "inference",
    "a worker's network beside plain torch, alone and coupled",
    BENCH_INFERENCE,
    _add_options,
    measure,
)
