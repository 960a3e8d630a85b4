# SPDX-License-Identifier: MIT
"""Files of weights: every published naming gives the same network; what does not fit is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from closures.files import NARROW, ann_file, convolution_state, gz21_file
from ml_server.closures import BodnerMLE, GuillauminZanna2021, PerezhoginANN
from ml_server.closures.convolution import ConvolutionStack
from ml_server.closures.weights import fit_state, read_state
from ml_server.errors import PredictorError

CHANNELS = (2, *NARROW, 4)
KERNELS = (5, 5, 3, 3, 3, 3, 3, 3)


@pytest.mark.parametrize("batch_norm", [False, True])
@pytest.mark.parametrize("names", ["flat", "blocks", "numbered", "inner"])
def test_layers_are_fitted_by_order_whatever_their_names(names: str, batch_norm: bool) -> None:
    state = convolution_state(CHANNELS, names, batch_norm)
    stack = ConvolutionStack(CHANNELS, KERNELS, batch_norm)
    report = fit_state(stack, state, "file")
    mine = {k: v for k, v in stack.state_dict().items() if "num_batches" not in k}
    theirs = {k: v for k, v in state.items() if "num_batches" not in k}
    for got, expected in zip(mine.values(), theirs.values(), strict=True):
        assert torch.equal(got, expected)
    first = next(iter(theirs))
    assert report[0] == f"{first} (8, 2, 5, 5) is convolutions.0.0.weight"
    assert len(report) == len(theirs)


def test_the_same_names_are_fitted_by_name_in_any_order() -> None:
    stack, other = (ConvolutionStack(CHANNELS, KERNELS) for _ in range(2))
    fit_state(stack, dict(reversed(other.state_dict().items())), "file")
    for got, expected in zip(stack.parameters(), other.parameters(), strict=True):
        assert torch.equal(got, expected)


def test_another_architecture_is_refused_with_both_lists(tmp_path: Path) -> None:
    file = gz21_file(tmp_path / "gz21.pt", hidden=(8, 6, 5, 4, 4, 4, 4))
    with pytest.raises(
        ValueError, match="of another architecture: 16 tensors, expected 16"
    ) as info:
        GuillauminZanna2021(str(file), hidden=NARROW)
    lines = str(info.value).splitlines()
    assert [line.split() for line in lines if " 4.weight" in line] == [
        [
            ">",
            "4.weight",
            "(5,",
            "6,",
            "3,",
            "3)",
            "convolutions.2.0.weight",
            "(4,",
            "6,",
            "3,",
            "3)",
        ]
    ]
    assert sum(line.startswith(">") for line in lines) == 3  # two weights and a bias
    with pytest.raises(ValueError, match="16 tensors, expected 16"):
        GuillauminZanna2021(str(file))
    torch.save(convolution_state((2, 8, 6, 4)), file)
    with pytest.raises(ValueError, match="6 tensors, expected 16"):
        GuillauminZanna2021(str(file), min_value=0.1, hidden=NARROW)


def test_every_kind_of_file_gives_the_same_state(tmp_path: Path) -> None:
    state = convolution_state(CHANNELS)
    torch.save(state, tmp_path / "plain.pth")
    torch.save({"state_dict": state, "epoch": 3}, tmp_path / "lightning.ckpt")
    save_file(state, tmp_path / "file.safetensors")
    for file in tmp_path.iterdir():
        found = read_state(file)
        assert found.keys() == state.keys()
        assert all(torch.equal(found[name], state[name]) for name in state)


class Object:
    """Something that only its own code can unpickle."""


def test_files_that_could_run_code_or_are_none_are_refused(tmp_path: Path) -> None:
    torch.save(Object(), tmp_path / "object.pt")
    with pytest.raises(PredictorError, match=r"object\.pt holds more than weights, and can run"):
        read_state(tmp_path / "object.pt")
    torch.save([torch.ones(3)], tmp_path / "list.pt")
    with pytest.raises(PredictorError, match="list, expected a state dict"):
        read_state(tmp_path / "list.pt")
    for name in ("text.pt", "text.safetensors", "text.nc"):
        (tmp_path / name).write_text("these are no weights, but text")
        with pytest.raises((PredictorError, ValueError), match=name):
            PerezhoginANN(str(tmp_path / name)) if name == "text.nc" else read_state(
                tmp_path / name
            )
    (tmp_path / "empty.pt").touch()
    with pytest.raises(PredictorError, match=r"empty\.pt is no state dict"):
        read_state(tmp_path / "empty.pt")
    for closure in (GuillauminZanna2021, BodnerMLE, PerezhoginANN):
        with pytest.raises(FileNotFoundError, match="weights: no file"):
            closure(str(tmp_path / "missing"))


def test_the_least_precision_comes_from_the_file_or_the_spec(tmp_path: Path) -> None:
    file = gz21_file(tmp_path / "whole.pt")
    assert GuillauminZanna2021(str(file), hidden=NARROW).min_value.item() == pytest.approx(0.2)
    torch.save(convolution_state(CHANNELS), tmp_path / "network.pt")
    arguments = {"weights": str(tmp_path / "network.pt"), "hidden": NARROW}
    with pytest.raises(ValueError, match=r"lacks the scalar .* give it as min_value"):
        GuillauminZanna2021(**arguments)
    assert GuillauminZanna2021(**arguments, min_value=0.3).min_value.item() == pytest.approx(0.3)


def test_arithmetic_is_in_the_type_of_the_weights_or_as_told(tmp_path: Path) -> None:
    torch.save(convolution_state(CHANNELS, dtype=torch.float64), tmp_path / "double.pt")
    torch.save(convolution_state(CHANNELS, dtype=torch.float16), tmp_path / "half.pt")

    def dtype(file: str, cast: str | None) -> torch.dtype:
        arguments = {"weights": str(tmp_path / file), "hidden": NARROW, "min_value": 0.3}
        return next(GuillauminZanna2021(**arguments, cast=cast).parameters()).dtype

    assert dtype("double.pt", None) == torch.float64
    assert dtype("double.pt", "float32") == torch.float32
    assert dtype("half.pt", "float32") == torch.float32
    with pytest.raises(ValueError, match="got float16, expected cast: float32 or float64"):
        dtype("half.pt", None)


def test_what_is_wrong_with_a_netcdf_network(tmp_path: Path) -> None:
    PerezhoginANN(str(ann_file(tmp_path / "right.nc")))
    PerezhoginANN(str(ann_file(tmp_path / "deeper.nc", sizes=(27, 32, 32, 3))))
    with pytest.raises(ValueError, match=r"answers its own x_test with an error of 0\.1"):
        PerezhoginANN(str(ann_file(tmp_path / "other.nc", probe=0.1)))
    with pytest.raises(ValueError, match="75 inputs and 3 outputs, expected 27"):
        PerezhoginANN(str(ann_file(tmp_path / "wide.nc", sizes=(75, 20, 3))))
