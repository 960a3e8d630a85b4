# SPDX-License-Identifier: MIT
"""The spec's `run`: the model's namelist, time step, sizes, and where they are written."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from coupler.spec.document import Problems, SpecError, Value
from coupler.spec.namelist import ModelNamelist, read_namelist

# Where a namelist says what the coupler must know; `run.namelist` may say otherwise.
NAMELIST_KEYS = {
    "dt": "time.dt",
    "steps": "time.steps",
    "x": "grid.nx",
    "y": "grid.ny",
    "z": "grid.nz",
}
RUN_KEYS = ("directory", "namelist", "dt", "steps", "expect", "reference", "time_limit")


@dataclass
class Run:
    directory: Path
    namelist: ModelNamelist | None
    keys: dict[str, str]
    reference: dict[str, object]
    time_step: int
    steps: int | None
    time_limit: float
    unreadable: bool = False  # the namelist: said once, not again by all that it should hold


def read_run(value: Value | None, path: Path, problems: Problems) -> Run:
    run = Run(Path("runs") / path.stem, None, dict(NAMELIST_KEYS), {}, 0, None, 300.0)
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
        number = read_size(found.get(name), name, value, run, minimum, required=name == "dt")
        if name == "dt":
            run.time_step = number or 1
        else:
            run.steps = number
    for key, expected in found["expect"].items() if "expect" in found else ():
        _check_expected(key, expected, run)
    if "reference" in found:
        run.reference = {key: item.plain() for key, item in found["reference"].items()}
    return run


def _read_namelist_keys(value: Value, run: Run) -> None:
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
        run.unreadable = True


def _check_expected(key: str, value: Value, run: Run) -> None:
    """`expect` says what the namelist must hold, such as `closure.kind: coupled`."""
    if run.unreadable:
        return
    if run.namelist is None:
        value.problems.add(value.place, "expect compares with a namelist, but run names none")
        return
    got, expected = run.namelist.get(key), value.plain()
    if got != expected:
        value.problems.add(
            value.place, f"{run.namelist.path.name} has {key} = {got!r}, expected {expected!r}"
        )


def read_size(
    value: Value | None, name: str, parent: Value, run: Run, minimum: int, required: bool = True
) -> int | None:
    """A whole number from the spec, from a namelist key it names, or from the usual key.

    A number in the spec that differs from the namelist is a mistake: the two would disagree later.
    None after a mistake, or where nothing says it and nothing must.
    """
    place = value.place if value else parent.place
    written = _whole(value.string("0")) if value else None
    key = value.string() if value and written is None else run.keys[name]
    named = value is not None and written is None
    if run.namelist is None and written is None:
        if value is not None and not run.unreadable:
            value.wrong("a whole number (there is no run.namelist to look it up in)")
        elif required and not run.unreadable:
            parent.problems.add(place, f"{name} is not given: write it, or name run.namelist")
        return None
    held = run.namelist.get(key) if run.namelist else None
    if held is None and written is None:
        if run.namelist and (required or named):
            parent.problems.add(place, f"{name}: {run.namelist.missing(key)}")
        return None
    number = written if held is None else _whole(held)
    if number is None:
        parent.problems.add(place, f"{name}: got {key} = {held!r}, expected a whole number")
    elif written is not None and run.namelist and number != written:
        text = f"{name} is {written} here, but {run.namelist.path.name} has {key} = {number}"
        parent.problems.add(place, text)
    elif number < minimum:
        parent.problems.add(place, f"{name}: got {number}, expected {minimum} or more")
    else:
        return number
    return None


def _whole(held: object) -> int | None:
    """5, 5.0 and '5' are whole numbers; true and '5.5' are not."""
    if isinstance(held, bool):
        return None
    try:
        number = float(held)  # type: ignore[arg-type]
    except (TypeError, ValueError, OverflowError):
        return None
    return int(number) if number.is_integer() else None
