# SPDX-License-Identifier: MIT
"""Small networks of named fields for the engine's tests, and arrays for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor


class Closure(torch.nn.Module):
    """Two convolutions; levels are the batch. The mask is (1, y, x), the answers are padded."""

    halo = 2
    levels_independent = True

    def __init__(self, seed: int = 3) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network = torch.nn.Sequential(
                torch.nn.Conv2d(2, 8, 3, padding=1),
                torch.nn.ReLU(),
                torch.nn.Conv2d(8, 2, 3, padding=1),
            )

    def forward(self, u: Tensor, v: Tensor, mask: Tensor) -> dict[str, Tensor]:
        forcing = self.network(torch.stack((u * mask, v * mask), dim=1))
        return {"su": forcing[:, 0], "sv": forcing[:, 1]}


class Double(Closure):
    def __init__(self) -> None:
        super().__init__()
        self.double()


class Remembering(torch.nn.Module):
    """Draws random numbers and keeps a sum, in the ways that modules keep things."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("total", torch.zeros(()))
        self.register_buffer("replaced", torch.zeros(()))
        self.calls: list[int] = []
        self.generator = np.random.default_rng(5)

    def forward(self, u: Tensor) -> Tensor:
        assert isinstance(self.total, Tensor)
        self.total += u.mean()
        self.replaced = self.replaced + 1
        self.calls.append(len(self.calls))
        noise = torch.rand(()) + np.random.rand() + self.generator.random()  # noqa: NPY002
        return u * 0 + noise + self.total + self.replaced + len(self.calls)


def fields(levels: int = 5, dtype: str = "float32", seed: int = 1) -> dict[str, Any]:
    """u, v (level, 12, 14) and a mask (1, 12, 14), padded by 2."""
    random = np.random.default_rng(seed)
    u, v = random.standard_normal((2, levels, 12, 14)).astype(dtype)
    return {"u": u, "v": v, "mask": (random.random((1, 12, 14)) > 0.2).astype(dtype)}
