# SPDX-License-Identifier: MIT
"""The worker of the exchange bench with a fault: python -m mpi4py -m cli.bench_worker SPEC HOW."""

from __future__ import annotations

import os
import runpy
from typing import Any

import numpy as np

multiply = np.multiply


def wrong(values: Any, factor: int, out: Any) -> None:
    multiply(values, factor + 1, out=out)


def allocating(values: Any, factor: int, out: Any) -> None:
    out[...] = multiply(values, factor)


np.multiply = {"wrong": wrong, "allocating": allocating}[os.environ["FAULT"]]  # type: ignore[assignment]
runpy.run_module("coupler.command.bench.exchange_worker", run_name="__main__")
