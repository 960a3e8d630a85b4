# SPDX-License-Identifier: MIT
"""Real jobs of a Fortran model and Python workers; both sides compare every value they receive."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import netCDF4
import pytest

from coupled.exchange import (
    DT,
    HALVES,
    UNEVEN,
    WHOLE,
    Boxes,
    Case,
    python,
    run_exchange,
    write_case,
)
from jobs import fortran_test, mpirun


def folded(pivot: str, **more: Any) -> dict[str, Any]:
    """A grid of 8 x 5 cells whose north is folded, on uneven boxes."""
    return {"north": pivot, "nx": 8, "boxes": [(1, 3, 1, 2), (4, 8, 1, 2), (1, 8, 3, 5)], **more}


SUCCESS = "exchange_model: every value as expected"
CASES = {
    "one rank each": Case(boxes=WHOLE, workers=1),
    "two models, one worker": Case(boxes=HALVES, workers=1),
    "uneven boxes": Case(boxes=UNEVEN, workers=2),
    "one model, three workers": Case(boxes=WHOLE, workers=3),
    "closed": Case(boundary=("closed", "closed")),
    "periodic": Case(boundary=("periodic", "periodic"), model_halo=2),
    "closed in x": Case(boundary=("closed", "periodic"), model_halo=0),
    "halo wider than the grid": Case(halo=9, boundary=("periodic", "periodic")),
    "halo wider, closed": Case(halo=9, boundary=("closed", "closed"), workers=3),
    "no halo": Case(halo=0),
    "workers without a cell": Case(boxes=[(1, 2, 1, 1), (1, 2, 2, 2)], nx=2, ny=2, workers=6),
    "a model rank without a cell": Case(boxes=[(1, 7, 1, 2), (1, 0, 3, 2), (1, 7, 3, 5)]),
    "float32": Case(wire="float32"),
    "real32 arrays": Case(bits=32),
    "real32 arrays, float32": Case(wire="float32", bits=32, lag=1),
    "lag of one": Case(lag=1),
    "lag of three": Case(lag=3),
    "lag and period": Case(lag=3, every=2, steps=11),
    "period of two": Case(every=2, steps=7),
    "from another date": Case(start=10**9 + 30, every=2, lag=1),
    "from before the origin": Case(start=-40, every=2, lag=1, steps=9),
    "no step": Case(steps=0, lag=2),
    "fewer steps than the lag": Case(steps=2, lag=3),
    "fold T, vectors along the grid": Case(
        **folded("T", halo=3),
        b={"point": "U", "kind": "vector_i", "fill": "reflect"},
        flat={"point": "V", "kind": "vector_j"},
    ),
    "fold F, vectors along the grid": Case(
        **folded("F", halo=3),
        b={"point": "V", "kind": "vector_j", "fill": "reflect"},
        flat={"point": "U", "kind": "vector_i"},
        workers=3,
    ),
    "fold T, vectors to the east and north": Case(
        **folded("T", halo=2),
        b={"point": "V", "kind": "north"},
        flat={"point": "F", "kind": "east", "fill": "replicate"},
        bits=32,
        wire="float32",
    ),
    "fold F, halo wider than the grid": Case(
        **folded("F", halo=11),
        b={"point": "F", "kind": "vector_i"},
        flat={"point": "F", "fill": "replicate"},
        workers=4,
        lag=1,
    ),
    "fold T, halo wider than the grid": Case(
        **folded("T", halo=11),
        b={"point": "F", "kind": "vector_j", "fill": "replicate"},
        flat={"point": "V"},
        model_halo=2,
    ),
    "mirror walls": Case(
        boundary=("closed", "closed"),
        halo=9,
        a={"fill": "reflect"},
        b={"point": "U", "kind": "vector_i", "fill": "reflect"},
        flat={"point": "F", "kind": "vector_j", "fill": "reflect"},
    ),
    "workers without a cell, lag": Case(boxes=[(1, 2, 1, 2)], nx=2, ny=2, workers=5, lag=2),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_value_arrives(tmp_path: Path, case: Case) -> None:
    assert SUCCESS in run_exchange(tmp_path, case).stdout


def tiling(rng: random.Random, nx: int, ny: int, ranks: int) -> Boxes:
    """Boxes cut in two, again and again: no product of columns and rows."""
    boxes = [(1, nx, 1, ny)]
    while len(boxes) < ranks:
        x0, x1, y0, y1 = boxes.pop(rng.randrange(len(boxes)))
        if rng.random() < 0.5:
            cut = rng.randint(x0 - 1, x1)
            boxes += [(x0, cut, y0, y1), (cut + 1, x1, y0, y1)]
        else:
            cut = rng.randint(y0 - 1, y1)
            boxes += [(x0, x1, y0, cut), (x0, x1, cut + 1, y1)]
    rng.shuffle(boxes)
    return boxes


@pytest.mark.parametrize("seed", range(8))
def test_any_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int) -> None:
    """Anything together: boxes, walls, fields, times; partners by messages, shared memory, both."""
    rng = random.Random(seed)
    sides = ("closed", "periodic")

    def placed() -> dict[str, str]:
        return {
            "point": rng.choice("TUVF"),
            "kind": rng.choice(("scalar", "vector_i", "vector_j")),
            "fill": rng.choice(("zero", "replicate", "reflect")),
        }

    monkeypatch.setenv("HALOCLINE_RANKS_PER_NODE", str(rng.randint(0, 3)))
    nx, ny = rng.randint(1, 12), rng.randint(1, 12)
    case = Case(
        boxes=tiling(rng, nx, ny, rng.randint(1, 4)),
        workers=rng.randint(1, 4),
        nx=nx,
        ny=ny,
        nz=rng.randint(1, 3),
        boundary=(rng.choice(sides), rng.choice(sides)),
        halo=rng.randint(0, 12),
        model_halo=rng.randint(0, 3),
        wire=rng.choice(("float32", "float64")),
        bits=rng.choice((32, 64)),
        lag=rng.randint(0, 3),
        every=rng.randint(1, 3),
        start=DT * rng.randint(0, 99),
        steps=rng.randint(0, 9),
        a=placed(),
        b=placed(),
        flat=placed(),
    )
    assert SUCCESS in run_exchange(tmp_path, case).stdout, case


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (Case(lag=1, workers=3), Case(lag=1, workers=1, boxes=HALVES)),
        (Case(lag=3, workers=1), Case(lag=3, workers=4, boxes=WHOLE)),
        # cut at a date at which nothing is due, into ranks without a cell
        (
            Case(lag=2, every=2, steps=7, start=20, nx=2, ny=2, boxes=[(1, 2, 1, 2)], workers=6),
            Case(lag=2, every=2, steps=7, nx=2, ny=2, boxes=[(1, 1, 1, 2), (2, 2, 1, 2)]),
        ),
        (Case(lag=1, workers=2, wire="float32"), Case(lag=1, workers=2, wire="float64")),
        (Case(lag=0), Case(lag=0)),
    ],
    ids=["lag 1", "lag 3", "between two dates", "other wire", "no lag"],
)
def test_a_run_goes_on_after_a_restart(tmp_path: Path, first: Case, second: Case) -> None:
    """The model compares each answer with the inputs of `lag` periods ago, put by the first job."""
    assert SUCCESS in run_exchange(tmp_path, first).stdout
    end = first.start + DT * first.steps
    with netCDF4.Dataset(tmp_path / "restart.worker.nc") as held:
        assert held.date == end
    assert not list(tmp_path.glob("*.partial"))
    (tmp_path / "restart.txt").write_text("restart.nc\n")
    assert SUCCESS in run_exchange(tmp_path, replace(second, start=end)).stdout


def test_restart_in_a_directory_with_another_alphabet(tmp_path: Path) -> None:
    (tmp_path / "übung").mkdir()
    assert SUCCESS in run_exchange(tmp_path, Case(lag=1)).stdout
    (tmp_path / "restart.worker.nc").rename(tmp_path / "übung" / "restart.worker.nc")
    (tmp_path / "restart.txt").write_text("übung/restart.nc\n", encoding="utf-8")
    assert SUCCESS in run_exchange(tmp_path, Case(lag=1, start=60)).stdout


def test_two_worker_components(tmp_path: Path) -> None:
    """Each has its own exchanges; plans, commands and the end reach both."""
    case = Case(workers=2, lag=1)
    spec = case.spec()
    spec["components"]["listener"] = {"worker": True, "ranks": 3}
    spec["exchanges"].insert(
        0, {"from": "model", "to": "listener", "every": "3 steps", "halo": 1, "fields": ["unused"]}
    )
    listener = python("exchange_worker.py", "case.yaml", "listener")
    job = run_exchange(tmp_path, case, spec, more=((3, listener),))
    assert SUCCESS in job.stdout
    assert (tmp_path / "restart.worker.nc").exists()
    assert (tmp_path / "restart.listener.nc").exists()


def test_two_exchanges_to_one_worker(tmp_path: Path) -> None:
    """Of different periods, halos and wires; a step brings what is due at its date."""
    case = Case(workers=2, lag=1, every=2, steps=13)
    spec = case.spec()
    more = {"from": "model", "to": "worker", "every": "3 steps", "halo": 1, "fields": ["unused"]}
    spec["exchanges"].append(more)
    assert SUCCESS in run_exchange(tmp_path, case, spec).stdout


@pytest.mark.parametrize("shape", [{"x": 1, "y": 6}, {"x": 8, "y": 1}])
def test_more_workers_than_rows_or_columns_of_their_split(
    tmp_path: Path, shape: dict[str, int]
) -> None:
    """On 7 x 5 cells: one worker has none."""
    case = Case(workers=shape["x"] * shape["y"], halo=3, lag=1)
    spec = case.spec()
    spec["components"]["worker"]["decomposition"] = shape
    assert SUCCESS in run_exchange(tmp_path, case, spec).stdout


def test_components_in_any_order_on_the_command_line(tmp_path: Path) -> None:
    """Components find each other by name: workers first, the model's ranks apart."""
    case = Case(boxes=UNEVEN, workers=2)
    write_case(tmp_path, case)
    model = [fortran_test("exchange_model"), *case.arguments()]
    worker = python("exchange_worker.py", "case.yaml")
    job = mpirun(tmp_path, (1, worker), (1, model), (1, worker), (2, model))
    assert SUCCESS in job.stdout
