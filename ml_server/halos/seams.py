# SPDX-License-Identifier: MIT
"""Do the ranks of a worker answer as one rank with the whole grid does? Tried on random fields.

One process plays all ranks, with the arrays that the plan gives them. The whole grid is asked with
a wider halo than the ranks have, so that what a halo too small does to answers at periodic
boundaries and folds shows, too.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Box, Decomposition, decompose
from coupler.routing.padding import Padding
from coupler.routing.router import CELLS
from coupler.spec import CouplingSpec, FieldSpec, GridSpec
from coupler.spec.exchanges import mirror_error
from ml_server.halos.halo import Fit
from ml_server.halos.plausible import plausible, sort_of
from ml_server.halos.probe import Ask, Unmeasurable, asker, coarsest, weights_of
from ml_server.predictor import Predictor, PredictorError

Array = NDArray[Any]
Place = Literal["seam", "wall", "periodic", "fold", "inside"]
PLACES: tuple[Place, ...] = get_args(Place)

TOLERANCE = {"float64": 1e-12, "float32": 1e-6}  # of the largest answer; coarser types: 1e-2
MOST = 4_000_000  # cells and levels of the grid that is tried; larger ones have a stand-in
LAND = 0.1  # of the cells
SEED = 4


@dataclass(frozen=True)
class Comparison:
    """One answer of the ranks against that of the whole grid."""

    name: str
    difference: Array  # (y, x): the largest of all levels; infinite where one of the two is NaN
    scale: float  # the largest answer
    dtype: str  # the coarsest of the network's weights and the answers
    places: Mapping[Place, NDArray[np.bool_]]  # (y, x); a cell may be near several edges

    def largest(self, place: Place) -> float:
        return float(self.difference[self.places[place]].max(initial=0.0))

    @property
    def tolerance(self) -> float:
        """Relative to `scale`."""
        return TOLERANCE.get(self.dtype, 1e-2)

    @property
    def relative(self) -> Array:
        return self.difference / self.scale if self.scale else self.difference

    @property
    def passed(self) -> bool:
        return bool((self.relative <= self.tolerance).all())


@dataclass(frozen=True)
class Seams:
    """What was compared for one worker."""

    worker: str
    predictor: str
    split: Decomposition
    halo: int
    comparisons: tuple[Comparison, ...]
    remarks: tuple[str, ...]

    @property
    def passed(self) -> bool:
        return all(comparison.passed for comparison in self.comparisons)


def compare_seams(predictor: Predictor, fit: Fit) -> Seams:
    """The predictor on random fields, whole and in the boxes of the spec's ranks.

    Raises Unmeasurable where there is nothing to compare, PredictorError for answers of a shape
    that no run accepts, and what the predictor raises.
    """
    spec, worker = fit.spec, fit.worker
    if fit.field is not None and fit.field.is_global:
        raise Unmeasurable("it needs the whole domain at once, so there is one rank and no seam")
    grids = {e.worker_grid for e in (*spec.incoming(worker), *spec.outgoing(worker))}
    if len(grids) > 1:
        raise Unmeasurable("its fields are on several grids")
    block = fit.field.block if fit.field is not None and fit.field.block else 1
    alike = fit.field is not None and fit.field.levels_alike
    spec, remarks = _of_moderate_size(spec, worker, block, alike)
    outputs = [field.name for e in spec.outgoing(worker) for field in e.fields]
    trial = _Trial(spec, worker, asker(predictor, outputs))
    ranks = trial.ranks()
    try:
        whole = trial.whole(block * -(-max(trial.halo, 1) // block))
    except Exception:  # arrays this wide it refuses
        remarks += (f"{predictor.name} refuses a wider halo: the whole has the ranks' own",)
        whole = trial.whole(0)
    places = trial.places()
    kinds = weights_of(predictor)
    found = tuple(_compare(name, whole[name], ranks[name], kinds, places) for name in ranks)
    return Seams(worker, predictor.name, trial.split, trial.halo, found, remarks)


def _compare(
    name: str,
    whole: Array,
    ranks: Array,
    weights: set[str],
    places: Mapping[Place, NDArray[np.bool_]],
) -> Comparison:
    dtype = coarsest({f"{ranks.dtype}"} | weights)
    with np.errstate(invalid="ignore"):
        difference = np.abs(whole.astype(float) - ranks)
    difference[np.isnan(whole) & np.isnan(ranks)] = 0.0
    difference[np.isnan(difference)] = np.inf
    scale = float(np.max(np.abs(whole), initial=0.0, where=np.isfinite(whole)))
    return Comparison(name, difference.max(axis=0), scale, dtype, places)


def _of_moderate_size(
    spec: CouplingSpec, worker: str, block: int, alike: bool
) -> tuple[CouplingSpec, tuple[str, ...]]:
    """A spec with as many ranks and the same boundaries on a grid small enough to be tried."""
    exchanges = (*spec.incoming(worker), *spec.outgoing(worker))
    grid = exchanges[0].worker_grid
    levels = max(field.levels for e in exchanges for field in e.fields)
    if grid.nx * grid.ny * levels <= MOST:
        return spec, ()
    kept = min(levels, 2) if alike else levels
    width = 2 * block * -(-(max(e.halo for e in exchanges) + 4) // block)
    split = _split(spec, worker, grid)
    xs, ys = (len({*edges.tolist()}) for edges in (split.edges[0], split.edges[2]))
    small = replace(grid, nx=min(grid.nx, width * xs), ny=min(grid.ny, width * ys))

    def fewer(fields: tuple[FieldSpec, ...]) -> tuple[FieldSpec, ...]:
        return tuple(replace(f, levels=min(f.levels, kept) if alike else f.levels) for f in fields)

    changed = {
        e: replace(e, grid=small, fields=fewer(e.fields), static=fewer(e.static)) for e in exchanges
    }
    spec = replace(spec, exchanges=tuple(changed.get(e, e) for e in spec.exchanges))
    size = f"{small.nx} x {small.ny} x {kept}"
    text = f"tried on {size} cells, for {grid.nx} x {grid.ny} x {levels}: as many boxes and levels"
    return spec, (text if kept == levels else f"{text[: -len(' and levels')]}, fewer levels",)


def _split(spec: CouplingSpec, worker: str, grid: GridSpec) -> Decomposition:
    component = spec.component(worker)
    return decompose(worker, grid.nx, grid.ny, component.ranks, component.decomposition)


class _Trial:
    """Random global fields, and a worker's answers to them."""

    def __init__(self, spec: CouplingSpec, worker: str, ask: Ask) -> None:
        self.spec, self.worker, self.ask = spec, worker, ask
        self.exchanges = spec.incoming(worker)
        self.grid = self.exchanges[0].worker_grid
        self.halo = max(e.halo for e in self.exchanges)
        self.split = _split(spec, worker, self.grid)
        self.fields = _random_fields(spec, worker, self.grid)

    def ranks(self) -> dict[str, Array]:
        """The global answers (level, y, x), box by box."""
        found: dict[str, Array] = {}
        for rank in range(self.split.ranks):
            box = self.split.box(rank)
            for name, answer in self._answer(box, 0).items() if box.cells else ():
                if name not in found:
                    shape = (len(answer), self.grid.ny, self.grid.nx)
                    found[name] = np.zeros(shape, answer.dtype)
                found[name][:, box.y0 : box.y1, box.x0 : box.x1] = answer
        return found

    def whole(self, wider: int) -> dict[str, Array]:
        """The global answers (level, y, x), asked at once with a halo that is `wider`."""
        return self._answer(Box(0, self.grid.nx, 0, self.grid.ny), wider)

    def _answer(self, box: Box, wider: int) -> dict[str, Array]:
        """The answers for the cells of `box`."""
        inputs: dict[str, Any] = {"date": 0}
        for e in self.exchanges:
            halo = e.halo + wider
            if mirror_error(replace(e, halo=halo)) is not None:
                raise Unmeasurable("a mirror of the fold is not made")
            for field in (*e.fields, *e.static):
                padding = Padding.of(field, e.worker_grid, box, halo)
                inputs[field.name] = padding.pad(self.fields[field.name])
        inputs["cell"] = Padding.of(CELLS, self.grid, box, self.exchanges[0].halo + wider).cell
        return {name: _middle(name, a, box) for name, a in self.ask(inputs).items()}

    def places(self) -> dict[Place, NDArray[np.bool_]]:
        """(y, x): cells within a halo of an edge of their box, by what lies behind it."""
        grid = self.grid
        found = {place: np.zeros((grid.ny, grid.nx), np.bool_) for place in PLACES}
        behind_x: Place = "wall" if grid.boundary_x == "closed" else "periodic"
        behind_south: Place = "wall" if grid.boundary_y == "closed" else "periodic"
        behind_north: Place = behind_south if grid.north is None else "fold"
        for rank in range(self.split.ranks):
            b, h = self.split.box(rank), self.halo
            edges: tuple[tuple[Box, bool, Place], ...] = (
                (Box(b.x0, min(b.x0 + h, b.x1), b.y0, b.y1), b.x0 == 0, behind_x),
                (Box(max(b.x1 - h, b.x0), b.x1, b.y0, b.y1), b.x1 == grid.nx, behind_x),
                (Box(b.x0, b.x1, b.y0, min(b.y0 + h, b.y1)), b.y0 == 0, behind_south),
                (Box(b.x0, b.x1, max(b.y1 - h, b.y0), b.y1), b.y1 == grid.ny, behind_north),
            )
            for cells, outer, behind in edges if b.cells else ():
                place = behind if outer else "seam"
                found[place][cells.y0 : cells.y1, cells.x0 : cells.x1] = True
        found["inside"] = ~np.logical_or.reduce([found[place] for place in PLACES])
        return found


