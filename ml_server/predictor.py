# SPDX-License-Identifier: MIT
"""Load what a user wrote, find out how to call it, call it. No MPI in here."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec import CouplingSpec
from coupler.spec_yaml import hint

Array = NDArray[Any]


class PredictorError(Exception):
    """The predictor cannot be loaded or called as the spec asks."""


@dataclass(frozen=True)
class Predictor:
    """A network or function of named fields.

    Called with padded arrays (level, y, x) by name; returns the answers by name, each padded or
    of the interior. `halo` is what the predictor says it needs, None if it says nothing.
    """

    name: str
    function: Callable[..., Any]
    parameters: tuple[str, ...] | None  # None: takes any keyword
    uses_torch: bool
    halo: int | None
    required: tuple[str, ...] = ()  # of the parameters, those without a default

    def __call__(self, inputs: Mapping[str, Array], outputs: Sequence[str]) -> dict[str, Any]:
        names = inputs if self.parameters is None else self.parameters
        arguments: dict[str, Any] = {name: inputs[name] for name in names if name in inputs}
        if self.uses_torch:
            return named(self._infer(arguments), outputs, self.name)
        return named(self.function(**arguments), outputs, self.name)

    def _infer(self, arguments: Mapping[str, Array]) -> Any:
        import torch

        dtype = next((p.dtype for p in getattr(self.function, "parameters", tuple)()), None)
        with torch.inference_mode():
            tensors = {k: torch.from_numpy(a).to(dtype=dtype) for k, a in arguments.items()}
            return self.function(**tensors)


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
    """The predictor of worker `name`; its needs are compared with what the exchanges bring.

    Raises PredictorError with the place in the spec.
    """
    component = spec.component(name)
    if component.predictor is None:
        raise PredictorError(
            f"{component.place}: worker '{name}' has no predictor; "
            "write predictor: {python: 'module:Class'}"
        )
    fields = [f.name for e in spec.incoming(name) for f in (*e.fields, *e.static)]
    try:
        predictor = load_predictor(component.predictor, fields, spec.path.parent)
    except PredictorError as error:
        raise PredictorError(f"{component.place}: {error}") from error
    _check_periods(spec, name, predictor)
    for exchange in spec.incoming(name):
        if predictor.halo is not None and exchange.halo < predictor.halo:
            raise PredictorError(
                f"{exchange.place}: halo: got {exchange.halo}, expected {predictor.halo} or more, "
                f"which {predictor.name} reads beyond its own cells"
            )
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
    config: Mapping[str, object], fields: Iterable[str], directory: Path
) -> Predictor:
    """`config`: python: "module:Class" or "module:function", and keyword arguments for a class.

    `fields` are the names that the exchange brings; every argument without a default must be one.
    Modules are found in `directory` too, the spec's. Raises PredictorError.
    """
    name = str(config["python"])
    arguments = {key: value for key, value in config.items() if key != "python"}
    target = _find(name, directory)
    if inspect.isclass(target):
        try:
            target = target(**arguments)
        except TypeError as error:
            raise PredictorError(f"predictor {name}: {error}") from error
        except Exception as error:  # whatever a user's class raises
            raise PredictorError(f"predictor {name}: {type(error).__name__}: {error}") from error
    elif arguments:
        raise PredictorError(
            f"predictor {name}: got {', '.join(arguments)}, but a function takes no settings"
        )
    uses_torch = _is_module(target)
    if uses_torch:
        _tune_torch(target)
    parameters, required = _parameters(name, target, list(fields)), _required(target)
    return Predictor(name, target, parameters, uses_torch, _halo(target), required)


def _find(name: str, directory: Path) -> Any:
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise PredictorError(f"predictor '{name}': expected 'module:Class' or 'module:function'")
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PredictorError(
            f"predictor '{name}': {error}; is it beside the spec, on PYTHONPATH or installed?"
        ) from error
    except Exception as error:  # whatever the import of a user's module raises
        raise PredictorError(f"predictor '{name}': {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise PredictorError(
            f"predictor '{name}': {module_name} has no '{attribute}'{hint(attribute, dir(module))}"
        )
    if not callable(found):
        raise PredictorError(f"predictor '{name}' is not a class or function")
    return found


def _is_module(target: Any) -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(target, torch.nn.Module)


def _tune_torch(module: Any) -> None:
    import torch

    module.eval()
    if "OMP_NUM_THREADS" not in os.environ:
        torch.set_num_threads(1)  # a second thread on a busy core slows small kernels many times


def _signature(target: Any) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(target.forward if _is_module(target) else target).parameters


def _required(target: Any) -> tuple[str, ...]:
    parameters = _signature(target).items()
    return tuple(name for name, parameter in parameters if parameter.default is parameter.empty)


def _parameters(name: str, target: Any, fields: list[str]) -> tuple[str, ...] | None:
    kinds = inspect.Parameter
    names = []
    for parameter in _signature(target).values():
        if parameter.kind is kinds.VAR_KEYWORD:
            return None
        if parameter.kind in (kinds.VAR_POSITIONAL, kinds.POSITIONAL_ONLY):
            raise PredictorError(f"predictor {name}: '{parameter.name}' cannot be given by name")
        if parameter.name in fields:
            names.append(parameter.name)
        elif parameter.default is kinds.empty:
            raise PredictorError(
                f"predictor {name}: needs '{parameter.name}', which the exchange does not bring"
                f"{hint(parameter.name, fields)}"
            )
    return tuple(names)


def _halo(target: Any) -> int | None:
    halo = getattr(target, "halo", None)
    return int(halo) if isinstance(halo, (int, np.integer)) else None
