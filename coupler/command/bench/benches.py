# SPDX-License-Identifier: MIT
"""Every bench there is; a new one is a `Bench` in a module of its own and a name in BENCHES."""

from __future__ import annotations

import argparse
import json

from rich.console import Console
from rich.text import Text

from coupler.command.bench.exchange import EXCHANGE
from coupler.command.bench.inference import INFERENCE
from coupler.command.bench.overlap import OVERLAP
from coupler.command.bench.planning import PLANNING
from coupler.command.bench.record import RECORD
from coupler.command.bench.report import Bench, Measure, as_objects, machine, print_measures

BENCHES = (EXCHANGE, INFERENCE, OVERLAP, PLANNING, RECORD)


def run_bench(bench: Bench, options: argparse.Namespace, console: Console) -> None:
    """Progress goes to stderr, so that the stdout of --json is JSON and nothing else.

    What was measured before a failure or Ctrl-C is printed, too: a sweep takes long.
    """
    stderr = Console(stderr=True, highlight=False)

    def progress(line: str) -> None:
        stderr.print(Text(line), soft_wrap=True)

    progress(machine())
    measures: list[Measure] = []
    try:
        measures.extend(bench.measure(options, progress))
    finally:
        if options.json:
            print(json.dumps(as_objects(measures), indent=2))
        elif measures:
            print_measures(console, measures)
