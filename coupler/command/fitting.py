# SPDX-License-Identifier: MIT
"""Predictors loaded and measured as the workers will, in a process without MPI."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import mpi4py

from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError
from ml_server.halos.halo import Fit, fit_halos
from ml_server.predictor import Predictor, PredictorError, load_for
from ml_server.trial import check_shapes


def load_fitted(spec: CouplingSpec, worker: str) -> tuple[Predictor, Fit]:
    """The predictor of `worker`, and the spec with its halos. Raises PredictorError."""
    with _without_mpi():
        predictor = load_for(spec, worker)
        fit = fit_halos(spec, worker, predictor)
        check_shapes(fit.spec, worker, predictor)
        return predictor, fit


def with_measured_halos(spec: CouplingSpec) -> CouplingSpec:
    """`spec` without `halo: auto`; predictors are loaded where it is. Raises SpecError."""
    for exchange in spec.exchanges:
        if exchange.measured and any(e.measured for e in spec.incoming(exchange.target)):
            try:
                spec = load_fitted(spec, exchange.target)[1].spec
            except PredictorError as error:
                raise SpecError(
                    [
                        f"{exchange.place}: halo: auto is measured from the predictor of "
                        f"'{exchange.target}', which has to be loaded for that; install what it "
                        f"needs, or write the number of cells: {error}"
                    ]
                ) from error
    return spec


@contextmanager
def _without_mpi() -> Iterator[None]:
    """A predictor's module may import mpi4py.MPI: that must not start MPI in this process."""
    before = mpi4py.rc.initialize
    mpi4py.rc.initialize = False
    try:
        yield
    finally:
        mpi4py.rc.initialize = before
