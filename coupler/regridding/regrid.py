# SPDX-License-Identifier: MIT
"""The rows of weights that one rank applies: which source cells they need, and the sums. No MPI.

Source cells arrive as they are, in an array of the grid's chosen rows and columns; a row of weights
makes one cell of a padded array from them. Each row is added up from its first link to its last by
one rank that has all of its sources, so its bits do not depend on who has the others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from math import nan
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.routing.boundary import Rectangle, Run, rectangles
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.points import Cells, Owners
from coupler.routing.router import CELLS, Message, route_cells, route_to_worker, unowned_cells
from coupler.spec import ExchangeSpec, FieldSpec, GridSpec, Point
from coupler.transport.blank import rectangles_of
from coupler.weights import Rows, Weights, WeightsError, rows_of

Array = NDArray[np.floating]
NO_CELLS = np.empty(0, np.int64)
WeightsOf = Callable[[FieldSpec], Weights]  # a field's point, and what it is on a wall, matter
# of a component of a vector the other one, and the weights from that one
Across = Callable[[FieldSpec], tuple[FieldSpec, Weights] | None]


def shown_cells(field: FieldSpec, grid: GridSpec, box: Box) -> tuple[Cells, NDArray[np.int8]]:
    """(y, x) of a padded `box`: the number x + y * nx of the cell shown, -1 for none; its sign."""
    cells = np.full((box.ny, box.nx), -1, np.int64)
    signs = np.ones((box.ny, box.nx), np.int8)
    for r in rectangles(field, grid, box.y0, box.y1, box.x0, box.x1):
        y, x = (run.source + run.step * np.arange(run.length) for run in (r.y, r.x))
        here = np.s_[r.y.target : r.y.target + r.y.length, r.x.target : r.x.target + r.x.length]
        cells[here] = y[:, None] * grid.nx + x
        signs[here] = r.sign
    return cells, signs


@dataclass(frozen=True)
class Sources:
    """Cells of a grid of `nx` columns that rows of weights need.

    They lie in an array of those of the grid's rows `y` and columns `x` that have any of them;
    what else it has is not asked for, and stays 0.
    """

    nx: int
    y: Cells
    x: Cells
    needed: NDArray[np.bool_]  # (y, x) of the array

    @classmethod
    def of(cls, cells: Cells, nx: int) -> Sources:
        rows, columns = np.divmod(np.unique(cells), nx)
        y, x = np.unique(rows), np.unique(columns)
        needed = np.zeros((len(y), len(x)), np.bool_)
        needed[np.searchsorted(y, rows), np.searchsorted(x, columns)] = True
        return cls(nx, y, x, needed)

    @property
    def shape(self) -> tuple[int, int]:
        return len(self.y), len(self.x)

    @property
    def box(self) -> Box:
        """The array seen as a box of its own."""
        return Box(0, len(self.x), 0, len(self.y))

    def places(self, cells: Cells) -> Cells:
        """Where `cells` lie in the array: x + y * columns."""
        rows, columns = np.divmod(cells, self.nx)
        return np.searchsorted(self.y, rows) * len(self.x) + np.searchsorted(self.x, columns)

    def rectangles(self) -> tuple[Rectangle, ...]:
        """The cells of the array, each once, and where in the grid they come from."""
        if not self.needed.size:
            return ()
        return tuple(
            Rectangle(row, column)
            for rows, columns in rectangles_of(self.needed)
            for row in _runs(self.y, rows)
            for column in _runs(self.x, columns)
        )


def _runs(numbers: Cells, part: slice) -> Iterable[Run]:
    """Consecutive `numbers` of a part, as runs whose targets are their places."""
    chosen = numbers[part]
    breaks = np.flatnonzero(np.diff(chosen) != 1) + 1
    at = part.start
    for run in np.split(chosen, breaks):
        yield Run(at, len(run), int(run[0]), 1)
        at += len(run)


@dataclass(frozen=True)
class Regridding:
    """One field on this rank: cells (y, x) of an array from gathered sources.

    Cells without any source hold `fallback`; what no cell of the grid shows is 0.
    """

    shape: tuple[int, int]
    matrix: Any  # (cells, sources), compressed rows, float64; links in the order of the weights
    negative: Cells  # cells that show another with its sign changed
    outside: Cells  # cells that show no cell of the grid
    empty: Cells  # cells that show one, which has no source
    fallback: float
    fraction: bool  # values of a field with a mask are those of what the mask lets through
    partner: str | None = None  # of a vector the other component
    across: Any = None  # (cells, sources of the partner): what is added from there

    @property
    def unmapped(self) -> NDArray[np.bool_]:
        """(y, x) of the array: cells that no source has a part in."""
        found = np.zeros(self.shape, np.bool_)
        found.ravel()[np.concatenate((self.outside, self.empty))] = True
        return found

    def fill(
        self, sources: Array, out: Array, masks: Sequence[Array] = (), partner: Array | None = None
    ) -> None:
        """(level, y, x) of gathered sources, and of those of the partner -> of the rank's array.

        `masks`: of the sources, 0 or more, of one level or of all; a row's links then count by
        their product.
        """
        for level, (values, filled) in enumerate(zip(sources, out, strict=True)):
            if not masks:
                row, empty = self.matrix @ values.ravel(), self.empty
                if partner is not None:
                    row += self.across @ partner[level].ravel()
            else:
                share = np.ones(values.size)
                for mask in masks:
                    share *= mask[min(level, len(mask) - 1)].ravel()
                row, empty = self._masked(values.ravel(), share)
            row[empty] = self.fallback
            row[self.outside] = 0.0
            row[self.negative] *= -1.0
            filled[...] = row.reshape(self.shape)

    def _masked(
        self, values: Array, share: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], Cells]:
        # what a masked cell holds, NaN included, never enters
        row = self.matrix @ (np.where(share > 0, values, 0.0) * share)
        cover = self.matrix @ share
        mapped = cover > 0
        if self.fraction:
            np.divide(row, cover, out=row, where=mapped)
        return row, np.flatnonzero(~mapped)


def _regridding(
    rows: Rows,
    sources: Sources,
    cells: Cells,
    signs: NDArray[np.int8],
    settings: tuple[float, bool],
) -> Regridding:
    """`rows`: of every cell that is shown, in the order of `cells` (y, x)."""
    shown = cells.ravel() >= 0
    matrix = _matrix(rows, sources, shown)
    counts = np.diff(matrix.indptr)
    negative = np.flatnonzero(signs.ravel() < 0)
    outside, empty = np.flatnonzero(~shown), np.flatnonzero(shown & (counts == 0))
    return Regridding(cells.shape, matrix, negative, outside, empty, *settings)


def _matrix(rows: Rows, sources: Sources, shown: NDArray[np.bool_]) -> Any:
    """(cells, sources); cells that are not `shown` have no links."""
    counts = np.zeros(shown.size, np.int64)
    counts[shown] = np.diff(rows.indptr)
    indptr = np.concatenate(([0], np.cumsum(counts)))
    size = sources.shape[0] * sources.shape[1]
    links = rows.value, sources.places(rows.source), indptr
    return sparse().csr_array(links, shape=(shown.size, size))


def sparse() -> Any:
    """SciPy's sparse arrays. Raises WeightsError where there are none."""
    try:
        import scipy.sparse
    except ImportError as error:
        raise WeightsError(
            "regridding multiplies with SciPy's sparse arrays, which are not installed; "
            "pip install 'halocline[regrid]'"
        ) from error
    return scipy.sparse


