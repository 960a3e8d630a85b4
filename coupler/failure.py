# SPDX-License-Identifier: MIT
"""A rank's last words: who, what and where, to the terminal and to every rank of the job."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable

from mpi4py import MPI

from coupler.world import CouplingError, PartnerFailed, World, abort_unjoined


def end_job(
    error: BaseException,
    name: str,
    comm: MPI.Comm,
    world: World | None,
    where: str = "",
    close: Callable[[], None] | None = None,
) -> None:
    """Says `error`, tells everyone, ends the job. `world`: None where the rank has not joined it;
    `close` is called before anybody is told."""
    known = isinstance(error, CouplingError)
    message = f"{where}{error if known else f'{type(error).__name__}: {error}'}"
    if not known:
        traceback.print_exception(error)
    print(f"halocline: {world or name}: {message}", file=sys.stderr, flush=True)
    if close is not None:
        close()
    if world is None:
        abort_unjoined(comm)
        return
    if not isinstance(error, PartnerFailed):
        world.tell_failure(message)
    world.abort()
