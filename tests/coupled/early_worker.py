# SPDX-License-Identifier: MIT
"""The partner of early_model: it tells every model rank that it has read `a` before it asks for
`b`, which the model puts only then. Usage: early_worker.py SPEC"""

import sys

import numpy as np
from mpi4py import MPI

from coupler import Component

TAG_READ = 77  # of early_model

with Component("worker", sys.argv[1], MPI.COMM_WORLD) as worker:
    models = worker.spec.component("model").ranks
    for step in worker.steps():
        a = step["a"] * 2
        for rank in range(models) if step.number % 2 == 0 else ():
            MPI.COMM_WORLD.Send(np.zeros(1, np.int32), rank, TAG_READ)
        step["c"], step["d"] = a, step["b"] * 2
