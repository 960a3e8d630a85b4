# SPDX-License-Identifier: MIT
"""Each way in which a model's declarations and the spec can differ, one line each."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from coupler.agreement import disagreements
from coupler.protocol import IN, OUT, STATIC, Declaration, DeclaredField
from coupler.routing.decomposition import Box, Decomposition
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec

SPEC = """\
run: {dt: 60}
components:
  ocean: {command: ocean_model}
  closure: {worker: true}
  waves: {worker: true}
grids: {basin: {size: {x: 4, y: 2, z: 3}, boundary: {x: periodic}}}
exchanges:
  - {from: ocean, to: closure, fields: {u: {}, v: {}}, static: {area: {}}}
  - {from: closure, to: ocean, fields: {su: {}}}
  - {from: ocean, to: waves, fields: {wind: {}}}
"""
BOXES = [Box(0, 4, 0, 1), Box(0, 4, 1, 2)]
DECLARED = Declaration(
    "ocean",
    0,
    "",
    {"basin": Decomposition.from_boxes("ocean", 4, 2, BOXES)},
    {"basin": (-1, -1)},
    {
        "u": DeclaredField("basin", OUT, 3, 1),
        "v": DeclaredField("basin", OUT, 3, 2),
        "su": DeclaredField("basin", IN, 3, 3),
        "area": DeclaredField("basin", STATIC, 1, 4),
        "temperature": DeclaredField("basin", OUT, 3, 5),
    },
    np.zeros(1, np.int64),
)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> CouplingSpec:
    path: Path = tmp_path_factory.mktemp("spec") / "basin.yaml"
    path.write_text(SPEC)
    return load_spec(path)


def with_field(name: str, grid: str, direction: int, levels: int) -> Declaration:
    declared = DeclaredField(grid, direction, levels, 1)
    return replace(DECLARED, fields=DECLARED.fields | {name: declared})


def with_grid(nx: int, ny: int, boxes: list[Box]) -> Declaration:
    return replace(DECLARED, grids={"basin": Decomposition.from_boxes("ocean", nx, ny, boxes)})


def test_agreement(spec: CouplingSpec) -> None:
    assert disagreements(spec, "closure", DECLARED) == []
    for periodic in ((1, 0), (1, -1), (-1, 0)):
        said = replace(DECLARED, periodic={"basin": periodic})
        assert disagreements(spec, "closure", said) == []


WITHOUT_V = {name: field for name, field in DECLARED.fields.items() if name != "v"}
TWO_GRIDS = DECLARED.grids | {"bassin": DECLARED.grids["basin"]}
WRONG = {
    "no such field": (
        replace(DECLARED, fields=WITHOUT_V | {"vv": DECLARED.fields["v"]}),
        "basin.yaml:8: field 'v': ocean declares no such field; did you mean 'vv'?",
    ),
    "no such field, none near": (
        replace(DECLARED, fields=WITHOUT_V),
        "basin.yaml:8: field 'v': ocean declares no such field; known: u, temperature",
    ),
    "direction": (
        with_field("su", "basin", OUT, 3),
        "basin.yaml:9: field 'su': ocean declares it hcl_out, the spec uses it as hcl_in",
    ),
    "direction of a static field": (
        with_field("area", "basin", OUT, 1),
        "basin.yaml:8: field 'area': ocean declares it hcl_out, the spec uses it as hcl_static",
    ),
    "levels": (
        with_field("u", "basin", OUT, 2),
        "basin.yaml:8: field 'u': ocean declares 2 levels, the spec has 3",
    ),
    "more levels": (
        with_field("u", "basin", OUT, 4),
        "basin.yaml:8: field 'u': ocean declares 4 levels, the spec has 3",
    ),
    "grid of a field": (
        replace(with_field("u", "bassin", OUT, 3), grids=TWO_GRIDS, periodic={"basin": (1, 0)}),
        "basin.yaml:8: field 'u': ocean declares it on grid 'bassin', the spec has it on 'basin'",
    ),
    "size": (
        with_grid(2, 4, [Box(0, 2, 0, 4)]),
        "basin.yaml:8: grid 'basin': ocean runs with 2 x 4 cells, the spec has 4 x 2; does the "
        "model read the namelist that the spec names?",
    ),
    "gap": (
        with_grid(4, 2, BOXES[:1]),
        "basin.yaml:8: grid 'basin': ocean: cell x 1, y 2 is owned by 0 ranks, expected 1; if the "
        "model drops land, declare the grid with holes=.true.",
    ),
    "closed in x": (
        replace(DECLARED, periodic={"basin": (0, -1)}),
        "basin.yaml:8: grid 'basin': ocean is closed in x, the spec says periodic",
    ),
    "periodic in y": (
        replace(DECLARED, periodic={"basin": (1, 1)}),
        "basin.yaml:8: grid 'basin': ocean is periodic in y, the spec says closed",
    ),
}


@pytest.mark.parametrize("case", [pytest.param(v, id=k) for k, v in WRONG.items()])
def test_one_disagreement(spec: CouplingSpec, case: tuple[Declaration, str]) -> None:
    declaration, message = case
    assert disagreements(spec, "closure", declaration) == [message]


def test_no_such_grid(spec: CouplingSpec) -> None:
    declared = replace(DECLARED, grids={"bassin": DECLARED.grids["basin"]})
    found = disagreements(spec, "closure", declared)
    assert found == ["basin.yaml:8: ocean declares no grid 'basin'; did you mean 'bassin'?"]


def test_every_disagreement_of_this_workers_exchanges(spec: CouplingSpec) -> None:
    bare = replace(DECLARED, fields={})
    names = [line.split("'")[1] for line in disagreements(spec, "closure", bare)]
    assert names == ["u", "v", "area", "su"]
    assert [line.split("'")[1] for line in disagreements(spec, "waves", bare)] == ["wind"]
