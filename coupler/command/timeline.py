# SPDX-License-Identifier: MIT
"""The traces of a job's ranks as one timeline: read, measured, and written for Perfetto."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from coupler.spec.document import SpecError
from coupler.trace import COLUMNS, CUT, ENDING, MAGIC

WAIT, COMPUTE = "wait", "compute"


@dataclass(frozen=True, slots=True)
class Event:
    """`what` a rank did from `begin` to `end` [s since 1970] for `fields` of `date` [s]."""

    begin: float
    end: float
    what: str
    date: int
    fields: str

    @property
    def seconds(self) -> float:
        return self.end - self.begin


@dataclass(frozen=True)
class RankTrace:
    """The events of one rank, in order of their beginning; one may lie within another."""

    component: str
    rank: int
    kind: str  # "model" or "worker"
    host: str
    events: tuple[Event, ...]
    cut: bool  # it had more than its file may hold

    @property
    def seconds(self) -> float:
        return max((e.end for e in self.events), default=0.0) - self.begin

    @property
    def begin(self) -> float:
        return self.events[0].begin if self.events else 0.0

    def since(self, date: int) -> RankTrace:
        """Without the events of dates before `date`."""
        events = tuple(event for event in self.events if event.date >= date)
        return RankTrace(self.component, self.rank, self.kind, self.host, events, self.cut)


def read_traces(directory: Path) -> list[RankTrace]:
    """Models before workers. Raises SpecError where there are none, or a file is no trace."""
    files = list(directory.glob(f"*{ENDING}"))
    if not files:
        raise SpecError(
            [
                f"{directory}: no traces; expected *{ENDING}, which `halocline run SPEC "
                "--timeline` writes, and any job with HALOCLINE_TRACE=directory"
            ]
        )
    return sorted(map(_read, files), key=lambda t: (t.kind != "model", t.component, t.rank))


def _read(path: Path) -> RankTrace:
    """The last line of a rank that was killed may be half a line: it is left out."""
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    try:
        magic, component, rank, kind, host = lines[0].split(",", 4)
        if magic != MAGIC or lines[1] != COLUMNS:
            raise ValueError
        cut = lines[-1] == CUT
        events = sorted(map(_event, lines[2:-1] if cut else lines[2:]), key=_order)
    except (ValueError, IndexError):
        raise SpecError([f"{path}: this is no trace of halocline"]) from None
    return RankTrace(component, int(rank), kind, host, tuple(events), cut)


def _event(line: str) -> Event:
    begin, end, what, date, fields = line.split(",", 4)
    return Event(float(begin), float(end), what, int(date), fields)


def _order(event: Event) -> tuple[float, float]:
    return event.begin, -event.end  # what contains another comes first


def with_compute(trace: RankTrace) -> tuple[Event, ...]:
    """The events, and what a model does between them: its own work."""
    if trace.kind != "model":
        return trace.events
    return tuple(sorted((*trace.events, *_gaps(trace.events)), key=_order))


def _gaps(events: Iterable[Event]) -> Iterator[Event]:
    last: Event | None = None
    for event in events:
        if last is not None and event.begin > last.end:
            yield Event(last.end, event.begin, COMPUTE, last.date, "")
        if last is None or event.end > last.end:
            last = event


def waiting_share(traces: Iterable[RankTrace]) -> dict[str, float]:
    """By component: what part of its ranks' time, first to last event, they waited."""
    waited: dict[str, float] = {}
    total: dict[str, float] = {}
    for trace in traces:
        mine = sum(event.seconds for event in trace.events if event.what == WAIT)
        waited[trace.component] = waited.get(trace.component, 0.0) + mine
        total[trace.component] = total.get(trace.component, 0.0) + trace.seconds
    return {name: waited[name] / total[name] if total[name] else 0.0 for name in waited}


def title(traces: Sequence[RankTrace]) -> str:
    """`ocean waits 0.4 % of its time, closure 52.1 %`; and what is not in the traces."""
    shares = [f"{name} {share:.1%}" for name, share in waiting_share(traces).items()]
    text = "waiting: " + ", ".join(shares)
    cut = sum(trace.cut for trace in traces)
    hosts = {trace.host for trace in traces}
    text += f"; {cut} of {len(traces)} traces were cut at their limit of events" if cut else ""
    return text + (f"; {len(hosts)} nodes, each by its own clock" if len(hosts) > 1 else "")


def write_chrome(traces: Sequence[RankTrace], path: Path) -> None:
    """Opens in Perfetto (ui.perfetto.dev) or chrome://tracing: one process a component, one thread
    a rank. "Trace Event Format", Google: complete events (X) in microseconds, and metadata (M)."""
    origin = min((trace.begin for trace in traces if trace.events), default=0.0)
    components = list(dict.fromkeys(trace.component for trace in traces))
    events: list[dict[str, object]] = [
        {"name": "process_name", "ph": "M", "pid": pid, "tid": 0, "args": {"name": name}}
        for pid, name in enumerate(components, 1)
    ]
    for trace in traces:
        place = {"pid": components.index(trace.component) + 1, "tid": trace.rank}
        name = {"name": f"rank {trace.rank} on {trace.host}"}
        events.append({"name": "thread_name", "ph": "M", **place, "args": name})
        events += [
            {
                "name": event.what,
                "cat": trace.kind,
                "ph": "X",
                "ts": round(1e6 * (event.begin - origin), 1),
                "dur": round(1e6 * event.seconds, 1),
                **place,
                "args": {"date": event.date, "fields": event.fields},
            }
            for event in with_compute(trace)
        ]
    document = {
        "traceEvents": events,
        "displayTimeUnit": "ms",
        "otherData": {"title": title(traces), "cut": any(trace.cut for trace in traces)},
    }
    path.write_text(json.dumps(document), encoding="utf-8")
