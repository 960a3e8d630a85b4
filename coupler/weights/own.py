# SPDX-License-Identifier: MIT
"""Weights that need nothing but NumPy: identity, nearest, rectilinear grids, nested grids.

Two grids without places cover the same rectangle. Masked cells have no links.
"""

from __future__ import annotations

from math import lcm
from typing import cast

import numpy as np

from coupler.grids.axis import Cells, Links, between, joined, overlaps, product
from coupler.grids.grid import CLOSED, Array, Axes, Grid, axes_of
from coupler.grids.make import blocks, spread
from coupler.grids.sphere import RADIUS
from coupler.spec import Normalisation
from coupler.weights import Weights, WeightsError, weights_of

PAIRS = 2**24  # of a source and a target cell whose distances are in memory at a time
WHOLE = 1e-6  # of a cell: if no more of it is uncovered, that is rounding
MOST_PAIRS = 10**10  # whose distances are computed at all: half a minute


def identity(source: Grid, target: Grid) -> Weights:
    """Each cell to the cell of the same number: for grids of the same cells."""
    if source.shape != target.shape:
        raise WeightsError(
            f"identity: got {source} and {target}, expected two grids of the same cells; take "
            "another method"
        )
    cells = np.flatnonzero(source.mask & target.mask)
    return finished(Links(cells, cells, np.ones(cells.size)), source, target, "fraction")


def nearest(source: Grid, target: Grid) -> Weights:
    """Each active target cell to the active source cell whose centre is nearest; of equally near
    ones, to that of the smallest number."""
    cells = np.flatnonzero(target.mask)
    links = Links(cells, nearest_cells(source, target, cells), np.ones(cells.size))
    return finished(links, source, target, "fraction")


