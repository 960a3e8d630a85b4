# SPDX-License-Identifier: MIT
"""YAML file -> CouplingSpec. Everything that can be wrong in a spec is found and said here."""

from __future__ import annotations

import hashlib
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from coupler.clock import parse_period
from coupler.namelist import ModelNamelist, read_namelist
from coupler.spec import (
    Boundary,
    ComponentSpec,
    CouplingSpec,
    ExchangeSpec,
    FieldSpec,
    Fill,
    GridSpec,
    Kind,
    Point,
    Wire,
)
from coupler.spec_yaml import Problems, SpecError, Value, hint, read_yaml

# Where a namelist says what the coupler must know; `run.namelist` may say otherwise.
NAMELIST_KEYS = {
    "dt": "time.dt",
    "steps": "time.steps",
    "x": "grid.nx",
    "y": "grid.ny",
    "z": "grid.nz",
}
RUN_KEYS = ("directory", "namelist", "dt", "steps", "expect", "reference", "time_limit")
EXCHANGE_KEYS = ("from", "to", "grid", "every", "lag", "halo", "wire", "fields", "static")


@dataclass
class _Run:
    directory: Path
    namelist: ModelNamelist | None
    keys: dict[str, str]
    reference: dict[str, object]
    time_step: int
    steps: int | None
    time_limit: float


def load_spec(path: str | Path) -> CouplingSpec:
    """Raises SpecError with every mistake, each as `file:line: got, expected`."""
    path = Path(path).absolute()
    problems = Problems()
    root = read_yaml(path, problems)
    found = root.mapping(
        ("run", "components", "grids", "exchanges"), ("components", "grids", "exchanges")
    )
    run = _read_run(found.get("run"), path, problems)
    components = _read_components(found.get("components"))
    grids = _read_grids(found.get("grids"), run)
    exchanges = _read_exchanges(found.get("exchanges"), run, components, grids, problems)
    problems.raise_if_any()
    digest = hashlib.sha256(path.read_bytes())
    if run.namelist is not None:
        digest.update(run.namelist.path.read_bytes())
    return CouplingSpec(
        path,
        run.directory,
        run.namelist.path if run.namelist else None,
        run.reference,
        run.time_step,
        run.steps,
        run.time_limit,
        tuple(components.values()),
        tuple(exchanges),
        digest.hexdigest(),
    )


def _read_run(value: Value | None, path: Path, problems: Problems) -> _Run:
    run = _Run(Path("runs") / path.stem, None, dict(NAMELIST_KEYS), {}, 0, None, 300.0)
    if value is None:
        problems.add(f"{path.name}:1", "missing key 'run'; it names the namelist or dt and steps")
        return run
    found = value.mapping(RUN_KEYS)
    if "directory" in found:
        run.directory = Path(found["directory"].string())
    if "time_limit" in found:
        run.time_limit = found["time_limit"].number(run.time_limit)
    if "namelist" in found:
        _read_namelist_keys(found["namelist"], run)
    for name, minimum in (("dt", 1), ("steps", 0)):
        number = _sized(found.get(name), name, value, run, minimum, required=name == "dt")
        if name == "dt":
            run.time_step = number or 1
        else:
            run.steps = number
    for key, expected in found["expect"].items() if "expect" in found else ():
        _check_expected(key, expected, run)
    if "reference" in found:
        run.reference = {key: item.plain() for key, item in found["reference"].items()}
    return run


def _read_namelist_keys(value: Value, run: _Run) -> None:
    """`double_gyre.nml`, or a mapping: file, and where dt, steps, x, y, z stand in it."""
    file = value
    if value.is_mapping():
        found = value.mapping(("file", *NAMELIST_KEYS), ("file",))
        run.keys |= {key: item.string() for key, item in found.items() if key != "file"}
        if "file" not in found:
            return
        file = found["file"]
    try:
        run.namelist = read_namelist(value.path.parent / file.string(), file.place)
    except SpecError as error:
        value.problems.messages += error.messages


