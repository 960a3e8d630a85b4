# SPDX-License-Identifier: MIT
"""A predictor asked outside a run: random fields in, arrays out."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Box
from coupler.spec.document import hint
from coupler.step import masked_text
from ml_server.errors import AnswerError, no_exit
from ml_server.halos.patience import within
from ml_server.halos.plausible import CHANGES, SURROUNDINGS, Array, Input, drawn
from ml_server.predictor import RESERVED, Predictor, named

Ask = Callable[[Mapping[str, Any]], dict[str, Array]]

SHIFTS = (*range(1, 17), 20, 24, 32)  # cells by which the same values are moved
PRECISION = {k: float(np.finfo(k).eps) for k in ("float16", "float32", "float64")}
PRECISION["bfloat16"] = 2.0**-7
COLUMNS = 1000  # of the global grid that `cell` counts in; more than any probe has


class Unmeasurable(Exception):
    """Why nothing can be said about a predictor."""


def asker(predictor: Predictor, outputs: Sequence[str], limit: float | None = None) -> Ask:
    """Asks a copy of `predictor`, where it can be copied, so that what it keeps stays as it is; a
    torch module is called as it is, on the CPU.

    The answers are those named in `outputs`. Raises AnswerError for answers that no run accepts,
    Unmeasurable after `limit` seconds.
    """
    call = _function(predictor)
    late = Unmeasurable(f"it has not answered for {limit:g} s (run.time_limit)" if limit else "")

    def ask(arrays: Mapping[str, Any]) -> dict[str, Array]:
        asked = predictor.parameters
        if asked is None:
            asked = tuple(name for name in arrays if name not in RESERVED)
        arguments = {name: arrays[name] for name in asked if name in arrays}
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with within(limit, late), no_exit():
                found = named(call(arguments), outputs, predictor.name)
        lacking = [name for name in outputs if name not in found]
        if lacking:
            raise AnswerError(
                f"the answer of {predictor.name} lacks '{lacking[0]}'{hint(lacking[0], found)}"
            )
        masked = [name for name in outputs if np.ma.is_masked(found[name])]
        if masked:
            raise AnswerError(masked_text(masked[0]))
        answers = {name: _array(found[name]) for name in outputs}
        for name, answer in answers.items():
            if answer.ndim != 3 or answer.dtype.kind != "f":
                got = f"{answer.dtype} of shape {answer.shape}"
                raise AnswerError(
                    f"answer '{name}' of {predictor.name} is {got}, expected floats (level, y, x)"
                )
        return answers

    return ask


def copied(function: Callable[..., Any]) -> Callable[..., Any]:
    """A copy of a predictor's function, or itself where it refuses."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch's, of its own exported programs
            return copy.deepcopy(function)
    except Exception:  # whatever a user's class raises
        return function


