# SPDX-License-Identifier: MIT
"""What can be typed behind `halocline`: commands, their options, and what these may hold."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from coupler.command import help_texts
from coupler.command.bench.benches import BENCHES
from coupler.command.bench.report import Bench
from coupler.command.doctor.report import add_doctor_options
from coupler.command.launcher import KINDS
from coupler.command.slurm import add_slurm_options
from coupler.weights.quality import FUNCTIONS

Command = Callable[[argparse.Namespace, Console], int]
BenchCommand = Callable[[Bench, argparse.Namespace, Console], int]
Parser = argparse.ArgumentParser

SUMMARIES = {  # in the order of --help
    "check": "find mistakes without running",
    "plan": "show who sends what to whom",
    "run": "run a coupled job",
    "replay": "run a predictor on a record, without the model",
    "fake": "run the workers with synthetic fields, without the model",
    "weights": "make regridding weights, and say how good they are",
    "slurm": "write a job script for a cluster",
    "plot": "draw a finished run",
    "timeline": "draw what each rank did when",
    "bench": "measure what things cost on this machine",
    "doctor": "say what is installed and what works here",
}


def build_parser(commands: Mapping[str, Command], bench: BenchCommand) -> Parser:
    """`commands`: by name, what runs; `bench` runs one of the benches."""
    raw = argparse.RawDescriptionHelpFormatter
    parser = Parser(
        "halocline",
        description=help_texts.DESCRIPTION,
        epilog=help_texts.EXIT_CODES,
        formatter_class=raw,
    )
    parser.add_argument("--version", action="version", version=f"halocline {_version()}")
    among = parser.add_subparsers(title="commands", metavar="COMMAND")
    added = {
        name: _add(among, name, summary, getattr(help_texts, name.upper()))
        for name, summary in SUMMARIES.items()
    }
    for name, command in commands.items():
        added[name].set_defaults(command=command)
    _add_benches(added["bench"], bench)
    _add_common(added)
    add_slurm_options(added["slurm"])
    add_doctor_options(added["doctor"])
    for name, add in (
        ("check", _add_check),
        ("plan", _add_plan),
        ("run", _add_run),
        ("replay", _add_replay),
        ("fake", _add_fake),
        ("weights", _add_weights),
        ("plot", _add_plot),
        ("timeline", _add_timeline),
    ):
        add(added[name])
    return parser


def _add(among: Any, name: str, summary: str, texts: tuple[str, str]) -> Parser:
    description, examples = texts
    added: Parser = among.add_parser(
        name,
        help=summary,
        description=description,
        epilog=f"{examples}\n{help_texts.EXIT_CODES}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    return added


def _add_benches(bench: Parser, command: BenchCommand) -> None:
    benches = bench.add_subparsers(title="benches", metavar="NAME", required=True)
    for item in BENCHES:
        added = _add(benches, item.name, item.summary, item.texts)
        added.set_defaults(command=partial(command, item))
        item.add_options(added)
        added.add_argument("--json", action="store_true", help="a list of objects for scripts")


def _add_common(added: Mapping[str, Parser]) -> None:
    """What several commands have"""
    for name in ("check", "plan", "run", "replay", "fake", "weights", "slurm"):
        added[name].add_argument("spec", metavar="SPEC", type=Path, help="the coupling spec (YAML)")
    for name in ("check", "plan", "run", "replay", "fake", "slurm"):
        added[name].add_argument(
            "--ranks",
            metavar="NAME=N,...",
            help="rank counts in place of the spec's, for example ocean=4,closure=2",
        )
    for name in ("check", "run", "fake", "slurm"):
        added[name].add_argument(
            "--no-load",
            action="store_true",
            help="do not import the predictor, which can take seconds (torch)",
        )
    for name in ("check", "run", "fake", "slurm", "doctor"):
        added[name].add_argument(
            "--mpirun",
            metavar="COMMAND",
            help="the launcher and its options (default: mpirun, or what --launcher has)",
        )
        added[name].add_argument(
            "--launcher",
            choices=KINDS,
            help="its kind (default: what it turns out to be, asked with --version)",
        )
    for name in ("run", "fake"):
        added[name].add_argument("--dry-run", action="store_true", help="only print the commands")
        added[name].add_argument(
            "--timeout", metavar="SECONDS", type=_seconds, help="end a job that runs longer"
        )


def _add_picture(parser: Parser, help_text: str) -> None:
    """--plot with a file, or without one: then it is named after the spec"""
    parser.add_argument(
        "--plot", metavar="FILE", nargs="?", type=Path, const=Path(), help=help_text
    )


def _add_check(check: Parser) -> None:
    check.add_argument(
        "--seams",
        action="store_true",
        help="also ask the predictor about random fields, the whole grid at once and box by box",
    )
    _add_picture(
        check,
        "with --seams: draw where they differ (default FILE: SPEC's name with .seams.png, here)",
    )


def _add_plan(plan: Parser) -> None:
    plan.add_argument("--json", action="store_true", help="the whole plan as JSON")
    _add_picture(
        plan,
        "draw the boxes of both sides, and what one worker rank receives from whom "
        "(default FILE: SPEC's name with .plan.png, here)",
    )
    plan.add_argument(
        "--worker",
        metavar="[NAME=]N",
        help="the worker rank to draw (default: the one that receives from most ranks)",
    )


def _add_run(run: Parser) -> None:
    run.add_argument(
        "--reference",
        action="store_true",
        help="first run the model without the workers, with the namelist changes of "
        "run.reference, and draw both at the end",
    )
    run.add_argument(
        "--timeline",
        action="store_true",
        help="trace what each rank does when: timeline.json and timeline.png in run.directory",
    )


def _add_weights(weights: Parser) -> None:
    weights.add_argument("--json", action="store_true", help="a list of objects for scripts")
    _add_picture(
        weights,
        "draw a function on the source grid, regridded, and the misfit "
        "(default FILE: SPEC's name with .weights.png, here)",
    )
    weights.add_argument(
        "--function",
        choices=tuple(FUNCTIONS),
        default="vortex",
        help="the one to draw (default: %(default)s)",
    )


def _add_timeline(timeline: Parser) -> None:
    timeline.add_argument("directory", metavar="DIRECTORY", type=Path, help="where the traces are")


def _add_plot(plot: Parser) -> None:
    plot.add_argument(
        "directory", metavar="RUNDIR", type=Path, help="where the run wrote its files"
    )
    plot.add_argument(
        "--reference",
        metavar="DIR",
        type=Path,
        help="the run to compare with (default: RUNDIR/reference if it is there)",
    )


def _add_replay(replay: Parser) -> None:
    replay.add_argument(
        "record", metavar="RECORD", type=Path, help="a file of it, the files' common name, or dir"
    )
    replay.add_argument("--component", metavar="NAME", help="the worker (default: the record's)")
    replay.add_argument("--steps", metavar="N", type=_count, help="of the record, from its start")
    replay.add_argument(
        "--tolerance",
        metavar="X",
        type=_tolerance,
        default=0.0,
        help="how far an answer may be from the recorded one, as a part of the field's largest "
        "value (default: 0, equal bits)",
    )
    replay.add_argument(
        "--plot", metavar="FILE", type=Path, help="draw the answer that differs most"
    )
    replay.add_argument("--output", metavar="FILE", type=Path, help="write the answers (NetCDF)")


def _add_fake(fake: Parser) -> None:
    fake.add_argument(
        "--as", dest="name", metavar="NAME", help="the model to stand in for (default: the only)"
    )
    fake.add_argument(
        "--steps",
        metavar="N",
        type=_count,
        help="time steps (default: 10, or 5 dates of the longest period; at most the spec's)",
    )
    fake.add_argument("--seed", metavar="N", type=_seed, default=0, help="of the fields")
    fake.add_argument(
        "--range", dest="limits", metavar="NAME=LOW:HIGH,...", default="", help="of fields"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got '{text}', expected a whole number, 1 or more")
    return int(text)


def _seed(text: str) -> int:
    if not text.isascii() or not text.isdigit():
        raise argparse.ArgumentTypeError(f"got '{text}', expected a whole number, 0 or more")
    return int(text)


def _tolerance(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = -1.0
    if not value >= 0.0:
        raise argparse.ArgumentTypeError(f"got '{text}', expected a number, 0 or more")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not value > 0.0:
        raise argparse.ArgumentTypeError(f"got '{text}', expected seconds, above 0")
    return value


def _version() -> str:
    try:
        return version("halocline")
    except PackageNotFoundError:
        return "(a source tree that is not installed)"
