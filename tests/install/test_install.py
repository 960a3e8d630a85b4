# SPDX-License-Identifier: MIT
"""Installed elsewhere, both sides work without this repository: `meson install` and pkg-config for
a Fortran project outside, `pip install .` for Python."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from coupler.command.launch import mpi_environment
from jobs import BUILD, REPOSITORY

OUTSIDE = Path(__file__).parent / "outside"
SPEC = """\
run: {dt: 1, steps: 1, time_limit: 60}
components:
  model: {command: ./model, ranks: 1}
  worker: {worker: true, ranks: 1, predictor: {python: "twice:twice"}}
grids:
  grid: {size: {x: 6, y: 1, z: 1}}
exchanges:
  - {from: model, to: worker, wire: float64, fields: {x: {}}}
  - {from: worker, to: model, fields: {y: {}}}
"""


def said(*command: str, cwd: Path, environment: dict[str, str]) -> str:
    job = subprocess.run(
        command, cwd=cwd, env=environment, text=True, capture_output=True, timeout=120, check=False
    )
    assert job.returncode == 0, f"{command}\n{job.stdout}\n{job.stderr}"
    return job.stdout


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Of a user: the client below a prefix, the Python side in a directory, each of its own."""
    root = tmp_path_factory.mktemp("root")
    bare = {k: v for k, v in os.environ.items() if not k.startswith(("PYTHON", "PKG_CONFIG"))}
    said("meson", "install", "-C", str(BUILD), "--no-rebuild", "--destdir", str(root),
         cwd=root, environment=bare)  # fmt: skip
    packages = tmp_path_factory.mktemp("packages")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
    # what it needs is there already
    source = shutil.copytree(
        REPOSITORY, root / "source",
        ignore=lambda where, names: {n for n in names if n.startswith((".", "build", "tests"))},
    )  # fmt: skip
    words = ["--no-deps", "--root-user-action=ignore"]
    pinned = bare | {"PIP_CONSTRAINT": str(REPOSITORY / "constraints.txt")}
    said(*pip, *words, "--target", str(packages), str(source), cwd=root, environment=pinned)
    shutil.rmtree(source)
    pc = next(root.rglob("halocline.pc"))
    return bare | mpi_environment() | {
        "PKG_CONFIG_PATH": str(pc.parent),
        "PKG_CONFIG_SYSROOT_DIR": str(root),  # it moved: not where meson was told
        "PYTHONPATH": str(packages),
    }  # fmt: skip


@pytest.mark.parametrize("tool", ["make", "meson"])
def test_a_project_outside(tmp_path: Path, environment: dict[str, str], tool: str) -> None:
    shutil.copytree(OUTSIDE, tmp_path, dirs_exist_ok=True)
    if tool == "make":
        said("make", cwd=tmp_path, environment=environment)
    else:
        said("meson", "setup", "build", cwd=tmp_path, environment=environment)
        said("ninja", "-C", "build", cwd=tmp_path, environment=environment)
        shutil.copy(tmp_path / "build" / "model", tmp_path)
    (tmp_path / "spec.yaml").write_text(SPEC)
    (tmp_path / "twice.py").write_text("def twice(x):\n    return {'y': 2 * x}\n")
    where = "import coupler, ml_server; print(coupler.__file__, ml_server.__file__)"
    for path in said(sys.executable, "-c", where, cwd=tmp_path, environment=environment).split():
        assert path.startswith(environment["PYTHONPATH"])
    command = Path(environment["PYTHONPATH"]) / "bin" / "halocline"
    printed = said(str(command), "run", "spec.yaml", cwd=tmp_path, environment=environment)
    assert "model: every number came back twice as large" in printed
