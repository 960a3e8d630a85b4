# SPDX-License-Identifier: MIT
"""Calls before the first step: with made-up values, and without a trace in the network."""

from __future__ import annotations

import copy
import random
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

Kept = dict[str, tuple[Any, Callable[[], Any]]]  # each, and what gives it its contents again
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # by name: shape and dtype

GENERATORS = (np.random.Generator, np.random.RandomState, random.Random, torch.Generator)
ARRAYS = (np.ndarray, np.generic, torch.Tensor)
PLAIN = (int, float, complex, str, bytes, type(None), *ARRAYS, *GENERATORS)


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
        with torch.inference_mode():  # in which some of the tensors may have been made
            for part, buffers, attributes in parts:
                _put_back(part, buffers, attributes)


def _put_back(part: torch.nn.Module, buffers: Kept, attributes: Kept) -> None:
    for name, (buffer, fill) in buffers.items():
        fill()
        if getattr(part, name) is not buffer:
            setattr(part, name, buffer)
    for name in [name for name in part._buffers.keys() if name not in buffers]:  # noqa: SIM118
        delattr(part, name)  # TorchScript's buffers are no dict
    for name in [name for name, value in vars(part).items() if _is_own(name, value)]:
        if name not in attributes:
            del vars(part)[name]
    for name, (value, fill) in attributes.items():
        fill()
        vars(part)[name] = value


def _buffers(part: torch.nn.Module) -> Kept:
    """Also those that are None until the first call."""
    return {name: (buffer, _filling(buffer)) for name, buffer in part._buffers.items()}


def _attributes(module: torch.nn.Module) -> Kept:
    """What a user's module counts or remembers in plain Python or arrays."""
    own = {name: value for name, value in vars(module).items() if _is_own(name, value)}
    return {name: (value, _filling(value)) for name, value in own.items()}


def _filling(value: Any) -> Callable[[], Any]:
    """What gives `value` the contents again that it has now. The object stays: others, such as a
    module inside, may hold it too."""
    if isinstance(value, torch.Tensor):
        # nobody can write into one that was expanded
        written = value.layout is torch.strided and 0 not in value.stride()
        return partial(value.copy_, value.detach().clone()) if written else _nothing
    if isinstance(value, np.ndarray):
        return partial(np.copyto, value, value.copy()) if value.flags.writeable else _nothing
    if isinstance(value, GENERATORS):
        return _seeding(value)
    if isinstance(value, (list, deque, set)):
        return partial(_fill, value, list(value), list(map(_filling, value)))
    if isinstance(value, dict):
        return partial(_fill, value, dict(value), list(map(_filling, value.values())))
    return partial(_fill, None, (), list(map(_filling, value if isinstance(value, tuple) else ())))


def _fill(container: Any, items: Any, fillings: list[Callable[[], Any]]) -> None:
    for fill in fillings:
        fill()
    if isinstance(container, (list, deque)):
        container.clear()
        container.extend(items)
    elif container is not None:
        container.clear()
        container.update(items)


def _seeding(generator: Any) -> Callable[[], Any]:
    """As `_filling`, of a generator of random numbers."""
    if isinstance(generator, np.random.Generator):
        bits = generator.bit_generator
        return partial(setattr, bits, "state", copy.deepcopy(bits.state))
    if isinstance(generator, random.Random):
        return partial(generator.setstate, generator.getstate())
    return partial(generator.set_state, generator.get_state())


def _nothing() -> None:
    pass


def _is_own(name: str, value: Any) -> bool:
    return name not in TORCH_S and _is_plain(value)


def _is_plain(value: Any) -> bool:
    """Nothing but numbers, text, arrays, generators of random numbers, and containers of those."""
    if isinstance(value, (list, tuple, set, deque)):
        return all(map(_is_plain, value))
    if isinstance(value, dict):
        return all(map(_is_plain, value)) and all(map(_is_plain, value.values()))
    return isinstance(value, PLAIN) and not isinstance(value, torch.nn.Parameter)


TORCH_S = frozenset(vars(torch.nn.Module()))  # attributes that every module has
