# SPDX-License-Identifier: MIT
"""Plans and profiles as tables for people."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coupler.command.plan import Plan, PlannedExchange, imbalance, peak_memory
from coupler.monitor import summary
from coupler.spec import CouplingSpec

SHOWN = 24  # messages of an exchange before the rest is only counted


def say(console: Console, text: str, style: str = "") -> None:
    """A line as it is: no wrapping, so that paths and commands can be copied."""
    console.print(Text(text, style=style), soft_wrap=True)


def size_text(count: float) -> str:
    """Bytes as people read them: 1.5 MB."""
    for unit in ("B", "kB", "MB", "GB"):
        if count < 1000 or unit == "GB":
            break
        count /= 1000
    return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"


def print_plan(console: Console, spec: CouplingSpec, plan: Plan) -> None:
    table = Table("component", "ranks", "grid", "boxes", "cells of a box", "imbalance")
    for name, grids in plan.decompositions.items():
        for grid, split in grids.items():
            cells = split.cells()
            shapes = {(split.box(r).nx, split.box(r).ny) for r in range(split.ranks)}
            some = [f"{nx} x {ny}" for nx, ny in sorted(shapes)]
            boxes = ", ".join(some) if len(some) <= 3 else f"{some[0]} to {some[-1]}"
            table.add_row(
                name if spec.component(name).is_worker else f"{name} *",
                f"{split.ranks}",
                f"{grid} {split.nx} x {split.ny}",
                boxes,
                f"{cells.min():,}"
                if cells.min() == cells.max()
                else f"{cells.min():,} to {cells.max():,}",
                f"{imbalance(split):.3f}",
            )
    console.print(table)
    say(console, "* assumed: a model decides its own boxes when it runs")
    for item in plan.exchanges:
        console.print()
        _print_exchange(console, item)
    per_day: dict[bool, float] = {True: 0.0, False: 0.0}
    for item in plan.exchanges:
        per_day[item.static] += (
            item.bytes if item.static else item.bytes * 86400 / item.exchange.period
        )
    console.print()
    say(
        console,
        f"In all: {size_text(per_day[False])} a simulated day, "
        f"{size_text(per_day[True])} once at the start",
    )
    for name, spent in plan.seconds.items():
        say(
            console,
            f"Planned for {len(spent)} rank{'' if len(spent) == 1 else 's'} of {name} in "
            f"{spent.sum():.3f} s, {1000 * spent.max():.1f} ms for the slowest; this process has "
            f"used {size_text(peak_memory())} of memory at most",
        )


def _print_exchange(console: Console, item: PlannedExchange) -> None:
    exchange = item.exchange
    when = "once at the start" if item.static else f"every {exchange.period} s"
    lag = f", lag {exchange.lag}" if exchange.lag else ""
    say(console, f"{item}", "bold")
    fields = ", ".join(f"{f.name} ({f.point}, {f.levels})" for f in item.fields)
    say(console, f"  {when}{lag}, {exchange.wire}: {fields}")
    halo = f"; the halo adds {item.halo_overhead:.1%} cells" if exchange.halo else ""
    say(console, f"  {size_text(item.bytes)} in all{halo}")
    table = Table("from rank", "to rank", "cells", "values", "bytes")
    for column in table.columns:
        column.justify = "right"
    for m in item.messages[:SHOWN]:
        row = (f"{item.source.name} {m.source_rank}", f"{item.target.name} {m.target_rank}")
        table.add_row(*row, f"{m.cells:,}", f"{m.values:,}", f"{m.bytes:,}")
    console.print(table)
    if len(item.messages) > SHOWN:
        say(console, f"  and {len(item.messages) - SHOWN} more messages (--json has them all)")


def print_profiles(
    console: Console, spec: CouplingSpec, profiles: dict[str, dict[str, Any]]
) -> None:
    """Where each side's time went, for a coupling step."""
    table = Table("component", "doing", "s per coupling step", "share", title="Where the time went")
    table.title_justify = "left"
    table.columns[2].justify = table.columns[3].justify = "right"
    models = set()
    last = ""
    for name, profile in profiles.items():
        model = spec.incoming(name)[0].source
        for component, what, seconds, share in summary(name, model, profile):
            if component in models:
                continue  # another worker told of this model already
            label = "" if component == last else component
            last = component
            table.add_row(label, what, f"{seconds:.6f}", f"{share:.1%}")
        models.add(model)
    console.print(table)
    for name, profile in profiles.items():
        if profile.get("how"):
            say(console, f"{name}: {profile['how']}")


def print_outputs(console: Console, files: list[Path], base: Path) -> None:
    for file in files:
        say(console, f"  {_near(file, base)}  {size_text(file.stat().st_size)}")


def _near(path: Path, base: Path) -> Path:
    """Relative to `base` where it lies below it."""
    return path.relative_to(base) if path.is_relative_to(base) else path