@dataclass(frozen=True)
class Plan:
    """What one rank regrids in one exchange: sources by point, and the rows of each field."""

    sources: Mapping[Point, Sources]
    fields: Mapping[str, Regridding]


def own_cells(box: Box, nx: int) -> tuple[Cells, NDArray[np.int8]]:
    """As `shown_cells`, of a box without halo, where no boundary plays a part."""
    cells = np.arange(box.y0, box.y1)[:, None] * nx + np.arange(box.x0, box.x1)
    return cells, np.ones(cells.shape, np.int8)


def answered_cells(
    field: FieldSpec, weights: Weights, grid: GridSpec, box: Box
) -> tuple[Cells, NDArray[np.int8]]:
    """As `shown_cells`, of the model's cells in `box`: themselves. But where a row meets itself on
    the fold, weights leave out the cells that repeat others, and these show those."""
    cells, signs = own_cells(box, grid.nx)
    if grid.north is None:
        return cells, signs
    images, turned = shown_cells(field, grid, box)
    repeats = ~weights.mapped[cells] & weights.mapped[images]
    return np.where(repeats, images, cells), np.where(repeats, turned, signs)


def plan_rows(
    fields: Sequence[FieldSpec],
    show: Callable[[FieldSpec], tuple[Cells, NDArray[np.int8]]],
    weights_of: WeightsOf,
    fallback: float = nan,
    fraction: bool = True,
    across: Across = lambda field: None,
    counted: Cells = NO_CELLS,
) -> Plan:
    """Rows of weights for the cells of the target grid that `show` tells.

    Fields at the same point share their sources, so that one can mask another; those at T points
    have those that are `counted` as well.
    """
    shown = {field: show(field) for field in fields}
    rows = {f: rows_of(weights_of(f), cells[cells >= 0]) for f, (cells, _) in shown.items()}
    crossing = {}
    for field, (cells, _) in shown.items():
        if (pair := across(field)) is not None:
            crossing[field] = pair[0], rows_of(pair[1], cells[cells >= 0])
    sources: dict[Point, Sources] = {}
    for field in fields:
        if field.point not in sources:
            needed = [rows[other].source for other in fields if other.point == field.point]
            needed += [r.source for p, r in crossing.values() if p.point == field.point]
            needed += [counted] if field.point == "T" else []
            nx = weights_of(field).source_shape[1]
            sources[field.point] = Sources.of(np.concatenate(needed), nx)
    found = {
        f.name: _regridding(rows[f], sources[f.point], *shown[f], (fallback, fraction))
        for f in fields
    }
    for field, (partner, links) in crossing.items():
        matrix = _matrix(links, sources[partner.point], shown[field][0].ravel() >= 0)
        found[field.name] = replace(found[field.name], partner=partner.name, across=matrix)
    return Plan(sources, found)


