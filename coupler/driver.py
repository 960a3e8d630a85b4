# SPDX-License-Identifier: MIT
"""receive -> predict -> send, until the model ends. One client of the public Component."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Callable, Container, Mapping
from functools import partial
from typing import Any

from coupler.component import Component, Shapes
from coupler.fallback import Fallback
from coupler.handshake import partner_of, require_same_halos
from coupler.monitor import Reporter
from coupler.spec import CouplingSpec
from coupler.step import Step
from coupler.world import CouplingError
from ml_server import predictor as predictors
from ml_server.halos import halo
from ml_server.halos.halo import Fit
from ml_server.inference.tuning import Seat
from ml_server.predictor import Predictor, PredictorError


def load_for(spec: CouplingSpec, name: str) -> Predictor:
    """The predictor of worker `name`. Raises CouplingError, which the whole job learns."""
    try:
        return predictors.load_for(spec, name)
    except PredictorError as error:
        raise CouplingError(str(error)) from error


def fit_halos(spec: CouplingSpec, name: str, predictor: Predictor) -> Fit:
    """`spec` with the halos that worker `name` needs. Raises CouplingError."""
    try:
        return halo.fit_halos(spec, name, predictor)
    except PredictorError as error:
        raise CouplingError(str(error)) from error


def warm_up(predictor: Predictor, component: Component, shapes: Shapes) -> None:
    """Before the first step: compilation, calibration. Raises CouplingError."""
    spec, name = component.spec, component.name
    static = [field.name for exchange in spec.incoming(name) for field in exchange.static]
    outputs = [field.name for exchange in spec.outgoing(name) for field in exchange.fields]
    try:
        predictor.warm_up(shapes, outputs, Seat(*component.world.seat()), static)
    except PredictorError as error:
        raise CouplingError(str(error)) from error


def require_ranks(component: Component, fit: Fit) -> None:
    """Raises CouplingError where the ranks measured different halos, or where so many ranks would
    not answer as one does. Collective over the component."""
    require_same_halos(component.world, component.spec)
    wrong = fit.ranks_error(component.world.local.size)
    if wrong is not None:
        raise CouplingError(wrong)


def serve(component: Component, predictor: Predictor) -> None:
    """Answer every exchange with the predictor's answer.

    Besides the fields it gets what of `predictor.RESERVED` it asks for by name.
    """
    leads, asked = component.leads, predictor.parameters or ()
    predictor.hold(component.buffers)
    if predictor.engine is None:  # torch writes all the same
        for array in component.static.values():
            array.flags.writeable = False
    # a network shows in its warm-up that it leaves them alone, or else at the first step
    static = {} if predictor.is_proven else {n: a.copy() for n, a in component.static.items()}
    component.profile.how = predictor.how
    policy = component.spec.component(component.name).on_failure
    fallback = None if policy == "abort" else Fallback(policy, str(component.world))
    reporter = Reporter(component.name, partner_of(component.spec, component.name))
    for step in component.steps():
        if component.outputs and not step.due:
            continue  # inputs that come more often than any answer
        more: dict[str, Any] = {"date": step.date} if "date" in asked else {}
        if "cell" in asked:
            more["cell"] = component.cells
        # an exchanged field of a reserved name comes first
        given = ChainMap(step.inputs, component.static, more)  # type: ignore[arg-type]
        ask = partial(predictor, given, step.due, step.targets())
        if fallback is not None:
            fallback.answer(step, ask)
        else:
            _answer(step, component.outputs, ask)
        _require_same(predictor, static, component)
        static = {}
        if leads:
            reporter.report(component.profile)
    if fallback is not None:
        fallback.close()
    if leads:
        reporter.end(component.profile)


def _require_same(predictor: Predictor, static: Mapping[str, Any], component: Component) -> None:
    try:
        predictor.require_same(static, component.static)
    except PredictorError as error:
        raise CouplingError(str(error)) from error


def _answer(step: Step, outputs: Container[str], ask: Callable[[], Mapping[str, Any]]) -> None:
    try:
        answers = ask()
    except PredictorError as error:
        raise CouplingError(str(error)) from error
    for name, answer in answers.items():
        if name in step.due or name not in outputs:  # not one of another period
            step[name] = answer
