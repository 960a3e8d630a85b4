# SPDX-License-Identifier: MIT
"""A torch network of one tensor as a module of named fields."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch

from ml_server.networks.mapping import ChannelMap, from_channels, require_floats, to_channels


class Mapped(torch.nn.Module):
    """Named fields (level, y, x) -> mask, normalise, stack, network, split, denormalise -> answers.

    Fields are normalised in the precision in which they come (float32 at least), and only then
    converted to the network's: a field of a large mean keeps its digits. Answers likewise.
    """

    casts = True  # its caller need not convert fields to the type of the weights

    def __init__(
        self, network: torch.nn.Module, channels: ChannelMap, dtype: torch.dtype | None
    ) -> None:
        """`dtype` of what a network without weights gets; None: as it comes."""
        super().__init__()
        self.network = network
        self.channels = channels
        self.dtype = dtype
        self.halo = getattr(network, "halo", None)
        independent = getattr(network, "levels_independent", True)
        self.levels_independent = bool(independent) and channels.levels_independent
        for (field, statistic), numbers in channels.constants().items():
            self.register_buffer(f"{field}_{statistic}", torch.from_numpy(numbers), False)

    def _apply(self, fn: Callable[[Any], Any], recurse: bool = True) -> Mapped:
        """Statistics move to another device with the network, but keep their precision: a scale
        of 1e-8 is 0 in float16."""
        kept = dict(self._buffers)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        for name, buffer in kept.items():
            assert buffer is not None
            moved = self._buffers[name]
            assert moved is not None
            self._buffers[name] = buffer.to(moved.device)
        return self

    def forward(self, **fields: torch.Tensor) -> dict[str, torch.Tensor]:
        wide = {
            name: field if field.itemsize >= 4 else field.float() for name, field in fields.items()
        }
        x = to_channels(self.channels, wide, self._constant, torch)
        answer = self.network(x.to(self._network_dtype(x)))
        if isinstance(answer, np.ndarray):
            answer = torch.from_numpy(answer)
        if isinstance(answer, torch.Tensor):
            require_floats(answer.is_floating_point(), answer)
            answer = answer.to(x.device, x.dtype)
        return from_channels(self.channels, answer, wide, self._constant, torch)

    def _network_dtype(self, x: torch.Tensor) -> torch.dtype:
        weights = (p.dtype for p in self.network.parameters() if p.is_floating_point())
        return next(weights, self.dtype or x.dtype)

    def _constant(self, field: str, statistic: str, like: torch.Tensor) -> torch.Tensor | None:
        found = self._buffers.get(f"{field}_{statistic}")
        return None if found is None else found.to(like.dtype)
