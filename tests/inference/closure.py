# SPDX-License-Identifier: MIT
"""Networks for coupled jobs of the ocean model, which brings u, v, h and a mask."""

from __future__ import annotations

import torch
from torch import Tensor

from inference.networks import Closure


class Levels(torch.nn.Module):
    halo = 2
    levels_independent = True

    def __init__(self) -> None:
        super().__init__()
        self.closure = Closure()

    def forward(self, u: Tensor, v: Tensor, mask_t: Tensor) -> dict[str, Tensor]:
        answer: dict[str, Tensor] = self.closure(u, v, mask_t)
        return answer


class Counting(torch.nn.Module):
    """Its answer grows with every call, and by a random number."""

    halo = 0

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(4)
        self.calls = 0

    def forward(self, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        self.calls += 1
        return {"su": 0 * u + self.calls + torch.rand(()), "sv": v}
