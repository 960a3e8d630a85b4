# SPDX-License-Identifier: MIT
"""Who is measured now, in a job where others must not get in the way: they sleep."""

from __future__ import annotations

import time

from mpi4py import MPI

COUPLED, OTHER = 0, 1  # colours of MPI_Comm_split: model and workers; what they are compared with
PAUSE = 1e-3  # [s]


def take_turn(job: MPI.Intracomm, group: MPI.Intracomm) -> None:
    """Wait for all of the job, without using a core; at once if `group` is the job."""
    if group.size == job.size:
        return
    request = job.Ibarrier()
    while not request.Test():
        time.sleep(PAUSE)
