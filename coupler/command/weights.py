# SPDX-License-Identifier: MIT
"""`halocline weights`: make the weights of a spec, and say how good they are."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table

from coupler.command.tables import say
from coupler.grids.grid import Grid, GridError
from coupler.grids.make import grid_of
from coupler.spec import CouplingSpec, ExchangeSpec
from coupler.spec.document import SpecError
from coupler.weights import Weights, WeightsError
from coupler.weights.make import cached_path, weights_between
from coupler.weights.quality import Report, report


@dataclass(frozen=True)
class Regridded:
    """An exchange, its weights at T points, and what they are like."""

    exchange: ExchangeSpec
    source: Grid
    target: Grid
    weights: Weights
    path: Path
    report: Report

    @property
    def has_corners(self) -> bool:
        """Have both grids?"""
        return self.source.corner_lon is not None and self.target.corner_lon is not None

    def __str__(self) -> str:
        regrid = self.exchange.regrid
        how = "" if regrid is None or regrid.method is None else f", {regrid.method}"
        return f"{self.exchange}: grid {self.source.name} -> {self.target.name}{how}"


def regridded(spec: CouplingSpec) -> list[Regridded]:
    """Makes what is not there yet. Raises SpecError with all mistakes."""
    found, mistakes = [], []
    for exchange in spec.exchanges:
        if exchange.regrid is None:
            continue
        try:
            found.append(_regridded(spec, exchange))
        except WeightsError as error:
            mistakes.append(str(error))
        except (GridError, OSError) as error:
            mistakes.append(f"{exchange.regrid.place}: {error}")
    if mistakes:
        raise SpecError(mistakes)
    if not found:
        raise SpecError([f"{spec.path.name}: no exchange has the key 'regrid': nothing to make"])
    return found


def _regridded(spec: CouplingSpec, exchange: ExchangeSpec) -> Regridded:
    regrid = exchange.regrid
    assert regrid is not None
    ends = [exchange.grid, regrid.grid]
    if not spec.component(exchange.target).is_worker:
        ends.reverse()
    source, target = (grid_of(end) for end in ends)
    weights = weights_between(ends[0], ends[1], regrid)
    path = regrid.weights or cached_path(source, target, regrid)
    return Regridded(exchange, source, target, weights, path, report(weights, source, target))


def weights_json(items: list[Regridded]) -> list[dict[str, Any]]:
    return [
        {
            "from": item.exchange.source,
            "to": item.exchange.target,
            "source": item.source.name,
            "target": item.target.name,
            "file": str(item.path),
            **asdict(item.report),
        }
        for item in items
    ]


def print_weights(console: Console, items: list[Regridded], suspicious: list[str]) -> None:
    for text in suspicious:
        say(console, f"warning  {text}", "yellow")
    for item in items:
        _print_one(console, item)


def _print_one(console: Console, item: Regridded) -> None:
    said = item.report
    say(console, f"{item}", "bold")
    say(console, f"  {item.source} -> {item.target}; {item.path}")
    low, high = said.row_sums
    text = f"  {said.links:,} links; {said.empty:,} of {said.active:,} target cells without one"
    text += f", {said.filled:,} filled by the nearest" if said.filled else ""
    say(console, text, "yellow" if said.empty else "")
    covered = "" if said.covered is None else f"; {said.covered:.4%} of the source is covered"
    say(console, f"  rows add up to {low:.15g} .. {high:.15g}{covered}")
    if not said.functions:
        say(console, "  grids without places: no benchmark functions")
        return
    table = Table("misfit of", "mean [%]", "rms [%]", "max [%]", "below", "above", "integral")
    for column in table.columns[1:]:
        column.justify = "right"
    for name, made in said.functions.items():
        kept = made.source_conservation
        table.add_row(
            name,
            *(f"{100 * value:.4f}" for value in (made.mean, made.rms, made.greatest)),
            *(f"{value:.1e}" for value in (max(made.below, 0.0), max(made.above, 0.0))),
            "" if kept is None else f"{kept:.1e}",
        )
    console.print(table)
