# SPDX-License-Identifier: MIT
"""The networks of `halocline bench inference`, with random weights."""

from __future__ import annotations

import torch
from torch import Tensor

Layers = tuple[tuple[int, int, int], ...]  # channels in, channels out, width

LAYERS: dict[str, Layers] = {
    "cnn": ((2, 32, 5), (32, 16, 3), (16, 16, 3), (16, 2, 3)),
    # of Guillaumin and Zanna 2021, doi:10.1029/2021MS002534
    "gz21": ((2, 128, 5), (128, 64, 5), (64, 32, 3), *4 * ((32, 32, 3),), (32, 4, 3)),
}


class Network(torch.nn.Module):
    """u, v (level, y, x) -> su, sv, padded alike: convolutions with ReLU between them."""

    levels_independent = True

    def __init__(self, name: str) -> None:
        super().__init__()
        parts: list[torch.nn.Module] = []
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(1)
            for came, goes, width in LAYERS[name]:
                convolution = torch.nn.Conv2d(came, goes, width, padding=width // 2)
                parts += [convolution, torch.nn.ReLU()]
        self.layers = torch.nn.Sequential(*parts[:-1])
        self.halo = halo_of(LAYERS[name])

    def forward(self, u: Tensor, v: Tensor) -> dict[str, Tensor]:
        forcing = self.layers(torch.stack((u, v), dim=1))
        return {"su": forcing[:, 0], "sv": forcing[:, 1]}


def halo_of(layers: Layers) -> int:
    """Cells that an answer depends on, on each side."""
    return sum(width // 2 for _, _, width in layers)


def described(layers: Layers) -> str:
    """`2->32 5x5, 32->16 3x3, ...; 17,522 parameters`"""
    parameters = sum((came * width**2 + 1) * goes for came, goes, width in layers)
    words = [f"{came}->{goes} {width}x{width}" for came, goes, width in layers]
    return f"{', '.join(words)}; {parameters:,} parameters"
