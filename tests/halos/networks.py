# SPDX-License-Identifier: MIT
"""Predictors whose receptive field is known by formula."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from ml_server.halos.plausible import Input
from ml_server.predictor import Predictor

FIELDS = (Input("u", 2, "vector", 0, "float32"), Input("v", 2, "vector", 0, "float32"))


def predictor(function: Callable[..., Any], halo: int | None = None) -> Predictor:
    module = isinstance(function, nn.Module)
    parameters = tuple(inspect.signature(function.forward if module else function).parameters)
    return Predictor("network", function, parameters, module, halo, parameters)


class Padded(nn.Module):
    """A convolution that keeps the size; an even kernel reads one cell more to the east, north."""

    def __init__(
        self, inputs: int, outputs: int, kernel: tuple[int, int], dilation: int, groups: int = 1
    ) -> None:
        super().__init__()
        self.convolution = nn.Conv2d(inputs, outputs, kernel, dilation=dilation, groups=groups)
        y, x = ((k - 1) * dilation for k in kernel)
        self.pads = x // 2, x - x // 2, y // 2, y - y // 2  # west, east, south, north

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return self.convolution(nn.functional.pad(fields, self.pads))


class Closure(nn.Module):
    """u and v through `network`, two channels to one; levels are the batch."""

    def __init__(self, network: nn.Module, crop: int = 0) -> None:
        super().__init__()
        self.network, self.crop = network, crop
        self.eval()

    def forward(self, u: torch.Tensor, v: torch.Tensor) -> dict[str, torch.Tensor]:
        answer = self.network(torch.stack((u, v), dim=1))[:, 0]
        inside = slice(self.crop, -self.crop or None)
        return {"s": answer[..., inside, inside]}
