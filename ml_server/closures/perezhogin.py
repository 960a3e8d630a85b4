# SPDX-License-Identifier: MIT
"""Perezhogin, Zanna and Adcroft 2025: a small network for the stress of mesoscale eddies.

*Generalizable neural-network parameterization of mesoscale eddies in idealized and global ocean
models*, arXiv:2505.08900. The written form is docs/closures.md. Weights are the authors' NetCDF
files or the user's; none come with it. A network of one cell's neighbourhood, written with slices,
products and sums in a fixed order: the same bits for any tile, as for Zanna-Bolton.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn import functional

from ml_server.closures.c_grid import GradientClosure, Statics, mean_of_four, trim

Array = NDArray[np.float64]
Layers = list[tuple[Array, Array]]  # matrix (input, output) and bias of each

FEATURES, STENCIL, STRESSES = 3, 9, 3
TINY = 1e-30  # [s-1] added to the norm, so that a fluid at rest is no 0/0
ANSWER_TOLERANCE = 1e-5  # of the largest answer, in float32


class PerezhoginANN(GradientClosure):
    """Forcing su, sv [m s-2] from velocity gradients on 3 x 3 cells, by a network for the stress.

    weights   the NetCDF file of the network, as published
    strength  a factor of the stress, 1 in the paper
    """

    halo = 3  # 1 the gradients' corners, 1 the stencil, 1 stress at corners and its divergence

    def __init__(self, weights: str, strength: float = 1.0) -> None:
        super().__init__()
        self.strength = float(strength)
        layers = read_network(weights)
        self.depth = len(layers)
        for number, (matrix, bias) in enumerate(layers):
            self.register_buffer(f"matrix_{number}", torch.from_numpy(matrix))
            self.register_buffer(f"bias_{number}", torch.from_numpy(bias))

    def stress(self, gradients: Tensor, statics: Statics) -> Tensor:
        """Over 2..n-3."""
        tension, shear, vorticity = gradients.unbind()
        features = torch.stack(
            (mean_of_four(shear), tension[..., :-1, :-1], mean_of_four(vorticity))
        )
        norm = _norm(features, statics.mask_t)
        txy, txx, tyy = self._network(_stencils(features), norm + TINY)
        kappa = (-self.strength * trim(statics.area_t, 2)) * trim(statics.mask_t, 2)
        scale = (norm * norm) * kappa
        corner = mean_of_four(txy * scale) * trim(statics.mask_f, 2)[..., :-1, :-1]
        # the last row and column of corners are beyond what the divergence reads
        return torch.stack((txx * scale, tyy * scale, functional.pad(corner, (0, 1, 0, 1))))

    def _network(self, inputs: Sequence[Tensor], norm: Tensor) -> Sequence[Tensor]:
        """Layers of sum over inputs, in order, of weight * input, plus bias; ReLU between them."""
        values: Sequence[Tensor] = [field / norm for field in inputs]
        for number in range(self.depth):
            matrix = getattr(self, f"matrix_{number}").to(norm)  # (input, output)
            bias = getattr(self, f"bias_{number}").to(norm)
            total = bias.reshape(-1, 1, 1, 1).expand(-1, *norm.shape)
            for row, field in zip(matrix, values, strict=True):
                total = total + row.reshape(-1, 1, 1, 1) * field
            values = (torch.relu(total) if number + 1 < self.depth else total).unbind()
        return values


def _norm(features: Tensor, mask_t: Tensor) -> Tensor:
    """Root of the sum of squares of all features in the sea on 3 x 3 cells, 2..n-3, [s-1]."""
    shear, tension, vorticity = features.unbind()
    square = ((tension * tension + shear * shear) + vorticity * vorticity) * trim(mask_t, 1)
    total = torch.zeros_like(trim(square, 1))
    for part in _neighbours(square):
        total = total + part
    return torch.sqrt(total)


def _stencils(features: Tensor) -> list[Tensor]:
    """The 27 inputs: feature by feature, of each its 3 x 3 cells, row by row along x."""
    return [part for feature in features.unbind() for part in _neighbours(feature)]


def _neighbours(field: Tensor) -> list[Tensor]:
    ny, nx = field.shape[-2] - 2, field.shape[-1] - 2
    return [field[..., y : y + ny, x : x + nx] for y in range(3) for x in range(3)]


def read_network(path: str | Path) -> Layers:
    """The layers in a file of the authors, with its norms taken into them.

    The file holds `layer_sizes`; A0, b0, A1, b1, ... with matrices as (input, output);
    `input_norms`, by which inputs are divided, and `output_norms`, by which outputs are
    multiplied. If it holds `x_test` and `y_test`, a question and its answer, that must come out.
    Raises FileNotFoundError, and ValueError with what is wrong.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights: no file {path}")
    variables = _variables(path)
    sizes = [int(size) for size in variables["layer_sizes"]]
    wide = FEATURES * STENCIL
    if sizes[0] != wide or sizes[-1] != STRESSES:
        raise ValueError(
            f"weights: {path.name} is a network of {sizes[0]} inputs and {sizes[-1]} outputs, "
            f"expected {wide} (shear, tension, vorticity on 3 x 3 cells) and {STRESSES} stresses"
        )
    layers: Layers = []
    for number, shape in enumerate(pairwise(sizes)):
        matrix, bias = variables[f"A{number}"], variables[f"b{number}"]
        if matrix.shape != shape or bias.shape != shape[1:]:
            raise ValueError(
                f"weights: {path.name}: A{number} {matrix.shape} and b{number} {bias.shape}, "
                f"expected {shape} and {shape[1:]} from layer_sizes"
            )
        layers.append((matrix, bias))
    layers[0] = (layers[0][0] / variables["input_norms"][:, None], layers[0][1])
    matrix, bias = layers[-1]
    layers[-1] = (matrix * variables["output_norms"], bias * variables["output_norms"])
    _check_answer(layers, variables, path)
    return layers


def _variables(path: Path) -> dict[str, Array]:
    import netCDF4

    try:
        with netCDF4.Dataset(path) as file:
            found = {name: np.ma.getdata(file[name][:]) for name in file.variables}
    except OSError as error:
        raise ValueError(f"weights: {path.name} is no NetCDF file: {error}") from error
    if "layer_sizes" not in found:
        raise ValueError(f"weights: {path.name} lacks layer_sizes; it has {', '.join(found)}")
    needed = [f"{kind}{n}" for n in range(len(found["layer_sizes"]) - 1) for kind in "Ab"]
    missing = [name for name in (*needed, "input_norms", "output_norms") if name not in found]
    if missing:
        raise ValueError(f"weights: {path.name} lacks {', '.join(missing)}")
    return {name: array.astype(np.float64) for name, array in found.items()}


def _check_answer(layers: Layers, variables: Mapping[str, Array], path: Path) -> None:
    """The file's own question must have the file's own answer."""
    if "x_test" not in variables or "y_test" not in variables:
        return
    values, expected = variables["x_test"], variables["y_test"]
    for number, (matrix, bias) in enumerate(layers):
        values = values @ matrix + bias
        values = np.maximum(values, 0.0) if number + 1 < len(layers) else values
    error = np.abs(values - expected).max()
    if not error <= ANSWER_TOLERANCE * np.abs(expected).max():
        raise ValueError(
            f"weights: {path.name}: the network answers its own x_test with an error of "
            f"{error:.2g}, expected y_test; was it written by other code?"
        )
