# SPDX-License-Identifier: MIT
"""`python -m mpi4py -m ml_server SPEC --component NAME`: a worker, driven by its spec."""

from __future__ import annotations

import argparse
import sys
from functools import partial

from mpi4py import MPI

from coupler.component import Component
from coupler.driver import fit_halos, load_for, require_ranks, serve, warm_up
from coupler.spec.document import SpecError, hint
from coupler.spec.load import load_spec
from coupler.world import CouplingError
from ml_server.halos.halo import with_halo


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ml_server",
        description="Run one worker component of a coupled job, beside the model: "
        "mpirun -n 2 MODEL : -n 1 python -m mpi4py -m ml_server SPEC --component NAME",
    )
    parser.add_argument("spec", help="the coupling spec (YAML)")
    parser.add_argument("--component", required=True, help="the worker's name in the spec")
    arguments = parser.parse_args()
    try:
        spec = load_spec(arguments.spec)
        workers = [component.name for component in spec.components if component.is_worker]
        if arguments.component not in workers:
            text = f"no worker '{arguments.component}'{hint(arguments.component, workers)}"
            raise SpecError([f"{spec.path.name}: {text}"])
    except SpecError as error:
        print(f"halocline: {error}", file=sys.stderr, flush=True)
        MPI.COMM_WORLD.Abort(2)
        return
    failure = None
    try:  # before the others wait for this rank: importing torch takes seconds
        predictor = load_for(spec, arguments.component)
        fit = fit_halos(spec, arguments.component, predictor)
        spec = fit.spec
    except CouplingError as error:
        failure = error
        spec = with_halo(spec, arguments.component, 0)  # no step will use it
    prepare = partial(warm_up, predictor) if failure is None else None
    with Component(arguments.component, spec, MPI.COMM_WORLD, prepare) as component:
        if failure is not None:
            raise failure  # here, so that every rank of the job learns why
        require_ranks(component, fit)
        serve(component, predictor)


main()
