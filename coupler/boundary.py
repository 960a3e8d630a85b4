# SPDX-License-Identifier: MIT
"""Padded cell -> owner cell, along one axis, as a few runs of constant step.

A padded index may lie in the grid, on a periodic image of it, or outside a closed boundary. The
grids of this module are separable, so the map of a box is the product of one map for each axis.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from coupler.spec import Boundary, FieldSpec, Fill

Axis = Literal["x", "y"]


@dataclass(frozen=True, slots=True)
class Run:
    """Padded cells target..target+length-1 hold the source cells source, source+step, ..."""

    target: int  # counted from the padded box's first cell
    length: int
    source: int  # global index
    step: int  # 1: neighbours in the grid; 0: one cell repeated


@dataclass(frozen=True, slots=True)
class AxisFill:
    """What lies outside a closed axis, below its first and above its last cell."""

    below: Fill
    above: Fill


def axis_fill(field: FieldSpec, axis: Axis) -> AxisFill:
    """The fill policy of `field` along `axis`.

    The west (south) wall of a closed grid is face -1, outside the array: a normal velocity there
    is 0 whatever the policy. The east (north) wall is the array's own last face, which the model
    holds at 0, so that repeating it is right.
    """
    normal = (field.kind, field.point) == (("vector_i", "U") if axis == "x" else ("vector_j", "V"))
    return AxisFill("zero" if normal else field.fill, field.fill)


def axis_runs(start: int, stop: int, size: int, boundary: Boundary, fill: AxisFill) -> list[Run]:
    """The sources of padded indices start..stop-1 on an axis of `size` cells, in order of target.

    Indices that no run names have no owner: they are zero. Any width works, also a halo wider
    than the whole axis.
    """
    runs: list[Run] = []
    if boundary == "periodic":
        index = start
        while index < stop:
            image_end = (index // size + 1) * size
            length = min(stop, image_end) - index
            runs.append(Run(index - start, length, index % size, 1))
            index += length
        return runs
    if start < 0 and fill.below == "replicate":
        runs.append(Run(0, min(stop, 0) - start, 0, 0))
    first, last = max(start, 0), min(stop, size)
    if first < last:
        runs.append(Run(first - start, last - first, first, 1))
    if stop > size and fill.above == "replicate":
        first = max(start, size)
        runs.append(Run(first - start, stop - first, size - 1, 0))
    return runs
