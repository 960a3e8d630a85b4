# SPDX-License-Identifier: MIT
"""A spec with all that is common, and what is wrong with a changed one."""

from __future__ import annotations

from pathlib import Path

import pytest

from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

SPEC = """\
run:
  directory: runs/basin
  namelist: basin.nml
  expect: {closure.kind: coupled}
  reference: {closure.kind: none}
  time_limit: 20
components:
  ocean: {command: ocean_model basin.nml, ranks: 2}
  closure:
    worker: true
    ranks: 2
    decomposition: {x: 2, y: 1}
    predictor: {python: "networks:Closure", preset: raw, width: 3}
grids:
  ocean:
    size: {x: 8, y: grid.ny}
    boundary: {x: periodic, y: closed}
exchanges:
  - from: ocean
    to: closure
    every: 2 steps
    halo: 3
    wire: float64
    fields:
      u: {point: U, kind: vector_i, fill: replicate}
      h: {levels: 1}
    static: {area: {}}
  - from: closure
    to: ocean
    lag: 1
    fields: {su: {point: U, kind: vector_i}}
"""
NAMELIST = """\
&time dt = 60, steps = 12 /
&grid nx = 8, ny = 6, nz = 2 /
&closure kind = 'coupled' /
"""


def written(directory: Path, spec: str, namelist: str = NAMELIST) -> Path:
    (directory / "basin.nml").write_text(namelist)
    path = directory / "basin.yaml"
    path.write_bytes(spec.encode("utf-8", "surrogatepass"))
    return path


def mistakes(directory: Path, spec: str, namelist: str = NAMELIST) -> list[str]:
    with pytest.raises(SpecError) as error:
        load_spec(written(directory, spec, namelist))
    return error.value.messages


def recording(record: str) -> str:
    return SPEC.replace("    decomposition:", f"    record: {record}\n    decomposition:")
