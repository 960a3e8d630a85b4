# SPDX-License-Identifier: MIT
"""Is there memory for a job of `halocline bench exchange`? Bytes from its plan, beforehand."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np

from coupler.command.bench.exchange_job import Setup, Variant
from coupler.command.plan import Plan, build_plan
from coupler.command.tables import size_text
from coupler.spec import CouplingSpec

SHARED = Path("/dev/shm")  # where MPI keeps shared windows on Linux
PROCESS = 100e6  # [bytes] of a rank's own: Python, NumPy, MPI
RAW = 8  # [bytes] of a value in the model and in raw MPI
SLOTS = 2  # of an exchange without lag
MODEL_HALO = 2  # of exchange_bench.f90


def why_skip(setup: Setup, variant: Variant, spec: CouplingSpec) -> str | None:
    """None if the job fits into the memory that is free now, or if nobody can tell."""
    plan = build_plan(spec)
    memory, shared = needed(setup, variant, plan)
    free = free_memory()
    if free is not None and memory > free:
        return f"needs {size_text(memory)} of memory, {size_text(free)} are free"
    if shared and SHARED.is_dir() and shared > shutil.disk_usage(SHARED).free:
        left = shutil.disk_usage(SHARED).free
        return f"needs {size_text(shared)} of shared memory, {SHARED} has {size_text(left)} free"
    return None


def needed(setup: Setup, variant: Variant, plan: Plan) -> tuple[float, float]:
    """(memory in all, of which shared windows) [bytes]."""
    x, y, z = setup.size
    ranks, workers = setup.ranks
    there, back = (sum(m.values for m in item.messages) for item in plan.exchanges)
    widest = max(m.values for item in plan.exchanges for m in item.messages)
    model = 2 * RAW * z * (x + 2 * MODEL_HALO * ranks) * (y + 2 * MODEL_HALO)
    raw = RAW * (2 * ranks * workers * widest + there + back)
    wire = np.dtype(variant.wire).itemsize
    slots = SLOTS * (there + back) * wire
    answer = 0 if variant.in_place else back * wire
    total = (ranks + workers) * PROCESS + model + raw + slots + answer
    if variant.transport == "windows":
        return total, slots
    # both sides hold the messages, and the worker its padded input and the answers
    return total + slots + (there + SLOTS * back) * wire, 0


def free_memory() -> int | None:
    """[bytes], None where the system does not say."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return None
    kilobytes = [int(line.split()[1]) for line in lines if line.startswith("MemAvailable:")]
    return 1024 * kilobytes[0] if kilobytes else None
