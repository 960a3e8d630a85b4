# SPDX-License-Identifier: MIT
"""YAML file -> CouplingSpec. Everything that can be wrong in a spec is found and said."""

from __future__ import annotations

import hashlib
import shlex
from pathlib import Path
from typing import cast, get_args

from coupler.spec import ComponentSpec, CouplingSpec, OnFailure
from coupler.spec.document import Problems, Value, read_yaml
from coupler.spec.exchanges import check_name, read_exchanges
from coupler.spec.grids import read_grids
from coupler.spec.inference import read_inference
from coupler.spec.mapping import with_mapped_outputs
from coupler.spec.predictor import read_predictor
from coupler.spec.record import read_records
from coupler.spec.run import read_run

COMPONENT_KEYS = (
    *("command", "worker", "ranks", "predictor", "decomposition"),
    *("device", "inference", "record", "on_failure"),
)


def load_spec(path: str | Path) -> CouplingSpec:
    """Raises SpecError with every mistake, each as `file:line: got, expected`."""
    path = Path(path).absolute()
    problems = Problems()
    root = read_yaml(path, problems)
    found = root.mapping(
        ("run", "components", "grids", "exchanges"), ("components", "grids", "exchanges")
    )
    run = read_run(found.get("run"), path, problems)
    components = _read_components(found.get("components"))
    grids = read_grids(found.get("grids"), run)
    exchanges = read_exchanges(found.get("exchanges"), run, components, grids, problems)
    components = {
        name: with_mapped_outputs(component, exchanges, problems)
        for name, component in components.items()
    }
    components = read_records(found.get("components"), components, exchanges, run)
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


def _read_components(value: Value | None) -> dict[str, ComponentSpec]:
    components: dict[str, ComponentSpec] = {}
    for name, item in value.items() if value else ():
        check_name(name, item)
        found = item.mapping(COMPONENT_KEYS)
        worker = found["worker"].boolean(False) if "worker" in found else False
        command = _read_command(found["command"]) if "command" in found else ()
        if worker == bool(command):
            item.problems.add(
                item.place, f"component '{name}' needs either 'command' or 'worker: true'"
            )
        ranks = found["ranks"].integer(1, 1) if "ranks" in found else 1
        components[name] = ComponentSpec(
            name,
            ranks,
            command,
            read_predictor(found["predictor"]) if "predictor" in found else None,
            _read_decomposition(found.get("decomposition"), ranks),
            item.place,
            inference=read_inference(found.get("device"), found.get("inference"), item.place),
            on_failure=_read_on_failure(found.get("on_failure")),
        )
        for key in ("device", "inference", "on_failure") if command else ():
            if key in found:
                text = f"component '{name}': '{key}' belongs to a worker, got a command"
                item.problems.add(found[key].key_place, text)
        if "on_failure" in found and worker and "predictor" not in found:
            text = f"component '{name}': 'on_failure' is of a predictor, and there is none"
            item.problems.add(found["on_failure"].key_place, text)
    return components


def _read_on_failure(value: Value | None) -> OnFailure:
    chosen = value.choice(get_args(OnFailure), "abort") if value else "abort"
    return cast(OnFailure, chosen)


def _read_command(value: Value) -> tuple[str, ...]:
    """The words of a command line, as a shell splits them; at least one."""
    words = []
    try:
        words = shlex.split(value.string("?"))
    except ValueError as error:
        value.wrong(f"a command line; {error}")
    else:
        if not words:
            value.wrong("a command line")
    return tuple(words) or ("?",)


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
