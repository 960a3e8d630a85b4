# SPDX-License-Identifier: MIT
"""The key `regrid` of an exchange: the worker's grid, and which weights lead there or back."""

from __future__ import annotations

from typing import Literal, cast, get_args

from coupler.spec import Generator, GridSpec, Method, Normalisation, RegridSpec
from coupler.spec_yaml import Value, hint

REGRID_KEYS = ("method", "generator", "weights", "normalisation", "fallback")


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
