# SPDX-License-Identifier: MIT
"""The spec's `exchanges` and their fields."""

from __future__ import annotations

from typing import cast, get_args

from coupler.clock import parse_period
from coupler.protocol import NAME_LENGTH
from coupler.spec import (
    ComponentSpec,
    ExchangeSpec,
    FieldSpec,
    Fill,
    GridSpec,
    Kind,
    Point,
    Transport,
    Wire,
)
from coupler.spec.document import Problems, Value, hint
from coupler.spec.regrid import check_conserve, check_masks, check_vectors, read_regrid
from coupler.spec.run import Run
from coupler.spec.treatment import TREATMENT_KEYS, read_treatment

EXCHANGE_KEYS = (
    *("from", "to", "grid", "regrid", "every", "lag", "halo", "wire"),
    *("transport", "check_finite", "statistics", "fields", "static"),
)


def read_exchanges(
    value: Value | None,
    run: Run,
    components: dict[str, ComponentSpec],
    grids: dict[str, GridSpec],
    problems: Problems,
) -> list[ExchangeSpec]:
    exchanges: list[ExchangeSpec] = []
    for item in value.sequence() if value else []:
        exchange = _read_exchange(item, run, components, grids, exchanges)
        if exchange is not None:
            exchanges.append(exchange)
    if value and not exchanges and not problems.messages:
        value.wrong("at least one exchange")
    _check_fields_once(exchanges, problems)
    _check_order(exchanges, components, problems)
    models = sorted({e.source for e in exchanges if not components[e.source].is_worker})
    if len(models) > 1:
        problems.add(exchanges[0].place, f"got {' and '.join(models)}, expected one model in a job")
    for name, component in components.items():
        if component.is_worker and exchanges and not any(e.target == name for e in exchanges):
            text = f"worker '{name}' receives nothing: no exchange has to: {name}"
            problems.add(component.place, text)
    return exchanges


def _check_fields_once(exchanges: list[ExchangeSpec], problems: Problems) -> None:
    """A field goes from one component to another in one exchange, once."""
    seen: set[tuple[str, str, str]] = set()
    for e in exchanges:
        for field in (*e.fields, *e.static):
            if (e.source, e.target, field.name) in seen:
                text = f"field '{field.name}' is listed twice from {e.source} to {e.target}"
                problems.add(field.place, text)
            seen.add((e.source, e.target, field.name))
    _check_answers_once(exchanges, problems)


def _check_answers_once(exchanges: list[ExchangeSpec], problems: Problems) -> None:
    """A level of a model's field comes from one worker: a second one would overwrite it."""
    answers = [(e, field) for e in exchanges for field in e.fields]
    for number, (e, field) in enumerate(answers):
        for other, same in answers[:number]:
            if (other.target, same.name) != (e.target, field.name) or other.source == e.source:
                continue
            first = max(field.first_level, same.first_level)
            if first <= min(field.last_level, same.last_level):
                problems.add(
                    field.place,
                    f"field '{field.name}' of {e.target}: level {first} comes from {other.source} "
                    f"({same.place}) and from {e.source}, which would overwrite it; expected one "
                    "of them, or other levels",
                )


def _check_order(
    exchanges: list[ExchangeSpec], components: dict[str, ComponentSpec], problems: Problems
) -> None:
    """The list is the order of the model's calls; a worker waits for all inputs of a date. So an
    input that is put behind a get without lag is never put, and the get never ends."""
    for number, answer in enumerate(exchanges):
        if answer.lag or not components[answer.source].is_worker:
            continue
        for late in exchanges[number + 1 :]:
            if (late.source, late.target) == (answer.target, answer.source):
                problems.add(
                    late.place,
                    f"{late} comes behind {answer}, which has lag 0: {late.source} waits for the "
                    f"answer before it puts what {late.target} waits for; list it before "
                    f"{answer.place}, or give the answer a lag",
                )


def check_name(name: str, value: Value) -> None:
    """Names travel to the model in NAME_LENGTH characters of one byte, and are parts of the names
    of files and of what is in them: a restart with `du/dt` could not be read."""
    if len(name) > NAME_LENGTH:
        text = f"name of {len(name)} characters, expected {NAME_LENGTH} at most"
        value.problems.add(value.key_place, text)
    if not (name.isascii() and name.isprintable() and name.strip() == name != ""):
        value.problems.add(value.key_place, f"name {name!r}, expected ASCII letters and digits")
    if "/" in name:
        value.problems.add(value.key_place, f"name {name!r}, expected one without '/'")


