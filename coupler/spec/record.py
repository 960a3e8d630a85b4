# SPDX-License-Identifier: MIT
"""The spec's `record` of a worker: which of its fields are written to files, and how."""

from __future__ import annotations

import math
import string
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast, get_args

from coupler.clock import parse_period
from coupler.spec import ComponentSpec, ExchangeSpec, RecordSpec, WhenSlow, Wire
from coupler.spec.document import Value, hint
from coupler.spec.run import Run

RECORD_KEYS = (
    *("fields", "every", "from", "until", "file", "precision", "deflate", "chunks"),
    *("flush", "buffer", "when_slow", "overwrite", "origin", "calendar"),
)
FILE = "{component}_record_{start}"
NAMES_IN_FILE = ("component", "start")
AXES = ("time", "level", "y", "x")
ORIGIN, CALENDAR = "0001-01-01 00:00:00", "noleap"  # where nothing says it


def read_records(
    value: Value | None,
    components: dict[str, ComponentSpec],
    exchanges: Sequence[ExchangeSpec],
    run: Run,
) -> dict[str, ComponentSpec]:
    """`components` (of which `value` is the mapping) with what each of them records."""
    found = dict(components)
    for name, item in value.items() if value and value.is_mapping() else ():
        record = dict(item.items()).get("record") if item.is_mapping() else None
        if record is None:
            continue
        if not components[name].is_worker:
            record.problems.add(record.key_place, "'record' belongs to a worker")
        elif exchanges:
            found[name] = replace(components[name], record=_read(record, name, exchanges, run))
    return found


def _read(
    value: Value, worker: str, exchanges: Sequence[ExchangeSpec], run: Run
) -> RecordSpec | None:
    """`true` records everything; a mapping says what and how."""
    found: Mapping[str, Value] = {}
    if value.is_mapping():
        found = value.mapping(RECORD_KEYS)
    elif not value.boolean(False):
        return None
    periods: dict[str, int] = {}
    for exchange in exchanges:
        for field in exchange.fields if worker in (exchange.source, exchange.target) else ():
            # one that comes and goes may have two
            periods[field.name] = math.lcm(periods.get(field.name, 1), exchange.period)
    static = [f.name for e in exchanges if e.target == worker for f in e.static]
    known = [*static, *periods]
    fields = tuple(_read_names(found["fields"], known)) if "fields" in found else tuple(known)
    precision = found["precision"].choice(get_args(Wire), "float32") if "precision" in found else ""
    slow = found["when_slow"].choice(get_args(WhenSlow), "wait") if "when_slow" in found else "wait"
    file = found["file"].string(FILE) if "file" in found else FILE
    if "file" in found:
        _check_file(found["file"], file)
    origin, calendar = _read_origin(found, run)
    record = RecordSpec(
        fields,
        _read_period(found.get("every"), [periods[f] for f in fields if f in periods], run),
        _read_date(found.get("from"), run.time_step),
        _read_date(found.get("until"), run.time_step),
        file,
        cast(Wire, precision) if precision else None,
        _read_deflate(found.get("deflate")),
        {
            axis: size.integer(1, 1)
            for axis, size in (found["chunks"].mapping(AXES) if "chunks" in found else {}).items()
        },
        found["flush"].integer(8, 1) if "flush" in found else 8,
        found["buffer"].integer(1, 1) if "buffer" in found else None,
        cast(WhenSlow, slow),
        found["overwrite"].boolean(False) if "overwrite" in found else False,
        f"seconds since {origin}",
        calendar,
        value.place,
    )
    if record.first is not None and record.last is not None and record.last < record.first:
        found["until"].wrong(f"{record.first} s ('from') or later")
    return record


def _read_names(value: Value, known: Sequence[str]) -> list[str]:
    names = []
    for item in value.sequence():
        name = item.string()
        if name in known and name not in names:
            names.append(name)
        elif name in names:
            item.problems.add(item.place, f"record: '{name}' is listed twice")
        else:
            text = f"record: no field '{name}' comes or goes{hint(name, known)}"
            item.problems.add(item.place, text)
    return names


def _read_period(value: Value | None, periods: Sequence[int], run: Run) -> int:
    """A multiple of the periods of all recorded fields, so that every record holds all of them."""
    least = math.lcm(*periods) if periods else run.time_step
    if value is None:
        return least
    try:
        period = parse_period(value.string("1 step"), run.time_step)
    except ValueError as error:
        value.wrong(str(error))
        return least
    if period % least:
        value.wrong(f"a multiple of {least} s, when all recorded fields are exchanged")
    return period


def _read_date(value: Value | None, time_step: int) -> int | None:
    """[s] since the model's origin: 0, or as a period."""
    if value is None or value.string("0") == "0":
        return None if value is None else 0
    try:
        return parse_period(value.string(), time_step)
    except ValueError as error:
        value.wrong(f"{error}; or 0")
        return None


def _read_deflate(value: Value | None) -> int:
    level = value.integer(0, 0) if value is not None else 0
    if value is not None and level > 9:
        value.wrong("0 (none) to 9")
    return level


def _check_file(value: Value, file: str) -> None:
    """A name into which only what is known is filled."""
    try:
        names = [name for _, name, _, _ in string.Formatter().parse(file) if name is not None]
    except ValueError as error:
        value.wrong(f"a file name; {error}")
        return
    for name in names:
        if name not in NAMES_IN_FILE:
            value.wrong(f"a file name with {{component}} and {{start}} only, not {{{name}}}")


def _read_origin(found: Mapping[str, Value], run: Run) -> tuple[str, str]:
    """The model's date 0 and its calendar: from here, from the namelist, or the usual ones."""
    result = []
    for key, usual in (("origin", ORIGIN), ("calendar", CALENDAR)):
        held = run.namelist.get(f"experiment.{key}") if run.namelist else None
        result.append(found[key].string(usual) if key in found else str(held or usual))
    return result[0], result[1]
