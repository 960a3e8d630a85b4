# SPDX-License-Identifier: MIT
"""A model and its workers on different grids: workers see slices of the globally regridded fields,
the model gets the regridded answers, bit for bit, for any number of ranks on both sides."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coupled.cells import shown
from coupled.exchange import python
from coupled.regrid_worker import network, positive
from coupler.grids.make import grid_of
from coupler.regridding.vectors import vector_weights
from coupler.routing.decomposition import Decomposition, decompose
from coupler.spec import FieldSpec, GridSpec
from coupler.spec.load import load_spec
from coupler.weights import Weights, apply, weights_of
from coupler.weights.io import write_weights
from coupler.weights.make import weights_between
from coupler.weights.staggered import coarsening, refinement
from jobs import fortran_test, mpirun

NX, NY, STEPS = 12, 8, 3
FIELDS: dict[str, dict[str, Any]] = {
    "t": {"point": "T", "kind": "scalar", "fill": "reflect"},
    "u": {"point": "U", "kind": "vector_i", "fill": "replicate"},
    "v": {"point": "V", "kind": "vector_j", "fill": "zero"},
}
# the model's grids by name, and the workers' that are made of them
MODEL = {
    "T": GridSpec("T", NX, NY, 1, "closed", "closed"),
    "F": GridSpec("F", NX, NY, 1, "periodic", "closed", "F"),
}
WORKER = {
    "T": GridSpec("coarse", NX // 2, NY // 2, 1, "closed", "closed"),
    "F": GridSpec("fine", 2 * NX, 2 * NY, 1, "periodic", "closed", "F"),
}
MADE = {"coarse": {"coarsen": "T", "by": 2}, "fine": {"refine": "F", "by": 2}}


def boundary(grid: GridSpec) -> dict[str, str]:
    sides = {"x": grid.boundary_x, "y": grid.boundary_y}
    return {**sides, "north": f"fold {grid.north}"} if grid.north else sides


def spec(ranks: int, workers: int, halo: int, **more: Any) -> dict[str, Any]:
    """`more` changes the exchanges to the worker."""
    asked, answered = [], []
    for name, grid in WORKER.items():
        fields = {f"{field}_{name}": dict(kinds) for field, kinds in FIELDS.items()}
        there = {"from": "model", "to": "worker", "grid": name, "regrid": {"to": grid.name}}
        asked.append({**there, "halo": halo, "wire": "float64", "fields": fields, **more})
        back = {"from": "worker", "to": "model", "grid": name, "regrid": {"from": grid.name}}
        plain = {f"d{f}": {k: kinds[k] for k in ("point", "kind")} for f, kinds in fields.items()}
        answered.append({**back, "fields": plain})
    size = {"x": NX, "y": NY}
    model = {name: {"size": size, "boundary": boundary(grid)} for name, grid in MODEL.items()}
    return {
        "run": {"dt": 10, "steps": STEPS, "time_limit": 60},
        "components": {
            "model": {"command": "stencil_model", "ranks": ranks},
            "worker": {"worker": True, "ranks": workers},
        },
        "grids": {**model, **MADE},
        "exchanges": [*asked, *answered],
    }


def initial() -> np.ndarray:
    """(grid and field, y, x)"""
    return np.random.default_rng(1).uniform(-1, 1, (2 * len(FIELDS), NY, NX))


def weights(name: str, field: FieldSpec, to_worker: bool) -> Weights:
    model, worker = MODEL[name], WORKER[name]
    if (name == "T") == to_worker:
        return coarsening(*((model, worker) if to_worker else (worker, model)), field)
    return refinement(*((model, worker) if to_worker else (worker, model)), field)


def padded(field: FieldSpec, grid: GridSpec, array: np.ndarray, halo: int) -> np.ndarray:
    """The whole grid (y, x) with its halo, cell by cell."""
    found = np.zeros((grid.ny + 2 * halo, grid.nx + 2 * halo))
    for y, x in np.ndindex(found.shape):
        cell = shown(grid, field, x - halo, y - halo)
        if cell is not None:
            found[y, x] = cell[2] * array[cell[0], cell[1]]
    return found


@cache
def whole_grid(halo: int) -> tuple[np.ndarray, list[dict[str, np.ndarray]]]:
    """The final state of one run over the whole grid, and what its network saw at each step."""
    state, seen = initial(), []
    for _ in range(STEPS):
        inputs: dict[str, np.ndarray] = {}
        for part, name in ((state[:3], "T"), (state[3:], "F")):
            fields = [FieldSpec(f, levels=1, place="", **kinds) for f, kinds in FIELDS.items()]
            for field, values in zip(fields, part, strict=True):
                there = apply(weights(name, field, True), values[None])[0]
                inputs[f"{field.name}_{name}"] = padded(field, WORKER[name], there, halo)
            asked = [inputs[f"{field.name}_{name}"][None] for field in fields]
            for field, values, change in zip(fields, part, network(*asked, halo), strict=True):
                values += apply(weights(name, field, False), change)[0]
        seen.append(inputs)
    return state, seen


def run(
    directory: Path, loaded: dict[str, Any], *arguments: str, start: np.ndarray | None = None
) -> np.ndarray:
    """The final state of one job; `arguments` of the worker, `start` in place of `initial`."""
    job, split = run_job(directory, loaded, *arguments, start=start)
    assert job.returncode == 0, job.stderr
    final = np.full((2 * len(FIELDS), NY, NX), np.nan)
    for rank in range(split.ranks):
        b = split.box(rank)
        mine = np.fromfile(directory / f"final.{rank}.bin").reshape(-1, b.ny, b.nx)
        final[:, b.y0 : b.y1, b.x0 : b.x1] = mine
    return final


def run_job(
    directory: Path, loaded: dict[str, Any], *arguments: str, start: np.ndarray | None = None
) -> tuple[subprocess.CompletedProcess[str], Decomposition]:
    """It, and the boxes of the model's ranks."""
    parts = loaded["components"]
    ranks, workers = parts["model"]["ranks"], parts["worker"]["ranks"]
    split = decompose("model", NX, NY, ranks)
    boxes = [split.box(rank) for rank in range(ranks)]
    lines = [f"{b.x0 + 1} {b.x1} {b.y0 + 1} {b.y1}\n" for b in boxes]
    (directory / "boxes.txt").write_text("".join(lines))
    (directory / "case.yaml").write_text(yaml.safe_dump(loaded))
    (initial() if start is None else start).tofile(directory / "initial.bin")
    job = mpirun(
        directory,
        (ranks, [fortran_test("stencil_model"), str(NX), str(NY), str(STEPS)]),
        (workers, python("regrid_worker.py", "case.yaml", *arguments)),
        check=False,
    )
    return job, split


