# SPDX-License-Identifier: MIT
"""A step in chunks of levels, and its answers put together again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

# Where an answer goes: an array (level, y, x) without halo, and the width of the halo that the
# answer itself may have.
Target = tuple[NDArray[Any], int]


class Part(NamedTuple):
    """A chunk of the levels of a step."""

    number: int = 0
    levels: slice | None = None  # None: all of them, and whatever has no levels
    of: int = 1  # levels of the step

    def cut(self, array: Any) -> Any:
        """These levels of a field (level, y, x); anything else as it is."""
        if self.levels is None or getattr(array, "ndim", 0) != 3 or len(array) != self.of:
            return array
        return array[self.levels]


class Answers:
    """Collects what a network says to each part; `write` puts a tensor into an array."""

    def __init__(
        self, into: Mapping[str, Target], write: Callable[[Tensor, NDArray[Any]], None]
    ) -> None:
        self.into, self.write = into, write
        self.written: dict[str, NDArray[Any]] = {}
        self.loose: dict[str, list[Any]] = {}

    def add(self, part: Part, answers: Mapping[str, Any]) -> None:
        for name, given in answers.items():
            answer = torch.from_numpy(given) if isinstance(given, np.ndarray) else given
            own = None
            if name in self.into:
                array, halo = self.into[name]
                place = part.cut(array)
                own = _own_cells(answer, place.shape, halo)
            if own is None:
                self.loose.setdefault(name, []).append(answer)
            else:
                self.write(own, place)
                self.written[name] = array

    def collected(self) -> dict[str, Any]:
        """By name: the target's array, or what fits no target, for the caller to judge."""
        return self.written | {name: _joined(parts) for name, parts in self.loose.items()}


def _own_cells(answer: Any, shape: tuple[int, ...], halo: int) -> Tensor | None:
    """The part of `answer` without halo, shaped as `shape`; None if it is something else."""
    if not isinstance(answer, Tensor) or not answer.is_floating_point():
        return None
    if answer.shape == shape:
        return answer
    levels, ny, nx = shape
    if answer.shape == (levels, ny + 2 * halo, nx + 2 * halo):
        return answer[:, halo : halo + ny, halo : halo + nx]
    return None


def _joined(parts: list[Any]) -> Any:
    if not all(isinstance(part, Tensor) for part in parts):
        return parts[0]
    joined = (torch.cat(parts) if len(parts) > 1 else parts[0]).detach().cpu()
    half = joined.dtype in (torch.bfloat16, torch.float16)  # NumPy knows but one of them
    return joined.float() if half else joined
