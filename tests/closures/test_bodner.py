# SPDX-License-Identifier: MIT
"""The submesoscale network: norms, land, layers and halo as published."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from closures.files import convolution_state
from ml_server.closures import BodnerMLE
from ml_server.closures.bodner import INPUTS, OUTPUT

CHANNELS = (8, 128, 64, 32, 32, 32, 32, 1)
MEANS = {name: 0.5 * number for number, name in enumerate((*INPUTS.values(), OUTPUT))}
STDS = {name: 1.0 + 0.25 * number for number, name in enumerate((*INPUTS.values(), OUTPUT))}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("bodner")
    torch.save(convolution_state(CHANNELS, "inner", batch_norm=True), directory / "fcnn.pt")
    for kind, values in (("mean", MEANS), ("std", STDS)):
        for name, value in values.items():
            np.save(directory / f"{name}_{kind}.npy", value)
    return directory


def case(size: int) -> dict[str, torch.Tensor]:
    random = torch.Generator().manual_seed(2)
    shape = (1, size, size)
    return {name: torch.randn(shape, generator=random, dtype=torch.float64) for name in INPUTS}


def test_the_flux_is_what_the_layers_say(files: Path) -> None:
    """Normalised inputs, 0 on land; convolution, ReLU, batch statistics of the training."""
    module = BodnerMLE(str(files / "fcnn.pt"), str(files), "float64")
    assert module.halo == 9
    fields = case(21)
    mask = torch.rand(21, 21, generator=torch.Generator().manual_seed(3)).gt(0.2)
    mask[9:12, 9:12] = torch.tensor([[1, 1, 0], [1, 1, 1], [1, 0, 1]])
    channels = [
        torch.where(mask, (field - MEANS[published]) / STDS[published], 0.0)
        for field, published in zip(fields.values(), INPUTS.values(), strict=True)
    ]
    x = torch.stack(channels, dim=1)
    state = convolution_state(CHANNELS, "inner", batch_norm=True)
    state = {name: tensor.double() for name, tensor in state.items()}
    for n in range(7):
        x = functional.conv2d(x, state[f"conv.{3 * n}.weight"], state[f"conv.{3 * n}.bias"])
        if n < 6:
            names = ("running_mean", "running_var", "weight", "bias")
            mean, var, weight, bias = (
                state[f"conv.{3 * n + 2}.{name}"][:, None, None] for name in names
            )
            x = (x.clamp(min=0) - mean) / torch.sqrt(var + 1e-5) * weight + bias
    expected = torch.where(mask[9:12, 9:12], x[:, 0] * STDS[OUTPUT] + MEANS[OUTPUT], 0.0)
    with torch.no_grad():
        got = module(**fields, mask_t=mask.double())["wb"]
    assert got.shape == (1, 21, 21)
    torch.testing.assert_close(got[:, 9:12, 9:12], expected, rtol=1e-12, atol=1e-13)
    assert (expected != 0).any()


def test_layers_of_the_file_make_the_halo(tmp_path: Path) -> None:
    channels = (8, 128, 64, 32, 32, 32, 32, 32, 1)
    torch.save(convolution_state(channels, "inner", batch_norm=True), tmp_path / "eight.pt")
    module = BodnerMLE(str(tmp_path / "eight.pt"))
    assert module.halo == 10
    fields = {name: field.float() for name, field in case(21).items()}
    with torch.no_grad():
        before = module(**fields)["wb"][0, 10, 10]
        for name in fields:  # every input is read, up to the corner
            there = fields | {name: fields[name] + 0.0}
            there[name][0, 0, 0] += 10
            assert module(**there)["wb"][0, 10, 10] != before, name
    with pytest.raises(ValueError, match="pad each side by halo = 10"):
        module(**{name: field[:, 1:] for name, field in fields.items()})


def test_what_is_wrong_with_files_is_said(files: Path, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"no file .*grad_B_mean\.npy"):
        BodnerMLE(str(files / "fcnn.pt"), str(tmp_path))
    for file in files.glob("*.npy"):
        np.save(tmp_path / file.name, np.load(file))
    np.save(tmp_path / "TAU_std.npy", 0.0)
    with pytest.raises(ValueError, match=r"TAU_std\.npy holds 0\.0, expected one number, a std"):
        BodnerMLE(str(files / "fcnn.pt"), str(tmp_path))
    torch.save(convolution_state((8, 4, 1)), tmp_path / "small.pt")
    with pytest.raises(ValueError, match="another architecture: 4 tensors, expected 6"):
        BodnerMLE(str(tmp_path / "small.pt"))
    torch.save(convolution_state((10, *CHANNELS[1:])), tmp_path / "ten.pt")
    with pytest.raises(ValueError, match=r"> 0\.weight \(128, 10, 5, 5\)"):
        BodnerMLE(str(tmp_path / "ten.pt"))


def test_random_weights_have_the_published_shape() -> None:
    module = BodnerMLE("random")
    assert module.halo == 9
    assert [layer[0].out_channels for layer in module.network.convolutions] == [*CHANNELS[1:]]