def _middle(name: str, answer: Array, box: Box) -> Array:
    """The cells of `box`: an answer is padded by as many cells on each side, or by none."""
    rim, odd = divmod(answer.shape[1] - box.ny, 2)
    if odd or rim < 0 or answer.shape[1:] != (box.ny + 2 * rim, box.nx + 2 * rim):
        raise PredictorError(
            f"answer '{name}' has shape {answer.shape} for a box of {box.ny} x {box.nx} cells, "
            "expected as many cells, or as many more on all four sides"
        )
    return answer[:, rim : rim + box.ny, rim : rim + box.nx]


def _random_fields(spec: CouplingSpec, worker: str, grid: GridSpec) -> dict[str, Array]:
    """Global fields (level, y, x) by name: a tenth of the cells is land, masks agree with it, and
    faces with land on a side have no velocity."""
    rng = np.random.default_rng(SEED)
    masks = _masks(grid, rng.uniform(size=(1, grid.ny, grid.nx)) >= LAND)
    found = {}
    for e in spec.incoming(worker):
        for field in (*e.fields, *e.static):
            shape = (field.levels, grid.ny, grid.nx)
            sort = sort_of(field, field in e.static)
            values = plausible(sort, rng.uniform(size=shape))
            if sort in ("mask", "vector"):
                values = values * masks[field.point]
            found[field.name] = values.astype(e.wire)
    return found


def _masks(grid: GridSpec, sea: Array) -> dict[str, Array]:
    """(1, y, x) by point: a face is open between two sea cells, a corner among four."""
    t = Padding.of(CELLS, grid, Box(0, grid.nx, 0, grid.ny), 1).pad(sea.astype(float))
    here, east = t[:, 1:-1, 1:-1], t[:, 1:-1, 2:]
    north, north_east = t[:, 2:, 1:-1], t[:, 2:, 2:]
    return {
        "T": here,
        "U": here * east,
        "V": here * north,
        "F": here * east * north * north_east,
    }
