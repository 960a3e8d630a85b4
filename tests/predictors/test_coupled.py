# SPDX-License-Identifier: MIT
"""The same network in real jobs, in every format: the ocean's forcing against torch alone."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import torch

from coupled.gyre import coupled, namelist, run_coupled
from predictors.networks import Convolutions

HALO, STEPS = 2, 3
MEAN, SCALE = 0.02, 1e-7
STD = (0.1, 0.05)  # of each level

FIELDS: dict[str, Any] = {
    "inputs": {
        "u": {"mean": MEAN, "std": "norm.npz:spread", "mask": "mask_u", "fill": "mean"},
        "v": {"std": list(STD), "mask": "mask_v"},
    },
    "outputs": {name: {"scale": SCALE, "mask": f"mask_{name[1]}"} for name in ("su", "sv")},
}
CLASS = {"python": "networks:Convolutions", "seed": 1}
FORMATS = {
    "class": {"python": "networks:Convolutions"},
    "state dict": CLASS | {"state": "net.pth"},
    "safetensors": CLASS | {"state": "net.safetensors"},
    "TorchScript": {"file": "net.pt"},
    "torch.export": {"file": "net.pt2"},
    "ONNX": {"file": "net.onnx"},
}


def spec(predictor: dict[str, Any], workers: int, **run: Any) -> dict[str, Any]:
    """u and v to the workers, su and sv back, every step."""
    masks = {f"mask_{point}": {"point": point.upper()} for point in "uv"}
    faces = {"u": {"point": "U", "kind": "vector_i"}, "v": {"point": "V", "kind": "vector_j"}}
    asked = {"halo": HALO, "wire": "float64", "fields": faces, "static": masks}
    return {
        "run": {"namelist": "ocean.nml", "time_limit": 60} | run,
        "components": {
            "ocean": {"command": "ocean_model ocean.nml"},
            "closure": {"worker": True, "ranks": workers, "predictor": predictor},
        },
        "grids": {"ocean": {"boundary": {"x": "closed", "y": "closed"}}},
        "exchanges": [
            {"from": "ocean", "to": "closure", **asked},
            {
                **{"from": "closure", "to": "ocean"},
                "fields": {f"s{name}": face for name, face in faces.items()},
            },
        ],
    }


def run(
    files: Path,
    directory: Path,
    predictor: dict[str, Any],
    steps: int = STEPS,
    workers: int = 1,
    **more: Any,
) -> str:
    """One job; returns what it printed when it failed, '' when it did not."""
    for file in files.iterdir():
        if file.is_file():
            shutil.copy(file, directory)
    np.savez(directory / "norm.npz", spread=np.array(STD))
    groups = namelist(coupled(), steps)
    job = run_coupled(directory, groups, spec(predictor, workers, **more), 1, workers, check=False)
    return job.stderr + job.stdout if job.returncode else ""


def direct(u: np.ndarray, v: np.ndarray, masks: dict[str, np.ndarray]) -> np.ndarray:
    """(level, su or sv, y, x) on the whole grid at once, by hand."""
    std = np.array(STD).reshape(-1, 1, 1)
    wet = {name: np.pad(mask, HALO) > 0 for name, mask in masks.items()}
    wide = ((0, 0), (HALO, HALO), (HALO, HALO))
    channels = np.stack(
        [
            np.where(wet["u"], np.pad(u, wide) - MEAN, 0.0) / std,
            np.where(wet["v"], np.pad(v, wide), 0.0) / std,
        ],
        axis=1,
    )
    with torch.inference_mode():
        answer = Convolutions()(torch.from_numpy(channels).float()).double().numpy()
    inner = answer[..., HALO:-HALO, HALO:-HALO] * SCALE
    return np.where(np.stack([masks["u"], masks["v"]]) > 0, inner, 0.0)


def read(directory: Path) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Records (record, level, y, x), and masks (y, x)."""
    with netCDF4.Dataset(directory / "gyre_steps.nc") as file:
        file.set_auto_mask(False)
        names = {"u": "uo", "v": "vo", "su": "su", "sv": "sv"}
        records = {name: np.asarray(file[variable][:]) for name, variable in names.items()}
    with netCDF4.Dataset(directory / "gyre_grid.nc") as file:
        file.set_auto_mask(False)
        return records, {point: np.asarray(file[f"mask_{point}"][:]) for point in "uv"}


