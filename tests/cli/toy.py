# SPDX-License-Identifier: MIT
"""A small coupled job for the command line's tests: exchange_model and a worker, 7 x 5 x 3."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

REPOSITORY = Path(__file__).parents[2]
BUILT = REPOSITORY / "build" / "tests" / "fortran" / "exchange_model"  # not installed by meson
EXCHANGE_MODEL = shutil.which("exchange_model") or str(BUILT)

SPEC = f"""\
run:
  directory: out
  namelist: {{file: toy.nml, dt: clock.dt, steps: clock.steps, x: size.nx, y: size.ny, z: size.nz}}
  time_limit: 90
components:
  model: {{command: {EXCHANGE_MODEL} 7 5 3 1 0 40 10 20 0 8 toy.nml, ranks: 2}}
  worker: {{worker: true, ranks: 1, predictor: {{python: "toy_predictors:double"}}}}
grids:
  grid: {{boundary: {{x: periodic, y: closed}}}}
exchanges:
  - {{from: model, to: worker, every: 2 steps, halo: 1, wire: float64, static: {{flat: {{}}}},
     fields: {{a: {{fill: replicate}}, b: {{}}}}}}
  - {{from: worker, to: model, fields: {{answer: {{}}}}}}
"""
NAMELIST = """\
! the toy's numbers
&clock dt = 10, steps = 40 /
&size nx = 7, ny = 5, nz = 3 /
"""


def write_toy(directory: Path, *changes: tuple[str, str]) -> Path:
    """Spec, namelist, predictors and the boxes of two model ranks; (old, new) change the spec."""
    text = SPEC
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    spec = directory / "toy.yaml"
    spec.write_text(text)
    (directory / "toy.nml").write_text(NAMELIST)
    shutil.copy(Path(__file__).with_name("toy_predictors.py"), directory)
    (directory / "out").mkdir()
    (directory / "out" / "boxes.txt").write_text("1 3 1 5\n4 7 1 5\n")
    return spec


def environment() -> dict[str, str]:
    """A source tree that is not installed does as well."""
    path = os.pathsep.join(filter(None, (str(REPOSITORY), os.environ.get("PYTHONPATH"))))
    return os.environ | {"PYTHONPATH": path}


def command(*words: str) -> list[str]:
    return [sys.executable, "-m", "coupler.command.cli", *words]


def halocline(directory: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The command line as users have it: a process of its own, in `directory`."""
    return subprocess.run(
        command(*words),
        cwd=directory,
        env=environment(),
        text=True,
        capture_output=True,
        timeout=60,
        check=False,
    )
