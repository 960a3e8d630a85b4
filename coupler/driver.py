# SPDX-License-Identifier: MIT
"""receive -> predict -> send, until the model ends. One client of the public Component."""

from __future__ import annotations

from coupler.component import Component
from coupler.monitor import Reporter
from coupler.spec import CouplingSpec
from coupler.world import CouplingError
from ml_server.predictor import Predictor, load_predictor


def load_for(spec: CouplingSpec, name: str) -> Predictor:
    """The predictor of worker `name`; its needs are compared with what the exchanges bring."""
    component = spec.component(name)
    if component.predictor is None:
        raise CouplingError(f"{component.place}: worker '{name}' has no predictor")
    fields = [f.name for e in spec.incoming(name) for f in (*e.fields, *e.static)]
    predictor = load_predictor(component.predictor, fields)
    for exchange in spec.incoming(name):
        if predictor.halo is not None and exchange.halo < predictor.halo:
            raise CouplingError(
                f"{exchange.place}: halo: got {exchange.halo}, expected {predictor.halo} or more, "
                f"which {predictor.name} reads beyond its own cells"
            )
    return predictor


def serve(component: Component, predictor: Predictor) -> None:
    """Answer every exchange with the predictor's answer."""
    reporter = Reporter(component.name if component.rank == 0 else "")
    outputs = list(component.outputs)
    for step in component.steps():
        step.update(predictor(component.static | step.inputs, outputs))
        if component.rank == 0:
            reporter.report(component.profile)
    if component.rank == 0:
        reporter.report(component.profile, final=True)
