# SPDX-License-Identifier: MIT
"""Which weights an exchange is regridded with, field by field."""

from __future__ import annotations

from functools import cache

from coupler.regrid import WeightsOf
from coupler.router import CELLS
from coupler.spec import Derived, ExchangeSpec, FieldSpec, GridSpec
from coupler.staggered import coarsening, refinement
from coupler.weights import Weights, WeightsError
from coupler.weights_make import are_nested, weights_between


def field_weights(exchange: ExchangeSpec, to_worker: bool) -> WeightsOf:
    """Of each field its weights, which are made or read once for all fields that share them.

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
        if regrid.weights is not None:
            return made(CELLS)
        return made(FieldSpec("", field.point, field.kind, "zero", 1, ""))

    return weights_of


def _has_places(grid: GridSpec) -> bool:
    """Whether a file or a formula says where the cells are, of what area, and which are land."""
    made = grid.geometry
    return _has_places(made.parent) if isinstance(made, Derived) else made is not None
