# SPDX-License-Identifier: MIT
"""The worker of `halocline bench inference`: in even steps it answers as any worker does, in odd
ones it runs the same network on the same values in plain torch, and answers what it has. Seconds go
to a file: a launcher may mix up lines that two ranks print at a time. Usage: SPEC FILE"""

from __future__ import annotations

import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import torch
from mpi4py import MPI

from coupler.command.bench.inference_network import Network
from coupler.component import Component
from coupler.driver import load_for, warm_up
from coupler.spec.load import load_spec


def main(path: str, file: str) -> None:
    spec = load_spec(path)
    predictor = load_for(spec, "worker")
    network, engine = predictor.function, predictor.engine
    assert isinstance(network, Network)
    assert engine is not None
    with Component("worker", spec, MPI.COMM_WORLD, partial(warm_up, predictor)) as worker:
        lines: list[str] = []
        for step in worker.steps():
            if step.number % 2 == 0:
                fields = dict(step.inputs)  # waits for the last of them
                begun, used = time.perf_counter(), time.process_time()
                answers = predictor(fields, step.due, step.targets())
                seconds = time.perf_counter() - begun, time.process_time() - used
                for name, answer in answers.items():
                    step[name] = answer
                lines.append("worker {} {}".format(*seconds))
                continue
            x = torch.from_numpy(np.stack((step["u"], step["v"]), axis=1))
            size = engine.chunk or len(x)
            chunks = [x[first : first + size] for first in range(0, len(x), size)]
            with torch.inference_mode():
                begun, used = time.perf_counter(), time.process_time()
                for chunk in chunks:
                    network.layers(chunk)
                seconds = time.perf_counter() - begun, time.process_time() - used
            for name in step.due:
                step[name] = step.out[name]
            lines.append("plain {} {}".format(*seconds))
        Path(file).write_text("\n".join(lines))


if __name__ == "__main__":
    main(*sys.argv[1:])
