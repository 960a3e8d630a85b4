# SPDX-License-Identifier: MIT
"""Regridding weights as plain data: one validated sparse form, whoever made them."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

TOLERANCE = 1e-6  # of row sums; files in single precision are within it


class WeightsError(Exception):
    """Weights that cannot be right: got, expected, fix."""


@dataclass(frozen=True)
class Weights:
    """Target cell t takes the sum over its links of value * source[s].

    Links are sorted by target, then source. Cells count x + y * nx, from 0.
    """

    source_shape: tuple[int, int]  # (ny, nx)
    target_shape: tuple[int, int]
    target: NDArray[np.int64]  # (links,)
    source: NDArray[np.int64]  # (links,)
    value: NDArray[np.float64]  # (links,)
    # (target cells,), 0..1: covered by valid source. 0: the method left the cell empty; if it has
    # links all the same, a fallback filled it, and it has no part in what is conserved
    fraction: NDArray[np.float64]
    # [m2], for integrals: (source cells,), of each what active target cells cover, if the weights
    # are to conserve; (target cells,), 0 where masked
    source_area: NDArray[np.float64] | None = None
    target_area: NDArray[np.float64] | None = None

    @property
    def source_cells(self) -> int:
        return self.source_shape[0] * self.source_shape[1]

    @property
    def target_cells(self) -> int:
        return self.target_shape[0] * self.target_shape[1]

    @property
    def mapped(self) -> NDArray[np.bool_]:
        """(target cells,): which have a link."""
        return np.bincount(self.target, minlength=self.target_cells) > 0

    def row_sums(self) -> NDArray[np.float64]:
        """(target cells,); 0 without links."""
        sums = np.bincount(self.target, self.value, self.target_cells)
        return sums.astype(np.float64, copy=False)

    def counted_area(self) -> NDArray[np.float64]:
        """(target cells,) [m2]: what values count with in an integral over the covered area.

        Values normalised by fraction count with the covered part of their cell, values normalised
        by destination have that in them. Raises WeightsError without areas.
        """
        if self.target_area is None:
            raise WeightsError(
                "the weights have no areas; make them anew, or from a file with them"
            )
        share = self.fraction if self.normalisation == "fraction" else 1.0
        return np.where(self.fraction > 0, self.target_area * share, 0.0)

    @property
    def normalisation(self) -> Literal["fraction", "destination"]:
        """What rows add up to: 1, or the fraction of their cell."""
        sums, covered = self.row_sums(), self.fraction > 0
        by_fraction = np.abs(sums - 1.0)[covered].max(initial=0.0)
        by_destination = np.abs(sums - self.fraction)[covered].max(initial=0.0)
        return "fraction" if by_fraction <= by_destination else "destination"

    def __str__(self) -> str:
        (sy, sx), (ty, tx) = self.source_shape, self.target_shape
        return f"Weights({sx} x {sy} -> {tx} x {ty}: {self.value.size:,} links)"


class Rows(NamedTuple):
    """Links of chosen target cells: those of the i-th are indptr[i]..indptr[i+1]-1."""

    indptr: NDArray[np.int64]  # (targets + 1,)
    source: NDArray[np.int64]
    value: NDArray[np.float64]


def rows_of(weights: Weights, targets: ArrayLike) -> Rows:
    """The links of these target cells, in the order of `targets`, each row's as in `weights`."""
    wanted = np.asarray(targets, np.int64).ravel()
    first = np.searchsorted(weights.target, wanted, "left")
    counts = np.searchsorted(weights.target, wanted, "right") - first
    indptr = np.concatenate(([0], np.cumsum(counts)))
    links = np.arange(indptr[-1]) + np.repeat(first - indptr[:-1], counts)
    return Rows(indptr, weights.source[links], weights.value[links])


def apply(weights: Weights, field: NDArray[np.floating]) -> NDArray[np.float64]:
    """(level, y, x) on the source grid -> on the target grid; target cells without links are NaN.

    The reference that every other way to apply weights must equal, bit for bit: each row is added
    up in float64 from its first link to its last.
    """
    levels = field.reshape(-1, weights.source_cells).astype(np.float64)
    out = np.full((len(levels), weights.target_cells), np.nan)
    mapped = weights.mapped
    for level, values in zip(out, levels, strict=True):
        # bincount adds in the order of the links
        sums = np.bincount(
            weights.target, weights.value * values[weights.source], weights.target_cells
        )
        level[mapped] = sums[mapped]
    return out.reshape(*field.shape[:-2], *weights.target_shape)


