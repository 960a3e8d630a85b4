# SPDX-License-Identifier: MIT
"""What only a job can tell: does one start, and what do its ranks share."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from coupler.command.doctor.finding import Finding, error, ok, warning
from coupler.command.launcher import Launcher
from coupler.command.mpis import mpi_in

PROBE = "coupler.command.doctor.probe"
PATIENCE = 60.0  # [s] for a job of two ranks
SHARED_MEMORY = Path("/dev/shm")
ENOUGH = 256e6  # [bytes] of shared memory; a container has 64 MiB of it by default
SLOW_MESSAGE, SLOW_BYTES = 200e-6, 1e9  # [s], [bytes/s]: beyond them something is wrong on a node


def job(launcher: Launcher) -> Iterator[Finding]:
    """Two ranks: shared windows, cross-memory attach, raw MPI."""
    found = _run(launcher)
    if isinstance(found, Finding):
        yield found
        return
    if found["ranks"] != 2:
        mend = "launch with the mpirun of mpi4py's MPI, or install mpi4py for the launcher's"
        yield error("job", "the launcher started 2 ranks, each sees itself alone", mend)
        return
    yield ok("job", f"2 ranks of {mpi_in(found['library']) or found['library']}")
    yield from _window(bool(found["window"]))
    yield _cross_memory(str(found["cross_memory"]))
    yield _speed(float(found["latency"]), float(found["bandwidth"]))


def shared_memory() -> Finding:
    """Room for windows."""
    try:
        free = shutil.disk_usage(SHARED_MEMORY).free
    except OSError as problem:
        mend = "mount a tmpfs there: workers' arrays live in it"
        return error("shared memory", f"{SHARED_MEMORY}: {problem.strerror}", mend)
    text = f"{free / 1e6:,.0f} MB free in {SHARED_MEMORY}"
    if free < ENOUGH:
        mend = "containers: --shm-size=1g, or --ipc=host; workers' arrays live there"
        return warning("shared memory", text, mend)
    return ok("shared memory", text)


def _run(launcher: Launcher) -> dict[str, Any] | Finding:
    """What rank 0 of the probe says."""
    topic = "job"
    command = [sys.executable, "-m", "mpi4py", "-m", PROBE]
    if shutil.which(launcher.words[0]) is None:
        mend = "install Open MPI or MPICH, or name another launcher with --mpirun"
        return error(topic, f"no '{launcher.words[0]}' on PATH", mend)
    line = launcher.plain_line(2, command)
    try:
        done = subprocess.run(
            line,
            env=os.environ | launcher.environment(),
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except subprocess.TimeoutExpired:
        text = f"a job of 2 ranks did not end within {PATIENCE:g} s: {' '.join(line)}"
        return error(topic, text, "run that line by hand; do launcher and mpi4py belong together?")
    lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
    if done.returncode or not lines:
        output = (done.stderr.strip() or done.stdout.strip() or "no output").splitlines()
        text = f"exit code {done.returncode} of: {' '.join(line)}"
        return error(topic, "\n".join([text, *output[:8]]), "run that line by hand")
    # ranks that do not find each other speak for themselves: the first says what all see
    found: dict[str, Any] = json.loads(lines[0])
    return found


def _window(works: bool) -> Iterator[Finding]:
    if works:
        yield ok("shared windows", "two ranks load and store the same memory")
    else:
        yield warning(
            "shared windows",
            "the ranks share no memory, so fields travel in messages",
            "start both on one node; containers of one node: --ipc=host",
        )


def _cross_memory(reason: str) -> Finding:
    if not reason:
        return ok("cross-memory attach", "a rank reads another's memory: large messages copy once")
    mend = (
        "messages work without; Open MPI is silent with "
        "OMPI_MCA_btl_vader_single_copy_mechanism=none. To have it: --cap-add=SYS_PTRACE in a "
        "container, kernel.yama.ptrace_scope=0 elsewhere"
    )
    return warning("cross-memory attach", f"process_vm_readv: {reason}", mend)


def _speed(latency: float, bandwidth: float) -> Finding:
    text = f"{1e6 * latency:.1f} µs a small message, {bandwidth / 1e9:.1f} GB/s for 8 MiB"
    if latency > SLOW_MESSAGE or bandwidth < SLOW_BYTES:
        mend = "is the machine busy? Are the ranks on one node, and is that what you want?"
        return warning("raw MPI", text, mend)
    return ok("raw MPI", text)
