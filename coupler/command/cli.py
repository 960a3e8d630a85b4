# SPDX-License-Identifier: MIT
"""The command line `halocline`. It never starts MPI: jobs are processes that it launches."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from rich.console import Console

from coupler.command.bench.benches import BENCHES, run_bench
from coupler.command.bench.report import Bench, BenchFailed
from coupler.command.check import Findings, check_spec
from coupler.command.coupled_run import (
    RunOptions,
    draw,
    draw_timeline,
    draw_worker,
    print_launches,
    run_spec,
)
from coupler.command.doctor.report import (
    add_doctor_options,
    examine,
    print_findings,
    print_json,
)
from coupler.command.fake_run import FakeOptions, run_fake
from coupler.command.fitting import with_measured_halos
from coupler.command.help_texts import (
    BENCH,
    CHECK,
    DESCRIPTION,
    DOCTOR,
    EXIT_CODES,
    FAKE,
    PLAN,
    PLOT,
    REPLAY,
    RUN,
    SLURM,
    TIMELINE,
    WEIGHTS,
)
from coupler.command.launcher import KINDS, Launcher, find_launcher
from coupler.command.plan import build_plan, choose_worker, parse_ranks, plan_json, with_ranks
from coupler.command.replay_run import ReplayOptions, replay_record
from coupler.command.seams import check_seams
from coupler.command.slurm import add_slurm_options, slurm_options, slurm_script
from coupler.command.tables import print_plan, say
from coupler.command.weights import draw as draw_weights
from coupler.command.weights import print_weights, regridded, weights_json
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec
from coupler.weights.quality import FUNCTIONS

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130  # exit codes beside 0

Command = Callable[[argparse.Namespace, Console], int]


def main(arguments: list[str] | None = None) -> int:
    """The exit code. Mistakes go to stderr, everything else to stdout."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if "command" not in options:
        parser.print_help()
        return MISTAKE
    console = Console(highlight=False)
    try:
        return int(options.command(options, console))
    except SpecError as error:
        return _say_mistakes(error.messages)
    except BenchFailed as error:
        say(Console(stderr=True), str(error), "red")
        return FAILED
    except OSError as error:
        return _say_mistakes([str(error)])
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    raw = argparse.RawDescriptionHelpFormatter
    parser = argparse.ArgumentParser(
        "halocline", description=DESCRIPTION, epilog=EXIT_CODES, formatter_class=raw
    )
    parser.add_argument("--version", action="version", version=f"halocline {_version()}")
    commands = parser.add_subparsers(title="commands", metavar="COMMAND")

    def add(
        name: str,
        summary: str,
        texts: tuple[str, str],
        command: Command | None,
        among: Any = commands,
    ) -> argparse.ArgumentParser:
        description, examples = texts
        added: argparse.ArgumentParser = among.add_parser(
            name,
            help=summary,
            description=description,
            epilog=f"{examples}\n{EXIT_CODES}",
            formatter_class=raw,
        )
        if command is not None:
            added.set_defaults(command=command)
        return added

    check = add("check", "find mistakes without running", CHECK, _check)
    plan = add("plan", "show who sends what to whom", PLAN, _plan)
    run = add("run", "run a coupled job", RUN, _run)
    replay = add("replay", "run a predictor on a record, without the model", REPLAY, _replay)
    fake = add("fake", "run the workers with synthetic fields, without the model", FAKE, _fake)
    weights = add(
        "weights", "make regridding weights, and say how good they are", WEIGHTS, _weights
    )
    slurm = add("slurm", "write a job script for a cluster", SLURM, _slurm)
    add_slurm_options(slurm)
    plot = add("plot", "draw a finished run", PLOT, _plot)
    timeline = add("timeline", "draw what each rank did when", TIMELINE, _timeline)
    bench = add("bench", "measure what things cost on this machine", BENCH, None)
    benches = bench.add_subparsers(title="benches", metavar="NAME", required=True)
    for item in BENCHES:
        added = add(item.name, item.summary, item.texts, partial(_bench, item), benches)
        item.add_options(added)
        added.add_argument("--json", action="store_true", help="a list of objects for scripts")
    doctor = add("doctor", "say what is installed and what works here", DOCTOR, _doctor)
    add_doctor_options(doctor)
    for command in (check, plan, run, replay, fake, slurm):
        command.add_argument("spec", metavar="SPEC", type=Path, help="the coupling spec (YAML)")
        command.add_argument(
            "--ranks",
            metavar="NAME=N,...",
            help="rank counts in place of the spec's, for example ocean=4,closure=2",
        )
    for command in (check, run, fake, slurm):
        command.add_argument(
            "--no-load",
            action="store_true",
            help="do not import the predictor, which can take seconds (torch)",
        )
    for command in (check, run, fake, slurm, doctor):
        command.add_argument(
            "--mpirun",
            metavar="COMMAND",
            help="the launcher and its options (default: mpirun, or what --launcher has)",
        )
        command.add_argument(
            "--launcher",
            choices=KINDS,
            help="its kind (default: what it turns out to be, asked with --version)",
        )
    _add_replay(replay)
    _add_fake(fake)
    check.add_argument(
        "--seams",
        action="store_true",
        help="also ask the predictor about random fields, the whole grid at once and box by box",
    )
    check.add_argument(
        "--plot",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=Path(),
        help="with --seams: draw where they differ (default FILE: SPEC's name with .seams.png, "
        "here)",
    )
    plan.add_argument("--json", action="store_true", help="the whole plan as JSON")
    plan.add_argument(
        "--plot",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=Path(),
        help="draw the boxes of both sides, and what one worker rank receives from whom "
        "(default FILE: SPEC's name with .plan.png, here)",
    )
    plan.add_argument(
        "--worker",
        metavar="[NAME=]N",
        help="the worker rank to draw (default: the one that receives from most ranks)",
    )
    for command in (run, fake):
        command.add_argument("--dry-run", action="store_true", help="only print the commands")
        command.add_argument(
            "--timeout", metavar="SECONDS", type=_seconds, help="end a job that runs longer"
        )
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
    weights.add_argument("spec", metavar="SPEC", type=Path, help="the coupling spec (YAML)")
    weights.add_argument("--json", action="store_true", help="a list of objects for scripts")
    weights.add_argument(
        "--plot",
        metavar="FILE",
        nargs="?",
        type=Path,
        const=Path(),
        help="draw a function on the source grid, regridded, and the misfit "
        "(default FILE: SPEC's name with .weights.png, here)",
    )
    weights.add_argument(
        "--function",
        choices=tuple(FUNCTIONS),
        default="vortex",
        help="the one to draw (default: %(default)s)",
    )
    timeline.add_argument("directory", metavar="DIRECTORY", type=Path, help="where the traces are")
    plot.add_argument(
        "directory", metavar="RUNDIR", type=Path, help="where the run wrote its files"
    )
    plot.add_argument(
        "--reference",
        metavar="DIR",
        type=Path,
        help="the run to compare with (default: RUNDIR/reference if it is there)",
    )
    return parser


