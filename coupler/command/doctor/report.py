# SPDX-License-Identifier: MIT
"""All findings, one after the other, for people and as JSON."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict

from rich.console import Console

from coupler.command.doctor.finding import Finding, Status
from coupler.command.doctor.jobs import job, shared_memory
from coupler.command.doctor.machine import gpus, mpis, python, slurm, system
from coupler.command.launcher import Launcher
from coupler.command.tables import say

STYLES: dict[Status, str] = {"ok": "green", "warning": "yellow", "error": "red"}


def add_doctor_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "programs", metavar="PROGRAM", nargs="*", help="models whose MPI is compared, too"
    )
    parser.add_argument("--json", action="store_true", help="a list of objects for scripts")


def examine(launcher: Launcher, programs: Sequence[str]) -> Iterator[Finding]:
    """Every finding, as soon as it is there. `programs`: models whose MPI is compared; none: what
    halocline itself installs."""
    yield from system()
    yield from python()
    yield from mpis(launcher, programs)
    yield shared_memory()
    yield from job(launcher)
    yield from gpus()
    yield from slurm()


def print_findings(console: Console, findings: Iterable[Finding]) -> int:
    """A line each, and what to do under those that are not ok; 1 if one is an error."""
    counts: dict[Status, int] = {"ok": 0, "warning": 0, "error": 0}
    for finding in findings:
        counts[finding.status] += 1
        first, *more = finding.text.splitlines()
        say(console, f"{finding.status:<8} {finding.topic:<20} {first}", STYLES[finding.status])
        for line in [*more, *([f"mend: {finding.mend}"] if finding.mend else [])]:
            say(console, f"{'':<29} {line}")
    words = [f"{counts[k]} {k}{'' if counts[k] == 1 else 's'}" for k in ("error", "warning")]
    say(console, ", ".join(words), "bold")
    return 1 if counts["error"] else 0


def print_json(findings: Iterable[Finding]) -> int:
    found = list(findings)
    print(json.dumps([asdict(finding) for finding in found], indent=2))
    return 1 if any(finding.status == "error" for finding in found) else 0
