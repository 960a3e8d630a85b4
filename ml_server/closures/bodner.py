# SPDX-License-Identifier: MIT
"""Bodner, Balwada and Zanna: a network for the submesoscale buoyancy flux of the mixed layer.

*A data-driven approach for parameterizing ocean submesoscale buoyancy fluxes*, arXiv:2312.06972: it
takes the place of the flux of Fox-Kemper, Ferrari and Hallberg 2008, doi:10.1175/2007JPO3792.1. The
written form is docs/closures.md. Weights and norms are the authors' or the user's; none come with
it.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from ml_server.closures.c_grid import require_padding
from ml_server.closures.convolution import ConvolutionStack
from ml_server.closures.weights import fit_state, number_type, read_state

# Channels in the published order: this module's argument, the name in the files of norms.
INPUTS = {
    "buoyancy_gradient": "grad_B",
    "coriolis": "FCOR",
    "mixed_layer_depth": "HML",
    "wind_stress": "TAU",
    "heat_flux": "Q",
    "divergence": "div",
    "vorticity": "vort",
    "strain": "strain",
}
OUTPUT = "WB_sg"
FIRST_HIDDEN, LATER_HIDDEN = (128, 64), 32
LAYERS = 7
RANDOM = "random"


class BodnerMLE(torch.nn.Module):
    """Subgrid vertical buoyancy flux `wb` of the mixed layer from eight fields at T points.

    weights   a state dict (torch or safetensors); `random` stands for untrained ones, for tests.
              The number of layers is the file's: 7 have a halo of 9
    norms     the directory of `<name>_mean.npy` and `<name>_std.npy`, names as published; without
              it, inputs are what the network takes, and so is the answer
    cast      float32 or float64, of weights and arithmetic, if not as in the file
    """

    levels_independent = True
    mean: Tensor  # of the inputs and of the answer
    std: Tensor

    def __init__(self, weights: str, norms: str | None = None, cast: str | None = None) -> None:
        super().__init__()
        state = {} if weights == RANDOM else read_state(weights)
        kernels = sum(tensor.dim() == 4 for tensor in state.values())
        layers = LAYERS if weights == RANDOM else max(kernels, 3)  # fit_state refuses less
        batch_norm = weights == RANDOM or any(name.endswith("running_mean") for name in state)
        hidden = (*FIRST_HIDDEN, *[LATER_HIDDEN] * (layers - 3))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.network = ConvolutionStack(
                (len(INPUTS), *hidden, 1), (5, 5, *[3] * (layers - 2)), batch_norm
            )
        dtype = number_type(cast, state)
        self.to(dtype).eval()
        self.loaded = [] if weights == RANDOM else fit_state(self.network, state, weights)
        self.halo = self.network.radius
        names = (*INPUTS.values(), OUTPUT)
        for kind, default in (("mean", 0.0), ("std", 1.0)):
            values = [_norm(norms, name, kind) if norms else default for name in names]
            self.register_buffer(kind, torch.tensor(values, dtype=dtype))

    def forward(
        self,
        buoyancy_gradient: Tensor,
        coriolis: Tensor,
        mixed_layer_depth: Tensor,
        wind_stress: Tensor,
        heat_flux: Tensor,
        divergence: Tensor,
        vorticity: Tensor,
        strain: Tensor,
        mask_t: Tensor | None = None,
    ) -> dict[str, Tensor]:
        """Return wb, (1, y, x), in the norms' units.

        All are (1, y, x), or (y, x), padded by `halo` cells, in the units of the norms. Where
        `mask_t` is 0, the network sees the mean of each field, as in the authors' implementation,
        and the answer is 0. It has the padded shape, and 0 in the rim.
        """
        shape = (1, *buoyancy_gradient.shape[-2:])
        require_padding(buoyancy_gradient.reshape(shape), self.halo, "BodnerMLE")
        fields = (
            *(buoyancy_gradient, coriolis, mixed_layer_depth, wind_stress),
            *(heat_flux, divergence, vorticity, strain),
        )
        x = torch.stack([field.reshape(shape) for field in fields], dim=1).to(self.mean.dtype)
        mean, std = self.mean[:, None, None], self.std[:, None, None]
        x = (x - mean[:-1]) / std[:-1]
        if mask_t is not None:
            x = torch.where(mask_t.reshape(shape) > 0, x, 0.0)
        flux = self.network(x)[:, 0] * std[-1] + mean[-1]
        wb = functional.pad(flux, (self.halo,) * 4)
        return {"wb": wb if mask_t is None else torch.where(mask_t.reshape(shape) > 0, wb, 0.0)}


def _norm(directory: str, name: str, kind: str) -> float:
    path = Path(directory) / f"{name}_{kind}.npy"
    if not path.is_file():
        raise FileNotFoundError(f"norms: no file {path}")
    value = np.load(path, allow_pickle=False)
    if value.size != 1 or (kind == "std" and not value > 0):
        raise ValueError(f"norms: {path.name} holds {value}, expected one number, a std above 0")
    return float(value.reshape(()))