def _add_replay(replay: argparse.ArgumentParser) -> None:
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


def _add_fake(fake: argparse.ArgumentParser) -> None:
    fake.add_argument(
        "--as", dest="name", metavar="NAME", help="the model to stand in for (default: the only)"
    )
    fake.add_argument(
        "--steps",
        metavar="N",
        type=_count,
        help="time steps (default: 10, or 5 dates of the longest period; at most the spec's)",
    )
    fake.add_argument("--seed", metavar="N", type=int, default=0, help="of the fields")
    fake.add_argument(
        "--range", dest="limits", metavar="NAME=LOW:HIGH,...", default="", help="of fields"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"got '{text}', expected a whole number, 1 or more")
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


def _bench(bench: Bench, options: argparse.Namespace, console: Console) -> int:
    run_bench(bench, options, console)
    return 0


def _load(options: argparse.Namespace) -> CouplingSpec:
    spec = load_spec(options.spec)
    return with_ranks(spec, parse_ranks(options.ranks, spec)) if options.ranks else spec


def _launcher(options: argparse.Namespace) -> Launcher:
    return find_launcher(options.launcher, options.mpirun)


def _check(options: argparse.Namespace, console: Console) -> int:
    if (options.plot is not None and not options.seams) or (options.seams and options.no_load):
        raise SpecError(["check: --plot draws what --seams finds, and that loads the predictor"])
    spec = _load(options)
    findings = check_spec(spec, not options.no_load, _launcher(options))
    for text in findings.passed:
        say(console, f"ok       {text}", "green")
    _say_remarks(findings, console)
    if findings.errors:
        return _say_mistakes(findings.errors)
    if not options.seams:
        return 0
    path = _picture_path(options.plot, spec, "seams")
    return 0 if check_seams(console, findings.fitted, path) else 1


