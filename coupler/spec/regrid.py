# SPDX-License-Identifier: MIT
"""The key `regrid` of an exchange: the worker's grid, and which weights lead there or back."""

from __future__ import annotations

from typing import Literal, cast, get_args

from coupler.spec import (
    ExchangeSpec,
    FieldSpec,
    Generator,
    GridSpec,
    Method,
    Normalisation,
    RegridSpec,
)
from coupler.spec.document import Problems, Value, hint

REGRID_KEYS = ("method", "generator", "weights", "normalisation", "fallback", "conserve", "vectors")


def read_regrid(value: Value, grids: dict[str, GridSpec], to_worker: bool) -> RegridSpec | None:
    """`{to: coarse, method: conservative}`, of an answer `{from: coarse, ...}`."""
    key = "to" if to_worker else "from"
    found = value.mapping((key, *REGRID_KEYS), (key,))
    if key not in found:
        return None
    name = found[key].string()
    if name not in grids:
        value.problems.add(found[key].place, f"unknown grid '{name}'{hint(name, grids)}")
        return None
    if "weights" in found:
        for other in ("method", "generator", "normalisation"):
            if other in found:
                text = f"'{other}' does not go with 'weights': the weights are made already"
                value.problems.add(found[other].place, text)
    method = _choice(found.get("method"), get_args(Method), "conservative")
    path = value.path.parent / found["weights"].string() if "weights" in found else None
    return RegridSpec(
        grids[name],
        None if path else cast(Method, method),
        cast(Generator, _choice(found.get("generator"), get_args(Generator), "auto")),
        path,
        cast(
            Normalisation, _choice(found.get("normalisation"), get_args(Normalisation), "fraction")
        ),
        _read_fallback(found.get("fallback")),
        value.place,
        value.path.parent / "weights",
        _read_conserve(found["conserve"]) if "conserve" in found else None,
        _read_vectors(found["vectors"]) if "vectors" in found else (),
    )


def _read_conserve(value: Value) -> Literal["global", "positive"]:
    return cast(Literal["global", "positive"], value.choice(("global", "positive"), "global"))


def _read_vectors(value: Value) -> tuple[tuple[str, str], ...]:
    pairs = []
    for item in value.sequence():
        names = [name.string() for name in item.sequence()]
        if len(names) == 2:
            pairs.append((names[0], names[1]))
        else:
            item.problems.add(item.place, "vectors: expected pairs of fields, such as [[u, v]]")
    return tuple(pairs)


def check_vectors(exchange: ExchangeSpec, problems: Problems) -> None:
    """Each pair is of fields along i and j, both at T points, or at U and V points."""
    regrid = exchange.regrid
    known = {field.name: field for field in (*exchange.fields, *exchange.static)}
    for names in regrid.vectors if regrid else ():
        assert regrid is not None
        unknown = [name for name in names if name not in known]
        if unknown:
            text = f"vectors: unknown field '{unknown[0]}'{hint(unknown[0], known)}"
            problems.add(regrid.place, text)
            continue
        i, j = (known[name] for name in names)
        points, kinds = (i.point, j.point), (i.kind, j.kind)
        if kinds != ("vector_i", "vector_j") or points not in (("T", "T"), ("U", "V")):
            problems.add(
                regrid.place,
                f"vectors: got {i.name} ({i.kind} at {i.point}) and {j.name} ({j.kind} at "
                f"{j.point}), expected vector_i and vector_j, at T and T or at U and V points",
            )
        elif (
            i.levels != j.levels
            or i.masks
            or j.masks
            or (i in exchange.static) != (j in exchange.static)
        ):
            problems.add(
                regrid.place,
                f"vectors: {i.name} and {j.name}: expected the same levels, no masks, and both "
                "static or none",
            )


def check_conserve(exchange: ExchangeSpec, problems: Problems) -> None:
    """There is something to conserve."""
    regrid = exchange.regrid
    if regrid is not None and regrid.conserve is not None and not exchange.conserved:
        problems.add(
            regrid.place,
            "conserve: got no field that it corrects, expected a scalar at T points without a mask",
        )


def _choice(value: Value | None, allowed: tuple[str, ...], default: str) -> str:
    return value.choice(allowed, default) if value else default


def _read_fallback(value: Value | None) -> Literal["nan", "nearest"] | float:
    """What cells hold that the method leaves empty; a number is that number."""
    if value is None:
        return "nan"
    text = value.string()
    if text in ("nan", "nearest"):
        return cast(Literal["nan", "nearest"], text)
    try:
        float(text)
    except ValueError:
        value.wrong("'nan', 'nearest' or a number")
        return "nan"
    return value.finite(0.0)


def check_masks(exchange: ExchangeSpec, to_worker: bool, problems: Problems) -> None:
    """A field's masks are fields of the same exchange, at the same point, static if it is."""
    static = {field.name: field for field in exchange.static}
    known = static | {field.name: field for field in exchange.fields}
    for fields, masks in ((exchange.fields, known), (exchange.static, static)):
        for field in fields:
            for name in field.masks:
                wrong = _wrong_mask(exchange, field, name, masks)
                if not to_worker:
                    wrong = "it belongs to a field to the worker"
                if wrong:
                    problems.add(field.place, f"mask of '{field.name}': {wrong}")


def _wrong_mask(
    exchange: ExchangeSpec, field: FieldSpec, name: str, masks: dict[str, FieldSpec]
) -> str | None:
    if exchange.regrid is None:
        return "it says what counts where an exchange is regridded, and this one is not"
    mask = masks.get(name)
    if mask is None or mask == field:
        others = [other for other in masks if other != field.name]
        return f"got '{name}', expected a field that comes with it{hint(name, others)}"
    if mask.point != field.point:
        return f"got '{name}' at {mask.point} points, expected it at {field.point} points"
    if mask.levels not in (1, field.levels):
        levels = "1" if field.levels == 1 else f"1 or {field.levels}"
        return f"got '{name}' of {mask.levels} levels, expected {levels}"
    if exchange.regrid.fallback == "nearest":
        return "the nearest cell is found once, when weights are made; give a number as fallback"
    return None
