# SPDX-License-Identifier: MIT
"""One mistake of a model, a worker, a spec or a command line: every rank ends at once, the exit
code is not 0, and the message says who, what and where."""

from __future__ import annotations

import copy
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from coupled.exchange import HALVES, Case, python, run_exchange
from jobs import fortran_test, mpirun

BOUND = 60.0  # [s]: 1 to 3 s are usual, but the machine may be crowded; the time limit is 300 s

MISUSE: dict[str, Any] = {
    "run": {"dt": 10, "steps": 4},
    "components": {
        "model": {"command": "misuse_model", "ranks": 2},
        "worker": {"worker": True, "ranks": 2},
    },
    "grids": {"grid": {"size": {"x": 4, "y": 3, "z": 1}}},
    "exchanges": [
        {"from": "model", "to": "worker", "wire": "float64", "fields": {"a": {}, "b": {}}},
        {"from": "worker", "to": "model", "fields": {"answer": {}}},
    ],
}


def changed(**run: Any) -> dict[str, Any]:
    spec = copy.deepcopy(MISUSE)
    spec["run"] |= run
    return spec


def failed(job: subprocess.CompletedProcess[str], begun: float, *said: str) -> str:
    """The job's output, after the checks that every failure must pass."""
    elapsed = time.perf_counter() - begun
    output = job.stdout + job.stderr
    assert job.returncode != 0, output
    assert elapsed < BOUND, f"{elapsed:.1f} s\n{output}"
    for text in said:
        assert text in output, output
    return output


def misuse(
    directory: Path,
    mistake: str,
    *said: str,
    spec: dict[str, Any] | None = None,
    worker: Sequence[str] = (),
    workers: int = 1,
) -> str:
    """misuse_model with `mistake`, and by default a worker without fault."""
    (directory / "case.yaml").write_text(yaml.safe_dump(spec or MISUSE, sort_keys=False))
    begun = time.perf_counter()
    job = mpirun(
        directory,
        (2, [fortran_test("misuse_model"), mistake]),
        (workers, worker or python("failing_worker.py", "case.yaml", "none")),
        check=False,
    )
    return failed(job, begun, *said)