def _picture_path(asked: Path | None, spec: CouplingSpec, what: str) -> Path | None:
    """The file to draw: as typed, or named after the spec; None if none is asked for."""
    return asked if asked is None or asked.name else Path(f"{spec.path.stem}.{what}.png")


def _plan(options: argparse.Namespace, console: Console) -> int:
    spec = with_measured_halos(_load(options))
    plan = build_plan(spec)
    drawn = choose_worker(spec, plan, options.worker)
    if options.json:
        print(json.dumps(plan_json(plan), indent=2))
    else:
        print_plan(console, spec, plan)
    path = _picture_path(options.plot, spec, "plan")
    if path is None:
        return 0
    # the stdout of --json is JSON and nothing else
    said = Console(stderr=True) if options.json else console
    return 0 if draw_worker(said, path, *drawn) else 1


def _run(options: argparse.Namespace, console: Console) -> int:
    spec = _load(options)
    launcher = _launcher(options)
    findings = check_spec(spec, not options.no_load, launcher)
    # a dry run's stdout holds the commands and nothing else
    _say_remarks(findings, Console(stderr=True) if options.dry_run else console)
    if findings.errors:
        return _say_mistakes(findings.errors)
    run = RunOptions(launcher, options.reference, options.timeout, options.timeline)
    if options.dry_run:
        print_launches(spec, run, console)
        return 0
    return run_spec(spec, run, console)


def _replay(options: argparse.Namespace, console: Console) -> int:
    o = options
    wanted = ReplayOptions(o.component, o.steps, o.tolerance, o.plot, o.output)
    return replay_record(_load(options), options.record, wanted, console)


def _fake(options: argparse.Namespace, console: Console) -> int:
    o = options
    wanted = FakeOptions(o.name, o.steps, o.seed, o.limits, not o.no_load, o.dry_run)
    run = RunOptions(_launcher(options), False, options.timeout)
    return run_fake(_load(options), wanted, run, console)


def _weights(options: argparse.Namespace, console: Console) -> int:
    spec = load_spec(options.spec)
    items = regridded(spec)
    if options.json:
        print(json.dumps(weights_json(items), indent=2))
    else:
        print_weights(console, items)
    if options.plot is None:
        return 0
    path = options.plot if options.plot.name else Path(f"{spec.path.stem}.weights.png")
    # the stdout of --json is JSON and nothing else
    said = Console(stderr=True) if options.json else console
    return 0 if draw_weights(said, items, options.function, path) else 1


def _timeline(options: argparse.Namespace, console: Console) -> int:
    return 0 if draw_timeline(console, options.directory) else 1


def _slurm(options: argparse.Namespace, console: Console) -> int:
    spec = _load(options)
    launcher = find_launcher("srun", options.mpirun or "srun")
    findings = check_spec(spec, not options.no_load, launcher)
    _say_remarks(findings, Console(stderr=True))  # stdout is the script
    if findings.errors:
        return _say_mistakes(findings.errors)
    print(slurm_script(spec, slurm_options(options, spec), launcher), end="")
    return 0


def _doctor(options: argparse.Namespace, console: Console) -> int:
    findings = examine(_launcher(options), options.programs)
    return print_json(findings) if options.json else print_findings(console, findings)


def _plot(options: argparse.Namespace, console: Console) -> int:
    reference = options.reference
    if reference is None and (options.directory / "reference").is_dir():
        reference = options.directory / "reference"
    return 0 if draw(console, options.directory, reference) else 1


def _say_remarks(findings: Findings, console: Console) -> None:
    for text in findings.warnings:
        say(console, f"warning  {text}", "yellow")
    for text in findings.notes:
        say(console, f"note     {text}")


def _say_mistakes(messages: list[str]) -> int:
    console = Console(stderr=True)
    for message in messages:
        say(console, message, "red")
    count = len(messages)
    say(console, f"halocline: {count} mistake{'' if count == 1 else 's'}", "bold red")
    return MISTAKE


def _version() -> str:
    try:
        return version("halocline")
    except PackageNotFoundError:
        return "(a source tree that is not installed)"


if __name__ == "__main__":
    sys.exit(main())
