# SPDX-License-Identifier: MIT
"""Which weights an exchange is regridded with, field by field."""

from __future__ import annotations

from functools import cache

from coupler.regrid import WeightsOf
from coupler.spec import Derived, ExchangeSpec, FieldSpec, GridSpec
from coupler.staggered import coarsening, refinement
from coupler.weights import Weights, WeightsError


def field_weights(exchange: ExchangeSpec, to_worker: bool) -> WeightsOf:
    """Of each field its weights, which are made or read once for all fields that share them."""
    regrid = exchange.regrid
    assert regrid is not None
    ends = (exchange.grid, regrid.grid) if to_worker else (regrid.grid, exchange.grid)

    @cache
    def made(like: FieldSpec) -> Weights:
        if (coarse := _coarser(*ends)) is None:
            raise WeightsError(f"{regrid.place}: no weights")
        if coarse == ends[1]:
            return coarsening(*ends, like)
        return refinement(*ends, like)

    def weights_of(field: FieldSpec) -> Weights:
        return made(FieldSpec("", field.point, field.kind, "zero", 1, ""))

    return weights_of


def _coarser(source: GridSpec, target: GridSpec) -> GridSpec | None:
    """Of two grids of which one is made of the other, the coarser one."""
    for parent, grid in ((source, target), (target, source)):
        made = grid.geometry
        if isinstance(made, Derived) and made.parent == parent:
            return grid if made.step == "coarsen" else parent
    return None
