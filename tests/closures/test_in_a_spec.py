# SPDX-License-Identifier: MIT
"""Closures as a spec names them: files beside the spec, halos, and what is asked for besides
fields."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml

from closures.files import NARROW, ann_file, gz21_file
from coupled.gyre import coupled, namelist, spec
from coupler.spec.load import load_spec
from jobs import write_namelist
from ml_server.predictor import Predictor, PredictorError, load_for


def loaded(directory: Path, halo: int, **predictor: Any) -> Predictor:
    """The predictor of a spec that lies in `directory`."""
    changed = spec()
    changed["components"]["closure"]["predictor"] = predictor
    changed["exchanges"][0]["halo"] = halo
    write_namelist(directory / "ocean.nml", namelist(coupled()))
    (directory / "spec.yaml").write_text(yaml.safe_dump(changed))
    return load_for(load_spec(directory / "spec.yaml"), "closure")


def gz21(**settings: Any) -> dict[str, Any]:
    python = "ml_server.closures:GuillauminZanna2021"
    return {"python": python, "weights": "gz21.pt", "hidden": [*NARROW], **settings}


def test_date_and_cell_reach_a_network_as_they_are(tmp_path: Path) -> None:
    """Numbers above 2**24, which float32, the type of the weights, would round."""
    gz21_file(tmp_path / "gz21.pt")
    predictor = loaded(tmp_path, 11, **gz21(seed=3))
    assert predictor.parameters == ("u", "v", "mask_t", "date", "cell")
    u, v = np.random.default_rng(0).normal(size=(2, 2, 27, 25))
    fields = {"u": u, "v": v, "mask_t": np.ones((1, 27, 25)), "h": u}
    cell = np.arange(27 * 25).reshape(27, 25) + (1 << 40)

    def ask(date: int, cell: np.ndarray) -> np.ndarray:
        answer = predictor({**fields, "date": date, "cell": cell}, ("su", "sv"))["su"]
        return np.asarray(answer)[:, 11:-11, 11:-11]

    first = ask((1 << 33) + 1, cell)
    assert np.array_equal(ask((1 << 33) + 1, cell), first)
    assert not np.array_equal(ask((1 << 33) + 2, cell), first)
    moved = ask((1 << 33) + 1, cell + 1)
    assert not np.array_equal(moved, first)


def test_closures_say_what_halo_they_need(tmp_path: Path) -> None:
    gz21_file(tmp_path / "gz21.pt")
    ann_file(tmp_path / "Tall.nc")
    assert loaded(tmp_path, 11, **gz21()).halo == 11
    assert loaded(tmp_path, 21, **gz21(coast="replicate")).halo == 21
    ann = {"python": "ml_server.closures:PerezhoginANN", "weights": "./Tall.nc"}
    assert loaded(tmp_path, 3, **ann).halo == 3


def test_what_is_wrong_with_weights_is_said_with_the_place(tmp_path: Path) -> None:
    with pytest.raises(
        PredictorError, match=r"spec\.yaml:\d+: .*no file gz21\.pt; a setting that names a"
    ):
        loaded(tmp_path, 11, **gz21())
    gz21_file(tmp_path / "gz21.pt", hidden=(4,) * 7)
    with pytest.raises(PredictorError, match="another architecture"):
        loaded(tmp_path, 11, **gz21())


class Asks(torch.nn.Module):
    """Asks for all that there is."""

    def forward(self, u: torch.Tensor, date: int, cell: torch.Tensor) -> dict[str, Any]:
        self.got = (u, date, cell)
        return {"su": u, "sv": u}


def test_types_of_what_a_network_asks_for() -> None:
    module = Asks()
    module.scale = torch.nn.Parameter(torch.zeros(1))  # float32
    predictor = Predictor("Asks", module, ("u", "date", "cell"), True, None)
    predictor({"u": np.ones((1, 3, 3)), "date": 7, "cell": np.zeros((3, 3), np.int64)}, ("su",))
    u, date, cell = module.got
    assert (u.dtype, type(date), cell.dtype) == (torch.float32, int, torch.int64)
