# SPDX-License-Identifier: MIT
"""Weights between a grid and the same grid made coarser or finer by a whole number, at T, U, V, F.

A coarse cell is made of by x by fine cells, a coarse face of the `by` fine faces that lie on it, a
coarse corner is a fine corner. So transports through faces add up, and walls stay walls.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.spec import FieldSpec, GridSpec
from coupler.weights import Weights, weights_of


@dataclass(frozen=True)
class AxisLinks:
    """Links along one axis: each adds `value` times `source` to `target`."""

    target: NDArray[np.int64]
    source: NDArray[np.int64]
    value: NDArray[np.float64]


def coarsening(
    fine: GridSpec, coarse: GridSpec, field: FieldSpec, area: NDArray[np.float64] | None = None
) -> Weights:
    """Fine -> coarse: T points are means over cells, weighted by their `area` (y, x) [m2] or 1,
    which is 0 where they are masked; U and V points are means over the faces of a face."""
    by = fine.nx // coarse.nx
    x, y = (
        _chosen(size, by) if field.point in faces else _mean(size, by)
        for size, faces in ((coarse.nx, "UF"), (coarse.ny, "VF"))
    )
    shapes = (fine.ny, fine.nx), (coarse.ny, coarse.nx)
    target, source, value = _product(x, y, fine.nx, coarse.nx)
    if field.point != "T":
        return weights_of(*shapes, target, source, value)
    cells = coarse.nx * coarse.ny
    flat = np.ones(fine.nx * fine.ny) if area is None else np.ravel(area)
    whole = np.bincount(target, flat[source], cells).astype(np.float64)
    kept = flat[source] > 0
    target, source = target[kept], source[kept]
    fraction = np.bincount(target, minlength=cells) / by**2
    value = flat[source] / whole[target]
    return weights_of(*shapes, target, source, value, fraction, flat, whole)


def refinement(coarse: GridSpec, fine: GridSpec, field: FieldSpec) -> Weights:
    """Coarse -> fine: a fine cell holds what its coarse cell does; along the axis that it crosses,
    a face between two coarse ones holds their linear interpolation, and one on them the same.

    On the low side of a closed grid the outer of the two is the wall, which is no cell of the grid:
    a normal component is 0 there, anything else what the inner face has.
    """
    by = fine.nx // coarse.nx
    x, y = (
        _between(size, by, boundary, field.kind == normal and field.point == point)
        if field.point in (point, "F")
        else _constant(size, by)
        for size, boundary, point, normal in (
            (coarse.nx, coarse.boundary_x, "U", "vector_i"),
            (coarse.ny, coarse.boundary_y, "V", "vector_j"),
        )
    )
    shapes = (coarse.ny, coarse.nx), (fine.ny, fine.nx)
    links = _product(x, y, coarse.nx, fine.nx)
    sums = np.bincount(links[0], links[2], fine.nx * fine.ny)
    areas = [np.full(ny * nx, size) for (ny, nx), size in zip(shapes, (by**2, 1.0), strict=True)]
    return weights_of(*shapes, *links, sums, *(areas if field.point == "T" else ()))


def _mean(size: int, by: int) -> AxisLinks:
    fine = np.arange(size * by)
    return AxisLinks(fine // by, fine, np.full(len(fine), 1.0 / by))


def _chosen(size: int, by: int) -> AxisLinks:
    """The high face of each coarse cell."""
    coarse = np.arange(size)
    return AxisLinks(coarse, by * coarse + by - 1, np.ones(size))


def _constant(size: int, by: int) -> AxisLinks:
    fine = np.arange(size * by)
    return AxisLinks(fine, fine // by, np.ones(len(fine)))


def _between(size: int, by: int, boundary: str, wall: bool) -> AxisLinks:
    if boundary == "periodic" and size == 1:
        return _constant(size, by)  # between a face and itself
    fine = np.arange(size * by)
    high, part = np.divmod(fine + 1, by)  # face `high` of the coarse grid is at or above
    share = part / by
    low = high - 1
    target = np.concatenate((fine, fine[part > 0]))
    source = np.concatenate((low, high[part > 0]))
    value = np.concatenate((1.0 - share, share[part > 0]))
    if boundary == "periodic":
        return AxisLinks(target, source % size, value)
    inside = source >= 0
    if not wall:
        value[target < by - 1] = 1.0  # the only one that is left
    return AxisLinks(target[inside], source[inside], value[inside])


def _product(
    x: AxisLinks, y: AxisLinks, source_nx: int, target_nx: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Every link along y with every link along x."""
    target = y.target[:, None] * target_nx + x.target
    source = y.source[:, None] * source_nx + x.source
    return target.ravel(), source.ravel(), (y.value[:, None] * x.value).ravel()
