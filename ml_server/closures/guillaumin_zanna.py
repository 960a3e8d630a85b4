# SPDX-License-Identifier: MIT
"""Guillaumin-Zanna 2021: a stochastic network for the momentum forcing of mesoscale eddies.

Guillaumin and Zanna 2021, *Stochastic-deep learning parameterization of ocean momentum forcing*,
JAMES, doi:10.1029/2021MS002534; in an ocean model: Zhang et al. 2023, doi:10.1029/2023MS003697.
The written form is docs/closures.md. The weights are the authors' or the user's; none come with it.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from ml_server.closures.c_grid import require_padding, trim
from ml_server.closures.convolution import Coast, ConvolutionStack
from ml_server.closures.noise import normal
from ml_server.closures.weights import State, fit_state, number_type, read_state

HIDDEN = (128, 64, 32, 32, 32, 32, 32)
KERNELS = (5, 5, 3, 3, 3, 3, 3, 3)
INPUT_SCALE = 10.0  # of velocities in m s-1
OUTPUT_SCALE = 1e-7  # [m s-2] of the network's answers
MIN_VALUE = 0.1  # the trainable scalar before training
RANDOM = "random"


class GuillauminZanna2021(torch.nn.Module):
    """Forcing su, sv [m s-2] from velocities u, v [m s-1] on a C-grid, with its noise.

    weights     a state dict (torch or safetensors); `random` stands for untrained ones, for tests
    stochastic  add noise of the network's own standard deviation, or return the mean
    seed        of the noise
    coast       what layers see at dry cells, `zeros` or `replicate`; see ConvolutionStack
    min_value   the trained scalar, if the file of weights lacks it
    hidden      channels of the hidden layers, of another network of this kind
    cast        float32 or float64, of weights and arithmetic, if not as in the file
    """

    def __init__(
        self,
        weights: str,
        stochastic: bool = True,
        seed: int = 0,
        coast: Coast = "zeros",
        min_value: float | None = None,
        hidden: Sequence[int] = HIDDEN,
        cast: str | None = None,
    ) -> None:
        super().__init__()
        if len(hidden) != len(HIDDEN):
            raise ValueError(f"hidden: got {len(hidden)} layers, expected {len(HIDDEN)}")
        state: State = {} if weights == RANDOM else read_state(weights)
        batch_norm = any(name.endswith("running_mean") for name in state)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = ConvolutionStack((2, *hidden, 4), KERNELS, batch_norm, coast)
        self.min_value = torch.nn.Parameter(torch.tensor(MIN_VALUE))
        self.to(number_type(cast, state)).eval()
        self.loaded = [] if weights == RANDOM else self._load(state, weights, min_value)
        self.stochastic, self.seed = stochastic, seed
        # one cell more: to T points on one side, back to faces on the other
        self.halo = self.network.radius + 1
        self.levels_independent = not stochastic  # the noise of a level depends on its number

    def _load(self, state: State, source: str, min_value: float | None) -> list[str]:
        """Lines that say which tensor of the file became which."""
        scalars = [name for name in state if name.endswith("min_value")]
        found = [state.pop(name) for name in scalars]
        if min_value is None:
            if not found:
                raise ValueError(
                    f"weights: {source} lacks the scalar that the least precision comes from "
                    "(_min_value of the authors' final transformation); give it as min_value"
                )
            min_value = float(found[0])
        self.min_value.data.fill_(min_value)
        return fit_state(self.network, state, source)

    def forward(
        self,
        u: Tensor,
        v: Tensor,
        mask_t: Tensor | None = None,
        date: int | None = None,
        cell: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return su on east faces and sv on north faces, each (level, y, x).

        u, v are (level, y, x) on east and north faces, 0 on closed ones, padded by `halo` cells.
        `mask_t` (y, x) or (1, y, x) is above 0 in the sea; without it all is sea. `date` [s] and
        `cell` (y, x), int64, are the date of the step and the numbers of the cells. The answer has
        the padded shape: valid from `halo` cells inwards, 0 in the rim and on closed faces.
        """
        require_padding(u, self.halo, "GuillauminZanna2021")
        # T points 1..n-1 of a padded axis 0..n-1
        u_t, v_t = 0.5 * (u[:, 1:, :-1] + u[:, 1:, 1:]), 0.5 * (v[:, :-1, 1:] + v[:, 1:, 1:])
        velocity = torch.stack((u_t, v_t), dim=1).to(self.min_value.dtype) * INPUT_SCALE
        wet = None if mask_t is None else (mask_t.reshape(u.shape[-2:]) > 0)[1:, 1:]
        mean, precision = self.network(velocity, wet).split(2, dim=1)  # T points 1+r..n-1-r
        forcing = mean
        if self.stochastic:
            precision = functional.softplus(precision) + functional.softplus(self.min_value)
            forcing = mean + self._noise(date, cell, mean) / precision
        forcing = forcing * OUTPUT_SCALE
        s_x, s_y = forcing.unbind(dim=1)
        su = 0.5 * (s_x[:, :-1, :-1] + s_x[:, :-1, 1:])
        sv = 0.5 * (s_y[:, :-1, :-1] + s_y[:, 1:, :-1])
        if wet is not None:
            sea = trim(wet, self.network.radius)
            su = torch.where(sea[:-1, :-1] & sea[:-1, 1:], su, 0.0)
            sv = torch.where(sea[:-1, :-1] & sea[1:, :-1], sv, 0.0)
        rim = (self.halo,) * 4
        return {"su": functional.pad(su, rim), "sv": functional.pad(sv, rim)}

    def _noise(self, date: int | None, cell: Tensor | None, like: Tensor) -> Tensor:
        if date is None or cell is None:
            raise ValueError("GuillauminZanna2021: a stochastic forcing needs `date` and `cell`")
        inner = trim(cell[1:, 1:], self.network.radius)
        return torch.stack(normal(self.seed, date, inner, len(like)), dim=1).to(like.dtype)