def _read_exchange(
    item: Value,
    run: Run,
    components: dict[str, ComponentSpec],
    grids: dict[str, GridSpec],
    earlier: list[ExchangeSpec],
) -> ExchangeSpec | None:
    found = item.mapping(EXCHANGE_KEYS, ("from", "to", "fields"))
    ends = [_named(found.get(key), components, "component") for key in ("from", "to")]
    if "grid" in found:
        grid = _named(found["grid"], grids, "grid")
    else:
        grid = next(iter(grids)) if len(grids) == 1 else None
        if grid is None:
            item.problems.add(item.place, f"missing key 'grid'{hint('', grids)}")
    if None in ends or grid is None or "fields" not in found:
        return None
    source, target = cast("list[str]", ends)
    if components[source].is_worker == components[target].is_worker:
        item.problems.add(
            item.place, f"exchange {source} -> {target}: one side must be a model, one a worker"
        )
        return None
    to_worker = components[target].is_worker
    for key, allowed, side in (("halo", to_worker, "to"), ("static", to_worker, "to")):
        if key in found and not allowed:
            text = f"'{key}' belongs to the exchange {side} the worker"
            item.problems.add(found[key].place, text)
    if "lag" in found and to_worker:
        item.problems.add(found["lag"].place, "'lag' belongs to the exchange from the worker")
    answered = [e for e in earlier if e.source == target and e.target == source]
    origin = next(iter(answered), None)
    if not to_worker and origin is None:
        item.problems.add(
            item.place,
            f"exchange {source} -> {target}: list {target} -> {source} before its answer; the "
            f"list is the order of the calls, and {source} answers what it has received",
        )
    period = _read_period(found.get("every"), run, origin if not to_worker else None)
    if not to_worker and answered:
        origin = next((e for e in answered if e.period == period), None)
        if origin is None:
            periods = " or ".join(f"{e.period} s" for e in answered)
            text = f"every: got {period} s, expected the {periods} of the exchange it answers"
            item.problems.add(item.place, text)
    halo, measured = _read_halo(found.get("halo"))
    wire = found["wire"].choice(get_args(Wire), "float32") if "wire" in found else None
    checked = found["check_finite"].boolean(True) if "check_finite" in found else None
    names = get_args(Transport)
    transport = found["transport"].choice(names, "auto") if "transport" in found else None
    exchange = ExchangeSpec(
        source,
        target,
        grids[grid],
        period,
        found["lag"].integer(0, 0) if "lag" in found else 0,
        halo,
        cast(Wire, wire or (origin.wire if origin else "float32")),
        cast(Transport, transport or (origin.transport if origin else "auto")),
        checked if checked is not None else origin is None or origin.check_finite,
        _read_fields(found["fields"], grids[grid].nz, to_worker),
        _read_fields(found["static"], 1, False) if "static" in found else (),
        item.place,
        found["statistics"].boolean(False) if "statistics" in found else False,
        measured,
        read_regrid(found["regrid"], grids, to_worker) if "regrid" in found else None,
    )
    mirrored = mirror_error(exchange)
    if mirrored is not None:
        item.problems.add(found["halo"].place, mirrored)
    check_masks(exchange, to_worker, item.problems)
    check_vectors(exchange, item.problems)
    check_conserve(exchange, item.problems)
    return exchange


def _read_halo(value: Value | None) -> tuple[int, bool]:
    """(cells, whether they are still to be measured)"""
    if value is None:
        return 0, False
    if value.text() == "'auto'":
        return 0, True
    return value.integer(0, 0, "or 'auto'"), False


def mirror_error(exchange: ExchangeSpec) -> str | None:
    """A halo of ny cells reaches the southern mirror image of the last row, which would have to be
    folded in turn: a cell's fill is one fold or one mirror."""
    rows = exchange.worker_grid.ny
    mirrored = [f for f in (*exchange.fields, *exchange.static) if f.fill == "reflect"]
    if exchange.worker_grid.north is None or not mirrored or exchange.halo < rows:
        return None
    return (
        f"halo: got {exchange.halo}, expected less than {rows}, the rows of grid "
        f"'{exchange.worker_grid.name}': field '{mirrored[0].name}' has fill 'reflect', and a "
        "mirror image of the north fold is not made; take a smaller halo or another fill"
    )


def _read_period(value: Value | None, run: Run, origin: ExchangeSpec | None) -> int:
    if value is None:
        return origin.period if origin else run.time_step
    try:
        return parse_period(value.string("1 step"), run.time_step)
    except ValueError as error:
        value.wrong(str(error))
        return run.time_step


def _named(
    value: Value | None, known: dict[str, ComponentSpec] | dict[str, GridSpec], what: str
) -> str | None:
    if value is None:
        return None
    name = value.string()
    if name in known:
        return name
    value.problems.add(value.place, f"unknown {what} '{name}'{hint(name, known)}")
    return None


def _read_fields(value: Value, levels: int, may_reduce: bool) -> tuple[FieldSpec, ...]:
    """A mapping name -> {point, kind, fill, levels...}, or a list of names of scalars at T points.

    `may_reduce`: the model puts the fields again and again, so they can be averaged.
    """
    fields: list[FieldSpec] = []
    for item in () if value.is_mapping() else value.sequence():
        name = item.string("?")
        check_name(name, item)
        fields.append(FieldSpec(name, "T", "scalar", "zero", levels, item.place))
    for name, item in value.items() if value.is_mapping() else ():
        check_name(name, item)
        found = item.mapping(("point", "kind", "fill", *TREATMENT_KEYS))
        point = found["point"].choice("TUVF", "T") if "point" in found else "T"
        kind = "scalar"
        if "kind" in found:
            kind = found["kind"].choice(get_args(Kind), "scalar")
        fill = found["fill"].choice(get_args(Fill), "zero") if "fill" in found else "zero"
        kinds = cast(Point, point), cast(Kind, kind), cast(Fill, fill)
        field = FieldSpec(name, *kinds, levels, item.place)
        fields.append(read_treatment(field, found, may_reduce))
    if not fields:
        value.wrong("at least one field")
    return tuple(fields)
