# SPDX-License-Identifier: MIT
"""N + N steps are 2 N steps to the last bit, whatever the decomposition of each run."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from jobs import run_ocean
from model.configurations import Groups, assert_same_bits, changed, everything, restart, tiny


@pytest.mark.parametrize(
    "groups",
    [
        everything(),
        tiny(closure={"kind": "zb20", "preset": "reynolds"}),
        tiny(closure={"kind": "zb20", "preset": "smooth", "delay": 1}),
    ],
    ids=["everything", "zb20", "zb20_pending"],
)
def test_two_halves_are_the_whole(tmp_path: Path, groups: Groups) -> None:
    half = changed(groups, {"time": {"steps": 5}})
    run_ocean(tmp_path / "whole", changed(groups, {"time": {"steps": 10}}))
    run_ocean(tmp_path / "halves", half, ranks=2)
    again = changed(half, {"time": {"restart_from": "tiny_00000005_restart.nc"}})
    run_ocean(tmp_path / "halves", again, ranks=3)
    assert_same_bits(restart(tmp_path / "halves", 10), restart(tmp_path / "whole", 10))
    # the stream went on in its file, and so did the log
    with (
        netCDF4.Dataset(tmp_path / "whole" / "tiny_steps.nc") as whole,
        netCDF4.Dataset(tmp_path / "halves" / "tiny_steps.nc") as halves,
    ):
        assert halves["time"][:].tolist() == [600.0 * step for step in range(11)]
        for name in ("uo", "vo", "thickness", "zos"):
            np.testing.assert_array_equal(halves[name][:], whole[name][:], name)
    log = (tmp_path / "halves" / "tiny.log").read_text()
    assert "step        0" in log
    assert "step       10" in log


def test_restarts_on_the_way(tmp_path: Path) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 6, "restart_every": 2}))
    found = sorted(path.name for path in tmp_path.glob("*_restart.nc*"))
    assert found == [f"tiny_{step:08d}_restart.nc" for step in (2, 4, 6)]
    assert restart(tmp_path, 4)["date"] == 2400


def test_no_restart_wanted(tmp_path: Path) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 2, "write_restart": False}))
    assert not list(tmp_path.glob("*_restart.nc*"))


def test_restart_of_another_size(tmp_path: Path) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 1}))
    other = tiny(grid={"nx": 24}, time={"restart_from": "tiny_00000001_restart.nc"})
    job = run_ocean(tmp_path, other, ranks=2, check=False)
    assert job.returncode == 1
    assert "tiny_00000001_restart.nc: variable u: got" in job.stderr
    assert "expected 2 x 20 x 24" in job.stderr


def test_dates_beyond_32_bits(tmp_path: Path) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 1}))
    with netCDF4.Dataset(tmp_path / "tiny_00000001_restart.nc", "a") as file:
        file.date = np.int64(100_000_000_000)
    run_ocean(tmp_path, tiny(time={"steps": 1, "restart_from": "tiny_00000001_restart.nc"}))
    assert restart(tmp_path, 2)["date"] == 100_000_000_600


def test_steps_of_more_than_eight_digits(tmp_path: Path) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 1}))
    with netCDF4.Dataset(tmp_path / "tiny_00000001_restart.nc", "a") as file:
        file.step = np.int64(99_999_998)
    again = {"restart_from": "tiny_00000001_restart.nc", "steps": 3, "restart_every": 1}
    run_ocean(tmp_path, tiny(time=again))
    assert restart(tmp_path, 99_999_999)["step"] == 99_999_999
    assert restart(tmp_path, 100_000_001)["step"] == 100_000_001


def test_a_restart_without_a_field(tmp_path: Path) -> None:
    """It would go on from rest, or from no water at all."""
    run_ocean(tmp_path, tiny(time={"steps": 1}))
    with netCDF4.Dataset(tmp_path / "tiny_00000001_restart.nc", "a") as file:
        file.renameVariable("u", "uo")
    again = tiny(time={"restart_from": "tiny_00000001_restart.nc"})
    job = run_ocean(tmp_path, again, check=False)
    assert job.returncode == 1
    assert "tiny_00000001_restart.nc: variable u: " in job.stderr


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"closure": {"kind": "zb20"}}, "of an earlier run has no su, sv of a closure; move it"),
        (
            {"output": {"stream_operation": "average"}},
            "of an earlier run has 'time: point', this run 'time: mean'; move it",
        ),
    ],
    ids=["closure", "average"],
)
def test_a_stream_of_another_kind(
    tmp_path: Path, changes: dict[str, dict[str, str]], message: str
) -> None:
    run_ocean(tmp_path, tiny(time={"steps": 1}))
    again = tiny(time={"steps": 1, "restart_from": "tiny_00000001_restart.nc"})
    job = run_ocean(tmp_path, changed(again, changes), ranks=2, check=False)
    assert job.returncode == 1
    assert f"./tiny_steps.nc {message}" in job.stderr
    other = changed(changed(again, changes), {"output": {"stream_name": "other"}})
    run_ocean(tmp_path, other, ranks=2)
