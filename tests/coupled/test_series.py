# SPDX-License-Identifier: MIT
"""Real jobs in which fields are averaged, summed, scaled, cut to levels, and counted, in exchanges
of two periods; a run that is cut anywhere goes on as if it had not been."""

from __future__ import annotations

import csv
import re
import resource
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import yaml
from mpi4py import MPI

from coupled.exchange import WHOLE, Boxes, Case, run_exchange
from coupled.series import DT, HALVES, SUCCESS, UNEVEN, Series, run_series
from coupler.channel import Channel
from coupler.protocol import IN, PARTIAL
from coupler.restart import read_partial, restart_path, write_restart
from coupler.routing.decomposition import Box, decompose
from coupler.spec.load import load_spec
from coupler.world import CouplingError, World

CASES = {
    "two workers": Series(),
    "messages": Series(transport="messages"),
    "float32 on the wire": Series(wire="float32", workers=3, boxes=HALVES),
    "real32 arrays": Series(bits=32, lag=2, workers=1),
    "from a date at which nothing is due": Series(origin=-70, start=-70, steps=12, lag=1),
    "periods that divide each other": Series(slow=4, quick=2, steps=9),
    "every step": Series(slow=1, quick=1, steps=3),
    "no step": Series(steps=0),
}


@pytest.mark.parametrize("case", [pytest.param(case, id=name) for name, case in CASES.items()])
def test_every_treatment(tmp_path: Path, case: Series) -> None:
    """Both sides compare every value; steps come at each date at which an exchange is due."""
    job = run_series(tmp_path, case)
    assert SUCCESS in job.stdout
    dates = range(case.start, case.start + case.steps * DT, DT)
    due = [t for t in dates if t % (case.slow * DT) == 0 or t % (case.quick * DT) == 0]
    assert " ".join(["dates:", *map(str, due)]) in job.stdout


def statistics(directory: Path) -> str:
    return (directory / "worker_statistics.csv").read_text()


@pytest.mark.parametrize(
    ("cuts", "lag"), [((6,), 0), ((5, 7), 1), ((8,), 0)], ids=["inside", "twice", "at a date"]
)
def test_a_run_in_parts_has_the_bits_of_a_whole_one(
    tmp_path: Path, cuts: tuple[int, ...], lag: int
) -> None:
    """On other ranks and workers each; the tables hold every digit of what was exchanged."""
    for name in ("whole", "parts"):
        (tmp_path / name).mkdir()
    whole = Series(boxes=WHOLE, workers=1, lag=lag, steps=13)
    run_series(tmp_path / "whole", whole)
    ends = (*cuts, whole.steps)
    shapes = ((UNEVEN, 3), (HALVES, 2), (WHOLE, 4))
    for part, (first, last) in enumerate(zip((0, *cuts), ends, strict=True)):
        boxes, workers = shapes[part]
        case = replace(whole, boxes=boxes, workers=workers, start=first * DT, steps=last - first)
        restart = "restart.nc" if part else ""
        assert SUCCESS in run_series(tmp_path / "parts", case, restart).stdout
    assert statistics(tmp_path / "parts") == statistics(tmp_path / "whole")


def test_a_run_that_went_on_and_failed_is_not_in_the_table_twice(tmp_path: Path) -> None:
    """The run from the restart has the dates behind it anew."""
    whole = Series(boxes=WHOLE, workers=1, steps=9)
    run_series(tmp_path, replace(whole, steps=5))
    first = statistics(tmp_path)
    (tmp_path / "restart.worker.nc").rename(tmp_path / "kept.worker.nc")
    run_series(tmp_path, whole)
    table = statistics(tmp_path)
    assert table != first
    torn = "80,model,worker,now,0.5"  # of the line at which it failed
    (tmp_path / "worker_statistics.csv").write_text(table + torn)
    run_series(tmp_path, replace(whole, start=5 * DT, steps=4), "kept.nc")
    assert statistics(tmp_path) == table


