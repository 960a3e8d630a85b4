# SPDX-License-Identifier: MIT
"""Real mpirun jobs for tests: namelists written, ranks launched, time bounded."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import f90nml

from coupler.command.launcher import find_launcher

OTHER_MPI = "mpich" if os.environ.get("HALOCLINE_TEST_LAUNCHER") == "mpich" else None
LAUNCHER = find_launcher("mpich" if OTHER_MPI else None)
OCEAN = "ocean_model"
REPOSITORY = Path(__file__).parents[1]
OTHER_OCEAN = str(Path(sys.prefix) / "bin" / "ocean_model")  # of Open MPI, beside MPICH's on PATH
BUILD = Path(os.environ.get("HALOCLINE_BUILD", REPOSITORY / "build"))  # meson's build directory


def fortran_test(name: str) -> str:
    """Path of a model that only tests run, as meson built it."""
    path = BUILD / "tests" / "fortran" / name
    assert path.is_file(), f"{path} is missing; build it with: ninja -C {BUILD}"
    return str(path)


def mpirun(
    directory: Path,
    *blocks: tuple[int, Sequence[str]],
    timeout: float = 120.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run one MPMD job in `directory`; each block is (ranks, command). Asserts exit code 0."""
    line = LAUNCHER.line([(ranks, list(command)) for ranks, command in blocks])
    job = subprocess.run(
        line,
        cwd=directory,
        env=os.environ | LAUNCHER.environment(),
        text=True,
        capture_output=True,
        timeout=timeout,
        check=False,
    )
    if check and job.returncode != 0:
        output = f"{job.stdout}\n{job.stderr}"
        raise AssertionError(f"{' '.join(line)}: exit code {job.returncode}\n{output}")
    return job


def write_namelist(path: Path, groups: Mapping[str, Mapping[str, Any]]) -> Path:
    f90nml.Namelist(groups).write(path, force=True)
    return path


def run_ocean(
    directory: Path,
    groups: Mapping[str, Mapping[str, Any]],
    ranks: int = 1,
    timeout: float = 120.0,
    check: bool = True,
) -> subprocess.CompletedProcess[str]:
    """Run the ocean model alone in `directory` with the namelist `groups`."""
    directory.mkdir(parents=True, exist_ok=True)
    write_namelist(directory / "ocean.nml", groups)
    return mpirun(directory, (ranks, [OCEAN, "ocean.nml"]), timeout=timeout, check=check)