def weights_of(
    source_shape: tuple[int, int],
    target_shape: tuple[int, int],
    target: ArrayLike,
    source: ArrayLike,
    value: ArrayLike,
    fraction: ArrayLike | None = None,
    source_area: NDArray[np.float64] | None = None,
    target_area: NDArray[np.float64] | None = None,
) -> Weights:
    """Sorted weights from links in any order. Without a `fraction`: 1 where there are links. Areas
    that are not known, NaN in some cells, are none."""
    to, from_ = np.asarray(target, np.int64).ravel(), np.asarray(source, np.int64).ravel()
    order = np.lexsort((from_, to))
    weights = Weights(
        source_shape,
        target_shape,
        to[order],
        from_[order],
        np.asarray(value, np.float64).ravel()[order],
        np.empty(0),
        *(
            None if area is None or np.isnan(area).any() else area.ravel()
            for area in (source_area, target_area)
        ),
    )
    if fraction is None:
        covered = np.zeros(weights.target_cells)
        covered[to[(to >= 0) & (to < covered.size)]] = 1.0  # `checked` refuses the others
    else:
        covered = np.asarray(fraction, np.float64).ravel()
    return replace(weights, fraction=covered)


def checked(
    weights: Weights,
    source_mask: NDArray[np.bool_] | None = None,
    target_mask: NDArray[np.bool_] | None = None,
    name: str = "weights",
) -> Weights:
    """`weights`, if they can be right; masks (y, x) are true where a cell is active.

    Raises WeightsError where links leave the grids, repeat, are not finite, come from masked
    cells, go to masked cells, or where a row's sum is neither 1 nor the cell's fraction.
    """
    _check_ranges(weights, name)
    _check_links(weights, name)
    for mask, cells, shape, side in (
        (source_mask, weights.source, weights.source_shape, "source"),
        (target_mask, weights.target, weights.target_shape, "target"),
    ):
        if mask is not None:
            _check_mask(mask, cells, shape, f"{name}: {side}")
    return weights


def _check_ranges(weights: Weights, name: str) -> None:
    for side, cells, shape in (
        ("source", weights.source, weights.source_shape),
        ("target", weights.target, weights.target_shape),
    ):
        count = shape[0] * shape[1]
        wrong = (cells < 0) | (cells >= count)
        if wrong.any():
            raise WeightsError(
                f"{name}: got a link with {side} cell {cells[wrong][0]}, expected 0 to {count - 1} "
                f"({shape[1]} x {shape[0]}, counted from 0); were they made for another grid?"
            )
    if weights.fraction.shape != (weights.target_cells,):
        raise WeightsError(
            f"{name}: got {weights.fraction.size} fractions, expected {weights.target_cells}, "
            "one for each target cell"
        )


def _check_links(weights: Weights, name: str) -> None:
    if not np.isfinite(weights.value).all():
        raise WeightsError(f"{name}: got values that are not finite; make them anew")
    step = np.diff(weights.target)
    if (step < 0).any() or ((step == 0) & (np.diff(weights.source) < 0)).any():
        raise WeightsError(f"{name}: links are not sorted by target, then source")
    same = (step == 0) & (np.diff(weights.source) == 0)
    if same.any():
        link = int(np.flatnonzero(same)[0])
        raise WeightsError(
            f"{name}: got {same.sum()} links twice, such as source cell {weights.source[link]} to "
            f"target cell {weights.target[link]}; join them by adding their values"
        )
    sums, mapped = weights.row_sums(), weights.mapped
    off = np.minimum(np.abs(sums - 1.0), np.abs(sums - weights.fraction))
    wrong = mapped & (off > TOLERANCE)
    if wrong.any():
        cell = int(np.argmax(np.where(wrong, off, 0.0)))
        raise WeightsError(
            f"{name}: the row sums of {wrong.sum()} target cells are wrong: got {sums[cell]:.6g} "
            f"for cell {cell}, expected 1, or its fraction {weights.fraction[cell]:.6g}"
        )
    fraction = weights.fraction
    if not ((fraction >= 0) & (fraction <= 1 + TOLERANCE)).all():
        raise WeightsError(
            f"{name}: got fractions from {fraction.min():.6g} to {fraction.max():.6g}, expected 0 "
            "to 1; are the target grid's corners and areas of the same cells?"
        )


def _check_mask(
    mask: NDArray[np.bool_], cells: NDArray[np.int64], shape: tuple[int, int], name: str
) -> None:
    if mask.shape != shape:
        raise WeightsError(
            f"{name}: got weights for {shape[1]} x {shape[0]} cells, expected "
            f"{mask.shape[1]} x {mask.shape[0]}, the grid's; make them for this grid"
        )
    masked = ~mask.ravel()[cells]
    if masked.any():
        raise WeightsError(
            f"{name}: {masked.sum()} of {cells.size} links are of masked cells, such as "
            f"{cells[masked][0]}; is the mask the right way round? OASIS masks have 0 where a cell "
            "is active, SCRIP and NEMO 1"
        )
