# SPDX-License-Identifier: MIT
"""The same bits on every decomposition, with every term of the model switched on."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from jobs import run_ocean
from model.configurations import Groups, assert_same_bits, changed, everything, restart, tiny

STEPS = 12

CONFIGURATIONS: dict[str, Groups] = {
    "everything": everything(),
    "channel": everything(grid={"periodic_x": True}, dynamics={"vorticity": "enstrophy"}),
    "doubly_periodic": everything(
        grid={
            "geometry": "cartesian",
            "length_x": 2.0e6,
            "length_y": 1.8e6,
            "periodic_x": True,
            "periodic_y": True,
        },
        forcing={"wind": "none"},
    ),
    "zb20": tiny(grid={"land": "peninsula"}, closure={"kind": "zb20", "preset": "raw", "delay": 1}),
}


@pytest.fixture(scope="module", params=list(CONFIGURATIONS))
def on_one_rank(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Groups, Path]:
    groups = CONFIGURATIONS[request.param]
    directory = tmp_path_factory.mktemp(request.param)
    run_ocean(directory, groups)
    return groups, directory


def log_lines(directory: Path) -> list[str]:
    lines = (directory / "tiny.log").read_text().splitlines()
    return [line for line in lines if line.startswith("step")]


@pytest.mark.parametrize("boxes", [(2, 1), (1, 3), (2, 2), (4, 2)], ids=str)
def test_same_bits(
    tmp_path: Path, on_one_rank: tuple[Groups, Path], boxes: tuple[int, int]
) -> None:
    groups, reference = on_one_rank
    decomposed = changed(groups, {"domain": {"px": boxes[0], "py": boxes[1]}})
    job = run_ocean(tmp_path, decomposed, ranks=boxes[0] * boxes[1])
    assert f"in {boxes[0]} x {boxes[1]} boxes" in job.stdout
    expected = restart(reference, STEPS)
    assert np.abs(expected["u"]).max() > 0.05  # something moves
    assert_same_bits(restart(tmp_path, STEPS), expected)
    assert log_lines(tmp_path) == log_lines(reference)


@pytest.mark.parametrize(("ranks", "boxes"), [(2, "2 x 1"), (3, "3 x 1"), (6, "3 x 2")])
def test_automatic_decomposition(tmp_path: Path, ranks: int, boxes: str) -> None:
    # of 22 x 20 cells: the fewest cells along cuts
    job = run_ocean(tmp_path, tiny(time={"steps": 1}), ranks=ranks)
    assert f"in {boxes} boxes" in job.stdout
