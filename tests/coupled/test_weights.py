# SPDX-License-Identifier: MIT
"""Weights that the ranks of a job find missing are made once, beside the job's own MPI."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from coupler.weights.yac import yac_version
from jobs import OTHER_MPI, mpirun

SPEC = """\
run: {dt: 60, steps: 3}
components:
  ocean: {command: model}
  closure: {worker: true, predictor: {python: "networks:Closure"}}
grids:
  ocean: {size: {x: 24, y: 16}, boundary: {x: periodic, y: closed, north: fold F},
          geometry: {kind: tripolar}}
  world: {size: {x: 10, y: 6, z: 1}, geometry: {kind: latlon}}
exchanges:
  - {from: ocean, to: closure, grid: ocean, regrid: {to: world, METHOD}, fields: [t]}
"""
WORKER = (sys.executable, "-m", "mpi4py", str(Path(__file__).parent / "weights_worker.py"))


@pytest.mark.skipif(
    yac_version() is None, reason="YAC is not installed: pip install 'halocline[regrid]'"
)
@pytest.mark.skipif(OTHER_MPI is not None, reason="YAC's wheel is made for Open MPI")
def test_ranks_of_a_job_share_weights_that_yac_makes(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(SPEC.replace("METHOD", "method: conservative2"))
    mpirun(tmp_path, (3, [*WORKER, "case.yaml"]))
    told = {(tmp_path / f"digest_{rank}").read_text() for rank in range(3)}
    assert len(told) == 1
    assert told.pop().startswith("3 ")
    assert len(list((tmp_path / "weights").glob("*.nc"))) == 1
    assert not list((tmp_path / "weights").glob("*.[0-9]*"))


def test_every_rank_says_why_there_are_no_weights(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(SPEC.replace("METHOD", "method: bilinear"))
    job = mpirun(tmp_path, (2, [*WORKER, "case.yaml"]), check=False)
    assert job.returncode != 0
    assert "case.yaml:10: bilinear: grid 'ocean' is not rectilinear" in job.stderr