def test_without_a_mistake_the_job_ends_well(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    worker = python("failing_worker.py", "case.yaml", "none")
    mpirun(tmp_path, (2, [fortran_test("misuse_model"), "none"]), (2, worker))


def test_a_job_shared_with_another_program(tmp_path: Path) -> None:
    """An I/O server, say: the coupling is given a communicator, and MPI is not its to end."""
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    other = "from mpi4py import MPI; MPI.COMM_WORLD.Split(1)"
    mpirun(
        tmp_path,
        (1, [sys.executable, "-c", other]),
        (2, [fortran_test("misuse_model"), "part of a job"]),
        (2, python("failing_worker.py", "case.yaml", "part of a job")),
    )


WORKER = {
    "exception": ("at step 2, date 20 s: RuntimeError: the network is out of order", "Traceback"),
    "exit": ("at step 2, date 20 s: SystemExit: 0",),
    "killed": ("signal 9",),
    "transposed": (
        "at step 2, date 20 s: answer 'answer': got shape (1, 2, 3), expected (level, y, x) = "
        "(1, 3, 2)",
        "x and y are exchanged",
    ),
    "integers": ("answer 'answer': got int32 values, expected float64",),
    "not a number": (
        "answer of step 2, date 20 s: field 'answer' has 1 values that are not finite, the first "
        "is nan at level 0, y 2, x 1",
    ),
    "missing": ("at step 2, date 20 s: the answer lacks 'answer'",),
    "another name": ("answer 'answr' is not in the spec; did you mean 'answer'?",),
    "unknown input": ("no input 'c' in this step; known: a, b",),
    "misnamed": ("case.yaml has no worker 'wroker'; did you mean 'worker'?",),
    "leaves": ("left the coupling before the model ended it",),
}


@pytest.mark.parametrize("mistake", WORKER)
def test_a_worker_fails(tmp_path: Path, mistake: str) -> None:
    worker = python("failing_worker.py", "case.yaml", mistake)
    output = misuse(tmp_path, "none", *WORKER[mistake], worker=worker, workers=2)
    if mistake not in ("killed", "misnamed"):
        assert "halocline: worker rank 0: " in output


@pytest.mark.parametrize("often", [False, True], ids=["no input", "no input at some dates"])
def test_a_worker_owes_answers_to_inputs_of_other_cells(tmp_path: Path, often: bool) -> None:
    """Of two workers one has none of the cells of `a`, which has a grid of its own with holes."""
    model = (
        "from coupler.model.component import ModelComponent as Model\n"
        "from coupler.routing.decomposition import Box\n"
        "with Model('model') as m:\n"
        "    m.define_grid('lake', 4, 3, Box(0, 1, 0, 3), holes=True)\n"
        "    m.define_grid('grid', 4, 3, Box(0, 4, 0, 3))\n"
        "    m.define_field('a', 'lake', 'out')\n"
        "    m.define_field('b', 'grid', 'out')\n"
        "    m.define_field('answer', 'grid', 'in')\n"
        "    m.start()\n"
    )
    spec = copy.deepcopy(MISUSE)
    spec["components"]["model"]["ranks"] = 1
    spec["grids"]["lake"] = spec["grids"]["grid"]
    lake, back = spec["exchanges"]
    lake |= {"grid": "lake", "fields": ["a"]}
    back |= {"grid": "grid", "lag": 1}
    if often:
        rarely = {"from": "model", "to": "worker", "every": "2 steps", "grid": "grid"}
        spec["exchanges"].insert(1, rarely | {"fields": ["b"]})
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec, sort_keys=False))
    begun = time.perf_counter()
    job = mpirun(
        tmp_path,
        (1, [sys.executable, "-m", "mpi4py", "-c", model]),
        (2, python("failing_worker.py", "case.yaml", "none")),
        check=False,
    )
    failed(job, begun, "worker rank 1 owes answers (answer) every 10 s, but no rank of the model")


def test_a_worker_hangs(tmp_path: Path) -> None:
    """The model waits for it, until run.time_limit."""
    worker = python("failing_worker.py", "case.yaml", "hang")
    output = misuse(tmp_path, "none", "waited 2", spec=changed(time_limit=2), worker=worker)
    assert "for answer of date 20 from worker rank 2 of the job; is the other side alive" in output


