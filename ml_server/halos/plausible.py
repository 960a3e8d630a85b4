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
LAND = 0.2  # of a mask


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


def plausible(sort: Sort, uniform: Array) -> Array:
    """Values near 1, all sea, from random numbers 0 <= u < 1."""
    if sort == "mask":
        return np.ones_like(uniform)
    return np.sqrt(12) * (uniform - 0.5) if sort == "vector" else uniform + 0.5


def any_sign(sort: Sort, uniform: Array) -> Array:
    """As plausible, but scalars have either sign."""
    return plausible("vector" if sort == "scalar" else sort, uniform)


def with_land(sort: Sort, uniform: Array) -> Array:
    """As plausible, with some of every mask land."""
    return (uniform >= LAND).astype(float) if sort == "mask" else plausible(sort, uniform)


SURROUNDINGS = (plausible, any_sign, with_land)
# To a cell in each of the surroundings: small ones, and large ones that pass any threshold.
CHANGES = ((0.75,), (1000.0, -1000.0), (-0.5,))


def one_level(inputs: Sequence[Input]) -> tuple[Input, ...]:
    return tuple(replace(item, levels=1) for item in inputs)


def drawn(inputs: Sequence[Input], number: int, ny: int, nx: int) -> dict[str, Array]:
    """By name (level, y, x), of surroundings `number`: in arrays of every size the same values."""
    return {
        item.name: SURROUNDINGS[number](
            item.sort, _uniform((SEED, number, index), (item.levels, ny, nx))
        ).astype(item.dtype)
        for index, item in enumerate(inputs)
    }


def _uniform(key: tuple[int, int, int], shape: tuple[int, int, int]) -> Array:
    """0 <= u < 1 for each (level, y, x), whatever the shape: the mixing function of SplitMix64 of
    their numbers (Steele, Lea and Flood 2014, doi:10.1145/2714064.2660195)."""
    start, *steps = np.random.default_rng(key).integers(0, 2**64, 4, np.uint64) | np.uint64(1)
    z = np.full(shape, start)
    for axis, step in zip(np.ogrid[tuple(slice(n) for n in shape)], steps, strict=True):
        z += axis.astype(np.uint64) * step
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        z = (z ^ (z >> np.uint64(shift))) * np.uint64(factor)
    uniform: Array = (z ^ (z >> np.uint64(31))) * 2.0**-64
    return uniform