def _check_expected(key: str, value: Value, run: _Run) -> None:
    """`expect` says what the namelist must hold, such as `closure.kind: coupled`."""
    if run.namelist is None:
        value.problems.add(value.place, "expect compares with a namelist, but run names none")
        return
    got, expected = run.namelist.get(key), value.plain()
    if got != expected:
        value.problems.add(
            value.place, f"{run.namelist.path.name} has {key} = {got!r}, expected {expected!r}"
        )


def _sized(
    value: Value | None, name: str, parent: Value, run: _Run, minimum: int, required: bool = True
) -> int | None:
    """A whole number from the spec, from a namelist key it names, or from the usual key.

    A number in the spec that differs from the namelist is a mistake: the two would disagree later.
    """
    namelist = run.namelist
    place = value.place if value else parent.place
    key, number = run.keys[name], None
    if value is not None:
        try:
            number = int(value.string("0"))
        except ValueError:
            key = value.string()
            if namelist is None:
                value.wrong("a whole number (there is no run.namelist to look it up in)")
                return None
    if number is None and namelist is None:
        if required:
            parent.problems.add(place, f"{name} is not given: write it, or name run.namelist")
        return None
    held = namelist.get(key) if namelist else None
    if number is None:
        if held is None:
            if required or value is not None:
                try:
                    namelist.require(key) if namelist else None
                except KeyError as error:
                    parent.problems.add(place, f"{name}: {error.args[0]}")
            return None
        if isinstance(held, float) and held.is_integer():
            held = int(held)
        if not isinstance(held, int) or isinstance(held, bool):
            parent.problems.add(place, f"{name}: got {key} = {held!r}, expected a whole number")
            return None
        number = held
    elif held is not None and held != number and namelist:
        parent.problems.add(
            place, f"{name} is {number} here, but {namelist.path.name} has {key} = {held}"
        )
    if number < minimum:
        parent.problems.add(place, f"{name}: got {number}, expected {minimum} or more")
        return None
    return number


def _read_components(value: Value | None) -> dict[str, ComponentSpec]:
    components: dict[str, ComponentSpec] = {}
    for name, item in value.items() if value else ():
        found = item.mapping(("command", "worker", "ranks", "predictor", "decomposition"))
        worker = found["worker"].boolean(False) if "worker" in found else False
        command = tuple(shlex.split(found["command"].string())) if "command" in found else ()
        if worker == bool(command):
            item.problems.add(
                item.place, f"component '{name}' needs either 'command' or 'worker: true'"
            )
        predictor = None
        if "predictor" in found:
            predictor = {key: argument.plain() for key, argument in found["predictor"].items()}
            if "python" not in predictor:
                item.problems.add(
                    found["predictor"].place, "predictor needs python: 'module:Class' or a function"
                )
        ranks = found["ranks"].integer(1, 1) if "ranks" in found else 1
        components[name] = ComponentSpec(
            name,
            ranks,
            command,
            predictor,
            _read_decomposition(found.get("decomposition"), ranks),
            item.place,
        )
    return components


def _read_decomposition(value: Value | None, ranks: int) -> tuple[int, int] | None:
    """`auto`, or {x: 2, y: 1} whose product is the number of ranks."""
    if value is None or (not value.is_mapping() and value.string() == "auto"):
        return None
    found = value.mapping(("x", "y"), ("x", "y"))
    if len(found) < 2:
        return None
    px, py = found["x"].integer(1, 1), found["y"].integer(1, 1)
    if px * py != ranks:
        value.problems.add(
            value.place, f"decomposition: got {px} x {py} boxes, expected {ranks} (ranks)"
        )
    return px, py


