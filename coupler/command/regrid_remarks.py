# SPDX-License-Identifier: MIT
"""What is suspicious about the grids and weights of a spec, and no mistake for sure."""

from __future__ import annotations

from collections.abc import Iterator

from coupler.grids.grid import remarks
from coupler.grids.make import grid_of
from coupler.spec import CouplingSpec, Derived, ExchangeSpec
from coupler.weights.io import read_weights


def regrid_remarks(spec: CouplingSpec) -> list[str]:
    """One line each. Of weights and grids that can be read or made: raises GridError, WeightsError
    and OSError otherwise."""
    found = [text for e in spec.exchanges if e.regrid for text in _of_exchange(spec, e)]
    return list(dict.fromkeys(found))  # both ways have the same grids


def _of_exchange(spec: CouplingSpec, exchange: ExchangeSpec) -> Iterator[str]:
    regrid = exchange.regrid
    assert regrid is not None
    ends = [exchange.grid, regrid.grid]
    if not spec.component(exchange.target).is_worker:
        ends.reverse()
    grids = [grid_of(end) for end in ends]
    for grid in grids:
        yield from remarks(grid)
    made = regrid.grid.geometry
    if isinstance(made, Derived) and made.parent.north and regrid.grid.north is None:
        yield (
            f"grid '{regrid.grid.name}' is closed in the north: the fold of '{made.parent.name}' "
            f"about {made.parent.north} points would cut its cells in two; its halo there is "
            "filled like beyond any wall"
        )
    if regrid.weights is None:
        return
    weights = read_weights(regrid.weights, *(grid.shape for grid in grids))
    masked = int((~grids[0].mask.ravel()[weights.source]).sum())
    if masked:
        yield (
            f"{exchange.place}: {masked:,} of {weights.source.size:,} links of "
            f"{regrid.weights.name} come from cells of grid '{grids[0].name}' that are masked, or "
            "there twice; were the weights made with this mask, the right way round?"
        )
