# SPDX-License-Identifier: MIT
"""A worker that makes one mistake at step 2, on its rank 0.

Usage: failing_worker.py SPEC MISTAKE
"""

from __future__ import annotations

import os
import signal
import sys
import time

import numpy as np
from mpi4py import MPI

from coupler import Component
from coupler.step import Step


def misbehave(step: Step, mistake: str) -> None:
    """Instead of, or after, a good answer."""
    answer = step["answer"]
    match mistake:
        case "exception":
            raise RuntimeError("the network is out of order")
        case "exit":
            sys.exit(0)
        case "killed":
            os.kill(os.getpid(), signal.SIGKILL)
        case "hang":
            time.sleep(60)
        case "transposed":
            step["answer"] = answer.transpose(0, 2, 1)
        case "integers":
            step["answer"] = answer.astype(np.int32)
        case "not a number":
            answer[0, -1, -1] = np.nan
        case "missing":
            del step["answer"]
        case "another name":
            step["answr"] = answer
        case "unknown input":
            step["c"]


def main(spec: str, mistake: str) -> None:
    name = "wroker" if mistake == "misnamed" else "worker"
    comm = MPI.COMM_WORLD.Split(0) if mistake == "part of a job" else MPI.COMM_WORLD
    with Component(name, spec, comm) as worker:
        for step in worker.steps():
            step["answer"] = np.array(step["a"])
            if step.number == 2 and worker.rank == 0:
                if mistake == "leaves":
                    break
                misbehave(step, mistake)


if __name__ == "__main__":
    main(*sys.argv[1:])