def bits(array: np.ndarray) -> np.ndarray:
    """Of float64, with one zero."""
    return (array + 0.0).view(np.int64)


@pytest.mark.parametrize(
    ("ranks", "workers", "halo", "transport"),
    [
        (1, 1, 0, "messages"),
        (2, 6, 2, "windows"),
        (6, 2, 10, "messages"),
        (3, 4, 10, "both"),
        (4, 3, 0, "windows"),
        (5, 5, 2, "messages"),
    ],
)
def test_workers_see_slices_of_the_regridded_field_and_the_model_the_regridded_answer(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ranks: int,
    workers: int,
    halo: int,
    transport: str,
) -> None:
    """`both`: on small nodes some partners share memory and others do not."""
    if transport == "both":
        monkeypatch.setenv("HALOCLINE_RANKS_PER_NODE", "4")
    named = "auto" if transport == "both" else transport
    final = run(tmp_path, spec(ranks, workers, halo, transport=named))
    expected, seen = whole_grid(halo)
    for name, grid in WORKER.items():
        split = decompose("worker", grid.nx, grid.ny, workers)
        for rank in range(workers):
            box = split.box(rank)
            part = np.s_[box.y0 : box.y1 + 2 * halo, box.x0 : box.x1 + 2 * halo]
            for step in range(STEPS):
                with np.load(tmp_path / f"inputs.{rank}.{step}.npz") as inputs:
                    for field in (f"{f}_{name}" for f in FIELDS):
                        want = seen[step][field][part]
                        np.testing.assert_array_equal(bits(inputs[field][0]), bits(want))
    assert not np.array_equal(final, initial())
    np.testing.assert_array_equal(bits(final), bits(expected))


