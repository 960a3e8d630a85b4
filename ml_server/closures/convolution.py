# SPDX-License-Identifier: MIT
"""A stack of convolutions that eats its padding, and what it sees beyond a coast."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor
from torch.nn import functional

from ml_server.closures.c_grid import trim

Coast = Literal["zeros", "replicate"]


class ConvolutionStack(torch.nn.Module):
    """Convolution, activation and perhaps batch normalisation, repeated; the last layer is linear.

    No layer pads: (batch, channel, y, x) shrinks by `radius` cells on each side. Where `wet`
    (y, x), bool, is given, every layer sees at dry cells, by `coast`:

    zeros      0;
    replicate  the mean of the wet ones among the eight neighbours, so many times as the kernel's
               radius; 0 further inland (Zhang et al. 2025, 10.1029/2024MS004819). Since the
               neighbours may lie further away, the radius of all is twice as large.
    """

    def __init__(
        self,
        channels: Sequence[int],
        kernels: Sequence[int],
        batch_norm: bool = False,
        coast: Coast = "zeros",
        activation: type[torch.nn.Module] = torch.nn.ReLU,
    ) -> None:
        """`channels`: of the input and of each layer's output; `kernels`: odd, one a layer."""
        super().__init__()
        if coast not in get_args(Coast):
            raise ValueError(f"coast: got {coast!r}, expected one of {', '.join(get_args(Coast))}")
        self.radii = [kernel // 2 for kernel in kernels]
        self.passes = [radius if coast == "replicate" else 0 for radius in self.radii]
        self.radius = sum(self.radii) + sum(self.passes)
        self.convolutions = torch.nn.ModuleList()
        for number, kernel in enumerate(kernels):
            layer: list[torch.nn.Module] = [
                torch.nn.Conv2d(channels[number], channels[number + 1], kernel)
            ]
            if number + 1 < len(kernels):
                layer.append(activation())
                if batch_norm:
                    layer.append(torch.nn.BatchNorm2d(channels[number + 1]))
            self.convolutions.append(torch.nn.Sequential(*layer))

    def forward(self, x: Tensor, wet: Tensor | None = None) -> Tensor:
        if wet is None:  # the same shape as with coasts
            x = trim(x, sum(self.passes))
        for layer, radius, passes in zip(self.convolutions, self.radii, self.passes, strict=True):
            if wet is not None:
                x, wet = beyond_coast(x, wet, passes)
                wet = trim(wet, radius)
            x = layer(x)
        return x


def beyond_coast(x: Tensor, wet: Tensor, passes: int) -> tuple[Tensor, Tensor]:
    """x with dry cells filled from their neighbours in `passes` passes, or 0; `wet` cut alike."""
    sea = trim(wet, passes)
    x = torch.where(wet, x, 0.0)
    for _ in range(passes):
        known = functional.avg_pool2d(wet[None, None].to(x), 3, stride=1)
        mean = functional.avg_pool2d(x, 3, stride=1) / known.clamp(min=0.1)  # at least 1/9 if any
        x, wet = torch.where(trim(wet, 1), trim(x, 1), mean), known[0, 0] > 0
    return x, sea
