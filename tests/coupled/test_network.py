# SPDX-License-Identifier: MIT
"""GZ21 in real jobs, over closed, periodic and folded boundaries and land: any number of workers
gives what one run over the whole grid gives, which is made here, without the coupler. Convolutions
may round in another order in tiles of another size: equal to 1e-12, or 1e-6 in single precision."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from closures.files import GZ21_HIDDEN, gz21_file
from coupled.cells import shown
from coupled.exchange import python
from coupled.network_worker import Networks, answer_all
from coupler.spec import FieldSpec, GridSpec
from jobs import fortran_test, mpirun

NX, NY, STEPS, PUSH = 14, 12, 2, 1e6
BOXES = [(1, 6, 1, 12), (7, 14, 1, 5), (7, 14, 6, 12)]
GRIDS: dict[str, dict[str, str]] = {
    "closed": {},
    "periodic": {"x": "periodic", "y": "periodic"},
    "fold_t": {"x": "periodic", "north": "fold T"},
    "fold_f": {"x": "periodic", "north": "fold F"},
}
FIELDS: dict[str, dict[str, Any]] = {
    "u": {"point": "U", "kind": "vector_i"},
    "v": {"point": "V", "kind": "vector_j"},
    "mask": {"point": "T"},
}
ANSWERS = {"su": FIELDS["u"], "sv": FIELDS["v"], "ru": FIELDS["u"], "rv": FIELDS["v"]}


def spec(workers: int, halo: int) -> dict[str, Any]:
    exchanges: list[dict[str, Any]] = []
    for grid in GRIDS:
        asked = {f"{name}_{grid}": dict(FIELDS[name]) for name in FIELDS}
        mask = {f"mask_{grid}": asked.pop(f"mask_{grid}")}
        ends = {"from": "model", "to": "worker", "grid": grid, "halo": halo, "wire": "float64"}
        exchanges.append(ends | {"fields": asked, "static": mask})
    for grid in GRIDS:
        answered = {f"{name}_{grid}": dict(field) for name, field in ANSWERS.items()}
        ends = {"from": "worker", "to": "model", "grid": grid}
        exchanges.append(ends | {"fields": answered})
    size = {"x": NX, "y": NY, "z": 1}
    return {
        "run": {"dt": 10, "steps": STEPS, "time_limit": 60},
        "components": {
            "model": {"command": "network_model", "ranks": len(BOXES)},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {grid: {"size": size, "boundary": sides} for grid, sides in GRIDS.items()},
        "exchanges": exchanges,
    }


def initial() -> np.ndarray:
    """(grid, field u v mask, y, x), 0 on closed faces"""
    random = np.random.default_rng(1)
    state = random.normal(0, 0.3, (len(GRIDS), len(FIELDS), NY, NX))
    state[:, 2] = random.random((len(GRIDS), NY, NX)) > 0.15
    for number, grid in enumerate(GRIDS):
        mask = padded(grid, "mask", state[number, 2], 1)
        state[number, 0] *= mask[1:-1, 1:-1] * mask[1:-1, 2:]
        state[number, 1] *= mask[1:-1, 1:-1] * mask[2:, 1:-1]
    return state


def padded(name: str, field_name: str, array: np.ndarray, width: int) -> np.ndarray:
    """(y, x) with `width` cells around it, cell by cell."""
    sides = GRIDS[name]
    fold = sides["north"][-1] if "north" in sides else None
    boundary = (sides.get(axis, "closed") for axis in "xy")
    grid = GridSpec(name, NX, NY, 1, *boundary, fold)  # type: ignore[arg-type]
    kinds = {"kind": "scalar", "fill": "zero"} | FIELDS[field_name]
    field = FieldSpec(field_name, levels=1, place="", **kinds)
    result = np.zeros((NY + 2 * width, NX + 2 * width))
    for y, x in np.ndindex(result.shape):
        cell = shown(grid, field, x - width, y - width)
        if cell is not None:
            result[y, x] = cell[2] * array[cell[0], cell[1]]
    return result


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(gz21_file(tmp_path_factory.mktemp("weights") / "gz21.pt", GZ21_HIDDEN))


@cache
def whole_grid(weights: str) -> tuple[np.ndarray, np.ndarray]:
    """The final u, v, and the last answers in single precision, (grid, component, y, x)."""
    networks, state = Networks(weights), initial()
    for _ in range(STEPS):
        arrays = {
            f"{name}_{grid}": padded(grid, name, state[g, f], networks.halo)[None]
            for g, grid in enumerate(GRIDS)
            for f, name in enumerate(FIELDS)
        }
        inner = slice(networks.halo, -networks.halo)
        found = {k: a[0, inner, inner] for k, a in answer_all(networks, arrays).items()}
        for g, grid in enumerate(GRIDS):
            state[g, :2] += PUSH * np.stack([found[f"su_{grid}"], found[f"sv_{grid}"]])
    single = np.stack([[found[f"ru_{grid}"], found[f"rv_{grid}"]] for grid in GRIDS])
    return state[:, :2], single


@pytest.mark.parametrize("workers", [1, 2, 3, 4, 6])
def test_any_number_of_workers_gives_the_whole_grid(
    tmp_path: Path, weights: str, workers: int
) -> None:
    state, single = whole_grid(weights)
    boxes = [" ".join(str(edge) for edge in box) for box in BOXES]
    (tmp_path / "boxes.txt").write_text("\n".join(boxes) + "\n")
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec(workers, 11)))
    initial().tofile(tmp_path / "initial.bin")
    arguments = [str(NX), str(NY), str(STEPS), *GRIDS]
    mpirun(
        tmp_path,
        (len(BOXES), [fortran_test("network_model"), *arguments]),
        (workers, python("network_worker.py", "case.yaml", weights)),
    )
    got = np.full((2, len(GRIDS), 2, NY, NX), np.nan)
    for rank, (x0, x1, y0, y1) in enumerate(BOXES):
        mine = np.fromfile(tmp_path / f"final.{rank}.bin")
        mine = mine.reshape(2, len(GRIDS), 2, y1 - y0 + 1, x1 - x0 + 1)
        got[..., y0 - 1 : y1, x0 - 1 : x1] = mine
    for g, grid in enumerate(GRIDS):
        moved = np.abs(state[g] - initial()[g, :2]).max()
        assert moved > 1e-3, grid
        assert np.abs(got[0, g] - state[g]).max() <= 1e-12 * moved, grid
        assert np.abs(got[1, g] - single[g]).max() <= 1e-6 * np.abs(single[g]).max(), grid
