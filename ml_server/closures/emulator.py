# SPDX-License-Identifier: MIT
"""A network of 3,426 weights that imitates Zanna-Bolton: the one that this project trained itself.

It is small, has weights that anybody may use, and an answer to compare with: for first steps, demos
and tests of machinery. For science take ZannaBolton2020, which is what it imitates. How it was
trained: train_emulator.py; how well it does: docs/closures.md.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ml_server.closures.c_grid import require_padding
from ml_server.closures.convolution import ConvolutionStack
from ml_server.closures.weights import fit_state, read_state

WEIGHTS = Path(__file__).with_name("emulator.safetensors")
CHANNELS, KERNELS = (2, 16, 16, 2), (5, 3, 3)
VELOCITY = 0.2  # [m s-1] and
FORCING = 3e-7  # [m s-2]: what the network's numbers are of the order of
CELL = 25e3  # [m], of the square cells that it was trained on


class ZannaBoltonEmulator(torch.nn.Module):
    """Forcing su, sv [m s-2] like that of the preset `raw` from velocities u, v [m s-1], C-grid.

    weights    another file for the same network
    cell_size  [m] of nearly square cells. The forcing goes like velocity squared over cell size
    """

    levels_independent = True

    def __init__(self, weights: str | Path = WEIGHTS, cell_size: float = CELL) -> None:
        super().__init__()
        self.network = network()
        fit_state(self.network, read_state(weights), str(weights))
        self.scale = FORCING * CELL / float(cell_size)
        self.halo = self.network.radius

    def forward(
        self, u: Tensor, v: Tensor, mask_u: Tensor | None = None, mask_v: Tensor | None = None
    ) -> dict[str, Tensor]:
        """u, v (level, y, x) on east and north faces, padded by `halo`; masks (y, x), 0 if closed.

        The answer has the padded shape, 0 in the rim and on closed faces.
        """
        require_padding(u, self.halo, "ZannaBoltonEmulator")
        velocity = torch.stack((u, v), dim=1) / VELOCITY
        forcing = functional.pad(self.network(velocity) * self.scale, (self.halo,) * 4)
        answer = {"su": forcing[:, 0], "sv": forcing[:, 1]}
        for name, mask in (("su", mask_u), ("sv", mask_v)):
            if mask is not None:
                answer[name] = torch.where(mask.reshape(u.shape[-2:]) > 0, answer[name], 0.0)
        return answer


def network() -> ConvolutionStack:
    """The layers, untrained."""
    return ConvolutionStack(CHANNELS, KERNELS, activation=torch.nn.SiLU)
