# SPDX-License-Identifier: MIT
"""What the driver calls: a network or function of named fields. No MPI in here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec import CouplingSpec, InferenceSpec, PredictorSpec
from coupler.spec.document import hint
from ml_server.errors import AnswerError, PredictorError, no_exit
from ml_server.inference.tuning import Seat, TuningError, require_device, tune_allocator
from ml_server.networks import formats
from ml_server.networks.mapping import ChannelMap
from ml_server.networks.shapes import Shape

if TYPE_CHECKING:  # torch takes seconds to import, and a NumPy function does without
    from ml_server.inference.answers import Target
    from ml_server.inference.engine import Engine

__all__ = ["Predictor", "PredictorError", "load_for"]

Array = NDArray[Any]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # by name: shape and dtype
USUAL = InferenceSpec()
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
    inference: InferenceSpec = USUAL

    @cached_property
    def engine(self) -> Engine | None:
        """What runs a torch module."""
        if not self.uses_torch:
            return None
        from ml_server.inference.engine import Engine

        return Engine(self.function, self.inference)  # type: ignore[arg-type]

    @property
    def how(self) -> str:
        """Device, threads and the like, for the report of a run."""
        return "a function of NumPy arrays" if self.engine is None else str(self.engine)

    def __call__(
        self,
        inputs: Mapping[str, Any],
        outputs: Sequence[str],
        into: Mapping[str, Target] | None = None,
    ) -> dict[str, Any]:
        """Answers that fit their target in `into` are written there, and are its array."""
        names = inputs if self.parameters is None else self.parameters
        arguments: dict[str, Any] = {name: inputs[name] for name in names if name in inputs}
        with no_exit():
            if self.engine is not None:
                return self.engine(arguments, partial(self._named, outputs), into)
            return self._named(outputs, self.function(**arguments))

    def _named(self, outputs: Sequence[str], answer: Any) -> dict[str, Any]:
        return named(answer, outputs, self.name)

    def hold(self, arrays: Iterable[Array]) -> None:
        """These arrays of inputs and answers come again at every step, see Engine.hold."""
        if self.engine is not None:
            self.engine.hold(arrays)

    def warm_up(
        self, shapes: Shapes, outputs: Sequence[str], seat: Seat, static: Iterable[str] = ()
    ) -> None:
        """Let no step pay for compilation or calibration, see Engine.warm_up. `shapes`: of the
        padded arrays that will come, and their dtypes; `static`: the names of those that come once.
        Raises PredictorError, also for a network that changes one of them."""
        if self.engine is None:
            if self.inference.allocator:
                tune_allocator()
            return
        from ml_server.inference.warm_up import made_up

        wanted = shapes if self.parameters is None else self.parameters
        arguments: dict[str, Any] = made_up({k: shapes[k] for k in wanted if k in shapes})
        padded = next(iter(shapes.values()))[0][1:]
        reserved = {"date": 0, "cell": np.arange(np.prod(padded)).reshape(padded)}
        arguments |= {name: reserved[name] for name in self.parameters or () if name in reserved}
        untouched = made_up({k: shapes[k] for k in static if k in arguments})
        self.engine.warm_up(arguments, partial(self._named, outputs), seat)
        self.require_same(untouched, arguments)

    @property
    def is_proven(self) -> bool:
        """Whether a warm-up has shown that it leaves alone what comes once."""
        return self.engine is None or self.engine.is_warm

    def require_same(self, before: Mapping[str, Array], after: Mapping[str, Array]) -> None:
        """Raises PredictorError for one of the arrays `before` that is another `after` a call."""
        for name, array in before.items():
            if not np.array_equal(after[name], array, equal_nan=True):
                raise PredictorError(
                    f"{self.name} changes its argument '{name}', which comes once, for all steps; "
                    f"expected that it works on a copy: {name}.clone()"
                )


def named(answer: Any, outputs: Sequence[str], predictor: str) -> dict[str, Any]:
    """The answers by name: from a mapping, from a sequence in the spec's order, or a single one."""
    if isinstance(answer, Mapping):
        return dict(answer)
    if isinstance(answer, (tuple, list)):
        if len(answer) != len(outputs):
            raise AnswerError(
                f"{predictor} returned {len(answer)} arrays, expected {len(outputs)}: "
                f"{', '.join(outputs)}"
            )
        return dict(zip(outputs, answer, strict=True))
    if answer is None or len(outputs) != 1:
        raise AnswerError(
            f"{predictor} returned {type(answer).__name__}, expected a mapping or a tuple of "
            f"{', '.join(outputs)}"
        )
    return {outputs[0]: answer}


def load_for(spec: CouplingSpec, name: str) -> Predictor:
    """The predictor of worker `name`; its arguments are compared with what the exchanges bring.

    What it reads beyond its own cells is measured by `ml_server.halos.halo`. Raises PredictorError
    with the place in the spec.
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
        predictor = load_predictor(
            component.predictor, fields, spec.path.parent, channels, component.inference
        )
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
    config: PredictorSpec,
    fields: Iterable[str],
    directory: Path,
    channels: ChannelMap | None,
    inference: InferenceSpec = USUAL,
) -> Predictor:
    """What `config` names, and how it is called.

    `fields` are the names that the exchange brings; every argument without a default must be one.
    Raises PredictorError.
    """
    loaded = formats.load(config, directory, channels)
    if loaded.uses_torch:
        _require_device(inference)
        _require_precision(f"{config}", loaded.target, inference)
    else:
        _require_no_torch(str(config), inference)
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
        inference,
    )


def _channel_map(spec: CouplingSpec, name: str) -> ChannelMap | None:
    config = spec.component(name).predictor
    if config is None or not config.inputs:
        return None
    levels = {field.name: field.levels for e in spec.outgoing(name) for field in e.fields}
    return ChannelMap(config.inputs, config.outputs, levels, config.layout)


def _require_device(inference: InferenceSpec) -> None:
    try:
        require_device(inference)
    except TuningError as error:
        raise PredictorError(str(error)) from error


def _require_precision(name: str, module: Any, inference: InferenceSpec) -> None:
    """torch lowers the precision of single-precision arithmetic alone."""
    kinds = {f"{p.dtype}" for p in module.parameters() if p.is_floating_point()}
    if inference.precision != "full" and kinds == {"torch.float64"}:
        raise PredictorError(
            f"inference.precision: got '{inference.precision}', but the weights of {name} are "
            "float64, which torch computes with as they are; expected full, or weights of float32"
        )


def _require_no_torch(name: str, inference: InferenceSpec) -> None:
    """What speaks to torch would be silently without effect."""
    usual = InferenceSpec(place=inference.place, allocator=inference.allocator)
    for item in dataclasses.fields(InferenceSpec):
        got = getattr(inference, item.name)
        if got != getattr(usual, item.name) and (item.name, got) != ("device", "cpu"):
            key = item.name if item.name == "device" else f"inference.{item.name}"
            raise PredictorError(f"{key}: got {got}, but {name} is no torch module; leave it out")


def _halo(target: Any) -> int | None:
    halo = getattr(target, "halo", None)
    return int(halo) if isinstance(halo, (int, np.integer)) else None
