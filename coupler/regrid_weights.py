# SPDX-License-Identifier: MIT
"""Which weights an exchange is regridded with, field by field."""

from __future__ import annotations

from functools import cache

from coupler.regrid import WeightsOf
from coupler.router import CELLS
from coupler.spec import Derived, ExchangeSpec, FieldSpec, GridSpec, RegridSpec
from coupler.staggered import coarsening, refinement
from coupler.weights import Weights, WeightsError
from coupler.weights_io import read_weights


def field_weights(exchange: ExchangeSpec, to_worker: bool) -> WeightsOf:
    """Of each field its weights, which are made or read once for all fields that share them.

    From a file: the same for all points. Between a grid and one made of it, without a geometry: by
    the field's point. Else for T points alone. Raises WeightsError when they are asked for.
    """
    regrid = exchange.regrid
    assert regrid is not None
    ends = (exchange.grid, regrid.grid) if to_worker else (regrid.grid, exchange.grid)

    @cache
    def made(like: FieldSpec) -> Weights:
        if regrid.weights is not None:
            return _read(regrid, *ends)
        coarse = _coarser(*ends)
        if coarse is None or (like.point == "T" and _has_places(exchange.grid)):
            return _make(regrid, like, *ends)
        if regrid.method != "conservative":
            raise WeightsError(
                f"{regrid.place}: got method {regrid.method}, expected conservative: between a "
                "grid and one made of it that is the mean over cells and faces"
            )
        return (coarsening if coarse == ends[1] else refinement)(*ends, like)

    def weights_of(field: FieldSpec) -> Weights:
        if regrid.weights is not None:
            return made(CELLS)
        return made(FieldSpec("", field.point, field.kind, "zero", 1, ""))

    return weights_of


def _coarser(source: GridSpec, target: GridSpec) -> GridSpec | None:
    """Of two grids of which one is made of the other, the coarser one."""
    for parent, grid in ((source, target), (target, source)):
        made = grid.geometry
        if isinstance(made, Derived) and made.parent == parent:
            return grid if made.step == "coarsen" else parent
    return None


def _has_places(grid: GridSpec) -> bool:
    """Whether a file or a formula says where the cells are, of what area, and which are land."""
    made = grid.geometry
    return _has_places(made.parent) if isinstance(made, Derived) else made is not None


def _read(regrid: RegridSpec, source: GridSpec, target: GridSpec) -> Weights:
    assert regrid.weights is not None
    try:
        return read_weights(regrid.weights, (source.ny, source.nx), (target.ny, target.nx))
    except OSError as error:
        text = f"weights '{regrid.weights}': {error.strerror or error}"
        raise WeightsError(f"{regrid.place}: {text}; name a file beside the spec") from error
    except WeightsError as error:
        raise WeightsError(f"{regrid.place}: {error}") from error


def _make(regrid: RegridSpec, like: FieldSpec, source: GridSpec, target: GridSpec) -> Weights:
    raise WeightsError(f"{regrid.place}: no weights")