@pytest.mark.parametrize("how", ["global", "positive"])
def test_answers_are_corrected_to_conserve_their_integral(tmp_path: Path, how: str) -> None:
    """Random weights to the model's grid, which conserve nothing; areas differ by cell."""
    rng = np.random.default_rng(3)
    worker, cells = WORKER["T"], NX * NY
    areas = rng.uniform(1, 2, worker.nx * worker.ny), rng.uniform(1, 2, cells)
    shapes = (worker.ny, worker.nx), (NY, NX)
    links = np.arange(cells), rng.integers(0, worker.nx * worker.ny, cells), np.ones(cells)
    made = weights_of(*shapes, *links, np.ones(cells), *areas)
    finals = []
    for ranks, workers in ((1, 1), (3, 4)) if how == "global" else ((2, 1),):
        directory = tmp_path / f"{workers}"
        directory.mkdir()
        write_weights(directory / "back.nc", made)
        loaded = spec(ranks, workers, 2)
        loaded["exchanges"][2]["regrid"] |= {"weights": "back.nc", "conserve": how}
        finals.append(run(directory, loaded, *(["positive"] if how == "positive" else [])))
    np.testing.assert_array_equal(bits(finals[0]), bits(finals[-1]))
    given = scale = 0.0
    for step in range(STEPS):
        with np.load(tmp_path / "1" / f"inputs.0.{step}.npz") as inputs:
            changes = network(*(inputs[f"{name}_T"] for name in "tuv"), 2)
        answer = (positive(changes) if how == "positive" else changes)[0]
        given += (answer.ravel() * areas[0]).sum()
        scale += (np.abs(answer).ravel() * areas[0]).sum()
    taken = ((finals[0] - initial())[0].ravel() * areas[1]).sum()
    assert abs(taken - given) <= 1e-14 * scale


@pytest.mark.parametrize("how", ["global", "positive"])
def test_inputs_are_corrected_to_conserve_their_integral(tmp_path: Path, how: str) -> None:
    """Random weights to the worker's grid, which leave out most of the model's cells."""
    rng = np.random.default_rng(3)
    worker, cells = WORKER["T"], WORKER["T"].nx * WORKER["T"].ny
    areas = rng.uniform(1, 2, NX * NY), rng.uniform(1, 2, cells)
    links = np.arange(cells), rng.integers(0, NX * NY, cells), np.ones(cells)
    made = weights_of((NY, NX), (worker.ny, worker.nx), *links, np.ones(cells), *areas)
    start = initial() + (2.0 if how == "positive" else 0.0)
    finals = []
    for ranks, workers in (1, 1), (3, 4):
        directory = tmp_path / f"{workers}"
        directory.mkdir()
        write_weights(directory / "there.nc", made)
        loaded = spec(ranks, workers, 2)
        loaded["exchanges"][0]["regrid"] |= {"weights": "there.nc", "conserve": how}
        if how == "global":  # the others, too: of answers, and of a second grid
            for exchange in loaded["exchanges"][1:]:
                exchange["regrid"]["conserve"] = how
        finals.append(run(directory, loaded, start=start))
    np.testing.assert_array_equal(bits(finals[0]), bits(finals[1]))

    given, scale = (start[0].ravel() * areas[0]).sum(), (np.abs(start[0]).ravel() * areas[0]).sum()
    plain = apply(made, start[:1])[0]
    integral = (plain.ravel() * areas[1]).sum()
    assert abs(integral - given) > 0.01 * scale
    corrected = plain * (given / integral)
    if how == "global":
        corrected = plain + (given - integral) / areas[1].sum()
    everything = padded(
        load_spec(tmp_path / "4/case.yaml").exchanges[0].fields[0], worker, corrected, 2
    )
    split = decompose("worker", worker.nx, worker.ny, 4)
    taken = 0.0
    for rank in range(4):
        box = split.box(rank)
        with np.load(tmp_path / f"4/inputs.{rank}.0.npz") as inputs:
            seen = inputs["t_T"][0]
        part = everything[box.y0 : box.y1 + 4, box.x0 : box.x1 + 4]
        np.testing.assert_allclose(seen, part, rtol=0, atol=1e-13)
        mine = areas[1].reshape(worker.ny, worker.nx)[box.y0 : box.y1, box.x0 : box.x1]
        taken += (seen[2:-2, 2:-2] * mine).sum()
    assert abs(taken - given) <= 1e-14 * scale


@pytest.mark.parametrize(
    ("how", "first", "rest", "message"),
    [
        ("positive", -1.0, 1.0, "'t_T' by the ratio of its integrals, but they are -1 and 24"),
        ("global", np.inf, 1.0, "conserve: 't_T' is not finite, nor is its integral"),
    ],
)
def test_integrals_that_cannot_be_kept(
    tmp_path: Path, how: str, first: float, rest: float, message: str
) -> None:
    """The first cell counts, and is in no row."""
    cells = np.arange(WORKER["T"].nx * WORKER["T"].ny)
    ones, first_alone = np.ones(len(cells)), np.zeros(NX * NY)
    first_alone[0] = 1.0
    shapes = (NY, NX), (WORKER["T"].ny, WORKER["T"].nx)
    made = weights_of(*shapes, cells, 1 + cells, ones, ones, first_alone, ones)
    write_weights(tmp_path / "there.nc", made)
    loaded = spec(2, 2, 2)
    loaded["exchanges"][0]["regrid"] |= {"weights": "there.nc", "conserve": how}
    start = np.full_like(initial(), rest)
    start[0, 0, 0] = first
    job, _ = run_job(tmp_path, loaded, start=start)
    assert job.returncode == 1, job.stderr
    assert message in job.stderr


