# SPDX-License-Identifier: MIT
"""`halocline check --seams`: what it calls the same, and what it finds."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from coupled.gyre import coupled, namelist
from coupled.gyre import spec as gyre_spec
from coupler.command.cli import main
from coupler.command.fitting import load_fitted
from coupler.command.plan import with_ranks
from coupler.routing.decomposition import decompose
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec
from halos.networks import Closure, Padded, predictor
from jobs import write_namelist
from ml_server.halos.halo import Fit, fit_halos, with_halo
from ml_server.halos.seams import compare_seams
from ml_server.predictor import PredictorError

BOUNDARIES: dict[str, dict[str, str]] = {
    "closed": {"x": "closed", "y": "closed"},
    "channel": {"x": "periodic", "y": "closed"},
    "periodic": {"x": "periodic", "y": "periodic"},
    "fold T": {"x": "periodic", "y": "closed", "north": "fold T"},
    "fold F": {"x": "periodic", "y": "closed", "north": "fold F"},
}


def write_spec(
    directory: Path,
    boundary: str = "closed",
    wire: str = "float32",
    size: tuple[int, int, int] = (26, 22, 2),
    halo: Any = "auto",
    ranks: int = 4,
    python: str = "own:Closure",
) -> Path:
    """Two components of velocity to a closure, its answer on U points back."""
    spec = {
        "run": {"dt": 60},
        "components": {
            "ocean": {"command": "true", "ranks": 3},
            "closure": {"worker": True, "ranks": ranks, "predictor": {"python": python}},
        },
        "grids": {
            "g": {"size": dict(zip("xyz", size, strict=True)), "boundary": BOUNDARIES[boundary]}
        },
        "exchanges": [
            {
                **{"from": "ocean", "to": "closure", "halo": halo, "wire": wire},
                "fields": {
                    "u": {"point": "U", "kind": "vector_i", "fill": "replicate"},
                    "v": {"point": "V", "kind": "vector_j"},
                },
            },
            {"from": "closure", "to": "ocean", "fields": {"s": {"point": "U"}}},
        ],
    }
    path = directory / "spec.yaml"
    path.write_text(yaml.safe_dump(spec))
    return path


def small(directory: Path, *arguments: Any, **options: Any) -> CouplingSpec:
    return load_spec(write_spec(directory, *arguments, **options))


@pytest.mark.parametrize("boundary", BOUNDARIES)
def test_a_stencil_has_the_same_bits_everywhere(tmp_path: Path, boundary: str) -> None:
    def stencil(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.roll(u, 2, axis=2) * v + np.roll(v, -3, axis=1)

    for ranks in (1, 3, 4, 6):
        spec = small(tmp_path, boundary, ranks=ranks)
        fit = fit_halos(spec, "closure", predictor(stencil))
        assert fit.spec.exchanges[0].halo == 3
        seams = compare_seams(predictor(stencil), fit)
        assert seams.passed
        assert not seams.comparisons[0].difference.any()
        near = {place for place, cells in seams.comparisons[0].places.items() if cells.any()}
        behind = {"channel": {"wall", "periodic"}, "periodic": {"periodic"}, "closed": {"wall"}}
        expected = behind.get(boundary, {"wall", "periodic", "fold"}) | {"inside"}
        assert near == expected | ({"seam"} if ranks > 1 else set())


@settings(max_examples=6)
@given(st.sampled_from(sorted(BOUNDARIES)), st.sampled_from([2, 3, 4, 6]), st.booleans())
def test_convolutions_are_within_the_tolerance(
    tmp_path_factory: pytest.TempPathFactory, boundary: str, ranks: int, double: bool
) -> None:
    torch.manual_seed(3)
    layers = (Padded(2, 8, (5, 5), 1), nn.ReLU(), Padded(8, 8, (3, 3), 1), Padded(8, 1, (3, 4), 1))
    network = Closure(nn.Sequential(*layers))
    network = network.double() if double else network
    wire = "float64" if double else "float32"
    directory = tmp_path_factory.mktemp("seams")
    fit = fit_halos(small(directory, boundary, wire, ranks=ranks), "closure", predictor(network))
    assert fit.spec.exchanges[0].halo == 5  # 2 + 1 + 2: the even kernel reads 2 to the east
    seams = compare_seams(predictor(network), fit)
    assert seams.passed
    assert seams.comparisons[0].tolerance == (1e-12 if double else 1e-6)
    assert seams.comparisons[0].scale > 0


def test_a_halo_too_small_shows_at_seams_folds_and_periodic_boundaries(tmp_path: Path) -> None:
    """A network that pads with zeros: at a wall there are zeros, elsewhere there should not be."""
    torch.manual_seed(4)
    network = predictor(Closure(Padded(2, 1, (5, 5), 1)))
    spec = small(tmp_path, "fold T")
    right = compare_seams(network, fit_halos(spec, "closure", network))
    assert right.passed
    narrow = with_halo(spec, "closure", 1)
    fit = replace(fit_halos(spec, "closure", network), spec=narrow)
    wrong = compare_seams(network, fit)
    assert not wrong.passed
    comparison = wrong.comparisons[0]
    for place in ("seam", "fold", "periodic"):
        assert comparison.largest(place) > 0.01 * comparison.scale
    assert comparison.largest("inside") == 0
    assert {(wrong.split.box(r).nx, wrong.split.box(r).ny) for r in range(4)} == {(13, 11)}
    assert comparison.difference[10:12, 2:11].all()  # the rows at the seam, a cell from each box
    assert not comparison.difference[2:9, 3:10].any()


def test_blocks_and_seams(tmp_path: Path) -> None:
    """Pooling by 4: boxes of 2 x 2 ranks on 32 x 24 begin at multiples of 4, those of 3 do not."""
    torch.manual_seed(5)
    network = predictor(Closure(nn.Sequential(nn.AvgPool2d(4), nn.Upsample(scale_factor=4))))
    spec = small(tmp_path, "periodic", size=(32, 24, 1), halo=4)
    fit = fit_halos(spec, "closure", network)
    assert fit.field is not None
    assert fit.field.block == 4
    assert fit.ranks_error(4) is None
    assert compare_seams(network, fit).passed
    three = with_ranks(spec, {"closure": 3})
    fit = fit_halos(three, "closure", network)
    error = fit.ranks_error(3)
    assert error is not None
    assert "works in blocks of 4 x 4 cells, but the box of rank 1 begins at x 10, y 0" in error
    with pytest.raises(PredictorError, match="for a box of 24 x 10 cells, expected as many"):
        compare_seams(network, fit)


class Skips(nn.Module):
    """Pools by 2, and interpolates to the size before: other sizes are stretched a little."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        coarse = nn.functional.max_pool2d(fields, 2)
        return (fields + nn.functional.interpolate(coarse, size=fields.shape[2:]))[:, :1]