def plan_exchange(
    exchange: ExchangeSpec,
    weights_of: WeightsOf,
    box: Box,
    to_worker: bool,
    across: Across = lambda field: None,
) -> Plan:
    """Of one worker rank: `box` is its own on its grid, or, of an answer, on the model's. Both
    components of a vector are at T points of the worker's grid.

    Raises WeightsError where cells are left without a source that nothing says how to fill, or
    integrals are to be conserved without areas.
    """
    regrid, grid = exchange.regrid, exchange.grid
    assert regrid is not None
    for field in exchange.conserved:
        if weights_of(field).source_area is None or weights_of(field).target_area is None:
            raise WeightsError(
                f"{regrid.place}: conserve needs areas, and the weights have none; take weights of "
                "grids with corners or areas, or a file that has both grids' areas"
            )
    fields: tuple[FieldSpec, ...] = (*exchange.fields, *exchange.static)
    fallback = regrid.fallback if isinstance(regrid.fallback, float) else nan
    if to_worker:
        padded = box.padded(exchange.halo)
        plan = plan_rows(
            (*fields, CELLS),
            lambda f: shown_cells(replace(f, point="T") if across(f) else f, regrid.grid, padded),
            weights_of,
            fallback,
            regrid.normalisation == "fraction",
            across,
            counted_sources(weights_of(exchange.conserved[0]), box)
            if exchange.conserved
            else NO_CELLS,
        )
    else:
        plan = plan_rows(
            fields,
            lambda f: answered_cells(f, weights_of(f), grid, box),
            weights_of,
            fallback,
            across=across,
        )
    if np.isnan(fallback) and exchange.check_finite:
        for field in fields:
            if not field.masks:
                _require_sources(exchange, field, plan.fields[field.name])
    return plan


def counted_sources(weights: Weights, box: Box) -> Cells:
    """Of the source cells with an area those that the owner of `box` counts in an integral: each
    is counted where the first target of its links lies, or without any the one at its place."""
    assert weights.source_area is not None
    (sy, sx), (ty, tx) = weights.source_shape, weights.target_shape
    cells = np.flatnonzero(weights.source_area)
    row, column = np.divmod(cells, sx)
    at = (row * ty // sy) * tx + column * tx // sx
    first = np.full(weights.source_cells, -1)
    first[weights.source[::-1]] = weights.target[::-1]  # the last assignment stays
    y, x = np.divmod(np.where(first[cells] >= 0, first[cells], at), tx)
    return cells[(box.x0 <= x) & (x < box.x1) & (box.y0 <= y) & (y < box.y1)]


def _require_sources(exchange: ExchangeSpec, field: FieldSpec, regridding: Regridding) -> None:
    count, cells = len(regridding.empty), regridding.shape[0] * regridding.shape[1]
    nearest = exchange.regrid is not None and exchange.regrid.fallback == "nearest"
    other = "a number, as nearest fills no masked cells" if nearest else "nearest, or a number"
    if count:
        raise WeightsError(
            f"{field.place}: field '{field.name}': {count} of {cells} cells on a worker "
            "rank have no source, and would be NaN at every step; give regrid a fallback "
            f"({other}), or check_finite: false ({exchange.place})"
        )


def route_inputs(
    fields: tuple[FieldSpec, ...],
    exchange: ExchangeSpec,
    model: Decomposition | Owners,
    box: Box,
    plan: Plan | None,
) -> tuple[Message, ...]:
    """What each model rank sends to the worker that owns `box`: its padded cells, or the sources
    that their rows of weights need; sorted by model rank."""
    if plan is None:
        return route_to_worker(fields, exchange.grid, model, box, exchange.halo)
    needs = [plan.sources[field.point].rectangles() for field in fields]
    return route_cells(fields, needs, exchange.grid, model)


def owned_targets(
    plan: Plan, grid: GridSpec, model: Decomposition | Owners, name: str = CELLS.name
) -> NDArray[np.bool_]:
    """(y, x) of the padded box: T points with a source that a model rank owns, where field `name`
    shows any."""
    sources = plan.sources["T"]
    messages = route_cells((CELLS,), [sources.rectangles()], grid, model)
    owned = ~unowned_cells(messages, 0, sources.box, 0)
    regridding = plan.fields[name]
    links = abs(regridding.matrix) @ owned.ravel().astype(np.float64)
    found: NDArray[np.bool_] = links.reshape(regridding.shape) > 0
    return found
