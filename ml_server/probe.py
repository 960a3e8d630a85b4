# SPDX-License-Identifier: MIT
"""A predictor asked outside a run: plausible random fields in, arrays out.

Masks are recognised by their name, other static fields are positive, vector components have either
sign, other scalars are positive: nothing that a closure divides by is 0, unless it is land.
"""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coupler.decomposition import Box
from coupler.spec import CouplingSpec, FieldSpec
from ml_server.predictor import Predictor

Array = NDArray[Any]
Ask = Callable[[Mapping[str, Any]], dict[str, Array]]
Sort = Literal["mask", "metric", "vector", "scalar"]

SEED = 20
SHIFTS = (*range(1, 17), 20, 24, 32)  # cells by which the same values are moved
WIDTH = 4096  # of the global grid that `cell` counts in; any number above the probes' sizes


class Unmeasurable(Exception):
    """Why nothing can be said about a predictor."""


@dataclass(frozen=True, slots=True)
class Input:
    """A field as its exchange brings it: (levels, y, x), padded by `halo` cells."""

    name: str
    levels: int
    sort: Sort
    halo: int
    dtype: str


def inputs_of(spec: CouplingSpec, worker: str) -> tuple[Input, ...]:
    """All that the exchanges bring to `worker`."""
    return tuple(
        Input(f.name, f.levels, sort_of(f, f in e.static), e.halo, e.wire)
        for e in spec.incoming(worker)
        for f in (*e.fields, *e.static)
    )


def sort_of(field: FieldSpec, static: bool) -> Sort:
    if "mask" in field.name.lower():
        return "mask"
    if static:
        return "metric"
    return "scalar" if field.kind == "scalar" else "vector"