def nearest_cells(source: Grid, target: Grid, cells: Cells) -> Cells:
    """The active source cell nearest to each of the target's `cells`."""
    active = np.flatnonzero(source.mask)
    if active.size * cells.size > MOST_PAIRS:
        raise WeightsError(
            f"nearest: got {active.size:,} source and {cells.size:,} target cells, expected fewer "
            f"than {MOST_PAIRS:,} pairs; take generator: yac"
        )
    places, centres = _places(source, target)
    # |p - c|^2 is least where p c - |c|^2 / 2 is greatest
    half = (centres**2).sum(axis=1, keepdims=True) / 2
    centres, places = np.hstack((centres, -half))[active], places[cells]
    places = np.hstack((places, np.ones((cells.size, 1))))
    found = np.empty(cells.size, np.int64)
    step = max(PAIRS // active.size, 1)
    for start in range(0, cells.size, step):
        part = slice(start, start + step)
        # rounded, so that equally near ones are equal
        found[part] = np.argmax(np.round(places[part] @ centres.T, 12), axis=1)
    return active[found]


def bilinear(source: Grid, target: Grid, normalisation: Normalisation) -> Weights:
    """Between the centres of a rectilinear source grid; constant from the outermost to the edge.

    Target cells whose centre lies outside the source grid stay empty.
    """
    axes = _once_around(_axes(source, target, "bilinear", "method: barycentric"))
    if target.lon is None or target.lat is None or not axes.spherical:
        x, y = _places(source, target)[0].T
    else:
        x, y = target.lon.ravel(), target.lat.ravel()
    column = between(axes.x, x, axes.wrap, axes.period is not None)
    row = between(axes.y, y, None, False)
    cells = np.flatnonzero(np.isfinite(column.part + row.part))
    parts = [
        Links(cells, (j * source.shape[1] + i)[cells], (part_y * part_x)[cells])
        for j, part_y in ((row.low, 1 - row.part), (row.high, row.part))
        for i, part_x in ((column.low, 1 - column.part), (column.high, column.part))
    ]
    return finished(joined(parts, source.mask.size), source, target, normalisation)


def _once_around(axes: Axes) -> Axes:
    """Without the columns at the end that repeat the first ones, and are masked for that."""
    if not axes.spherical or axes.period is not None:
        return axes
    off = np.abs(np.abs(axes.x - axes.x[0]) - 360.0)
    end = int(np.argmin(off))
    if off[end] > CLOSED * np.abs(np.diff(axes.x)).min():
        return axes
    return Axes(axes.x[: end + 1], axes.y, 360.0)


def conservative(source: Grid, target: Grid, normalisation: Normalisation) -> Weights:
    """First order, between rectilinear grids: the exact areas that cells have in common."""
    from_, to = (
        _axes(grid, other, "conservative", "generator: yac")
        for grid, other in ((source, target), (target, source))
    )
    columns = overlaps(from_.x, to.x, from_.wrap)
    rows = overlaps(_measure(from_), _measure(to), None)
    common = product(rows, columns, source.shape[1], target.shape[1])
    unit = RADIUS**2 * np.radians(1.0) if from_.spherical else 1.0
    areas = [
        unit * np.abs(np.outer(np.diff(_measure(axes)), np.diff(axes.x))) for axes in (from_, to)
    ]
    share = unit * common.value / areas[1].ravel()[common.target]
    links = common._replace(value=share)
    return finished(links, source, target, normalisation, areas[0], areas[1])


def nested(source: Grid, target: Grid, normalisation: Normalisation) -> Weights:
    """First order conservative, where one grid's cells are by x by cells of the other's: by the
    areas that the grids have. A coarse cell counts with the active cells in it."""
    by = max(source.shape[0] // target.shape[0], target.shape[0] // source.shape[0])
    coarsening = target.shape[0] < source.shape[0]
    coarse, fine = (target, source) if coarsening else (source, target)
    if tuple(by * size for size in coarse.shape) != fine.shape:
        raise WeightsError(f"nested: got {source} and {target}, expected one made of the other")
    ny, nx = coarse.shape
    cells = np.arange(fine.mask.size)
    parents = spread(np.arange(nx * ny).reshape(ny, nx), by).ravel()
    open_area = np.where(fine.mask, fine.area, 0.0)
    whole = blocks(fine.area, by).sum(axis=-1)
    if coarsening:
        share = fine.area.ravel() / whole.ravel()[parents]
        return finished(
            Links(parents, cells, share), source, target, normalisation, open_area, whole
        )
    of_parent = blocks(open_area, by).sum(axis=-1)
    links = Links(cells, parents, np.ones(cells.size))
    return finished(links, source, target, normalisation, of_parent, open_area)


def finished(
    links: Links,
    source: Grid,
    target: Grid,
    normalisation: Normalisation,
    source_area: Array | None = None,
    target_area: Array | None = None,
) -> Weights:
    """Weights of links whose values are shares of the target cell; without masked cells.

    By fraction: a cell's value is the mean over what covers it. By destination: what nothing valid
    covers counts as 0. With areas [m2] the weights conserve integrals over what is covered.
    """
    active = source.mask.ravel()[links.source] & target.mask.ravel()[links.target]
    to, from_, share = (column[active] for column in links)
    fraction = np.bincount(to, share, target.mask.size).astype(np.float64)
    value = share / fraction[to] if normalisation == "fraction" else share
    areas = [
        np.where(grid.mask, grid.area if area is None else area, 0.0).ravel()
        for grid, area in ((source, source_area), (target, target_area))
    ]
    if source_area is not None:
        overlap = np.bincount(from_, share * areas[1][to], areas[0].size).astype(np.float64)
        areas[0] = covered_area(areas[0], overlap)
    return weights_of(
        source.shape, target.shape, to, from_, value, np.minimum(fraction, 1.0), *areas
    )


def covered_area(area: Array, overlap: Array) -> Array:
    """(source cells,) [m2]: of cells that are covered but for rounding, their own area."""
    return np.where(np.abs(overlap - area) <= WHOLE * area, area, overlap)


def filled(weights: Weights, source: Grid, target: Grid) -> Weights:
    """`weights`, and a link from the nearest active source cell for each active cell without."""
    cells = np.flatnonzero(target.mask.ravel() & ~weights.mapped)
    if not cells.size:
        return weights
    found = nearest_cells(source, target, cells)
    return weights_of(
        weights.source_shape,
        weights.target_shape,
        np.concatenate((weights.target, cells)),
        np.concatenate((weights.source, found)),
        np.concatenate((weights.value, np.ones(cells.size))),
        weights.fraction,
        weights.source_area,
        weights.target_area,
    )


def _axes(grid: Grid, other: Grid, method: str, instead: str) -> Axes:
    """In units that `grid` and `other` share."""
    if (grid.lon is None) != (other.lon is None):
        without = grid.name if grid.lon is None else other.name
        raise WeightsError(f"{method}: grid '{without}' has no geometry; say where its cells are")
    if grid.lon is None:
        # whole numbers, so that edges of both grids meet exactly
        x, y = (
            np.arange(size + 1.0) * (lcm(size, theirs) // size)
            for size, theirs in zip(grid.shape[::-1], other.shape[::-1], strict=True)
        )
        return Axes(x, y, float(x[-1]) if grid.boundary_x == "periodic" else None, False)
    axes = axes_of(grid)
    if axes is None:
        raise WeightsError(f"{method}: grid '{grid.name}' is not rectilinear; take {instead}")
    return axes


def _places(source: Grid, target: Grid) -> tuple[Array, Array]:
    """Centres of the target's cells and of the source's, (cells, 3) on the sphere, (cells, 2) on
    a plane."""
    if source.lon is not None and target.lon is not None:
        return target.centres, source.centres
    places = []
    for grid, other in ((target, source), (source, target)):
        axes = _axes(grid, other, "nearest", "")
        x, y = ((edges[1:] + edges[:-1]) / 2 for edges in (axes.x, axes.y))
        places.append(np.stack(np.meshgrid(x, y), axis=-1).reshape(-1, 2))
    return places[0], places[1]


def _measure(axes: Axes) -> Array:
    """Edges along y such that equal lengths are equal areas."""
    return cast(Array, np.sin(np.radians(axes.y))) if axes.spherical else axes.y
