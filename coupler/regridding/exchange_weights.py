# SPDX-License-Identifier: MIT
"""Which weights an exchange is regridded with, field by field."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

from coupler.grids.grid import GridError
from coupler.grids.make import grid_of
from coupler.regridding.regrid import Across, Plan, WeightsOf, plan_exchange
from coupler.regridding.vectors import Pair, Way, vector_weights
from coupler.routing.decomposition import Box
from coupler.routing.router import CELLS
from coupler.spec import Derived, ExchangeSpec, FieldSpec, GridSpec
from coupler.weights import Weights, WeightsError
from coupler.weights.make import are_nested, weights_between
from coupler.weights.staggered import coarsening, refinement


def field_weights(exchange: ExchangeSpec, to_worker: bool) -> WeightsOf:
    """Of each field its weights, of a component of a vector those from itself."""
    return exchange_weights(exchange, to_worker)[0]


def exchange_weights(exchange: ExchangeSpec, to_worker: bool) -> tuple[WeightsOf, Across]:
    """Of each field its weights, which are made or read once for all fields that share them; of a
    component of a vector the other one, and the weights from that one.

    From a file: the same for all points. Between a grid and one made of it: by the field's point,
    T points with the areas and land of the geometry if there is one. Between other grids: for T
    points alone. Raises WeightsError when they are asked for.
    """
    regrid = exchange.regrid
    assert regrid is not None
    ends = (exchange.grid, regrid.grid) if to_worker else (regrid.grid, exchange.grid)
    coarse = min(ends, key=lambda grid: grid.nx) if are_nested(*ends) else None

    @cache
    def made(like: FieldSpec) -> Weights:
        own = coarse is not None and regrid.method == "conservative"
        if own and not (like.point == "T" and _has_places(exchange.grid)):
            return (coarsening if coarse == ends[1] else refinement)(*ends, like)
        if like.point == "T" or regrid.weights is not None:
            return weights_between(*ends, regrid)
        raise WeightsError(
            f"{regrid.place}: got a field at {like.point} points, expected T points: a geometry "
            "says where those are; name a file with weights, or take conservative weights to a "
            "grid that is made of the model's (coarsen, refine)"
        )

    def weights_of(field: FieldSpec) -> Weights:
        if (pair := pairs(field)) is not None:
            return pair[1]
        if regrid.weights is not None:
            return made(CELLS)
        return made(FieldSpec("", field.point, field.kind, "zero", 1, ""))

    def across(field: FieldSpec) -> tuple[FieldSpec, Weights] | None:
        pair = pairs(field)
        return None if pair is None else (pair[0], pair[2])

    pairs = _components(exchange, to_worker)
    return weights_of, across


def row_planner(exchange: ExchangeSpec, to_worker: bool) -> Callable[[Box], Plan]:
    """The rows of any worker rank by its box: see `plan_exchange`. Raises WeightsError."""
    weights, across = exchange_weights(exchange, to_worker)
    return lambda box: plan_exchange(exchange, weights, box, to_worker, across)


Component = tuple[FieldSpec, Weights, Weights]  # the other one; weights from itself, and from that


def _components(exchange: ExchangeSpec, to_worker: bool) -> Callable[[FieldSpec], Component | None]:
    regrid = exchange.regrid
    assert regrid is not None
    fields = {field.name: field for field in (*exchange.fields, *exchange.static)}
    number = {name: n for names in regrid.vectors for n, name in enumerate(names)}
    other = {a: b for names in regrid.vectors for a, b in (names, names[::-1])}

    @cache
    def pairs(faces: bool) -> tuple[Pair, Pair]:
        ends = (exchange.grid, regrid.grid) if to_worker else (regrid.grid, exchange.grid)
        try:
            weights, grids = weights_between(*ends, regrid), (grid_of(ends[0]), grid_of(ends[1]))
            way: Way = "to_worker" if to_worker else "to_model"
            return vector_weights(weights, *grids, exchange.grid, way, faces)
        except GridError as error:
            raise WeightsError(f"{regrid.place}: vectors: {error}") from error

    def component(field: FieldSpec) -> Component | None:
        if field.name not in number:
            return None
        at = number[field.name]
        pair = pairs(field.point != "T")[at]
        return fields[other[field.name]], pair[at], pair[1 - at]

    return component


def _has_places(grid: GridSpec) -> bool:
    """Whether a file or a formula says where the cells are, of what area, and which are land."""
    made = grid.geometry
    return _has_places(made.parent) if isinstance(made, Derived) else made is not None
