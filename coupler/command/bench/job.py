# SPDX-License-Identifier: MIT
"""The coupled job of a bench: its spec in a file, its line, what it prints."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import yaml

from coupler.command.bench.report import BenchFailed
from coupler.command.launch import mpi_environment

SPEC = "bench.yaml"


def run_bench_job(
    what: str,
    directory: Path,
    spec: Mapping[str, object],
    line: Sequence[str],
    environment: Mapping[str, str] | None = None,
    meanwhile: Callable[[], None] | None = None,
) -> str:
    """What `line` prints, started in `directory` beside `spec` in SPEC; `meanwhile` is called again
    and again until it ends. Raises BenchFailed, which says `what` failed and why."""
    (directory / SPEC).write_text(yaml.safe_dump(dict(spec), sort_keys=False))
    job = subprocess.Popen(
        line,
        cwd=directory,
        env=os.environ | mpi_environment() | dict(environment or {}),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    while meanwhile is not None and job.poll() is None:
        meanwhile()
    printed, said = job.communicate()
    if job.returncode:
        text = f"bench {what}: {' '.join(line)}: exit code {job.returncode}"
        raise BenchFailed(f"{text}\n{said.strip()}")
    return printed
