# SPDX-License-Identifier: MIT
"""What the shipped closures declare is what is measured of them, and their seams close."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from closures.files import NARROW, ann_file, gz21_file
from coupled.gyre import coupled, namelist, spec
from coupler.command.fitting import load_fitted
from coupler.spec.load import load_spec
from jobs import write_namelist
from ml_server.halos.seams import compare_seams

GZ21 = {"weights": "gz21.pt", "hidden": [*NARROW]}
CLOSURES: dict[str, tuple[str, dict[str, Any], int]] = {
    "GZ21": ("GuillauminZanna2021", GZ21, 11),
    "GZ21 with noise": ("GuillauminZanna2021", GZ21 | {"seed": 3}, 11),
    "GZ21, filled coasts": ("GuillauminZanna2021", GZ21 | {"coast": "replicate"}, 21),
    "ANN": ("PerezhoginANN", {"weights": "Tall.nc"}, 3),
    "emulator": ("ZannaBoltonEmulator", {}, 4),
}


@pytest.mark.parametrize(("name", "settings", "halo"), CLOSURES.values(), ids=CLOSURES)
def test_measured_is_declared(
    tmp_path: Path, name: str, settings: dict[str, Any], halo: int
) -> None:
    gz21_file(tmp_path / "gz21.pt")
    ann_file(tmp_path / "Tall.nc")
    loaded = spec()
    loaded["components"]["closure"] |= {
        "ranks": 4,
        "predictor": {"python": f"ml_server.closures:{name}", **settings},
    }
    loaded["exchanges"][0]["halo"] = "auto"
    write_namelist(tmp_path / "ocean.nml", namelist(coupled()))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(loaded))
    predictor, fit = load_fitted(load_spec(tmp_path / "spec.yaml"), "closure")
    assert predictor.halo == halo
    assert fit.field is not None
    assert (fit.field.halo, fit.field.block, fit.spec.exchanges[0].halo) == (halo, 1, halo)
    assert not fit.field.is_global
    assert compare_seams(predictor, fit).passed