class Pads(nn.Module):
    """The same, but what is added to fill a block is taken away again."""

    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        ny, nx = fields.shape[2:]
        coarse = nn.functional.max_pool2d(fields, 2, ceil_mode=True)
        return (fields + nn.functional.interpolate(coarse, scale_factor=2)[..., :ny, :nx])[:, :1]


class Refuses(nn.Module):
    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        coarse = nn.functional.max_pool2d(fields, 2)
        return (fields + nn.functional.interpolate(coarse, scale_factor=2))[:, :1]


@pytest.mark.parametrize(("kind", "whole"), [(Skips, True), (Pads, False), (Refuses, True)])
def test_arrays_that_are_no_whole_blocks(
    tmp_path: Path, kind: type[nn.Module], whole: bool
) -> None:
    """Boxes of 2 x 2 ranks on 25 x 24 begin at multiples of 2, but the last's columns are 13."""
    network = predictor(Closure(kind()))
    spec = small(tmp_path, size=(25, 24, 1))
    boxes = decompose("closure", 25, 24, 4)
    assert {boxes.box(rank).nx for rank in range(4)} == {12, 13}
    fit = fit_halos(spec, "closure", network)
    assert fit.field is not None
    assert (fit.field.block, fit.field.remainders) == (2, (0,) if whole else (0, 1))
    error = fit.ranks_error(4)
    if whole:
        assert error is not None
        assert "the array of rank 1, with its halo of 1, has 15 x 14, in which it has oth" in error
        assert "expected sizes that divided by 2 leave 0: choose another halo" in error
        if kind is Skips:
            assert not compare_seams(network, fit).passed
    else:
        assert error is None
        assert compare_seams(network, fit).passed
    even = small(tmp_path, size=(24, 24, 1))
    fit = fit_halos(even, "closure", network)
    assert fit.ranks_error(4) is None
    assert compare_seams(network, fit).passed


