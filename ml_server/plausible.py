# SPDX-License-Identifier: MIT
"""Random fields that a closure could meet.

Masks are recognised by their name, other static fields are positive, vector components have either
sign, other scalars are positive: nothing that a closure divides by is 0, unless it is land.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from coupler.spec import CouplingSpec, FieldSpec

Array = NDArray[Any]
Sort = Literal["mask", "metric", "vector", "scalar"]

SEED = 20
COLUMNS = 320  # cells along x that are drawn: as many as any probe needs


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


def one_level(inputs: Sequence[Input]) -> tuple[Input, ...]:
    return tuple(replace(item, levels=1) for item in inputs)


def drawn(inputs: Sequence[Input], number: int, rows: int) -> dict[str, Array]:
    """By name (level, y, x), of surroundings `number`: the same values in arrays of every size,
    since they are drawn row by row."""
    rng = [np.random.default_rng((SEED, number, index)) for index in range(len(inputs))]
    make = SURROUNDINGS[number]
    return {
        item.name: np.moveaxis(make(item.sort, (rows, item.levels, COLUMNS), r), 0, 1).astype(
            item.dtype
        )
        for item, r in zip(inputs, rng, strict=True)
    }
