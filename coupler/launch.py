# SPDX-License-Identifier: MIT
"""From a spec to the MPMD command line that runs it."""

from __future__ import annotations

import os


def mpi_environment() -> dict[str, str]:
    """The variables an Open MPI job of this machine needs beside the user's own.

    Root is refused by default, as is more ranks than cores; waiting ranks must give way to working
    ones; one thread a rank, since two OpenMP threads on a busy core slow small kernels many times.
    """
    environment = {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"),
    }
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return environment
