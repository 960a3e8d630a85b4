# SPDX-License-Identifier: MIT
"""Named fields <-> the channels of one array, for NumPy and torch alike; and the NumPy form of it.

Both libraries have the functions used here under the same names; `xp` is one of the two.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec import Layout, MappedField
from ml_server.errors import AnswerError

STATISTICS = ("mean", "std", "scale")
# (side and number of the field, statistic, array of the wanted type) -> (level or 1, 1, 1), or None
Constants = Callable[[str, str, Any], Any]


@dataclass(frozen=True)
class ChannelMap:
    """The fields of a network of one tensor, (batch, channel, y, x), in the order of its channels.

    Layout batch: (level, field, y, x). Layout channels: (1, levels of all fields, y, x).
    """

    inputs: tuple[MappedField, ...]
    outputs: tuple[MappedField, ...]
    levels: Mapping[str, int]  # of each output
    layout: Layout

    @property
    def names(self) -> tuple[str, ...]:
        """The fields and masks that it needs, each once."""
        masks = (f.mask for f in (*self.inputs, *self.outputs) if f.mask is not None)
        return tuple(dict.fromkeys((*(f.name for f in self.inputs), *masks)))

    @property
    def levels_independent(self) -> bool:
        """Whether any part of the levels may be given alone: not with a statistic for each."""
        fields = (*self.inputs, *self.outputs)
        numbers = (getattr(field, statistic) for field in fields for statistic in STATISTICS)
        return self.layout == "batch" and all(len(n) <= 1 for n in numbers)

    def shape(self, fields: Mapping[str, tuple[int, ...]]) -> tuple[int, ...]:
        """(batch, channel, y, x) of fields of these shapes (level, y, x)."""
        levels = [fields[field.name][0] for field in self.inputs]
        batch = (max(levels), len(levels)) if self.layout == "batch" else (1, sum(levels))
        return *batch, *fields[self.inputs[0].name][1:]

    def constants(self) -> dict[tuple[str, str], NDArray[np.float64]]:
        """The statistics, (level or 1, 1, 1), by side and number of the field, and name."""
        sides = (("input", self.inputs), ("output", self.outputs))
        return {
            (f"{side}{number}", statistic): np.array(numbers).reshape(-1, 1, 1)
            for side, fields in sides
            for number, field in enumerate(fields)
            for statistic in STATISTICS
            if (numbers := getattr(field, statistic))
        }


def to_channels(m: ChannelMap, fields: Mapping[str, Any], constants: Constants, xp: Any) -> Any:
    """(batch, channel, y, x) of fields and masks (level, y, x)."""
    parts = []
    for number, field in enumerate(m.inputs):

        def constant(statistic: str, like: Any, key: str = f"input{number}") -> Any:
            return constants(key, statistic, like)

        x = fields[field.name]
        if field.mask is not None:
            fill = constant("mean", x) if field.fill is None else field.fill
            x = xp.where(fields[field.mask] > 0, x, fill)
        if (scale := constant("scale", x)) is not None:
            x = x * scale
        if (mean := constant("mean", x)) is not None:
            x = x - mean
        if (std := constant("std", x)) is not None:
            x = x / std
        parts.append(x)
    if m.layout == "channels":
        return xp.concatenate(parts)[None]
    levels = max(len(part) for part in parts)
    return xp.stack([xp.broadcast_to(part, (levels, *part.shape[1:])) for part in parts], 1)


def from_channels(
    m: ChannelMap, answer: Any, fields: Mapping[str, Any], constants: Constants, xp: Any
) -> dict[str, Any]:
    """The answers (level, y, x) by name, from (batch, channel, y, x). `fields` has the masks."""
    _check_channels(m, answer)
    answers, at = {}, 0
    for number, field in enumerate(m.outputs):

        def constant(statistic: str, like: Any, key: str = f"output{number}") -> Any:
            return constants(key, statistic, like)

        if m.layout == "channels":
            y = answer[0, at : at + m.levels[field.name]]
            at += m.levels[field.name]
        else:
            y = answer[:, number]
        if (scale := constant("scale", y)) is not None:
            y = y * scale
        if (std := constant("std", y)) is not None:
            y = y * std
        if (mean := constant("mean", y)) is not None:
            y = y + mean
        if field.mask is not None:
            y = xp.where(_middle(fields[field.mask], y) > 0, y, 0.0)
        answers[field.name] = y
    return answers


def _check_channels(m: ChannelMap, answer: Any) -> None:
    shape = getattr(answer, "shape", None)
    if shape is None:
        got = type(answer).__name__
        raise AnswerError(f"the network returned {got}, expected (batch, channel, y, x)")
    by_level = m.layout == "channels"
    expected = sum(m.levels[f.name] for f in m.outputs) if by_level else len(m.outputs)
    if len(shape) != 4 or shape[1] != expected:
        names = ", ".join(
            f"{f.name} of {m.levels[f.name]} levels" if by_level else f.name for f in m.outputs
        )
        raise AnswerError(
            f"the network returned shape {tuple(shape)}, expected (batch, {expected}, y, x): "
            f"the channels are {names}"
        )


def require_floats(floats: bool, answer: Any) -> None:
    """Raises AnswerError: whole numbers are a mistake, and half of complex ones would be lost."""
    if not floats:
        raise AnswerError(f"the network returned {answer.dtype} values, expected floating-point")


def _middle(mask: Any, like: Any) -> Any:
    """The part of a padded mask that an answer without halo covers."""
    halo_y, halo_x = ((mask.shape[axis] - like.shape[axis]) // 2 for axis in (-2, -1))
    return mask[:, halo_y : mask.shape[-2] - halo_y, halo_x : mask.shape[-1] - halo_x]


class MappedArrays:
    """A network of one NumPy array, called with named arrays (level, y, x)."""

    def __init__(
        self, network: Callable[[NDArray[Any]], Any], channels: ChannelMap, dtype: str | None
    ) -> None:
        """`dtype` of what the network gets; None: as it comes."""
        self.network, self.channels, self.dtype = network, channels, dtype
        self.halo = getattr(network, "halo", None)
        self._constants = channels.constants()

    def __call__(self, **fields: NDArray[Any]) -> dict[str, NDArray[Any]]:
        x = to_channels(self.channels, fields, self._constant, np)
        answer = self.network(x.astype(self.dtype, copy=False) if self.dtype else x)
        if hasattr(answer, "astype"):
            require_floats(answer.dtype.kind == "f", answer)
            answer = answer.astype(x.dtype, copy=False)
        return from_channels(self.channels, answer, fields, self._constant, np)

    def _constant(self, field: str, statistic: str, like: NDArray[Any]) -> NDArray[Any] | None:
        found = self._constants.get((field, statistic))
        return None if found is None else found.astype(like.dtype)
