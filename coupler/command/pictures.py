# SPDX-License-Identifier: MIT
"""The pictures that commands draw; matplotlib is an extra, and is imported only for them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from rich.console import Console

from coupler.command.plan import PlannedExchange
from coupler.command.run_output import OutputError
from coupler.command.tables import say
from coupler.command.timeline import RankTrace, read_traces, title, write_chrome
from coupler.command.weights import Regridded
from coupler.spec.document import SpecError


def drawn(console: Console, draw: Callable[[], Path]) -> bool:
    """Calls `draw`, which imports what draws, and says where the picture is; false with a word why
    where there can be none."""
    try:
        path = draw()
    except ImportError as error:
        return _none(console, f"{error}; pip install 'halocline[plot]'")
    say(console, f"picture: {path}", "bold green")
    return True


def _none(console: Console, why: str) -> bool:
    say(console, f"no picture: {why}", "yellow")
    return False


def into(path: Path, draw: Callable[[Path], object]) -> Path:
    """The file that was asked for, .png where it has no ending. Raises SpecError for an ending that
    matplotlib does not know."""
    path = path if path.suffix else path.with_name(f"{path.name.rstrip('.')}.png")
    try:
        draw(path)
    except ValueError as error:
        raise SpecError([f"--plot {path}: {error}"]) from error
    return path


def draw_finished(console: Console, directory: Path, reference: Path | None) -> bool:
    """A run, beside the reference if there is one."""

    def draw() -> Path:
        from coupler.command.picture import draw_run

        return draw_run(directory, reference)

    try:
        return drawn(console, draw)
    except OutputError as error:
        return _none(console, str(error))


def draw_worker(console: Console, path: Path, item: PlannedExchange, rank: int) -> bool:
    """What one worker rank receives from whom."""
    if item.exchange.regrid is not None:
        return _none(
            console, f"{item.exchange.place} is regridded: a worker's cells are made of several"
        )

    def draw() -> Path:
        from coupler.command.plan_picture import Received, draw_plan

        received = Received.of(item.exchange, item.source, item.target, rank)
        return into(path, lambda file: draw_plan(received, file))

    return drawn(console, draw)


def draw_timeline(console: Console, directory: Path) -> bool:
    """timeline.json and timeline.png of the traces in `directory`. Raises SpecError where there are
    none."""
    traces = read_traces(directory)
    path = directory / "timeline.json"
    write_chrome(traces, path)
    say(console, f"timeline: {path} (for ui.perfetto.dev); {title(traces)}", "bold green")
    return draw_timelines(console, {"": traces}, directory / "timeline.png")


def draw_timelines(console: Console, jobs: Mapping[str, Sequence[RankTrace]], path: Path) -> bool:
    """Each job by its name"""

    def draw() -> Path:
        from coupler.command import timeline_picture

        return into(path, lambda file: timeline_picture.draw_timelines(jobs, file))

    return drawn(console, draw)


def draw_weights(console: Console, items: Sequence[Regridded], function: str, path: Path) -> bool:
    """`function` on each source grid, regridded, and the misfit."""
    placed = [item for item in items if item.has_corners]
    if not placed:
        return _none(console, "the grids have no places or no corners")

    def draw() -> Path:
        from coupler.command import weights_picture

        return into(path, lambda file: weights_picture.draw_weights(placed, function, file))

    return drawn(console, draw)
