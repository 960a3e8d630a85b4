# SPDX-License-Identifier: MIT
"""`halocline run`: directories, the reference, the coupled job, and what came of them."""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from rich.console import Console

from coupler.command.job import Outcome, run_job
from coupler.command.launch import Launch, coupled_launch, reference_launch
from coupler.command.launcher import Launcher
from coupler.command.pictures import draw_finished, draw_timeline
from coupler.command.progress import (
    JobProgress,
    Source,
    StepsOfLog,
    read_profiles,
    steps_of_workers,
)
from coupler.command.reference import reference_path, require_reference, write_reference_namelist
from coupler.command.tables import print_outputs, print_profiles, say
from coupler.monitor import MONITOR
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError
from coupler.trace import ENDING, TRACE

# How halocline's two sides, and models, begin the line that says why a job ended.
REASON = re.compile(r"halocline: |[\w.-]+: error: ", re.IGNORECASE)
# How Open MPI tells of a rank that ended without a word, over one line or two.
LOST = re.compile(
    r"rank (\d+) with PID \S+ on node \S+ (exited on signal [^.]+|exiting improperly)"
)
MORE = re.compile(r"  \S+:\d+: ")
TAIL = 10  # lines of a log that says no reason


@dataclass(frozen=True)
class RunOptions:
    launcher: Launcher
    reference: bool
    timeout: float | None  # [s] of each job
    timeline: bool = False


def print_launches(spec: CouplingSpec, options: RunOptions, console: Console) -> None:
    """What `run_spec` would run; as a script, so that it can be pasted."""
    directory = Path.cwd() / spec.directory
    if options.reference:
        require_reference(spec)
        changes = ", ".join(f"{key} = {value}" for key, value in spec.reference.items())
        inner = directory / "reference"
        path = reference_path(spec, inner)
        say(console, f"# without the workers; {path} is {spec.namelist} with {changes}")
        say(console, str(reference_launch(spec, inner, path, options.launcher)))
    say(console, str(_coupled(spec, directory, options)))


def _coupled(spec: CouplingSpec, directory: Path, options: RunOptions) -> Launch:
    launch = coupled_launch(spec, directory, options.launcher)
    if not options.timeline:
        return launch
    return replace(launch, environment=launch.environment | {TRACE: str(directory)})


def run_spec(spec: CouplingSpec, options: RunOptions, console: Console) -> int:
    """Run the job, after its reference where asked; the exit code. Raises SpecError, OSError."""
    if options.reference:
        require_reference(spec)
    directory = Path.cwd() / spec.directory
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise SpecError(
            [
                f"run.directory {directory}: {error.strerror}; it is relative to where you type "
                "the command: type it where there is room to write, or name another"
            ]
        ) from error
    _note_existing(console, directory)
    inner = directory / "reference"
    if options.reference:
        inner.mkdir(exist_ok=True)
        namelist = write_reference_namelist(spec, inner)
        launch = reference_launch(spec, inner, namelist, options.launcher)
        steps = StepsOfLog()
        outcome = _run(console, "reference", spec, launch, steps, options)
        if outcome.failed:
            return outcome.code
    profile = _emptied(directory / "profile", "*.json")
    if options.timeline:
        _emptied(directory, f"*{ENDING}")
    launch = _coupled(spec, directory, options)
    outcome = _run(console, "coupled", spec, launch, steps_of_workers(spec, profile), options)
    workers = [component.name for component in spec.components if component.is_worker]
    profiles = read_profiles(profile, workers)
    if not outcome.failed and profiles:
        print_profiles(console, spec, profiles)
    if not outcome.failed and options.reference:
        draw_finished(console, directory, inner)
    if options.timeline:
        try:
            draw_timeline(console, directory)  # of a job that failed, too
        except SpecError as error:  # it failed before it began
            say(console, f"no timeline: {'; '.join(error.messages)}", "yellow")
    return outcome.code