@pytest.mark.parametrize("format", FORMATS)
def test_the_forcing_is_the_network(files: Path, tmp_path: Path, format: str) -> None:
    """Record n + 1 holds the forcing that was made of record n."""
    workers = 2 if format == "TorchScript" else 1  # two boxes, of two sizes
    assert run(files, tmp_path, FORMATS[format] | FIELDS, workers=workers) == ""
    records, masks = read(tmp_path)
    assert len(records["u"]) == STEPS + 1
    for step in range(STEPS):
        expected = direct(records["u"][step], records["v"][step], masks)
        for number, name in enumerate(("su", "sv")):
            got, largest = records[name][step + 1], np.abs(expected[:, number]).max()
            assert largest > 1e-9
            np.testing.assert_allclose(got, expected[:, number], atol=1e-6 * largest, rtol=0)


FADING = '''

class Fading(Convolutions):
    """NaN at the seventh state that is not all zeros."""

    states = 0

    def forward(self, x):
        self.states += int(x.abs().max() > 0)
        return super().forward(x) * (float("nan") if self.states == 7 else 1.0)
'''
SLOW = '''
import time

def slow(u, v, seconds=[1.5]):
    """The first call takes its time."""
    time.sleep(seconds.pop() if seconds else 0.0)
    return 0 * u, 0 * v


def stuck(u, v):
    time.sleep(1000)
'''


def test_wrong_channels(files: Path, tmp_path: Path) -> None:
    """What `halocline check` finds, in a job that was started without it."""
    output = run(files, tmp_path, {"file": "net.onnx", "inputs": ["u", "v", "mask_u"]})
    assert "closure rank 0: at step 0, date 0 s: net.onnx was exported for 'x' of" in output
    assert "it has 2 channels, the inputs make 3" in output
    assert "told by closure rank" in output


def test_nan_on_step_seven(files: Path, tmp_path: Path) -> None:
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "networks.py").write_text((files / "networks.py").read_text() + FADING)
    output = run(bad, tmp_path, {"python": "networks:Fading", **FIELDS}, steps=20)
    assert "at step 6, date 3600 s: answer of step 6, date 3600 s: field 'su' has" in output
    assert "values that are not finite" in output
    assert "told by closure rank" in output  # the ocean's ranks know


@pytest.mark.parametrize(("function", "limit"), [("slow", 60), ("stuck", 2)])
def test_slow_on_step_one(tmp_path: Path, function: str, limit: int) -> None:
    """Within the time limit the model waits; beyond it both sides say which limit that was."""
    bad = tmp_path / "bad"
    bad.mkdir()
    (bad / "delays.py").write_text(SLOW)
    output = run(bad, tmp_path, {"python": f"delays:{function}"}, time_limit=limit)
    if function == "slow":
        assert output == ""
        assert len(read(tmp_path)[0]["u"]) == STEPS + 1
    else:
        assert "ocean rank 0: waited 2.0 s for su of date 0 from worker rank" in output
        assert "time_limit" in output


def test_what_comes_once_is_not_changed_by_a_network_that_runs_cold(tmp_path: Path) -> None:
    """A warm-up would have shown it."""
    (tmp_path / "halving.py").write_text(
        "import torch\n"
        "class Halving(torch.nn.Module):\n"
        "    def forward(self, u, v, mask_u, mask_v):\n"
        "        mask_v *= 0.5\n"
        "        return u * 0, v * 0\n"
    )
    loaded = spec({"python": "halving:Halving"}, 1)
    loaded["components"]["closure"]["inference"] = {"warm_up": False}
    job = run_coupled(tmp_path, namelist(coupled(), STEPS), loaded, 1, 1, check=False)
    assert job.returncode
    assert "halving:Halving changes its argument 'mask_v', which comes once" in job.stderr
