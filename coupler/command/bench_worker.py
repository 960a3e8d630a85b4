# SPDX-License-Identifier: MIT
"""The workers of `halocline bench exchange`: answer twice the input, then raw MPI, in turn."""

from __future__ import annotations

import sys

import numpy as np
from mpi4py import MPI

from coupler.component import Component

TAG_COUNTS, TAG_THERE, TAG_BACK = 1, 2, 3  # of exchange_bench.f90
FRESH = 2  # steps at the start, one for each slot, and at the end, in which answers are computed


def main(spec: str, in_place: bool) -> None:
    """`in_place`: the answer is computed where it leaves from; else it is copied there."""
    world = MPI.COMM_WORLD
    with Component("worker", spec, world) as worker:
        counts = worker.message_sizes()
        for rank, values in counts.items():
            world.Send(np.array(values, np.int64), rank, TAG_COUNTS)
        there = {rank: np.empty(values[0]) for rank, values in counts.items()}
        back = {rank: np.ones(values[1]) for rank, values in counts.items()}
        halo, steps = worker.spec.exchanges[0].halo, worker.spec.steps or 0
        answer = np.empty(worker.outputs["b"], worker.spec.exchanges[1].wire)
        for number in range(steps):
            world.Barrier()
            step = worker.receive()
            assert step is not None
            out = step.out["b"] if in_place else answer
            if number < FRESH or number >= steps - FRESH:
                own = step["a"][:, halo : halo + worker.box.ny, halo : halo + worker.box.nx]
                np.multiply(own, 2, out=out)
            step["b"] = out
            worker.send(step)
            world.Barrier()
            requests = [world.Irecv(buffer, rank, TAG_THERE) for rank, buffer in there.items()]
            MPI.Request.Waitall(requests)
            requests = [world.Isend(buffer, rank, TAG_BACK) for rank, buffer in back.items()]
            MPI.Request.Waitall(requests)
        for _ in worker.steps():
            raise RuntimeError("the model went on after its last step")


main(sys.argv[1], sys.argv[2] == "in-place")
