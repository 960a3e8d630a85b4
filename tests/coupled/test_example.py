# SPDX-License-Identifier: MIT
"""The client's example as a user builds it: installed library, pkg-config, one mpirun."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from jobs import REPOSITORY, mpirun

EXAMPLE = REPOSITORY / "coupler" / "fortran" / "example"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """heat, built against the installed client (ninja -C build install)."""
    path = tmp_path_factory.mktemp("example") / "heat"
    given = os.environ.get("PKG_CONFIG_PATH", "")
    search = f"{given}{os.pathsep}{Path(sys.prefix) / 'lib' / 'pkgconfig'}".lstrip(os.pathsep)

    def flags(which: str) -> list[str]:
        return subprocess.run(
            ["pkg-config", which, "halocline"],
            env=os.environ | {"PKG_CONFIG_PATH": search},
            check=True,
            text=True,
            capture_output=True,
        ).stdout.split()

    source = str(EXAMPLE / "heat.f90")
    compiler = ["mpifort", "-std=f2018", "-Wall", "-Wextra", "-Werror", *flags("--cflags")]
    subprocess.run([*compiler, source, *flags("--libs"), "-o", str(path)], check=True)
    return path


def sheet(steps: int) -> np.ndarray:
    """The same in NumPy, (y, x), on one periodic array."""
    t = np.zeros((24, 32))
    t[4, 8] = 100.0
    for _ in range(steps):
        shifts = [(y, x) for y in range(-2, 3) for x in range(-2, 3)]
        mean = sum(np.roll(t, shift, (0, 1)) for shift in shifts) / 25
        around = sum(np.roll(t, n, axis) for n in (-1, 1) for axis in (0, 1))
        t = t + 0.05 * (20.0 - mean) + 0.1 * (around - 4 * t)
    return t


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (2, 1), (3, 4)])
def test_heat(tmp_path: Path, program: Path, ranks: int, workers: int) -> None:
    for name in ("heat.yaml", "heating.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    thermostat = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "heat.yaml"]
    mpirun(
        tmp_path,
        (ranks, [str(program)]),
        (workers, [*thermostat, "--component", "thermostat"]),
    )
    parts = [np.loadtxt(tmp_path / f"heat.{rank}.txt") for rank in range(ranks)]
    np.testing.assert_allclose(np.concatenate(parts), sheet(40), rtol=1e-12)


def test_it_fits_on_a_page() -> None:
    assert len((EXAMPLE / "heat.f90").read_text().splitlines()) < 60
