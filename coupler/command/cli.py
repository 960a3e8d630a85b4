# SPDX-License-Identifier: MIT
"""The command line `halocline`. It never starts MPI: jobs are processes that it launches."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path

from rich.console import Console

from coupler.command.arguments import Command, build_parser
from coupler.command.bench.benches import run_bench
from coupler.command.bench.report import Bench, BenchFailed
from coupler.command.check import Findings, check_spec
from coupler.command.coupled_run import RunOptions, print_launches, run_spec
from coupler.command.doctor.report import examine, print_findings, print_json
from coupler.command.fake_run import FakeOptions, run_fake
from coupler.command.fitting import with_measured_halos
from coupler.command.launcher import Launcher, find_launcher
from coupler.command.pictures import draw_finished, draw_timeline, draw_weights, draw_worker
from coupler.command.plan import build_plan, choose_worker, parse_ranks, plan_json, with_ranks
from coupler.command.regrid_remarks import regrid_remarks
from coupler.command.replay_run import ReplayOptions, replay_record
from coupler.command.seams import check_seams
from coupler.command.slurm import slurm_options, slurm_script
from coupler.command.tables import print_plan, say
from coupler.command.weights import print_weights, regridded, weights_json
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

FAILED, MISTAKE, INTERRUPTED = 1, 2, 130  # exit codes beside 0


def main(arguments: list[str] | None = None) -> int:
    """The exit code. Mistakes go to stderr, everything else to stdout."""
    parser = build_parser(COMMANDS, _bench)
    options = parser.parse_args(arguments)
    if "command" not in options:
        parser.print_help()
        return MISTAKE
    console = Console(highlight=False)
    try:
        code = int(options.command(options, console))
        print(end="", flush=True)  # here, where it is seen that nobody reads
        return code
    except SpecError as error:
        return _say_mistakes(error.messages)
    except BenchFailed as error:
        say(Console(stderr=True), str(error), "red")
        return FAILED
    except BrokenPipeError:  # as in `halocline plan SPEC --json | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for Python's last flush
        return FAILED
    except OSError as error:
        return _say_mistakes([str(error)])
    except KeyboardInterrupt:
        return INTERRUPTED


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
        print_weights(console, items, regrid_remarks(spec))
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
    return 0 if draw_finished(console, options.directory, reference) else 1


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


COMMANDS: Mapping[str, Command] = {
    "check": _check,
    "plan": _plan,
    "run": _run,
    "replay": _replay,
    "fake": _fake,
    "weights": _weights,
    "slurm": _slurm,
    "plot": _plot,
    "timeline": _timeline,
    "doctor": _doctor,
}


if __name__ == "__main__":
    sys.exit(main())