def test_weights_between_grids_with_places_are_made_once_and_used_by_all(tmp_path: Path) -> None:
    loaded = spec(2, 3, 2)
    loaded["grids"]["T"]["geometry"] = {
        "lon": np.linspace(0, 30, NX + 1).tolist(),
        "lat": np.linspace(40, 60, NY + 1).tolist(),
    }
    loaded["grids"]["coarse"] = {
        "geometry": {
            "lon": np.linspace(0, 30, 6).tolist(),
            "lat": np.linspace(38, 62, 5).tolist(),
        }
    }
    for exchange, way in ((loaded["exchanges"][0], "to"), (loaded["exchanges"][2], "from")):
        exchange["regrid"] = {way: "coarse", "method": "conservative", "fallback": "nearest"}
        exchange["fields"] = {name: {"fill": "replicate"} for name in exchange["fields"]}
    run(tmp_path, loaded)
    exchange = load_spec(tmp_path / "case.yaml").exchanges[0]
    assert len(list((tmp_path / "weights").glob("T_coarse_conservative_*.nc"))) == 1
    assert exchange.regrid is not None
    grid = exchange.regrid.grid
    made = weights_between(exchange.grid, grid, exchange.regrid)
    whole = apply(made, initial()[:3])
    split = decompose("worker", grid.nx, grid.ny, 3)
    for number, field in enumerate(exchange.fields):
        everything = padded(field, grid, whole[number], 2)
        for rank in range(3):
            box = split.box(rank)
            part = everything[box.y0 : box.y1 + 4, box.x0 : box.x1 + 4]
            with np.load(tmp_path / f"inputs.{rank}.0.npz") as inputs:
                np.testing.assert_array_equal(bits(inputs[field.name][0]), bits(part))


@pytest.mark.parametrize(("ranks", "workers"), [(1, 1), (3, 4)])
def test_vectors_turn_with_the_grids(tmp_path: Path, ranks: int, workers: int) -> None:
    """From faces of a tripolar grid to cells of a regular one, and back."""
    loaded = spec(ranks, workers, 2)
    loaded["grids"]["F"]["geometry"] = {"kind": "tripolar", "south": 30.0, "cap": 60.0}
    loaded["grids"]["fine"] = {
        "size": {"x": 16, "y": 8},
        "boundary": {"x": "periodic"},
        "geometry": {"kind": "latlon", "west": 0, "south": 30, "width": 360, "height": 60},
    }
    there, back = loaded["exchanges"][1], loaded["exchanges"][3]
    there["regrid"] = {"to": "fine", "method": "nearest", "vectors": [["u_F", "v_F"]]}
    back["regrid"] = {"from": "fine", "method": "nearest", "vectors": [["du_F", "dv_F"]]}
    there["regrid"]["fallback"] = back["regrid"]["fallback"] = 0  # duplicate cells are masked
    there["fields"]["t_F"]["fill"] = "zero"
    final = run(tmp_path, loaded)

    exchange = load_spec(tmp_path / "case.yaml").exchanges[1]
    model, regrid = exchange.grid, exchange.regrid
    assert regrid is not None
    grids = grid_of(model), grid_of(regrid.grid)
    to = weights_between(model, regrid.grid, regrid)
    fro = weights_between(regrid.grid, model, regrid)
    turned_to = vector_weights(to, *grids, model, "to_worker", True)
    turned_fro = vector_weights(fro, *reversed(grids), model, "to_model", True)

    def filled(weights: Weights, field: np.ndarray) -> np.ndarray:
        return np.nan_to_num(apply(weights, field[None])[0])

    state = initial()[3:]
    kinds = [replace(f, point="T") for f in exchange.fields]
    for _ in range(STEPS):
        seen = [filled(to, state[0])]
        seen += [filled(pair.i, state[1]) + filled(pair.j, state[2]) for pair in turned_to]
        halos = zip(kinds, seen, strict=True)
        asked = [padded(field, regrid.grid, values, 2)[None] for field, values in halos]
        t, u, v = (change[0] for change in network(*asked, 2))
        state[0] += filled(fro, t)
        for values, pair in zip(state[1:], turned_fro, strict=True):
            values += filled(pair.i, u) + filled(pair.j, v)
    np.testing.assert_array_equal(bits(final[3:]), bits(state))
