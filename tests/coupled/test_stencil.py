# SPDX-License-Identifier: MIT
"""A network of 5 x 5 cells on grids with a folded north: any number of workers gives the bits of
one run over the whole grid, which is made here, cell by cell and without the coupler."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coupled.cells import shown
from coupled.exchange import python
from coupled.stencil_worker import HALO, network
from coupler.spec import FieldSpec, GridSpec
from jobs import fortran_test, mpirun

NX, NY, STEPS = 12, 9, 4
BOXES = [(1, 5, 1, 9), (6, 12, 1, 4), (6, 12, 5, 9)]
FIELDS: dict[str, dict[str, Any]] = {
    "t": {"point": "T", "kind": "scalar", "fill": "reflect"},
    "u": {"point": "U", "kind": "vector_i", "fill": "reflect"},
    "v": {"point": "V", "kind": "vector_j", "fill": "reflect"},
}


def spec(workers: int, transport: str) -> dict[str, Any]:
    ends = {"from": "model", "to": "worker"}
    back = {"from": "worker", "to": "model"}
    asked = [
        {
            **ends,
            "grid": pivot,
            "halo": HALO,
            "wire": "float64",
            "transport": transport,
            "fields": {f"{name}_{pivot}": dict(field) for name, field in FIELDS.items()},
        }
        for pivot in "TF"
    ]
    answered = [
        {**back, "grid": pivot, "fields": [f"d{name}_{pivot}" for name in FIELDS]} for pivot in "TF"
    ]
    north = {pivot: {"x": "periodic", "north": f"fold {pivot}"} for pivot in "TF"}
    return {
        "run": {"dt": 10, "steps": STEPS, "time_limit": 60},
        "components": {
            "model": {"command": "stencil_model", "ranks": len(BOXES)},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {pivot: {"size": {"x": NX, "y": NY}, "boundary": north[pivot]} for pivot in "TF"},
        "exchanges": [*asked, *answered],
    }


def initial() -> np.ndarray:
    """(pivot and field, y, x)"""
    return np.random.default_rng(1).uniform(-1, 1, (2 * len(FIELDS), NY, NX))


@cache
def whole_grid() -> np.ndarray:
    """The final state of one run over the whole grid."""
    state = initial()
    for pivot, tracers in (("T", state[:3]), ("F", state[3:])):
        grid = GridSpec(pivot, NX, NY, 1, "periodic", "closed", pivot)
        for _ in range(STEPS):
            padded = np.zeros((3, NY + 2 * HALO, NX + 2 * HALO))
            for number, (name, kinds) in enumerate(FIELDS.items()):
                field = FieldSpec(name, levels=1, place="", **kinds)
                for y, x in np.ndindex(padded.shape[1:]):
                    cell = shown(grid, field, x - HALO, y - HALO)
                    if cell is not None:
                        padded[number, y, x] = cell[2] * tracers[number, cell[0], cell[1]]
            tracers += network(*padded)
    return state


@pytest.mark.parametrize("transport", ["messages", "windows", "both"])
@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6])
def test_any_number_of_workers_gives_the_bits_of_the_whole_grid(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, transport: str
) -> None:
    """`both`: on small nodes some partners share memory and others do not."""
    if transport == "both":
        monkeypatch.setenv("HALOCLINE_RANKS_PER_NODE", "2" if workers == 1 else "4")
    boxes = [" ".join(str(edge) for edge in box) for box in BOXES]
    (tmp_path / "boxes.txt").write_text("\n".join(boxes) + "\n")
    (tmp_path / "case.yaml").write_text(
        yaml.safe_dump(spec(workers, "auto" if transport == "both" else transport))
    )
    initial().tofile(tmp_path / "initial.bin")
    mpirun(
        tmp_path,
        (len(BOXES), [fortran_test("stencil_model"), str(NX), str(NY), str(STEPS)]),
        (workers, python("stencil_worker.py", "case.yaml")),
    )
    final = np.full((2 * len(FIELDS), NY, NX), np.nan)
    for rank, (x0, x1, y0, y1) in enumerate(BOXES):
        mine = np.fromfile(tmp_path / f"final.{rank}.bin").reshape(-1, y1 - y0 + 1, x1 - x0 + 1)
        final[:, y0 - 1 : y1, x0 - 1 : x1] = mine
    assert not np.array_equal(final, initial())
    np.testing.assert_array_equal(final.view(np.int64), whole_grid().view(np.int64))
