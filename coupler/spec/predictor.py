# SPDX-License-Identifier: MIT
"""The spec's `predictor` of a worker: what is loaded, and its fields as channels."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import cast, get_args

from coupler.spec import Layout, MappedField, PredictorSpec, Wire
from coupler.spec.document import Value, hint
from coupler.spec.statistics import beside, read_statistic

KEYS = ("python", "file", "state", "inputs", "outputs", "layout", "dtype", "trust", "arguments")
STATISTICS = ("mean", "std", "scale")
FORMATS = (".pt2", ".pt", ".pth", ".ts", ".onnx")
STATES = (".safetensors", ".pt", ".pth", ".ckpt", ".bin")


def read_predictor(value: Value) -> PredictorSpec:
    """`python` and the class's arguments, or `file`; and how fields become channels."""
    found = dict(value.items())
    python = found["python"].string("?") if "python" in found else None
    arguments = {key: item.plain() for key, item in found.items() if key not in KEYS}
    if "arguments" in found:
        arguments |= {key: item.plain() for key, item in found["arguments"].items()}
    file, _ = _read_file(found.get("file"), FORMATS)
    state, state_key = _read_file(found.get("state"), STATES, keyed=True)
    if value.is_mapping():  # else that is said already
        _check_keys(value, found)
    layout = found["layout"].choice(get_args(Layout), "batch") if "layout" in found else "batch"
    dtype = found["dtype"].choice(get_args(Wire), "float32") if "dtype" in found else None
    return PredictorSpec(
        python,
        arguments,
        file,
        state,
        state_key,
        _read_fields(found.get("inputs"), is_input=True),
        _read_fields(found.get("outputs"), is_input=False),
        cast(Layout, layout),
        cast("Wire | None", dtype),
        found["trust"].boolean(False) if "trust" in found else False,
        value.place,
    )


def _check_keys(value: Value, found: Mapping[str, Value]) -> None:
    """Keys that contradict each other, or need another."""
    problems = value.problems
    if ("python" in found) == ("file" in found):
        got = "got both" if "python" in found else "got neither"
        text = f"predictor needs python: 'module:Class' or a function, or file: net.pt2; {got}"
        problems.add(value.place, text)
    if "file" in found and "python" not in found:
        for key, item in found.items():
            if key in ("state", "arguments"):
                text = f"'{key}' belongs to python: 'module:Class', a file has its own"
                problems.add(item.key_place, text)
            elif key not in KEYS:
                problems.add(item.key_place, f"unknown key '{key}' in predictor{hint(key, KEYS)}")
    for key in ("outputs", "layout", "dtype"):
        if key in found and "inputs" not in found:
            text = f"'{key}' needs inputs: the fields that are the channels of the network"
            problems.add(found[key].key_place, text)


def _read_file(
    value: Value | None, suffixes: tuple[str, ...], keyed: bool = False
) -> tuple[Path | None, str | None]:
    """A file beside the spec of a known kind; `keyed`: `net.pth:key` names an entry of it."""
    if value is None:
        return None, None
    text = value.string("?")
    name, _, key = text.partition(":") if keyed else (text, "", "")
    if Path(name).suffix not in suffixes:
        value.wrong(f"a file *{', *'.join(suffixes)}")
        return None, None
    return beside(value, name), key or None


def _read_fields(value: Value | None, is_input: bool) -> tuple[MappedField, ...]:
    """[u, v], or {u: {mean: 0.1, std: 2}, mask_t: }."""
    if value is None:
        return ()
    items = () if value.is_mapping() else value.sequence()
    fields = [MappedField(item.string("?"), item.place) for item in items]
    for name, item in value.items() if value.is_mapping() else ():
        keys = (*STATISTICS, "mask", *(("fill",) if is_input else ()))
        found = {} if item.is_empty() else item.mapping(keys)
        fields.append(_read_field(name, item, found))
    if not fields:
        value.wrong("at least one field")
    names = [field.name for field in fields]
    for field in fields:
        if names.count(field.name) > 1:
            value.problems.add(field.place, f"'{field.name}' is listed twice in {value.name}")
    return tuple(fields)


def _read_field(name: str, item: Value, found: Mapping[str, Value]) -> MappedField:
    numbers = {key: read_statistic(found[key], name) if key in found else () for key in STATISTICS}
    if numbers["scale"] and (numbers["mean"] or numbers["std"]):
        item.problems.add(item.place, f"{name}: got scale and mean or std, expected one of the two")
    fill: float | None = 0.0
    if "fill" in found:
        fill = None if found["fill"].is_text("mean") else found["fill"].finite(0.0)
        if "mask" not in found:
            item.problems.add(found["fill"].place, f"{name}: 'fill' needs a mask that says where")
        elif fill is None and not numbers["mean"]:
            item.problems.add(found["fill"].place, f"{name}: fill: mean, but it has no mean")
    mask = found["mask"].string("?") if "mask" in found else None
    return MappedField(name, item.place, **numbers, mask=mask, fill=fill)
