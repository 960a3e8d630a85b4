# SPDX-License-Identifier: MIT
"""The workers of `halocline bench exchange`: answer twice the input, then raw MPI, in turn."""

from __future__ import annotations

import sys
import tracemalloc
from math import prod
from pathlib import Path

import numpy as np
from mpi4py import MPI

from coupler.command.bench.exchange_job import FRESH, TRACED
from coupler.command.bench.turns import COUPLED, take_turn
from coupler.component import Component

TAG_COUNTS, TAG_THERE, TAG_BACK = 1, 2, 3  # of exchange_bench.f90


def main(spec: str, in_place: bool) -> None:
    """`in_place`: the answer is computed where it leaves from; else it is copied there."""
    job = MPI.COMM_WORLD
    world = MPI.Intracomm(job.Split(COUPLED, job.rank))
    with Component("worker", spec, world) as worker:
        counts = dict.fromkeys(range(worker.spec.component("model").ranks), (0, 0))
        counts |= worker.message_sizes()
        for rank, values in counts.items():
            world.Send(np.array(values, np.int64), rank, TAG_COUNTS)
        there = {rank: np.empty(values[0]) for rank, values in counts.items() if values[0]}
        back = {rank: np.ones(values[1]) for rank, values in counts.items() if values[1]}
        halo, steps = worker.spec.exchanges[0].halo, worker.spec.steps or 0
        answer = np.empty(worker.outputs["b"], worker.spec.exchanges[1].wire)
        traced = 0
        for number in range(steps):
            take_turn(job, world)
            if number == steps - FRESH:
                tracemalloc.start()  # it slows, so only behind the steps that are timed
            begun = _begin_traced()
            world.Barrier()
            step = worker.receive()
            assert step is not None
            out = step.out["b"] if in_place else answer
            if number < FRESH or number >= steps - FRESH:
                own = step["a"][:, halo : halo + worker.box.ny, halo : halo + worker.box.nx]
                np.copyto(out, own)
                np.multiply(out, 2, out=out)  # NumPy takes no buffer for contiguous arrays
            step["b"] = out
            worker.send(step)
            traced = max(traced, tracemalloc.get_traced_memory()[1] - begun)
            world.Barrier()
            requests = [world.Irecv(buffer, rank, TAG_THERE) for rank, buffer in there.items()]
            MPI.Request.Waitall(requests)
            requests = [world.Isend(buffer, rank, TAG_BACK) for rank, buffer in back.items()]
            MPI.Request.Waitall(requests)
            take_turn(job, world)
        tracemalloc.stop()
        for _ in worker.steps():
            raise RuntimeError("the model went on after its last step")
        field = prod(worker.outputs["b"]) * answer.itemsize
        traced = worker.world.local.allreduce(traced, MPI.MAX)
        field = worker.world.local.allreduce(field, MPI.MIN)
        if worker.rank == 0:
            Path(TRACED).write_text(f"{traced} {field}")


def _begin_traced() -> int:
    """What is allocated now [bytes]; the peak is counted from here on."""
    if not tracemalloc.is_tracing():
        return 0
    tracemalloc.reset_peak()
    return tracemalloc.get_traced_memory()[0]


main(sys.argv[1], sys.argv[2] == "in-place")
