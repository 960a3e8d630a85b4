# SPDX-License-Identifier: MIT
"""Every rank of a job asks for the same weights: python weights_worker.py SPEC."""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

from mpi4py import MPI

from coupler.spec.load import load_spec
from coupler.weights.make import weights_between

exchange = load_spec(sys.argv[1]).exchanges[0]
assert exchange.regrid is not None
weights = weights_between(exchange.grid, exchange.regrid.grid, exchange.regrid)
digest = hashlib.sha256(weights.value.tobytes() + weights.source.tobytes()).hexdigest()
comm = MPI.COMM_WORLD
assert comm.allreduce(1) == comm.size  # MPI is as it was before
Path(f"digest_{comm.rank}").write_text(f"{comm.size} {weights.value.size} {digest}")
