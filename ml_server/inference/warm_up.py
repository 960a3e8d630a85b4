# SPDX-License-Identifier: MIT
"""Calls before the first step: with made-up values, and without a trace in the network."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Buffers = dict[str, tuple[torch.Tensor, torch.Tensor]]  # each, and what it held
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # by name: shape and dtype

PLAIN = (int, float, complex, str, bytes, type(None))
COPIED = (np.ndarray, np.generic, np.random.Generator, torch.Tensor, torch.Generator)


def made_up(shapes: Shapes) -> dict[str, NDArray[Any]]:
    """Arrays between 0.5 and 1.5: a network may divide by them, or take their root."""
    return {
        name: (1 + 0.5 * np.sin(np.arange(np.prod(shape)))).reshape(shape).astype(dtype)
        for name, (shape, dtype) in shapes.items()
    }


@contextmanager
def undisturbed(module: torch.nn.Module) -> Iterator[None]:
    """Afterwards random states are as before, and the module's buffers and plain attributes."""
    states = torch.get_rng_state(), np.random.get_state(), random.getstate()  # noqa: NPY002
    # not their states: after a CUDA graph was recorded torch refuses those of before it
    generators = torch.cuda.default_generators if torch.cuda.is_available() else ()
    devices = [(g, g.initial_seed(), g.get_offset()) for g in generators]
    parts = [(part, _buffers(part), _attributes(part)) for part in module.modules()]
    try:
        yield
    finally:
        torch.set_rng_state(states[0])
        np.random.set_state(states[1])  # noqa: NPY002
        random.setstate(states[2])
        for generator, seed, offset in devices:
            generator.manual_seed(seed)
            generator.set_offset(offset)
        for part, buffers, attributes in parts:
            _put_back(part, buffers, attributes)


def _put_back(part: torch.nn.Module, buffers: Buffers, attributes: dict[str, Any]) -> None:
    for name, (buffer, before) in buffers.items():
        buffer.copy_(before)
        if getattr(part, name) is not buffer and not isinstance(part, torch.jit.ScriptModule):
            setattr(part, name, buffer)
    added = [name for name, value in vars(part).items() if _is_own(name, value)]
    for name in added:
        if name not in attributes:
            del vars(part)[name]
    vars(part).update(attributes)


def _buffers(part: torch.nn.Module) -> Buffers:
    return {name: (b, b.clone()) for name, b in part.named_buffers(recurse=False)}


def _attributes(module: torch.nn.Module) -> dict[str, Any]:
    """Copies of what a user's module counts or remembers in plain Python or arrays."""
    own = {name: value for name, value in vars(module).items() if _is_own(name, value)}
    return copy.deepcopy(own)


def _is_own(name: str, value: Any) -> bool:
    return name not in TORCH_S and _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Nothing but numbers, text, arrays, generators of random numbers, and containers of those."""
    if isinstance(value, (list, tuple, set, deque)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return isinstance(value, PLAIN + COPIED) and not isinstance(value, torch.nn.Parameter)


TORCH_S = frozenset(vars(torch.nn.Module()))  # attributes that every module has
