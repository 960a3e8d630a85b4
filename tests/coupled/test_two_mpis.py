# SPDX-License-Identifier: MIT
"""Launcher, model and mpi4py of two MPIs, in every pairing: an error that says so, never a hang."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
import yaml

from coupled.gyre import coupled, namelist, spec
from coupler.command.mpis import mpich_environment
from jobs import OTHER_MPI, OTHER_OCEAN, REPOSITORY, write_namelist

pytestmark = [
    pytest.mark.mpich,
    pytest.mark.skipif(OTHER_MPI is None, reason="needs models of two MPIs: ./run mpich-test"),
]
BOUND = 30.0  # [s]: a hang is a hang, and the machine may be busy
ALONE = "ranks, but this one sees itself alone"


def launch(directory: Path, launcher: str, ocean: str, python: str) -> tuple[int, str]:
    """One ocean rank and one worker, each part "openmpi" or "mpich": exit code, output."""
    write_namelist(directory / "ocean.nml", namelist(coupled(), 5))
    (directory / "spec.yaml").write_text(yaml.safe_dump(dict(spec())))
    clean = {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    clean["OMPI_MCA_rmaps_base_oversubscribe"] = "1"
    variables = mpich_environment() if python == "mpich" else {"MPI4PY_MPIABI": "openmpi"}
    worker = ["env", *(f"{name}={value}" for name, value in variables.items()), sys.executable]
    worker += ["-m", "mpi4py", "-m", "ml_server", "spec.yaml", "--component", "closure"]
    line = [f"mpirun.{launcher}", "-n", "1", ocean_of(ocean), "ocean.nml", ":", "-n", "1", *worker]
    job = subprocess.run(
        line,
        cwd=directory,
        env=os.environ | clean,
        text=True,
        errors="replace",
        capture_output=True,
        timeout=120,
        check=False,
    )
    return job.returncode, job.stdout + job.stderr


def ocean_of(mpi: str) -> str:
    return "ocean_model" if mpi == "mpich" else OTHER_OCEAN


@pytest.mark.parametrize("python", ["openmpi", "mpich"])
@pytest.mark.parametrize("ocean", ["openmpi", "mpich"])
@pytest.mark.parametrize("launcher", ["openmpi", "mpich"])
def test_every_pairing(tmp_path: Path, launcher: str, ocean: str, python: str) -> None:
    begun = time.perf_counter()
    code, output = launch(tmp_path, launcher, ocean, python)
    if launcher == ocean == python:
        assert code == 0, output
        return
    assert time.perf_counter() - begun < BOUND
    assert code != 0
    assert ALONE in output
    assert "this program is linked with" in output or "mpi4py uses" in output


def test_check_finds_it_before(tmp_path: Path) -> None:
    """`halocline check` compares the three without running."""
    text = (REPOSITORY / "namelists" / "double_gyre.yaml").read_text()
    (tmp_path / "gyre.yaml").write_text(text.replace("ocean_model ", f"{OTHER_OCEAN} "))
    (tmp_path / "double_gyre.nml").write_bytes(
        (REPOSITORY / "namelists" / "double_gyre.nml").read_bytes()
    )
    line = [sys.executable, "-m", "coupler.command.cli", "check", "gyre.yaml", "--no-load"]
    job = subprocess.run(
        [*line, "--launcher", "mpich"], cwd=tmp_path, text=True, capture_output=True, check=False
    )
    assert job.returncode == 2
    assert "two kinds of MPI in one job: mpirun.mpich uses MPICH" in job.stderr
    assert "ocean uses Open MPI" in job.stderr
    assert "(--launcher openmpi)" in job.stderr