def _function(predictor: Predictor) -> Callable[[Mapping[str, Any]], Any]:
    """What answers to NumPy arrays by name."""
    function = copied(predictor.function)
    if not predictor.uses_torch:
        return lambda arguments: function(**arguments)
    import torch

    dtype = None  # a module that casts takes fields as they come
    if not getattr(function, "casts", False):
        parameters: Iterable[Any] = getattr(function, "parameters", tuple)()
        dtype = next((p.dtype for p in parameters if p.is_floating_point()), None)

    def tensor(value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        return torch.from_numpy(value).to(dtype=dtype if value.dtype.kind == "f" else None)

    def infer(arguments: Mapping[str, Any]) -> Any:
        threads = torch.get_num_threads()
        torch.set_num_threads(1)  # other ranks measure at the same time
        try:
            with torch.inference_mode():
                return function(**{name: tensor(value) for name, value in arguments.items()})
        finally:
            torch.set_num_threads(threads)

    return infer


def _array(value: Any) -> Array:
    """A copy: a predictor may answer with the same array again."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = (value.float() if f"{value.dtype}" == "torch.bfloat16" else value).numpy()
    return np.array(value)


def coarsest(kinds: Iterable[str]) -> str:
    """Of the names of floating-point types."""
    return max((kind for kind in kinds if kind in PRECISION), key=PRECISION.__getitem__)


def weights_of(predictor: Predictor) -> set[str]:
    """The types of a network's weights."""
    parameters: Iterable[Any] = getattr(predictor.function, "parameters", tuple)()
    return {f"{p.dtype}".removeprefix("torch.") for p in parameters}


def rounding_of(predictor: Predictor, inputs: Sequence[Input]) -> float:
    """What answers may differ by, in units of the largest, if they are computed in another order:
    64 units in the last place of the coarsest of the wire and the network's weights."""
    kinds = {item.dtype for item in inputs} | weights_of(predictor) | {"float64"}
    return 64 * PRECISION[coarsest(kinds)]


class Probe:
    """Arrays of ny x nx cells (those of the widest halo) in several random surroundings."""

    def __init__(
        self, ask: Ask, inputs: Sequence[Input], ny: int, nx: int, rounding: float = 0.0
    ) -> None:
        """`rounding`: see `rounding_of`."""
        self.ny, self.nx, self.rounding = ny, nx, rounding
        self._asker = ask
        widest = max((item.halo for item in inputs), default=0)
        self._sorts = {item.name: item.sort for item in inputs}
        self._rim = {item.name: widest - item.halo for item in inputs}
        self._inputs = inputs
        self._drawn = ny + max(SHIFTS), nx + max(SHIFTS)
        self._fields: dict[int, dict[str, Array]] = {}
        self._answers: dict[int, dict[str, Array]] = {}

    def answers(self, number: int) -> dict[str, Array]:
        """To the fields as they are."""
        if number not in self._answers:
            self._answers[number] = self.ask(number)
        return self._answers[number]

    @cached_property
    def usable(self) -> tuple[int, ...]:
        """The surroundings in which all answers are finite.

        Raises what the predictor raises in the first of them.
        """
        found = [0] if _finite(self.answers(0)) else []
        for number in range(1, len(SURROUNDINGS)):
            try:
                found += [number] if _finite(self.answers(number)) else []
            except Unmeasurable:
                raise
            except Exception:  # such values it refuses
                continue
        return tuple(found)

    @cached_property
    def alive(self) -> NDArray[np.bool_]:
        """(y, x): answers that depend on anything; not the rim that a predictor leaves at 0."""
        alive = np.zeros((self.ny, self.nx), np.bool_)
        first = self.answers(self.usable[0])
        for number in self.usable[1:]:
            alive |= self.changed(first, self.answers(number))
        try:
            alive |= self.changed(first, self.ask_nan())
        except Unmeasurable:
            raise
        except Exception:  # it refuses NaN
            return alive
        return alive

    def arrays(self, number: int, dy: int = 0, dx: int = 0) -> dict[str, Any]:
        """Copies of all inputs, of the window that begins at cell dy, dx of surroundings."""
        found: dict[str, Any] = {"date": 0}
        if number not in self._fields:
            self._fields[number] = drawn(self._inputs, number, *self._drawn)
        for name, field in self._fields[number].items():
            rim = self._rim[name]
            rows = slice(dy + rim, dy + self.ny - rim)
            found[name] = field[:, rows, dx + rim : dx + self.nx - rim].copy()
        y, x = np.mgrid[dy : dy + self.ny, dx : dx + self.nx]
        found["cell"] = y * COLUMNS + x
        return found

    def _ask(self, arrays: Mapping[str, Any]) -> dict[str, Array]:
        answers = self._asker(arrays)
        for name, answer in answers.items():
            self.crop(name, answer)
        return answers

    def ask(self, number: int, dy: int = 0, dx: int = 0) -> dict[str, Array]:
        return self._ask(self.arrays(number, dy, dx))

    def ask_nan(self) -> dict[str, Array]:
        """The answers where every field is NaN everywhere."""
        arrays = self.arrays(0)
        return self._ask({n: a * np.nan if n in self._rim else a for n, a in arrays.items()})

    def ask_changed(
        self, number: int, name: str, y: int, x: int
    ) -> Iterator[tuple[dict[str, Array], bool]]:
        """The answers where cell (y, x) of one field holds something else, at all its levels; and
        whether that is NaN, which is tried in the first of the surroundings only."""
        changes = CHANGES[number]
        if self._sorts[name] == "mask":
            yield self._ask_with(number, name, y, x, lambda cell: 1 - cell), False
        else:
            for change in changes:
                yield self._ask_with(number, name, y, x, partial(_add, change)), False
        if number == self.usable[0]:
            try:
                answers = self._ask_with(number, name, y, x, lambda cell: cell * np.nan)
            except Exception:  # it refuses NaN: the finite changes alone count
                return
            yield answers, True

    def _ask_with(
        self, number: int, name: str, y: int, x: int, change: Callable[[Array], Array]
    ) -> dict[str, Array]:
        arrays = self.arrays(number)
        rim = self._rim[name]
        cell = arrays[name][:, y - rim, x - rim]
        cell[...] = change(cell)
        return self._ask(arrays)

    def ask_blend(self, number: int, other: int, kept: Box) -> dict[str, Array]:
        """The answers where all cells outside `kept` hold what they do in surroundings `other`;
        where that is the same, what the cell on the opposite side does."""
        arrays, outside = self.arrays(number), self.arrays(other)
        for name, rim in self._rim.items():
            blend = outside[name] if other != number else outside[name][:, ::-1, ::-1].copy()
            cells = (
                slice(None),
                slice(max(kept.y0 - rim, 0), max(kept.y1 - rim, 0)),
                slice(max(kept.x0 - rim, 0), max(kept.x1 - rim, 0)),
            )
            blend[cells] = arrays[name][cells]
            arrays[name] = blend
        return self._ask(arrays)

    def crop(self, name: str, answer: Array) -> int:
        """Cells by which an answer is narrower than the arrays on each side."""
        ny, nx = answer.shape[1:]
        crop: int = (self.ny - ny) // 2
        if (ny, nx) != (self.ny - 2 * crop, self.nx - 2 * crop) or crop < 0:
            raise Unmeasurable(
                f"answer '{name}' has {ny} x {nx} cells for inputs of {self.ny} x {self.nx}, "
                "expected as many, or as many fewer on all four sides"
            )
        return crop

    def changed(
        self, one: Mapping[str, Array], other: Mapping[str, Array], rounded: bool = False
    ) -> NDArray[np.bool_]:
        """(y, x) of the arrays: where any answer differs, `rounded`: by more than a rounding."""
        found = np.zeros((self.ny, self.nx), np.bool_)
        for name, a in one.items():
            crop = self.crop(name, a)
            cells = differs(a, other[name], self.rounding if rounded else None).any(axis=0)
            found[crop : self.ny - crop, crop : self.nx - crop] |= cells
        return found


def _add(change: float, cell: Array) -> Array:
    """Not the same at every level."""
    return cell + change * (1 + np.arange(len(cell)) / 16)


def _finite(answers: Mapping[str, Array]) -> bool:
    return all(bool(np.isfinite(answer).all()) for answer in answers.values())


def differs(a: Array, b: Array, rounding: float | None) -> NDArray[np.bool_]:
    """Cell by cell; NaN equals NaN. `rounding`: as much of the largest value is no difference,
    nor are 64 units in the last place of the answers themselves; None: every bit is one."""
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    if rounding is not None and not same.all():
        rounding = max(rounding, 64 * PRECISION.get(f"{a.dtype}", 0.0))
        with np.errstate(all="ignore"):
            largest = max(float(np.max(np.abs(x), initial=0, where=np.isfinite(x))) for x in (a, b))
            same |= np.abs(a - b) <= rounding * largest
    return ~same


def levels_are_alike(ask: Ask, inputs: Sequence[Input], probe: Probe) -> bool:
    """Whether each level's answer is that of the level alone: one level then stands for all."""
    levels = {item.levels for item in inputs} - {1}
    if len(levels) != 1:
        return not levels
    arrays, whole = probe.arrays(0), probe.answers(0)
    for level in range(max(levels)):
        # each: one may read the level above it, another the one below
        one = {n: _level(n, a, level) for n, a in arrays.items()}
        try:
            alone = ask(one)
        except Exception:  # the network counts its channels
            return False
        for name, answer in whole.items():
            there = answer[level : level + 1]
            if len(answer) not in levels or alone[name].shape != there.shape:
                return False
            if differs(alone[name], there, probe.rounding).any():
                return False
    return True


def _level(name: str, array: Any, level: int) -> Any:
    """A copy of one level of a field; of a field of one level that."""
    if name in RESERVED:
        return array
    return array[level : level + 1].copy() if len(array) > 1 else array.copy()
