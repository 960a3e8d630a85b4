# SPDX-License-Identifier: MIT
"""Grids of their own for workers on the command line: what is found without running, and plans."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coupled.test_regrid import spec
from coupler.command.cli import main
from coupler.weights import weights_of
from coupler.weights.io import write_weights
from jobs import fortran_test

Change = Callable[[dict[str, Any]], None]


def write_spec(directory: Path, change: Change = lambda _: None) -> str:
    """A model with two grids, whose workers have a coarser and a finer one."""
    loaded = spec(4, 2, 2)
    loaded["components"]["model"]["command"] = fortran_test("stencil_model")
    change(loaded)
    path = directory / "case.yaml"
    path.write_text(yaml.safe_dump(loaded, sort_keys=False))
    return str(path)


def test_check_says_which_weights_there_are(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["check", "--no-load", write_spec(tmp_path)]) == 2  # for want of a predictor
    said = capsys.readouterr()
    assert "Weights(12 x 8 -> 6 x 4: 96 links)" in said.out
    assert "grid 'fine' 24 x 16 x 1" in said.out
    assert said.err.splitlines()[1:] == ["halocline: 1 mistake"]


def field(loaded: dict[str, Any], name: str = "u_T") -> dict[str, Any]:
    found: dict[str, Any] = loaded["exchanges"][0]["fields"][name]
    return found


def of_file(loaded: dict[str, Any], name: str) -> None:
    loaded["exchanges"][0]["regrid"] = {"to": "coarse", "weights": name}


MISTAKES: dict[str, tuple[Change, str]] = {
    "mask that is not there": (
        lambda s: field(s).update(mask="u_TT"),
        "mask of 'u_T': got 'u_TT', expected a field that comes with it; did you mean",
    ),
    "mask at other points": (
        lambda s: field(s).update(mask=["t_T"]),
        "mask of 'u_T': got 't_T' at T points, expected it at U points",
    ),
    "mask of itself": (lambda s: field(s).update(mask="u_T"), "mask of 'u_T': got 'u_T', expected"),
    "mask of other levels": (
        lambda s: (
            s["exchanges"][0]["fields"].update(m={"point": "U", "levels": 3}),
            field(s).update(mask="m"),
        ),
        "mask of 'u_T': got 'm' of 3 levels, expected 1",
    ),
    "mask of an answer": (
        lambda s: s["exchanges"][2]["fields"]["du_T"].update(mask="dt_T"),
        "mask of 'du_T': it belongs to a field to the worker",
    ),
    "mask on one grid": (
        lambda s: (s["exchanges"][0].pop("regrid"), field(s).update(mask="t_T")),
        "mask of 'u_T': it says what counts where an exchange is regridded, and this one is not",
    ),
    "mask and nearest": (
        lambda s: (
            s["exchanges"][0]["regrid"].update(fallback="nearest"),
            field(s, "t_T").update(mask="m"),
            s["exchanges"][0].update(static={"m": {}}),
        ),
        "mask of 't_T': the nearest cell is found once, when weights are made; give a number",
    ),
    "nothing to conserve": (
        lambda s: (
            s["exchanges"][0]["regrid"].update(conserve="global"),
            s["exchanges"][0]["fields"].update(t_T={"mask": "m"}),
            s["exchanges"][0].update(static={"m": {}}),
        ),
        "conserve: got no field that it corrects, expected a scalar at T points without a mask",
    ),
    "conserve without areas": (
        lambda s: (
            of_file(s, "plain.nc"),
            s["exchanges"][0]["regrid"].update(conserve="positive"),
        ),
        "conserve needs areas, and the weights have none",
    ),
    "no file": (lambda s: of_file(s, "none.nc"), "none.nc: no such file"),
    "faces of a grid with places": (
        lambda s: s["exchanges"][0]["regrid"].update(method="nearest"),
        "got a field at U points, expected T points",
    ),
    "other sizes": (lambda s: of_file(s, "other.nc"), "other.nc"),
    "empty cells": (
        lambda s: of_file(s, "empty.nc"),
        # one, and its images in the mirror of a corner
        "field 't_T': 4 of 80 cells on a worker rank have no source, and would be NaN at every",
    ),
    "halo over a fold": (
        lambda s: s["exchanges"][1].update(halo=16),
        "halo: got 16, expected less than 16, the rows of grid 'fine'",
    ),
}


@pytest.mark.parametrize(("change", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_mistakes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: Change, expected: str
) -> None:
    cells = np.arange(24)
    empty = weights_of((8, 12), (4, 6), cells[1:], cells[1:], np.ones(23))
    write_weights(tmp_path / "empty.nc", empty, "yac")
    plain = weights_of((8, 12), (4, 6), cells, cells, np.ones(24))
    write_weights(tmp_path / "plain.nc", plain, "yac")
    write_weights(tmp_path / "other.nc", weights_of((8, 13), (4, 6), cells, cells, np.ones(24)))
    assert main(["check", "--no-load", write_spec(tmp_path, change)]) == 2
    said = [line for line in capsys.readouterr().err.splitlines() if expected in line]
    assert len(said) == 1
    assert said[0].startswith("case.yaml:")


def test_plan_has_the_boxes_of_both_grids_and_each_source_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["plan", "--json", "--plot", str(tmp_path / "a.png"), write_spec(tmp_path)]) == 1
    said = capsys.readouterr()
    assert "is regridded" in said.err
    assert not (tmp_path / "a.png").exists()
    plan = json.loads(said.out)
    grids = {(d["component"], d["grid"]) for d in plan["decompositions"]}
    assert grids == {("model", "T"), ("model", "F"), ("worker", "coarse"), ("worker", "fine")}
    there, _, back, _ = plan["exchanges"]
    # two workers of 3 x 4 coarse cells with a halo of 2, walls around: 5 x 4 of them, 10 x 8 cells
    received = [0, 0]
    for message in there["messages"]:
        received[message["to_rank"]] += message["cells"]
    assert received == [80, 80]
    assert sum(message["cells"] for message in back["messages"]) == 96


def test_without_scipy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "scipy.sparse", None)
    assert main(["plan", write_spec(tmp_path)]) == 2
    assert "pip install 'halocline[regrid]'" in capsys.readouterr().err


def test_bench(capsys: pytest.CaptureFixture[str]) -> None:
    short = ["--size", "40,20,2", "--steps", "1", "--halo", "1", "--no-yac"]
    assert main(["bench", "regrid", "--json", *short]) == 0
    found = json.loads(capsys.readouterr().out)
    assert all(list(item) == ["name", "value", "unit", "goal", "ok"] for item in found)
    where = "40 x 20 x 2 to 20 x 10 and back, 2 x 2 ranks, halo 1: "
    assert [(item["name"].removeprefix(where), item["unit"]) for item in found] == [
        ("rows of weights, coarser", "of SciPy"),
        ("rows of weights, finer", "of SciPy"),
        ("windows, float32, answer in place", "ms"),
        ("windows, float64, answer in place", "ms"),
    ]
    assert all(item["value"] > 0 for item in found)