def _emptied(directory: Path, pattern: str) -> Path:
    """`directory`, without the files of an earlier run."""
    directory.mkdir(exist_ok=True)
    for stale in directory.glob(pattern):
        stale.unlink()
    return directory


def _run(
    console: Console,
    label: str,
    spec: CouplingSpec,
    launch: Launch,
    source: Source,
    options: RunOptions,
) -> Outcome:
    """One job with its progress, and what came of it."""
    say(console, str(launch), "dim")
    launch.write_files()
    log = launch.directory / "job.log"
    begun = time.time()
    environment = {MONITOR: str(launch.directory / "profile")}
    with JobProgress(console, label, spec, source) as progress:

        def show(line: str) -> None:
            if isinstance(source, StepsOfLog):
                source.read(line)
            progress.show(line)

        outcome = run_job(launch, log, show, progress.update, environment, options.timeout)
    if outcome.failed:
        models = label == "reference"  # which runs without workers
        parts = [(c.name, c.ranks) for c in spec.components if not (models and c.is_worker)]
        _explain(console, label, outcome, log, parts)
        return outcome
    speed = f", {spec.steps / outcome.seconds:.4g} steps/s" if spec.steps else ""
    steps = f"{spec.steps} steps in " if spec.steps else ""
    say(console, f"{label} run: {steps}{outcome.seconds:.1f} s{speed}; log: {log}", "bold green")
    files = [f for f in sorted(launch.directory.rglob("*.nc")) if f.stat().st_mtime >= begun - 1]
    inner = launch.directory / "reference"
    print_outputs(console, [f for f in files if inner not in f.parents], Path.cwd())
    return outcome


def _explain(
    console: Console, label: str, outcome: Outcome, log: Path, parts: Sequence[tuple[str, int]]
) -> None:
    """The reasons that the ranks gave, once more at the end, where a reader looks. `parts`: names
    and ranks of the job's components."""
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    reasons = failure_reasons(lines)
    say(console, f"{label} run failed: {outcome.reason}", "bold red")
    if (lost := lost_rank(lines, parts)) is not None:
        say(console, lost, "red")
    if reasons:
        say(console, "\n".join(reasons), "red")
    elif lines:
        say(console, f"the last lines of {log.name}:")
        say(console, "\n".join(lines[-TAIL:]))
    say(console, f"log: {log}")


def lost_rank(lines: Sequence[str], parts: Sequence[tuple[str, int]]) -> str | None:
    """Whose rank ended without a word, such as one that was killed; None if the log tells of none.

    The launcher counts ranks over all components, `parts`: their names and ranks, in its order.
    """
    found = LOST.search(" ".join(lines))
    if found is None:
        return None
    number = rank = int(found[1])
    how = found[2].replace("exiting improperly", "ended without finalizing MPI")
    for name, ranks in parts:
        if rank < ranks:
            return f"{name} rank {rank}, rank {number} of the job, {how}"
        rank -= ranks
    return None


def failure_reasons(lines: list[str]) -> list[str]:
    """Lines that say why, with the indented `file:line:` that may follow, each once.

    Ranks that were only told of a failure repeat it; they are left out where the first one spoke.
    """
    reasons: list[str] = []
    told: list[str] = []
    into: list[str] | None = None
    for line in lines:
        if REASON.match(line):
            into = told if "told by " in line else reasons
        elif not MORE.match(line):  # traces of several ranks come interleaved
            into = None
        if into is not None and line not in into:
            into.append(line)
    return reasons or told


def _note_existing(console: Console, directory: Path) -> None:
    files = sorted(file.name for file in directory.rglob("*.nc"))
    if files:
        more = f" and {len(files) - 4} more" if len(files) > 4 else ""
        text = (
            f"note: {directory} holds {', '.join(files[:4])}{more}; the same names are overwritten"
        )
        say(console, text, "yellow")
