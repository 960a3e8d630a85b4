# SPDX-License-Identifier: MIT
"""Does what a model declared agree with the spec? Every disagreement, as one line each."""

from __future__ import annotations

from collections.abc import Iterator

from coupler.protocol import IN, OUT, STATIC, Declaration
from coupler.routing.decomposition import Decomposition, ownership_error
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec, GridSpec
from coupler.spec.document import hint

CALLS = {OUT: "hcl_out", IN: "hcl_in", STATIC: "hcl_static"}


def disagreements(spec: CouplingSpec, worker: str, declaration: Declaration) -> list[str]:
    """Between the exchanges of `worker` with the declaring model, and what that model declared."""
    model = declaration.component
    found: list[str] = []
    grids: set[str] = set()
    for exchange in spec.exchanges:
        if {exchange.source, exchange.target} != {worker, model}:
            continue
        if exchange.grid.name not in grids:
            grids.add(exchange.grid.name)
            found += _grid(exchange.grid, exchange, declaration)
        direction = OUT if exchange.source == model else IN
        for field in exchange.fields:
            found += _field(field, exchange, direction, declaration)
        for field in exchange.static:
            found += _field(field, exchange, STATIC, declaration)
    return found


def _grid(grid: GridSpec, exchange: ExchangeSpec, declaration: Declaration) -> Iterator[str]:
    model = declaration.component
    decomposition = declaration.grids.get(grid.name)
    if decomposition is None:
        yield (
            f"{exchange.place}: {model} declares no grid '{grid.name}'"
            f"{hint(grid.name, declaration.grids)}"
        )
        return
    got, expected = (decomposition.nx, decomposition.ny), (grid.nx, grid.ny)
    if got != expected:
        yield (
            f"{exchange.place}: grid '{grid.name}': {model} runs with {got[0]} x {got[1]} cells, "
            f"the spec has {expected[0]} x {expected[1]}; does the model read the namelist that "
            "the spec names?"
        )
        return
    if isinstance(decomposition, Decomposition):
        error = ownership_error(decomposition)
    else:
        error = decomposition.error
    if error:
        yield f"{exchange.place}: grid '{grid.name}': {error}"
    sides = (("x", grid.boundary_x), ("y", grid.boundary_y))
    for (axis, boundary), periodic in zip(sides, declaration.periodic[grid.name], strict=True):
        if periodic >= 0 and (periodic == 1) != (boundary == "periodic"):
            yield (
                f"{exchange.place}: grid '{grid.name}': {model} is "
                f"{'periodic' if periodic else 'closed'} in {axis}, the spec says {boundary}"
            )


def _field(
    field: FieldSpec, exchange: ExchangeSpec, direction: int, declaration: Declaration
) -> Iterator[str]:
    model, where = declaration.component, f"{field.place}: field '{field.name}'"
    declared = declaration.fields.get(field.name)
    if declared is None:
        names = [n for n, item in declaration.fields.items() if item.direction == direction]
        yield f"{where}: {model} declares no such field{hint(field.name, names)}"
        return
    if declared.direction != direction:
        yield (
            f"{where}: {model} declares it {CALLS[declared.direction]}, "
            f"the spec uses it as {CALLS[direction]}"
        )
    if declared.levels != field.declared_levels:
        yield (
            f"{where}: {model} declares {declared.levels} levels, "
            f"the spec has {field.declared_levels}"
        )
    if declared.grid != exchange.grid.name:
        yield (
            f"{where}: {model} declares it on grid '{declared.grid}', "
            f"the spec has it on '{exchange.grid.name}'"
        )