def test_a_large_grid_has_a_stand_in(tmp_path: Path) -> None:
    torch.manual_seed(6)
    network = predictor(Closure(Padded(2, 1, (3, 3), 1)))
    spec = small(tmp_path, "fold F", size=(1440, 1020, 75), ranks=6)
    seams = compare_seams(network, fit_halos(spec, "closure", network))
    assert seams.passed
    assert seams.remarks == (
        "tried on 30 x 20 x 2 cells, for 1440 x 1020 x 75: as many boxes, fewer levels",
    )
    assert (seams.split.ranks, seams.split.nx, seams.split.ny) == (6, 30, 20)


@pytest.mark.parametrize("preset", ["raw", "smooth", "reynolds"])
def test_zanna_bolton_has_every_bit(tmp_path: Path, preset: str) -> None:
    """The shipped spec on the tiny grid of the tests, `halo: auto`."""
    write_namelist(tmp_path / "ocean.nml", namelist(coupled(preset)))
    loaded = gyre_spec(preset)
    loaded["exchanges"][0]["halo"] = "auto"
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(loaded))
    for ranks in (1, 4):
        spec = with_ranks(load_spec(tmp_path / "spec.yaml"), {"closure": ranks})
        network, fit = load_fitted(spec, "closure")
        assert fit.spec.exchanges[0].halo == {"raw": 2, "smooth": 6, "reynolds": 10}[preset]
        seams = compare_seams(network, fit)
        for comparison in seams.comparisons:
            assert comparison.scale > 0
            assert not comparison.difference.any()


OWN = """\
import numpy as np

def sound(u, v):
    return {"s": u + np.roll(v, 1, axis=1)}

def by_size(u, v):
    return {"s": u / u.shape[1] + np.roll(v, 1, axis=1)}

def noisy(u, v):
    return {"s": u + np.random.default_rng().normal(size=u.shape)}

def whole(u, v):
    return {"s": u - u.mean(axis=(1, 2), keepdims=True)}
"""


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "own_seams.py").write_text(OWN)
    path = write_spec(tmp_path, python="own_seams:sound")
    picture = tmp_path / "seams.png"
    assert main(["check", str(path), "--seams", "--plot", str(picture)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "closure: 4 ranks with halo 1 against the whole grid, 26 x 22" in map(str.strip, lines)
    rows = [[cell.strip() for cell in line.split("│")[1:-1]] for line in lines if "│ s" in line]
    # 13 x 11 boxes, 2 x 2: each has two edges at seams, 13 + 11 - 1 cells, and two at walls
    assert [row[1:] for row in rows] == [
        ["seam", "92", "0", "0", "every bit"],
        ["wall", "92", "0", "0", "every bit"],
        ["inside", "396", "0", "0", "every bit"],
    ]
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_command_fails_where_answers_differ(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "own_seams.py").write_text(OWN)
    path = write_spec(tmp_path, python="own_seams:noisy", halo=1)
    assert main(["check", str(path), "--seams"]) == 1
    out = capsys.readouterr().out
    assert "what own_seams:noisy reads cannot be measured" in out
    assert "beyond 1e-12" in out
    path = write_spec(tmp_path, python="own_seams:by_size", ranks=1, halo=1)
    assert main(["check", str(path), "--seams", "--ranks", "closure=1"]) == 0
    assert "there is one rank and no seam" in capsys.readouterr().out
    assert main(["check", str(path), "--ranks", "closure=4"]) == 2
    assert "its answers depend on the size of its array" in capsys.readouterr().err


def test_command_misused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = str(write_spec(tmp_path))
    for words in (["--plot"], ["--seams", "--no-load"]):
        assert main(["check", path, *words]) == 2
        assert "--plot draws what --seams finds" in capsys.readouterr().err


def test_fit_without_a_field_is_compared_all_the_same(tmp_path: Path) -> None:
    def answer(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return u + v

    spec = small(tmp_path, halo=2)
    fit = Fit(spec, "closure", "answer", None, (), ())
    assert compare_seams(predictor(answer), fit).passed