def test_statistics_do_not_depend_on_the_number_of_workers(tmp_path: Path) -> None:
    tables = []
    for workers in (1, 2, 3):
        run_series(tmp_path, Series(workers=workers))
        tables.append(statistics(tmp_path))
    assert tables[0] == tables[1] == tables[2]
    rows = list(csv.DictReader(tables[0].splitlines()))
    assert len(rows) == 5 * 3 + 3  # of 9 steps 0, 4, 8 with 5 fields and 0, 3, 6 with one
    assert rows[0]["field"] == "now"
    i, j, k = np.meshgrid(np.arange(1, 8), np.arange(1, 6), [2, 3])
    values = 0.1 * (i + 10 * j + 100 * k + 1000) + 0.3 * (1 % 5)
    total = float(sum(map(Fraction, values.ravel().tolist())))
    want = [values.min(), values.max(), total / values.size, total, 0]
    names = ("min", "max", "mean", "sum", "nan_count")
    assert [float(rows[0][name]) for name in names] == want


@pytest.mark.parametrize("boxes", [[(5, 6, 5, 5)], [(1, 2, 1, 2)]], ids=["last", "first"])
def test_statistics_of_workers_whose_cells_were_all_dropped(tmp_path: Path, boxes: Boxes) -> None:
    """One of four worker ranks has cells, the last or the first."""
    case = Case(boxes=boxes, holes=True, workers=4, halo=0, nx=8, ny=6, steps=2)
    spec = case.spec()
    for exchange in spec["exchanges"]:
        exchange["statistics"] = True
    run_exchange(tmp_path, case, spec)
    rows = list(csv.DictReader(statistics(tmp_path).splitlines()))
    assert [(row["date"], row["field"]) for row in rows] == [
        (str(date), field) for date in (0, DT) for field in ("a", "b", "answer")
    ]
    cells = (boxes[0][1] - boxes[0][0] + 1) * (boxes[0][3] - boxes[0][2] + 1)
    for row in rows:
        assert float(row["sum"]) == float(row["mean"]) * case.nz * cells != 0.0


def test_restarts_that_only_their_ending_tells_apart() -> None:
    assert restart_path("run.1/x_restart.nc", "w") == Path("run.1/x_restart.w.nc")
    assert restart_path("restart.0010", "w") == Path("restart.0010.w.nc")
    assert restart_path("restart.0020", "w") != restart_path("restart.0010", "w")


def test_a_full_disk_keeps_the_restart_that_is_there(tmp_path: Path) -> None:
    comm = MPI.COMM_SELF
    world = World(comm, comm, "worker", {}, 1.0, comm)
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(Series().spec(), sort_keys=False))
    exchange = load_spec(tmp_path / "case.yaml").exchanges[2]
    box, model = Box(0, 7, 0, 5), decompose("model", 7, 5, 1)
    channel = Channel(exchange, 1, IN, 1, exchange.fields, box, model, ())
    file, path = str(tmp_path / "restart.nc"), tmp_path / "restart.worker.nc"

    def write(value: float) -> None:
        write_restart(world, file, 60, [(channel, [{"slow": np.full((1, 5, 7), value)}])])

    write(1.0)
    before = path.read_bytes()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2000, hard))
    try:
        with pytest.raises(
            CouplingError, match=r"restart\.worker\.nc: .*is there room\? .* MB are"
        ):
            write(2.0)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == before
    assert [item.name for item in tmp_path.glob("*.nc*")] == ["restart.worker.nc"]


WRONG = {
    "another operation": ("time: average", "time: max", "got average over 40 s of 'average', exp"),
    "nothing held": ("now:\n", "now:\n      time: min\n", "got nothing of 'now', expected its"),
    "another period": ("every: 4 steps", "every: 8 steps", "over 40 s of 'average', expected its"),
    "other levels": ("to: 2\n        of: 3", "to: 3", "(2, 5, 7) of 'sum', expected (3, 5, 7)"),
}


def test_a_restart_of_another_spec(tmp_path: Path) -> None:
    case = Series(boxes=WHOLE, workers=1, steps=6)
    run_series(tmp_path, case)
    path, file = tmp_path / "case.yaml", str(tmp_path / "restart.nc")
    text, comm = path.read_text(), MPI.COMM_SELF
    world = World(comm, comm, "worker", {}, 1.0, comm)
    model = decompose("model", 7, 5, 1)
    for old, new, said in (("", "", ""), *WRONG.values()):
        assert old in text, text
        path.write_text(text.replace(old, new) if old else text)
        exchange = load_spec(path).exchanges[0]
        channel = Channel(exchange, 2, PARTIAL, 0, exchange.reduced, Box(0, 7, 0, 5), model, ())
        if not said:
            assert set(read_partial(world, file, 60, channel).puts.values()) == {1}
            continue
        with pytest.raises(CouplingError, match=re.escape(said)):
            read_partial(world, file, 60, channel)