def plausible(sort: Sort, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """Values near 1, all sea."""
    if sort == "mask":
        return np.ones(shape)
    return rng.standard_normal(shape) if sort == "vector" else rng.uniform(0.5, 1.5, shape)


def any_sign(sort: Sort, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """As plausible, but scalars have either sign."""
    return plausible("vector" if sort == "scalar" else sort, shape, rng)


def with_land(sort: Sort, shape: Sequence[int], rng: np.random.Generator) -> Array:
    """As plausible, with a fifth of every mask land."""
    if sort == "mask":
        return (rng.uniform(size=shape) > 0.2).astype(float)
    return plausible(sort, shape, rng)


SURROUNDINGS = (plausible, any_sign, with_land)
CHANGES = (0.75, 1000.0, -0.5)  # to a cell in each of the surroundings


def asker(predictor: Predictor, outputs: Sequence[str]) -> Ask:
    """Asks a copy of `predictor`, where it can be copied, so that what it keeps stays as it is.

    The answers are those named in `outputs`. Raises Unmeasurable for answers that no run accepts.
    """
    try:
        asked = copy.deepcopy(predictor)
    except Exception:  # whatever a user's class raises
        asked = predictor

    def ask(arrays: Mapping[str, Any]) -> dict[str, Array]:
        with np.errstate(all="ignore"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            found = asked(arrays, outputs)
        lacking = [name for name in outputs if name not in found]
        if lacking:
            raise Unmeasurable(f"the answer lacks '{lacking[0]}'")
        answers = {name: _array(found[name]) for name in outputs}
        for name, answer in answers.items():
            if answer.ndim != 3 or answer.dtype.kind != "f":
                got = f"{answer.dtype} of shape {answer.shape}"
                raise Unmeasurable(f"answer '{name}' is {got}, expected floats (level, y, x)")
        return answers

    return ask


def _array(value: Any) -> Array:
    """A copy: a predictor may answer with the same array again."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    return np.array(value)


class Probe:
    """Arrays of ny x nx cells (those of the widest halo) in several random surroundings.

    `usable` are the surroundings in which all answers are finite; answers[i] those of
    surroundings i. Raises what the predictor raises in the first of them.
    """

    def __init__(self, ask: Ask, inputs: Sequence[Input], ny: int, nx: int) -> None:
        self.ny, self.nx = ny, nx
        self._ask = ask
        widest = max((item.halo for item in inputs), default=0)
        self._sorts = {item.name: item.sort for item in inputs}
        self._rim = {item.name: widest - item.halo for item in inputs}
        shape = (ny + max(SHIFTS), nx + max(SHIFTS))
        self._fields = [_fields(inputs, number, shape) for number in range(len(SURROUNDINGS))]
        self.answers: list[dict[str, Array]] = [self.ask(0)]
        self.usable = [0] if _finite(self.answers[0]) else []
        for number in range(1, len(SURROUNDINGS)):
            try:
                self.answers.append(self.ask(number))
            except Exception:  # such values it refuses
                self.answers.append({})
            if self.answers[number] and _finite(self.answers[number]):
                self.usable.append(number)

    def arrays(self, number: int, dy: int = 0, dx: int = 0) -> dict[str, Any]:
        """Copies of all inputs, of the window that begins at cell dy, dx of surroundings."""
        found: dict[str, Any] = {"date": 0}
        for name, field in self._fields[number].items():
            rim = self._rim[name]
            rows = slice(dy + rim, dy + self.ny - rim)
            found[name] = field[:, rows, dx + rim : dx + self.nx - rim].copy()
        y, x = np.mgrid[dy : dy + self.ny, dx : dx + self.nx]
        found["cell"] = y * WIDTH + x
        return found

    def ask(self, number: int, dy: int = 0, dx: int = 0) -> dict[str, Array]:
        return self._ask(self.arrays(number, dy, dx))

    def ask_nan(self) -> dict[str, Array]:
        """The answers where every field is NaN everywhere."""
        arrays = self.arrays(0)
        return self._ask({n: a * np.nan if n in self._rim else a for n, a in arrays.items()})

    def ask_with(
        self, number: int, name: str, y: int, x: int, nan: bool = False
    ) -> dict[str, Array]:
        """The answers where cell (y, x) of one field holds something else, at all its levels."""
        arrays = self.arrays(number)
        rim = self._rim[name]
        cell = arrays[name][:, y - rim, x - rim]
        if nan:
            cell[...] = np.nan
        elif self._sorts[name] == "mask":
            cell[...] = 1 - cell
        else:
            cell += (CHANGES[number] * (1 + np.arange(len(cell)) / 16)).astype(cell.dtype)
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
        self, one: Mapping[str, Array], other: Mapping[str, Array], tolerance: float = 0.0
    ) -> NDArray[np.bool_]:
        """(y, x) of the arrays: where any answer differs by more than `tolerance` units in the
        last place of the largest value."""
        found = np.zeros((self.ny, self.nx), np.bool_)
        for name, a in one.items():
            crop = self.crop(name, a)
            cells = differs(a, other[name], tolerance).any(axis=0)
            found[crop : self.ny - crop, crop : self.nx - crop] |= cells
        return found


def _fields(inputs: Sequence[Input], number: int, shape: tuple[int, int]) -> dict[str, Array]:
    """By name (level, y, x), of surroundings `number`; the same at every call."""
    rng = np.random.default_rng((SEED, number))
    make = SURROUNDINGS[number]
    return {i.name: make(i.sort, (i.levels, *shape), rng).astype(i.dtype) for i in inputs}


def _finite(answers: Mapping[str, Array]) -> bool:
    return all(bool(np.isfinite(answer).all()) for answer in answers.values())


def differs(a: Array, b: Array, tolerance: float) -> NDArray[np.bool_]:
    """Cell by cell; NaN equals NaN. `tolerance`: units in the last place of the largest value."""
    same: NDArray[np.bool_] = (a == b) | (np.isnan(a) & np.isnan(b))
    if tolerance and not same.all():
        with np.errstate(all="ignore"):
            largest = max(float(np.max(np.abs(x), initial=0, where=np.isfinite(x))) for x in (a, b))
            same |= np.abs(a - b) <= tolerance * np.finfo(a.dtype).eps * largest
    return ~same


def one_level(inputs: Sequence[Input]) -> tuple[Input, ...]:
    return tuple(replace(item, levels=1) for item in inputs)


def levels_are_alike(ask: Ask, inputs: Sequence[Input], size: int) -> bool:
    """Whether each level's answer is that of the level alone: one level then stands for all."""
    levels = {item.levels for item in inputs} - {1}
    if len(levels) != 1:
        return not levels
    probe = Probe(ask, inputs, size, size)
    arrays = probe.arrays(0)
    last = {n: a[-1:].copy() if n not in ("date", "cell") else a for n, a in arrays.items()}
    try:
        alone = ask(last)
    except Exception:  # the network counts its channels
        return False
    return all(
        len(alone[name]) == 1
        and len(answer) in levels
        and alone[name].shape[1:] == answer.shape[1:]
        and not differs(alone[name], answer[-1:], 64).any()
        for name, answer in probe.answers[0].items()
    )
