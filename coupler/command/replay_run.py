# SPDX-License-Identifier: MIT
"""`halocline replay`, as a user sees it: what was used, a table, a picture, an exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table
from rich.text import Text

from coupler.command.pictures import drawn, into
from coupler.command.replay import (
    Difference,
    Kept,
    Replay,
    ReplayError,
    choose_component,
    compare,
    prepare,
)
from coupler.command.tables import say
from coupler.record import Record, RecordError, open_record
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError

FAILED = 1
ROUNDING = 1e-5  # of the largest value: differences below it may come of another order of sums


@dataclass(frozen=True)
class ReplayOptions:
    component: str | None
    steps: int | None
    tolerance: float  # of the largest magnitude in the record; 0: bits are equal
    plot: Path | None
    output: Path | None


def replay_record(spec: CouplingSpec, path: Path, options: ReplayOptions, console: Console) -> int:
    """The exit code. Raises SpecError where record, spec and predictor do not fit."""
    try:
        record = open_record(path)
    except RecordError as error:
        raise SpecError([str(error)]) from error
    with record:
        if not len(record.dates):
            raise SpecError([f"{path}: the record holds no date that every rank has"])
        worker = choose_component(spec, options.component, record)
        replay = prepare(spec, worker, record)
        _say_what(replay, options, console)
        found = None
        try:
            for found in compare(replay, options.steps, options.output):  # noqa: B007
                pass
        except ReplayError as error:
            say(Console(stderr=True), f"halocline: {worker}: {error}", "bold red")
            return FAILED
        assert found is not None
        differences, kept = found
    return _say_result(differences, kept, options, console)


def _say_what(replay: Replay, options: ReplayOptions, console: Console) -> None:
    record, spec = replay.record, replay.spec
    count = len(record.dates)
    steps = count if options.steps is None else min(options.steps, count)
    dates = f"{record.dates[0]} to {record.dates[steps - 1]} s"
    boxes = len(replay.subdomains)
    plural = "" if boxes == 1 else "es"
    say(console, f"replay of {steps} dates, {dates}, in {boxes} box{plural}")
    say(console, f"  {replay.worker}: {replay.predictor.name}")
    if record.attributes["spec_digest"] != spec.digest:
        say(console, f"  {spec.path.name} or its namelist is not as it was recorded", "yellow")
    _say_precision(replay, record, console)
    if not record.complete:
        say(console, "  the recorded run failed, or skipped dates", "yellow")


def _say_precision(replay: Replay, record: Record, console: Console) -> None:
    rounded = [f.name for f in record.fields.values() if f.dtype.name != f.attributes["wire"]]
    if rounded:
        text = f"  {', '.join(rounded)}: recorded in another precision than they travelled in"
        say(console, f"{text}, so answers may differ by that", "yellow")


def _say_result(
    differences: dict[str, Difference], kept: Kept, options: ReplayOptions, console: Console
) -> int:
    table = Table("answer", "max |diff|", "relative", "first date", "largest at", "")
    for column in table.columns[1:5]:
        column.justify = "right"
    good = True
    for item in differences.values():
        within = item.within(options.tolerance)
        good = good and within
        level, y, x = item.place or (0, 0, 0)
        where = f"{item.worst} s [{level}, {y}, {x}]" if item.place else ""
        verdict = "equal bits" if not item.unequal else "within" if within else "differs"
        table.add_row(
            item.name,
            f"{item.largest:.3e}",
            f"{item.relative:.3e}",
            "" if item.first is None else f"{item.first} s",
            where,
            Text(verdict, style="green" if within else "red"),
        )
    console.print(table)
    if any(item.place for item in differences.values()):
        say(console, "largest at: date [level, y, x], counted from 0")
    used = f"{options.tolerance:g} of the largest value" if options.tolerance else "equal bits"
    say(console, f"expected: {used} (--tolerance)", "" if good else "red")
    if not good and all(item.relative <= ROUNDING for item in differences.values()):
        say(
            console,
            "no more than rounding: convolutions add in another order in other boxes, and where "
            "levels are cut otherwise (inference.chunk: auto is timed); try --tolerance 1e-6",
        )
    if options.output:
        say(console, f"answers: {options.output}")
    if options.plot and not _draw(kept, options.plot, console):
        return FAILED
    return 0 if good else FAILED


def _draw(kept: Kept, path: Path, console: Console) -> bool:
    def draw() -> Path:
        from coupler.command.replay_picture import draw_replay

        return into(path, lambda file: draw_replay(kept, file))

    return drawn(console, draw)
