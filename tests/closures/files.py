# SPDX-License-Identifier: MIT
"""Files of weights as their authors publish them, with random numbers in them."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import netCDF4
import numpy as np
import torch

GZ21_HIDDEN = (128, 64, 32, 32, 32, 32, 32)
NARROW = (8, 6, 4, 4, 4, 4, 4)  # as quick as tests want it


def convolution_state(
    channels: Sequence[int],
    names: str = "flat",
    batch_norm: bool = False,
    seed: int = 0,
    dtype: torch.dtype = torch.float32,
) -> dict[str, torch.Tensor]:
    """Kernels 5, 5, 3, 3, ..., with the names of one of the published codes.

    flat: one Sequential (0.weight, 2.weight, ...); blocks: a Sequential of blocks (0.0.weight);
    numbered: conv1.weight; inner: the Sequential is a member (conv.0.weight).
    """
    random = torch.Generator().manual_seed(seed)
    step, state = 3 if batch_norm else 2, {}

    def uniform(*shape: int, low: float = -1.0, high: float = 1.0) -> torch.Tensor:
        return low + (high - low) * torch.rand(*shape, generator=random, dtype=dtype)

    for n, (inputs, outputs) in enumerate(pairwise(channels)):
        last, kernel = n + 2 == len(channels), 5 if n < 2 else 3
        block = {"flat": f"{n * step}", "blocks": f"{n}" if last else f"{n}.0"}
        name = block | {"numbered": f"conv{n + 1}", "inner": f"conv.{n * step}"}
        spread = (inputs * kernel * kernel) ** -0.5
        state[f"{name[names]}.weight"] = 2 * spread * uniform(outputs, inputs, kernel, kernel)
        state[f"{name[names]}.bias"] = spread * uniform(outputs)
        if batch_norm and not last:
            norm = {"flat": f"{n * step + 2}", "blocks": f"{n}.2", "inner": f"conv.{n * step + 2}"}
            after = (norm | {"numbered": f"batch_norm{n + 1}"})[names]
            state[f"{after}.weight"] = uniform(outputs, low=0.5, high=1.5)
            state[f"{after}.bias"] = 0.1 * uniform(outputs)
            state[f"{after}.running_mean"] = 0.1 * uniform(outputs)
            state[f"{after}.running_var"] = uniform(outputs, low=0.5, high=1.5)
            state[f"{after}.num_batches_tracked"] = torch.tensor(7)
    return state


def gz21_file(path: Path, hidden: Sequence[int] = NARROW, seed: int = 0) -> Path:
    """As the authors' code saves a network together with its final transformation."""
    state = convolution_state((2, *hidden, 4), seed=seed)
    torch.save(state | {"_final_transformation._min_value": torch.tensor(0.2)}, path)
    return path


def ann_file(
    path: Path, seed: int = 0, sizes: Sequence[int] = (27, 20, 3), probe: float = 0
) -> Path:
    """As export_ANN of the authors writes it; `probe` is an error of its y_test."""
    random = np.random.default_rng(seed)
    norms = random.uniform(0.5, 2, sizes[0]), random.uniform(0.5, 2, sizes[-1])
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("dummy_dimension", 1)
        file.createDimension("nlayers", len(sizes))
        file.createVariable("num_layers", "i4", "dummy_dimension")[:] = len(sizes)
        file.createVariable("layer_sizes", "i4", "nlayers")[:] = sizes
        x_test = value = random.normal(size=sizes[0]).astype(np.float32)
        value = value / norms[0]
        for n, (inputs, outputs) in enumerate(pairwise(sizes)):
            rows = f"nrow{n - 1}" if n else "ncol0"
            file.createDimension(rows, inputs) if rows not in file.dimensions else None
            file.createDimension(f"nrow{n}", outputs)
            matrix = random.normal(size=(inputs, outputs)).astype(np.float32) / inputs**0.5
            bias = 0.1 * random.normal(size=outputs).astype(np.float32)
            file.createVariable(f"A{n}", "f4", (rows, f"nrow{n}"))[:] = matrix
            file.createVariable(f"b{n}", "f4", f"nrow{n}")[:] = bias
            value = value @ matrix + bias
            value = np.maximum(value, 0) if n + 2 < len(sizes) else value
        last = f"nrow{len(sizes) - 2}"
        file.createVariable("x_test", "f4", "ncol0")[:] = x_test
        file.createVariable("y_test", "f4", last)[:] = value * norms[1] + probe
        file.createVariable("input_norms", "f4", "ncol0")[:] = norms[0]
        file.createVariable("output_norms", "f4", last)[:] = norms[1]
    return path
