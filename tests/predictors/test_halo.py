# SPDX-License-Identifier: MIT
"""The receptive field of the same network in every format: two convolutions of 3 x 3."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from ml_server.halos.halo import fit_halos
from ml_server.halos.reach import Reach
from predictors.case import loaded

CHANNELS = {"inputs": ["u", "v"], "outputs": ["su", "sv"]}
FORMATS: dict[str, dict[str, Any]] = {
    "class": {"python": "networks:Named"},
    "mapped": {"python": "networks:Convolutions", **CHANNELS},
    "TorchScript": {"file": "net.pt", **CHANNELS},
    "torch.export": {"file": "net.pt2", **CHANNELS},
    "named": {"file": "named.pt2"},
    "ONNX": {"file": "net.onnx", **CHANNELS},
}


@pytest.mark.parametrize("predictor", FORMATS.values(), ids=FORMATS)
def test_measured(files: Path, tmp_path: Path, predictor: dict[str, Any]) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    spec, network = loaded(tmp_path, predictor)
    fit = fit_halos(spec, "closure", network)
    assert fit.field is not None
    assert fit.field.reaches == {"u": Reach(2, 2, 2, 2), "v": Reach(2, 2, 2, 2)}
    assert fit.field.levels_alike
    assert not fit.field.is_global
    assert (fit.excess, fit.field.halo) == ((), 2)


def test_a_file_of_one_size(files: Path, tmp_path: Path) -> None:
    shutil.copytree(files, tmp_path, dirs_exist_ok=True)
    spec, network = loaded(tmp_path, {"file": "fixed.pt2", **CHANNELS})
    fit = fit_halos(spec, "closure", network)
    assert fit.field is None
    assert "what fixed.pt2 reads cannot be measured: it refuses random fields" in fit.remarks[0]
