# SPDX-License-Identifier: MIT
"""Two grids along one axis: how much cells overlap, and between which centres places are."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from coupler.grids.grid import Array

Cells = NDArray[np.int64]

SAME = 1e-12  # of an axis: edges nearer to each other than this are one


class Links(NamedTuple):
    """The value of each link of a source to a target, along an axis or of a whole grid."""

    target: Cells
    source: Cells
    value: Array


def joined(parts: list[Links], sources: int) -> Links:
    """All links of `parts`, those of the same source and target added up, none of value 0."""
    target, source, value = (np.concatenate(column) for column in zip(*parts, strict=True))
    keys, place = np.unique(target * sources + source, return_inverse=True)
    added = np.bincount(place, value, keys.size).astype(np.float64)
    kept = added != 0
    return Links(keys[kept] // sources, keys[kept] % sources, added[kept])


def product(rows: Links, columns: Links, source_nx: int, target_nx: int) -> Links:
    """Links of cells x + y * nx: those of each pair of a row and a column; values multiply."""
    target = rows.target[:, None] * target_nx + columns.target
    source = rows.source[:, None] * source_nx + columns.source
    return Links(target.ravel(), source.ravel(), (rows.value[:, None] * columns.value).ravel())


def overlaps(source: Array, target: Array, wrap: float | None) -> Links:
    """The length that each source cell has in common with each target cell, of their edges.

    Edges only increase or only decrease. `wrap`: edges that far apart are the same place.
    """
    apart = (source[0] + source[-1] - target[0] - target[-1]) / 2  # of the middles
    shifts = (np.arange(-2, 3) + np.round(apart / wrap)) * wrap if wrap else [0.0]
    parts = [_overlaps(source, target + shift) for shift in shifts]
    return joined(parts, source.size - 1)


def _overlaps(source: Array, target: Array) -> Links:
    s, t = np.sort(source), np.sort(target)
    near = np.clip(np.searchsorted(s, t), 1, s.size - 1)
    near -= t - s[near - 1] < s[near] - t
    t = np.where(np.abs(s[near] - t) < SAME * (s[-1] - s[0]), s[near], t)
    cuts = np.unique(np.concatenate((s, t)))
    middle = (cuts[1:] + cuts[:-1]) / 2
    in_source, in_target = np.searchsorted(s, middle) - 1, np.searchsorted(t, middle) - 1
    both = (in_source >= 0) & (in_source < s.size - 1) & (in_target >= 0) & (in_target < t.size - 1)
    return Links(
        _numbered(in_target[both], target),
        _numbered(in_source[both], source),
        np.diff(cuts)[both],
    )


def _numbered(cells: Cells, edges: Array) -> Cells:
    """Cells counted along increasing edges -> in the order of `edges`."""
    return cells if edges[-1] > edges[0] else edges.size - 2 - cells


class Between(NamedTuple):
    """Places between the centres of two cells: at `part` of the way; NaN outside the axis."""

    low: Cells
    high: Cells
    part: Array


def between(edges: Array, places: Array, wrap: float | None, periodic: bool) -> Between:
    """The two centres around each place; from the outermost centre to the edge, that one twice.

    `wrap`: places that far apart are the same. `periodic`: the last cell is beside the first.
    """
    rising = np.sort(edges)
    slack = SAME * (rising[-1] - rising[0])
    first = rising[0] - slack
    x = (places - first) % wrap + first if wrap else places
    centres = (rising[1:] + rising[:-1]) / 2
    cells = np.arange(centres.size)
    if periodic and wrap:
        centres = np.concatenate(([centres[-1] - wrap], centres, [centres[0] + wrap]))
        cells = np.concatenate((cells[-1:], cells, cells[:1]))
    outside = (x < rising[0] - slack) | (x > rising[-1] + slack)
    x = np.clip(x, centres[0], centres[-1])
    low = np.clip(np.searchsorted(centres, x, "right") - 1, 0, max(centres.size - 2, 0))
    high = np.minimum(low + 1, centres.size - 1)
    width = np.where(high > low, centres[high] - centres[low], 1.0)
    part = np.where(outside, np.nan, (x - centres[low]) / width)
    return Between(_numbered(cells[low], edges), _numbered(cells[high], edges), part)
