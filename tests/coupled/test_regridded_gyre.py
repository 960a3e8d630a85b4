# SPDX-License-Identifier: MIT
"""The double gyre with its closure on a grid twice as coarse and twice as fine, for real."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from coupled.gyre import coupled, final_state, namelist, run_coupled, spec
from coupler.command.cli import main
from coupler.record import open_record
from jobs import run_ocean

STEPS = 12
LENGTHS = {"coarsen": 2.0, "refine": 0.5}


def regridded(step: str, preset: str = "smooth") -> dict[str, Any]:
    """The shipped spec with the closure on a grid of its own."""
    loaded = spec(preset)
    loaded["grids"]["other"] = {step: "ocean", "by": 2}
    loaded["components"]["closure"]["predictor"] = {
        "python": "coupled.regridded_closure:Noting",
        "preset": preset,
    }
    loaded["components"]["closure"]["inference"] = {"chunk": "all"}  # one call a step
    there, back = loaded["exchanges"]
    there |= {"grid": "ocean", "halo": 6, "regrid": {"to": "other", "fallback": 0}}
    back |= {"grid": "ocean", "regrid": {"from": "other"}}
    there["fields"]["h"]["mask"] = ["mask_t", "area_t"]
    there["static"]["area_t"]["mask"] = "mask_t"  # times the open share: the area that is open
    for name, field in there["static"].items():
        if not name.startswith("mask"):
            field["scale"] = LENGTHS[step] ** (2 if name.startswith("area") else 1)
    return loaded


def last_volume(directory: Path) -> np.ndarray:
    """(level) [m3] that all worker ranks together saw at the last step."""
    files = sorted(directory.glob("integrals.*.jsonl"))
    return np.sum([json.loads(file.read_text().splitlines()[-1]) for file in files], axis=0)


@pytest.mark.parametrize("step", ["coarsen", "refine"])
def test_the_closure_acts_and_volume_is_conserved_on_another_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    groups = namelist(coupled("smooth"), STEPS)
    run_coupled(tmp_path / "one", groups, regridded(step), 1, 1)
    one = final_state(tmp_path / "one", STEPS)
    if step == "coarsen":
        run_coupled(tmp_path / "many", groups, regridded(step), 4, 3)
        for name, values in final_state(tmp_path / "many", STEPS).items():
            np.testing.assert_array_equal(one[name], values, name)
    run_ocean(tmp_path / "none", namelist({"closure": {"kind": "none"}}, STEPS))
    assert not np.array_equal(final_state(tmp_path / "none", STEPS)["u"], one["u"])

    # one more step from its restart: the workers see the h that the file holds
    groups["time"] |= {
        "steps": 1,
        "restart_from": str(tmp_path / "one" / f"gyre_{STEPS:08d}_restart.nc"),
    }
    run_coupled(tmp_path / "next", groups, regridded(step), 1, 2)
    with netCDF4.Dataset(tmp_path / "next" / "gyre_grid.nc") as file:
        area, mask = (np.ma.getdata(file[name][:]) for name in ("area_t", "mask_t"))
    h = one["h"] * area * mask
    expected, scale = h.sum(axis=(-2, -1)), np.abs(h).sum(axis=(-2, -1))
    assert (np.abs(last_volume(tmp_path / "next") - expected) <= 1e-12 * scale).all()


def test_records_are_of_the_workers_grid_and_replay(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = regridded("coarsen")
    predictor = {"python": "ml_server.closures:ZannaBolton2020", "preset": "smooth"}
    loaded["components"]["closure"] |= {"predictor": predictor, "record": True}
    run_coupled(tmp_path, namelist(coupled("smooth"), 2), loaded, 1, 2)
    with open_record(tmp_path) as record:
        assert record["u"].shape == (2, 2, 10, 11)
        assert record.complete
    assert main(["replay", str(tmp_path / "spec.yaml"), str(tmp_path)]) == 0
    assert "su" in capsys.readouterr().out
