# SPDX-License-Identifier: MIT
"""`halocline run --reference` with the ocean model: two runs, and a picture of both."""

from __future__ import annotations

import shutil
from pathlib import Path

import f90nml
import netCDF4
import numpy as np
import pytest
import yaml

from cli.toy import REPOSITORY, halocline

pytest.importorskip("matplotlib")


def write_gyre(directory: Path) -> None:
    """The shipped spec with the tiny basin and a closure that does nothing."""
    changes = {
        "experiment": {"name": "gyre"},
        "closure": {"kind": "coupled"},
        "coupling": {"enabled": True},
    }
    tiny = REPOSITORY / "namelists" / "tiny.nml"
    f90nml.patch(str(tiny), f90nml.Namelist(changes), str(directory / "gyre.nml"))
    spec = yaml.safe_load((REPOSITORY / "namelists" / "double_gyre.yaml").read_text())
    spec["run"] |= {"namelist": "gyre.nml", "directory": "out"}
    spec["components"]["ocean"]["command"] = "ocean_model gyre.nml"
    spec["components"]["closure"]["predictor"] = {"python": "toy_predictors:no_forcing"}
    (directory / "gyre.yaml").write_text(yaml.safe_dump(spec))
    shutil.copy(Path(__file__).with_name("toy_predictors.py"), directory)


def test_reference_run_and_picture(tmp_path: Path) -> None:
    write_gyre(tmp_path)
    job = halocline(tmp_path, "run", "gyre.yaml", "--reference")
    assert job.returncode == 0, job.stdout + job.stderr
    lines = job.stdout.splitlines()
    for begin in ("reference run: 12 steps in ", "coupled run: 12 steps in ", "picture: "):
        assert any(line.startswith(begin) for line in lines), begin
    out = tmp_path / "out"
    assert (out / "gyre.png").stat().st_size > 10_000
    changed = f90nml.read(out / "reference" / "gyre.nml")
    assert changed["closure"]["kind"] == "none"
    assert changed["coupling"]["enabled"] is False
    with (
        netCDF4.Dataset(out / "gyre_steps.nc") as coupled,
        netCDF4.Dataset(out / "reference" / "double_gyre_reference_steps.nc") as reference,
    ):
        assert len(coupled["time"]) == 13
        np.testing.assert_array_equal(coupled["uo"][:], reference["uo"][:])


def test_a_reference_that_fails_ends_the_run(tmp_path: Path) -> None:
    write_gyre(tmp_path)
    spec = yaml.safe_load((tmp_path / "gyre.yaml").read_text())
    spec["run"]["reference"]["closure.kind"] = "zb2020"
    (tmp_path / "gyre.yaml").write_text(yaml.safe_dump(spec))
    job = halocline(tmp_path, "run", "gyre.yaml", "--reference")
    assert job.returncode == 1
    lines = job.stdout.splitlines()
    at = next(n for n, line in enumerate(lines) if line.startswith("reference run failed: "))
    assert "ocean_model: error: " in lines[at + 1]
    assert "zb2020" in lines[at + 1]
    assert not any(line.startswith("coupled run") for line in lines)


def test_the_shipped_spec(tmp_path: Path) -> None:
    """What a newcomer runs first has no mistake."""
    job = halocline(tmp_path, "check", str(REPOSITORY / "namelists" / "double_gyre.yaml"))
    assert job.returncode == 0, job.stderr
    assert "ml_server.closures:ZannaBolton2020" in job.stdout
