# SPDX-License-Identifier: MIT
"""What the driver calls: a network or function of named fields. No MPI in here."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec import CouplingSpec, PredictorSpec
from coupler.spec_yaml import hint
from ml_server import formats
from ml_server.errors import PredictorError
from ml_server.mapping import ChannelMap
from ml_server.shapes import Shape

__all__ = ["Predictor", "PredictorError", "load_for"]

Array = NDArray[Any]
RESERVED = ("date", "cell")  # what a predictor may ask for besides fields; see Predictor


@dataclass(frozen=True)
class Predictor:
    """A network or function of named fields.

    Called with padded arrays (level, y, x) by name; returns the answers by name, each padded or
    of the interior. `halo` is what the predictor says it needs, None if it says nothing. What is
    no floating-point array passes as it is: `date` [s], an int, and `cell` (y, x), int64, the
    global number x + y * nx of the cell that a padded cell shows, -1 where there is none.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...] | None  # None: takes any keyword
    uses_torch: bool
    halo: int | None
    required: tuple[str, ...] = ()  # of the parameters, those without a default
    channels: ChannelMap | None = None  # of a mapped network
    shapes: Mapping[str, Shape] | None = None  # that a file fixes

    def __call__(self, inputs: Mapping[str, Any], outputs: Sequence[str]) -> dict[str, Any]:
        names = inputs if self.parameters is None else self.parameters
        arguments: dict[str, Any] = {name: inputs[name] for name in names if name in inputs}
        if self.uses_torch:
            return named(self._infer(arguments), outputs, self.name)
        return named(self.function(**arguments), outputs, self.name)

    def _infer(self, arguments: Mapping[str, Any]) -> Any:
        import torch

        module: Any = self.function
        casts = getattr(module, "casts", False)
        dtype = None if casts else next((p.dtype for p in module.parameters()), None)

        def tensor(value: Any) -> Any:
            if not isinstance(value, np.ndarray):
                return value
            return torch.from_numpy(value).to(dtype=dtype if value.dtype.kind == "f" else None)

        with torch.inference_mode():
            return self.function(**{name: tensor(value) for name, value in arguments.items()})


def named(answer: Any, outputs: Sequence[str], predictor: str) -> dict[str, Any]:
    """The answers by name: from a mapping, from a sequence in the spec's order, or a single one."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, (tuple, list)):
        if len(answer) != len(outputs):
            raise PredictorError(
                f"{predictor} returned {len(answer)} arrays, expected {len(outputs)}: "
                f"{', '.join(outputs)}"
            )
        return dict(zip(outputs, answer, strict=True))
    if answer is None or len(outputs) != 1:
        raise PredictorError(
            f"{predictor} returned {type(answer).__name__}, expected a mapping or a tuple of "
            f"{', '.join(outputs)}"
        )
    return {outputs[0]: answer}


def load_for(spec: CouplingSpec, name: str) -> Predictor:
    """The predictor of worker `name`; its arguments are compared with what the exchanges bring.

    What it reads beyond its own cells is measured by `ml_server.halo`. Raises PredictorError with
    the place in the spec.
    """
    component = spec.component(name)
    if component.predictor is None:
        raise PredictorError(
            f"{component.place}: worker '{name}' has no predictor; "
            "write predictor: {python: 'module:Class'}"
        )
    fields = [f.name for e in spec.incoming(name) for f in (*e.fields, *e.static)]
    try:
        channels = _channel_map(spec, name)
        predictor = load_predictor(component.predictor, fields, spec.path.parent, channels)
    except PredictorError as error:
        raise PredictorError(f"{component.predictor.place}: {error}") from error
    _check_periods(spec, name, predictor)
    return predictor


def _check_periods(spec: CouplingSpec, worker: str, predictor: Predictor) -> None:
    """Every argument without a default must come at every date at which an answer is due."""
    for answer in spec.outgoing(worker):
        for exchange in spec.incoming(worker):
            lacking = [f.name for f in exchange.fields if f.name in predictor.required]
            if lacking and answer.period % exchange.period:
                raise PredictorError(
                    f"{answer.place}: {predictor.name} is asked every {answer.period} s, but its "
                    f"argument '{lacking[0]}' comes every {exchange.period} s; give it a default"
                )


def load_predictor(
    config: PredictorSpec, fields: Iterable[str], directory: Path, channels: ChannelMap | None
) -> Predictor:
    """What `config` names, and how it is called.

    `fields` are the names that the exchange brings; every argument without a default must be one.
    Raises PredictorError.
    """
    loaded = formats.load(config, directory, channels)
    if loaded.uses_torch:
        _tune_torch()
    known = list(fields)
    for argument in loaded.required:
        if argument not in (*known, *RESERVED):
            raise PredictorError(
                f"predictor {config}: needs '{argument}', which the exchange does not bring"
                f"{hint(argument, known)}"
            )
    names = tuple(name for name in loaded.names if name in (*known, *RESERVED))
    return Predictor(
        str(config),
        loaded.target,
        None if loaded.takes_any else names,
        loaded.uses_torch,
        _halo(loaded.target),
        loaded.required,
        channels,
        loaded.shapes,
    )


def _channel_map(spec: CouplingSpec, name: str) -> ChannelMap | None:
    config = spec.component(name).predictor
    if config is None or not config.inputs:
        return None
    levels = {field.name: field.levels for e in spec.outgoing(name) for field in e.fields}
    return ChannelMap(config.inputs, config.outputs, levels, config.layout)


def _tune_torch() -> None:
    import torch

    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # a second thread on a busy core slows small kernels many times


def _halo(target: Any) -> int | None:
    halo = getattr(target, "halo", None)
    return int(halo) if isinstance(halo, (int, np.integer)) else None