MODEL = {
    "put twice": ("hcl_put of a twice at date 20",),
    "exchange twice": (
        "hcl_put of a at date 20, but the exchange of date 20 is complete; expected one call for "
        "each date, in order",
    ),
    "get twice": ("hcl_get of answer at date 20, but the exchange of date 20 is complete",),
    "back in time": ("hcl_put of a at date 0, but the exchange of date 10 is complete",),
    "put one of two": ("waited 2", "Not put yet at date 20: b; with lag 0 a worker answers"),
    "get first": (
        "waited 2",  # all ranks do: any of them may be the first to say so
        "Not put yet at date 20: a, b; with lag 0 a worker answers when it has everything of the",
    ),
    "half an exchange": ("hcl_finalize: the exchange of date 20 still lacks b",),
    "half a restart": ("hcl_write_restart: the exchange of date 20 still lacks b",),
    "missed date": (
        "got exchange, date, sequence [0, 30, 2], expected [0, 20, 2]; do all ranks put at the "
        "same dates?",
    ),
    "between steps": (
        "hcl_put of a at date 25 s, expected a multiple of the time step, 10 s (run.dt of the sp",
    ),
    "get between steps": ("hcl_get of answer at date 25 s, expected a multiple of the time",),
    "shape": (
        "hcl_put: field a: got 3 x 2 x 1 values, expected 2 x 3 x 1; does the array include the "
        "model's halo?",
    ),
    "put what is got": ("hcl_put: field answer is declared for the other direction",),
    "get what is put": ("hcl_get: field a is declared for the other direction",),
    "start without init": ("hcl_start belongs behind hcl_init, once",),
    "start twice": ("hcl_start belongs behind hcl_init, once",),
    "init twice": ("model: hcl_init is called twice",),
    "restart too early": ("hcl_write_restart before hcl_start",),
    "no field": ("hcl_put: got field id 99, expected one that hcl_define_field returned",),
    "too early": ("hcl_put before hcl_start",),
    "too late": ("hcl_define_grid belongs between hcl_init and hcl_start",),
    "grid twice": ("grid grid is declared twice, with other cells",),
    "field twice": ("field a is declared twice",),
    "no grid": ("field c: got grid 7, expected one that hcl_define_grid returned",),
    "no direction": ("field c: got direction 7, expected hcl_out, hcl_in or hcl_static",),
    "dates differ": ("1 ranks of model declare other grids or fields than rank 0, or start",),
    "restarts differ": ("1 ranks of model declare other grids or fields than rank 0, or start",),
    "ranks differ": ("1 ranks of model declare other grids or fields than rank 0",),
    "not finite": ("input of step 2, date 20 s: field 'a' has 2 values that are not finite",),
    "restart nowhere": ("coupling restart nowhere/restart.worker.nc",),
    "no restart": ("coupling restart nowhere.worker.nc: No such file or directory",),
    "gap": ("case.yaml:", "grid 'grid': model: cell x 1, y 3 is owned by 0 ranks, expected 1"),
    "overlap": ("is owned by 2 ranks, expected 1; do the boxes leave out the model's halo?",),
    "outside": ("model rank 1: got cells x 4..5, y 1..3, expected them within 1..4, 1..3",),
    "points, one twice": (
        "case.yaml:",
        "grid 'grid': model: cell x 4, y 1 is 2 times in the list of rank 1, expected once",
    ),
    "points, two owners": (
        "model: cell x 2, y 2 is owned by 2 ranks, expected 1: 0 and 1; do the lists leave out",
    ),
    "points, outside": (
        "model rank 1: grid grid: hcl_define_points got index 13, expected 1..12 (i + (j-1)*nx of "
        "4 x 3 cells)",
    ),
    "points, from 0": ("model rank 0: grid grid: hcl_define_points got index 0, expected 1..12",),
    "points, a gap": (
        "model: cell x 2, y 3 is owned by 0 ranks, expected 1; if the model drops land, declare "
        "the grid with holes=.true.",
    ),
    "points, lengths": ("got 5 starts and 6 lengths, expected one length for each start",),
    "points, a negative length": ("got a segment of -8 cells, expected 0 or more",),
    "points, an array of the box": (
        "hcl_put: field a: got 2 points x 3 levels, expected 6 points x 1 levels, those of the",
    ),
    "size": ("grid 'grid': model runs with 5 x 3 cells, the spec has 4 x 3",),
    "unknown field": ("field 'a': model declares no such field; did you mean 'aa'?",),
    "direction": ("field 'b': model declares it hcl_static, the spec uses it as hcl_out",),
    "levels": ("field 'answer': model declares 2 levels, the spec has 1",),
    "lost": ("field lost is declared hcl_in, but no exchange of the spec brings it to model",),
    "error": ("the model says: model rank 0: hcl_put: field a: got 3 x 2 x 1 values",),
}


@pytest.mark.parametrize("mistake", MODEL)
def test_a_model_fails(tmp_path: Path, mistake: str) -> None:
    waits = "waited 2" in MODEL[mistake]
    misuse(tmp_path, mistake, *MODEL[mistake], spec=changed(time_limit=2) if waits else None)


REDUCED = {
    "a step left out": (
        "hcl_put of a at date 30, expected 20: the spec reduces it in time, which takes one put at "
        "every time step (10 s)",
    ),
    "put twice": ("hcl_put of a at date 20, expected 30: the spec reduces it in time",),
    "restart of another step": (
        "hcl_write_restart at date 30, but a was last put at date 10; expected the step before, as",
    ),
}


@pytest.mark.parametrize("mistake", REDUCED)
def test_a_model_fails_where_fields_are_reduced_in_time(tmp_path: Path, mistake: str) -> None:
    spec = changed()
    spec["exchanges"][0]["fields"]["a"] = {"time": "average"}
    misuse(tmp_path, mistake, *REDUCED[mistake], spec=spec)


