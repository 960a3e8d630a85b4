# SPDX-License-Identifier: MIT
"""A timeline as a picture: a row for each rank, a colour for each activity; the first steps and a
closer look."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch

from coupler.command.timeline import Event, RankTrace, title, with_compute
from coupler.spec.document import SpecError

COLOURS = {
    "compute": "#9ecae1",
    "inference": "#a1d99b",
    "put": "#756bb1",
    "unpack": "#fd8d3c",
    "exchange": "#756bb1",
    "wait": "#d62728",
}
NAMES = {"put": "put, exchange", "exchange": ""}  # in the legend
STEPS, CLOSER = 24, 3  # dates in the upper and in the lower part
RANKS = 12  # rows of a component


def draw_timelines(jobs: Mapping[str, Sequence[RankTrace]], path: Path) -> None:
    """Each job by its name: two parts of `path`, of the first dates and of a few of them.

    Raises SpecError where there is nothing to draw, ValueError for an ending that is no picture's.
    """
    shown = {name: _shown(traces) for name, traces in jobs.items()}
    if not all(shown.values()):
        raise SpecError([f"{path}: nothing to draw: no rank has done anything"])
    rows = sum(len(traces) for traces in shown.values())
    size = (11, 1.0 + 1.9 * len(shown) + 0.6 * rows)
    figure = Figure(figsize=size, layout="constrained")
    axes = figure.subplots(2 * len(shown), 1, squeeze=False)[:, 0]
    for number, (name, traces) in enumerate(shown.items()):
        dates = _dates(traces)
        first, closer = axes[2 * number : 2 * number + 2]
        _draw(first, traces, dates[:STEPS])
        middle = len(dates[:STEPS]) // 2
        _draw(closer, traces, dates[middle : middle + CLOSER])
        first.set_title(f"{name}: {title(jobs[name])}" if name else title(jobs[name]), fontsize=10)
        closer.set_xlabel("time [ms]")
    handles = [
        Patch(color=colour, label=NAMES.get(what, what))
        for what, colour in COLOURS.items()
        if NAMES.get(what, what)
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False)
    figure.savefig(path, dpi=120)


def _shown(traces: Sequence[RankTrace]) -> list[RankTrace]:
    by_component = groupby(traces, key=lambda trace: trace.component)
    return [trace for _, ranks in by_component for trace in list(ranks)[:RANKS] if trace.events]


def _dates(traces: Sequence[RankTrace]) -> list[int]:
    """Dates of the first model rank; those that a worker never reached are not in it."""
    model = [trace for trace in traces if trace.kind == "model"] or traces[:1]
    return sorted({event.date for trace in model[:1] for event in trace.events})


def _draw(axes: Axes, traces: Sequence[RankTrace], dates: Sequence[int]) -> None:
    """From the first model rank's first event of `dates` to the first one behind them."""
    first = traces[0].since(dates[0])
    behind = first.since(dates[-1] + 1)
    begin = first.begin
    end = behind.begin if behind.events else begin + first.seconds
    for row, trace in enumerate(traces):
        inside = [e for e in with_compute(trace) if e.end >= begin and e.begin <= end]
        for what, colour in COLOURS.items():  # waits last: they lie within puts
            bars = [_bar(event, begin) for event in inside if event.what == what]
            axes.broken_barh(bars, (row - 0.4, 0.8), color=colour, linewidth=0)
    axes.set_xlim(0, 1e3 * (end - begin))
    axes.set_ylim(len(traces) - 0.5, -0.5)
    axes.set_yticks(range(len(traces)), [f"{t.component} {t.rank}" for t in traces])
    axes.spines[["top", "right"]].set_visible(False)


def _bar(event: Event, origin: float) -> tuple[float, float]:
    return 1e3 * (event.begin - origin), 1e3 * event.seconds