def _read_grids(value: Value | None, run: _Run) -> dict[str, GridSpec]:
    grids: dict[str, GridSpec] = {}
    for name, item in value.items() if value else ():
        found = item.mapping(("size", "boundary"))
        size = found["size"].mapping(("x", "y", "z")) if "size" in found else {}
        numbers = {
            axis: _sized(size.get(axis), axis, found.get("size", item), run, 1, axis != "z") or 1
            for axis in ("x", "y", "z")
        }
        sides = found["boundary"].mapping(("x", "y")) if "boundary" in found else {}
        boundary: dict[str, Boundary] = {}
        for axis in ("x", "y"):
            side = sides[axis].choice(("closed", "periodic"), "closed") if axis in sides else None
            boundary[axis] = cast(Boundary, side or "closed")
        grids[name] = GridSpec(
            name, numbers["x"], numbers["y"], numbers["z"], boundary["x"], boundary["y"]
        )
    return grids


def _read_exchanges(
    value: Value | None,
    run: _Run,
    components: dict[str, ComponentSpec],
    grids: dict[str, GridSpec],
    problems: Problems,
) -> list[ExchangeSpec]:
    exchanges: list[ExchangeSpec] = []
    for item in value.sequence() if value else []:
        exchange = _read_exchange(item, run, components, grids, exchanges)
        if exchange is not None:
            exchanges.append(exchange)
    for name, component in components.items():
        if component.is_worker and exchanges and not any(e.target == name for e in exchanges):
            text = f"worker '{name}' receives nothing: no exchange has to: {name}"
            problems.add(component.place, text)
    return exchanges


def _read_exchange(
    item: Value,
    run: _Run,
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
        if grid is None and grids:
            item.problems.add(item.place, f"missing key 'grid'; known: {', '.join(grids)}")
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
    origin = next((e for e in earlier if e.source == target and e.target == source), None)
    if not to_worker and origin is None:
        item.problems.add(
            item.place,
            f"exchange {source} -> {target}: list {target} -> {source} before its answer",
        )
    period = _read_period(found.get("every"), run, origin if not to_worker else None)
    if not to_worker and origin is not None and period != origin.period:
        item.problems.add(
            item.place,
            f"every: got {period} s, expected the {origin.period} s of the exchange it answers",
        )
    wire = found["wire"].choice(("float32", "float64"), "float32") if "wire" in found else None
    return ExchangeSpec(
        source,
        target,
        grids[grid],
        period,
        found["lag"].integer(0, 0) if "lag" in found else 0,
        found["halo"].integer(0, 0) if "halo" in found else 0,
        cast(Wire, wire or (origin.wire if origin else "float32")),
        _read_fields(found["fields"], grids[grid], grids[grid].nz),
        _read_fields(found["static"], grids[grid], 1) if "static" in found else (),
        item.place,
    )


def _read_period(value: Value | None, run: _Run, origin: ExchangeSpec | None) -> int:
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


def _read_fields(value: Value, grid: GridSpec, levels: int) -> tuple[FieldSpec, ...]:
    """A mapping name -> {point, kind, fill, levels}, or a list of names of scalars at T points."""
    if not value.is_mapping():
        return tuple(
            FieldSpec(item.string(), "T", "scalar", "zero", levels, item.place)
            for item in value.sequence()
        )
    fields = []
    for name, item in value.items():
        found = item.mapping(("point", "kind", "fill", "levels"))
        point = found["point"].choice("TUVF", "T") if "point" in found else "T"
        kind = "scalar"
        if "kind" in found:
            kind = found["kind"].choice(("scalar", "vector_i", "vector_j"), "scalar")
        fill = found["fill"].choice(("zero", "replicate"), "zero") if "fill" in found else "zero"
        count = found["levels"].integer(levels, 1) if "levels" in found else levels
        kinds = cast(Point, point), cast(Kind, kind), cast(Fill, fill)
        fields.append(FieldSpec(name, *kinds, count, item.place))
    if not fields:
        value.wrong("at least one field")
    return tuple(fields)
