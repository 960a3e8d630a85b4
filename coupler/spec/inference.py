# SPDX-License-Identifier: MIT
"""The spec's `device` and `inference` of a worker: where and how its network runs."""

from __future__ import annotations

import re
from typing import cast, get_args

from coupler.spec import InferenceSpec, Precision
from coupler.spec.document import Value

DEVICE = re.compile(r"auto|cpu|cuda(:\d+)?")
INFERENCE_KEYS = (
    *("threads", "chunk", "compile", "precision"),
    *("cuda_graph", "allocator", "warm_up"),
)


def read_inference(device: Value | None, value: Value | None, place: str) -> InferenceSpec:
    """Every key has a default; `place` is the component's, for errors."""
    found = value.mapping(INFERENCE_KEYS) if value else {}

    def boolean(name: str, default: bool) -> bool:
        return found[name].boolean(default) if name in found else default

    names = get_args(Precision)
    precision = found["precision"].choice(names, "full") if "precision" in found else "full"
    return InferenceSpec(
        _read_device(device) if device else "auto",
        _read_count(found.get("threads"), "auto"),
        _read_count(found.get("chunk"), "auto", "all"),
        boolean("compile", False),
        cast(Precision, precision),
        boolean("cuda_graph", False),
        boolean("allocator", True),
        boolean("warm_up", True),
        place,
    )


def _read_device(value: Value) -> str:
    text = value.string("auto")
    if DEVICE.fullmatch(text):
        return text
    value.wrong("auto, cpu, cuda or cuda:1")
    return "auto"


def _read_count(value: Value | None, *words: str) -> int | str:
    """A whole number above 0, or one of `words`; the first is the default."""
    if value is None:
        return words[0]
    text = value.string(words[0])
    if text in words:
        return text
    if text.isdecimal() and len(text) < 10 and int(text) > 0:
        return int(text)
    value.wrong(f"{' or '.join(words)}, or a whole number above 0")
    return words[0]