def test_statistics_of_what_is_not_finite(tmp_path: Path) -> None:
    """Where a spec lets NaN through, the table says how many there were."""
    spec = changed()
    spec["exchanges"][0] |= {"every": "2 steps", "statistics": True, "check_finite": False}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec))
    worker = python("failing_worker.py", "case.yaml", "none")
    mpirun(tmp_path, (2, [fortran_test("misuse_model"), "not finite"]), (2, worker))
    table = (tmp_path / "worker_statistics.csv").read_text().splitlines()
    assert table[0] == "date,from,to,field,min,max,mean,sum,nan_count"
    assert "20,model,worker,a,1.0,1.0,1.0,10.0,2" in table, table


def test_a_model_is_told_of_a_workers_failure(tmp_path: Path) -> None:
    """With the optional argument the model ends itself, in its own words."""
    worker = python("failing_worker.py", "case.yaml", "exception")
    said = "the model says: model rank 0: told by worker rank 0: at step 2, date 20 s: RuntimeErr"
    misuse(tmp_path, "told", said, worker=worker)


def test_two_python_ranks_with_different_specs(tmp_path: Path) -> None:
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    (tmp_path / "other.yaml").write_text(yaml.safe_dump(MISUSE) + "# newer\n")
    begun = time.perf_counter()
    job = mpirun(
        tmp_path,
        (2, [fortran_test("misuse_model"), "none"]),
        (1, python("failing_worker.py", "case.yaml", "none")),
        (1, python("failing_worker.py", "other.yaml", "none")),
        check=False,
    )
    said = "rank 3 of the job (worker) holds another spec or namelist; give every Python component"
    failed(job, begun, said)


STRANGER = [sys.executable, "-c", "import time; from mpi4py import MPI; time.sleep(60)"]


def test_components_that_are_not_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    three = changed()
    three["components"]["second"] = {"worker": True}
    three["exchanges"].append({"from": "model", "to": "second", "fields": ["a"]})
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    (tmp_path / "three.yaml").write_text(yaml.safe_dump(three))
    model = [fortran_test("misuse_model"), "none"]
    worker = python("failing_worker.py", "case.yaml", "none")
    late = "waited 2 s for every program of the job to join the coupling"
    jobs: list[tuple[str, list[tuple[int, Sequence[str]]]]] = [
        ("model rank 0: no worker in this job; start it as", [(2, model)]),
        ("component 'model' of the spec is not in this job; known: worker", [(1, worker)]),
        (
            "component 'second' of the spec is not in this job",
            [(2, model), (1, python("failing_worker.py", "three.yaml", "none"))],
        ),
        # a program of the job that never joins, such as a model with its coupling switched off
        (late, [(1, STRANGER), (1, worker)]),
        (late.replace("2 s", "2.0 s"), [(1, STRANGER), (2, model)]),
    ]
    for said, blocks in jobs:
        if said.startswith("waited"):
            monkeypatch.setenv("HALOCLINE_TIME_LIMIT", "2")
        begun = time.perf_counter()
        failed(mpirun(tmp_path, *blocks, check=False), begun, said)


RESTARTS = {
    "of another date": (Case(lag=1, start=70), "got date 60 s, expected the run's start, 70 s"),
    "of another lag": (Case(lag=2, start=60), "got 1 pending answers of 'answer', expected 2 (lag"),
    "of another grid": (
        Case(lag=1, start=60, nx=8, boxes=[(1, 8, 1, 5)]),
        "got (level, y, x) = (3, 5, 7) of 'answer', expected (3, 5, 8)",
    ),
    "that is no restart": (Case(lag=1, start=60), "coupling restart restart.worker.nc: NetCDF"),
}


