# SPDX-License-Identifier: MIT
"""`halocline plan --plot`: what is drawn, against a look at each cell; and that it is drawn."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cli.toy import write_toy
from coupled.cells import shown
from coupler.command.cli import main
from coupler.command.pieces import pieces
from coupler.routing.decomposition import decompose
from coupler.routing.router import route_to_worker
from coupler.spec import FieldSpec, GridSpec
from coupling_cases import examples

sides = st.sampled_from(["closed", "periodic"])
fields = st.builds(
    FieldSpec,
    st.just("a"),
    st.sampled_from("TUVF"),
    st.sampled_from(["scalar", "vector_i", "vector_j"]),
    st.sampled_from(["zero", "replicate", "reflect"]),
    st.just(1),
    st.just(""),
)


@st.composite
def grids(draw: st.DrawFn) -> GridSpec:
    ny, pivot = draw(st.integers(4, 9)), draw(st.sampled_from([None, "T", "F"]))
    if pivot:
        return GridSpec("g", 2 * draw(st.integers(1, 5)), ny, 1, "periodic", "closed", pivot)
    return GridSpec("g", draw(st.integers(1, 9)), ny, 1, draw(sides), draw(sides))


def way(grid: GridSpec, i: int, j: int, row: int, column: int) -> str:
    """How cell (i, j) comes to show (row, column)."""
    if (i, j) == (column, row):
        return "in place"
    if grid.north and j >= grid.ny - 1 and (i % grid.nx, j) != (column, row):
        return "fold"
    outside_x, outside_y = not 0 <= i < grid.nx, not 0 <= j < grid.ny
    wall_x = outside_x and grid.boundary_x == "closed"
    wall_y = outside_y and grid.boundary_y == "closed"
    return "wall" if wall_x or wall_y else "periodic"


@settings(max_examples=examples(150))
@given(grids(), fields, st.integers(0, 3), st.integers(1, 6), st.integers(1, 6))
def test_pieces_are_what_each_cell_shows(grid, field, halo, ranks, workers) -> None:
    model = decompose("model", grid.nx, grid.ny, ranks)
    split = decompose("worker", grid.nx, grid.ny, workers)
    for rank in range(workers):
        box = split.box(rank)
        messages = route_to_worker((field,), grid, model, box, halo)
        cells = {}
        for piece in pieces(messages, 0, grid, model, box, halo):
            assert piece.source.cells in (piece.target.cells, 1, piece.source.nx, piece.source.ny)
            for j in range(piece.target.y0, piece.target.y1):
                for i in range(piece.target.x0, piece.target.x1):
                    assert (i, j) not in cells
                    cells[i, j] = piece
        padded = box.padded(halo)
        for j in range(padded.y0, padded.y1):
            for i in range(padded.x0, padded.x1):
                cell = shown(grid, field, i, j)
                if cell is None:
                    assert (i, j) not in cells
                    continue
                row, column, sign = cell
                piece = cells.pop((i, j))
                owner = model.box(piece.rank)
                for place in (owner, piece.source):
                    assert place.y0 <= row < place.y1
                    assert place.x0 <= column < place.x1
                assert (piece.sign, piece.way) == (sign, way(grid, i, j, row, column))
        assert not cells


def painted(path: Path) -> float:
    """The share of pixels that are neither white nor grey."""
    image = pytest.importorskip("matplotlib.image").imread(path)[..., :3]
    assert image.shape[0] > 600
    assert image.shape[1] > 1200
    return float(np.mean(np.ptp(image, axis=-1) > 0.1))


def test_the_picture_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(write_toy(tmp_path, ("y: closed}", "y: closed, north: fold F}")))
    toy = tmp_path / "toy.nml"
    toy.write_text(toy.read_text().replace("nx = 7", "nx = 8"))
    monkeypatch.chdir(tmp_path)
    assert main(["plan", spec, "--plot"]) == 0
    assert "picture: toy.plan.png" in capsys.readouterr().out
    assert painted(tmp_path / "toy.plan.png") > 0.15
    assert main(["plan", spec, "--ranks", "worker=40", "--plot", "b.png", "--worker", "39"]) == 0
    assert painted(tmp_path / "b.png") > 0.01
    assert main(["plan", spec, "--json", "--plot", "c.svg", "--worker", "worker=0"]) == 0
    captured = capsys.readouterr()
    assert captured.out.rstrip().endswith("}")
    assert "picture: c.svg" in captured.err
    assert "what worker 0 receives" in (tmp_path / "c.svg").read_text()
    assert main(["plan", spec, "--plot", "d"]) == 0
    assert "picture: d.png" in capsys.readouterr().out
    assert (tmp_path / "d.png").exists()


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--worker", "1"], "--worker: got '1', expected a rank of worker, 0 to 0"),
        (["--worker", "wroker=0"], "unknown worker 'wroker'; did you mean 'worker'?"),
        (["--plot", "plan.pgn"], "Format 'pgn' is not supported"),
        (["--plot", "nowhere/plan.png"], "No such file or directory"),
    ],
)
def test_what_cannot_be_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], options: list[str], said: str
) -> None:
    assert main(["plan", str(write_toy(tmp_path)), *options]) == 2
    assert said in capsys.readouterr().err.replace("\n", "")
