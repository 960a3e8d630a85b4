# SPDX-License-Identifier: MIT
"""A wrong namelist ends the job with file, line, group, key, what was got and what is allowed."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from coupler.command.launch import mpi_environment
from jobs import OCEAN, mpirun, run_ocean
from model.configurations import shipped


def failure(directory: Path, text: str, ranks: int = 0) -> str:
    """What the model says about the namelist `text`; it must not run.

    0 ranks: one without a launcher, which takes a second to end an aborted job.
    """
    (directory / "ocean.nml").write_text(text)
    command = [OCEAN, "ocean.nml"]
    if ranks:
        job = mpirun(directory, (ranks, command), check=False)
    else:
        environment = os.environ | mpi_environment()
        job = subprocess.run(
            command, cwd=directory, env=environment, text=True, capture_output=True, timeout=60
        )
    assert job.returncode == 1
    assert "steps/s" not in job.stdout
    errors = [line for line in job.stderr.splitlines() if line.startswith("ocean_model: error: ")]
    assert len(errors) == 1, job.stderr
    return errors[0].removeprefix("ocean_model: error: ")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("&gird\n nx = 22\n/\n", "ocean.nml:1: unknown group &gird; did you mean 'grid'?"),
        ("! one\n&grid\n nxx = 22\n/\n", "ocean.nml:3: &grid has no key 'nxx'; did you mean 'nx'?"),
        ("&time\n dt = 240.5\n/\n", "ocean.nml:2: &time dt: got 240.5, expected an integer"),
        ("&time steps = 'ten' /", "ocean.nml:1: &time steps: got 'ten', expected an integer"),
        ("&grid beta = .true. /", "&grid beta: got .true., expected a number"),
        ("&grid free_slip = 3 /", "&grid free_slip: got 3, expected .true. or .false."),
        ("&grid land = island /", "&grid land: got island, expected a name in quotes"),
        ("&grid nx = /", "&grid nx: got , expected an integer"),
        ("&grid nx = 4, 5 /", "&grid nx: got 4, 5, expected an integer"),
        ("&grid nx = 4\n nx = 5 /", "ocean.nml:2: &grid nx: given twice"),
        ("&grid nx = 4\n", "ocean.nml:1: &grid has no end: expected '/'"),
        ("&grid land = 'island /\n", "ocean.nml:1: a string has no closing '"),
        ("nx = 4\n", "ocean.nml:1: got 'nx', expected a group: &name"),
        ("&grid 4 /", "ocean.nml:1: &grid: got '4', expected key = value"),
    ],
)
def test_text_that_is_not_understood(tmp_path: Path, text: str, message: str) -> None:
    assert message in failure(tmp_path, text)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("&grid nx = -3 /", "&grid nx: got -3, allowed: 2 or more"),
        (
            "&grid\n\n land = 'atoll' /",
            "ocean.nml:3: &grid land: got 'atoll', allowed: none, island",
        ),
        ("&closure kind = 'zb21' /", "&closure kind: got 'zb21', allowed: none, zb20, coupled"),
        ("&closure delay = 2 /", "&closure delay: got 2, allowed: 0 or 1"),
        ("&closure kind = 'coupled' /", "or set &coupling enabled = .true."),
        ("&layers thickness = 100.0 /", "one value more than 0 for each of the 2 layers"),
        ("&experiment origin = 'today' /", "allowed: a date 'yyyy-mm-dd hh:mm:ss'"),
        ("&experiment directory = '' /", "allowed: a directory; '.' is where the job runs"),
        ("&initial kind = 'file' /", "&initial file: got '', allowed: a file name"),
        ("&output stream_name = 'a', 'b' stream_every = 1 /", "stream_every: got 0, allowed: 1 or"),
        ("&viscosity laplacian = 1.0e9 /", "the limit of stability with this grid and dt"),
        ("&domain px = 3 /", "no such decomposition has boxes of at least 2 cells"),
    ],
)
def test_values_out_of_range(tmp_path: Path, text: str, message: str) -> None:
    assert message in failure(tmp_path, text)


def test_time_step_above_the_limit(tmp_path: Path) -> None:
    # sqrt(3)/(2 c) * dx/sqrt(2) with c = sqrt(10*1000) = 100 m/s and dx = 100 km: 612.37 s
    text = """
&grid nx = 20, ny = 20, nz = 1, geometry = 'cartesian', length_x = 2.0e6, length_y = 2.0e6 /
&layers thickness = 1000.0, reduced_gravity = 10.0 /
&time steps = 1, dt = {dt} /
"""
    message = failure(tmp_path, text.format(dt=613))
    assert "ocean.nml:4: &time dt: got 613, allowed: at most 612 s" in message
    assert "612.37" in message
    (tmp_path / "fine.nml").write_text(text.format(dt=612))
    mpirun(tmp_path, (1, [OCEAN, "fine.nml"]))


def test_one_message_from_many_ranks(tmp_path: Path) -> None:
    assert "unknown group &gird" in failure(tmp_path, "&gird /", ranks=3)


def test_no_such_file_and_no_argument(tmp_path: Path) -> None:
    job = mpirun(tmp_path, (1, [OCEAN, "none.nml"]), check=False)
    assert job.returncode == 1
    assert "none.nml: cannot open the namelist" in job.stderr
    job = mpirun(tmp_path, (1, [OCEAN]), check=False)
    assert job.returncode == 1
    assert "usage: ocean_model NAMELIST" in job.stderr


@pytest.mark.parametrize("key", ["thickness", "THICKNESS(1:2)"])
def test_forms_of_namelists(tmp_path: Path, key: str) -> None:
    (tmp_path / "ocean.nml").write_text(
        f"""! comment with & and / and =
&GRID nx=22,ny = 20 , ! another 'comment'
  nz=2 geometry = "spherical" west=0. south=3d1 /  &time
 dt = 600 steps=1/
&layers {key} = 2*500. /
&experiment name='a b!c' directory='deep/er'/
&initial
/
"""
    )
    mpirun(tmp_path, (1, [OCEAN, "ocean.nml"]))
    assert (tmp_path / "deep" / "er" / "a b!c_00000001_restart.nc").exists()


@pytest.mark.parametrize("name", ["tiny", "double_gyre", "double_gyre_reference"])
def test_shipped_namelists_are_understood(tmp_path: Path, name: str) -> None:
    alone = {"time": {"steps": 0}, "closure": {"kind": "none"}, "coupling": {"enabled": False}}
    job = run_ocean(tmp_path, shipped(name, **alone))
    assert "0 steps in" in job.stdout