@pytest.mark.parametrize("name", RESTARTS)
def test_a_restart(tmp_path: Path, name: str) -> None:
    case, said = RESTARTS[name]
    if name == "that is no restart":
        (tmp_path / "restart.worker.nc").write_text("1 2 3\n")
    else:
        run_exchange(tmp_path, replace(Case(lag=1, boxes=HALVES), workers=1))
    (tmp_path / "restart.txt").write_text("restart.nc\n")
    begun = time.perf_counter()
    failed(run_exchange(tmp_path, case, check=False), begun, said)


NETWORKS = """\
import numpy as np

def good(a): return a
def two(a): return a, a
def nothing(a): return None
def needs_more(a, salinity): return a
class Network:
    def __init__(self, width): pass
    halo = 3
    def __call__(self, a, b): return {"answer": a}
def wide(a): return np.roll(a, 3, axis=2)
"""
PREDICTORS = {
    "good": ({"python": "networks:good"}, ""),
    "no module": ({"python": "netwroks:good"}, "predictor 'netwroks:good': No module named"),
    "no function": ({"python": "networks:god"}, "has no 'god'; did you mean 'good'?"),
    "no colon": ({"python": "networks"}, "expected 'module:Class' or 'module:function'"),
    "no argument": (
        {"python": "networks:needs_more"},
        "needs 'salinity', which the exchange does not bring; known: a, b",
    ),
    "two answers": ({"python": "networks:two"}, "returned 2 arrays, expected 1: answer"),
    "no answer": ({"python": "networks:nothing"}, "returned NoneType, expected a mapping or a"),
    "settings": ({"python": "networks:good", "width": 3}, "a function takes no settings"),
    "no settings": ({"python": "networks:Network"}, "missing 1 required positional argument"),
    "halo": ({"python": "networks:wide"}, "halo: got 0, expected 3 or more"),
    "none": (None, "worker 'worker' has no predictor"),
}


@pytest.mark.parametrize("name", PREDICTORS)
def test_a_predictor(tmp_path: Path, name: str) -> None:
    predictor, said = PREDICTORS[name]
    (tmp_path / "networks.py").write_text(NETWORKS)
    spec = changed()
    if predictor is not None:
        spec["components"]["worker"]["predictor"] = predictor
    server = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "case.yaml"]
    if name != "good":
        misuse(tmp_path, "none", said, spec=spec, worker=[*server, "--component", "worker"])
        return
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec))
    model = [fortran_test("misuse_model"), "none"]
    mpirun(tmp_path, (2, model), (2, [*server, "--component", "worker"]))


def test_a_predictor_with_inputs_of_two_periods(tmp_path: Path) -> None:
    """It is asked for each answer; what does not come every time needs a default."""
    text = "def rarely(a, b=None): return a if b is None else b\ndef always(a, b): return a\n"
    (tmp_path / "networks.py").write_text(text)
    spec = changed()
    del spec["exchanges"][0]["fields"]["b"]
    more = {"from": "model", "to": "worker", "every": "2 steps", "wire": "float64", "fields": ["b"]}
    spec["exchanges"].insert(1, more)
    server = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "case.yaml"]
    server += ["--component", "worker"]
    spec["components"]["worker"]["predictor"] = {"python": "networks:always"}
    said = "networks:always is asked every 10 s, but its argument 'b' comes every 20 s; give it a d"
    misuse(tmp_path, "none", said, spec=spec, worker=server)
    spec["components"]["worker"]["predictor"] = {"python": "networks:rarely"}
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(spec))
    mpirun(tmp_path, (2, [fortran_test("misuse_model"), "none"]), (2, server))


def test_a_worker_that_the_spec_does_not_have(tmp_path: Path) -> None:
    server = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "case.yaml"]
    said = "case.yaml: no worker 'wroker'; did you mean 'worker'?"
    misuse(tmp_path, "none", said, worker=[*server, "--component", "wroker"])


def test_a_spec_with_a_mistake(tmp_path: Path) -> None:
    said = "case.yaml:2: dt: got 0, expected 1 or more"
    server = [sys.executable, "-m", "mpi4py", "-m", "ml_server", "case.yaml"]
    misuse(tmp_path, "none", said, spec=changed(dt=0), worker=[*server, "--component", "worker"])
