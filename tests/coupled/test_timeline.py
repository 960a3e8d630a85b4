# SPDX-License-Identifier: MIT
"""Traces of real jobs: what each rank did, in which order; also of jobs that end early."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
import yaml

from coupled.exchange import DT, HALVES, WHOLE, Case, python, run_exchange
from coupled.test_exchange import SUCCESS
from coupled.test_failures_exchange import MISUSE
from coupler.command.timeline import Event, RankTrace, read_traces, title, with_compute
from coupler.trace import Trace
from jobs import fortran_test, mpirun


@pytest.fixture(autouse=True)
def trace_here(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOCLINE_TRACE", ".")


def sides(directory: Path) -> tuple[list[RankTrace], list[RankTrace]]:
    traces = read_traces(directory)
    by_kind = [[t for t in traces if t.kind == kind] for kind in ("model", "worker")]
    return by_kind[0], by_kind[1]


def the(trace: RankTrace, what: str, date: int, fields: str) -> Event:
    """The only event of its kind."""
    (found,) = [e for e in trace.events if (e.what, e.date, e.fields) == (what, date, fields)]
    return found


def assert_nested(events: tuple[Event, ...]) -> None:
    """Each event is behind those that began before it, or within them."""
    under_way: list[Event] = []
    for event in events:
        assert event.begin <= event.end
        while under_way and under_way[-1].end <= event.begin:
            under_way.pop()
        assert not under_way or event.end <= under_way[-1].end, (under_way[-1], event)
        under_way.append(event)


@pytest.mark.parametrize(("lag", "transport"), [(0, "messages"), (1, "windows"), (2, "auto")])
def test_every_rank_says_what_it_did(tmp_path: Path, lag: int, transport: str) -> None:
    case = Case(boxes=HALVES, workers=2, lag=lag, every=2, steps=7, transport=transport)
    assert SUCCESS in run_exchange(tmp_path, case).stdout
    models, workers = sides(tmp_path)
    assert [(t.component, t.rank) for t in models] == [("model", 0), ("model", 1)]
    assert [(t.component, t.rank) for t in workers] == [("worker", 0), ("worker", 1)]
    assert len({trace.host for trace in models + workers}) == 1
    period = 2 * DT
    due = list(range(0, case.steps * DT, period))
    for model in models:
        assert_nested(model.events)
        assert not model.cut
        for date in range(0, case.steps * DT, DT):
            assert the(model, "put", date, "a").end <= the(model, "put", date, "b").begin
        assert [e.date for e in model.events if e.what == "unpack"] == due
        for date in due:
            wait = the(model, "wait", date, "answer")
            assert the(model, "put", date, "b").end <= wait.begin
            assert wait.end == the(model, "unpack", date, "answer").begin
        assert not any(e.fields == "unused" for e in model.events)  # nobody takes it
    for date in due[lag:]:  # an answer is waited for until it is there, `lag` periods later
        first = min(the(w, "inference", date - lag * period, "").end for w in workers)
        for model in models:
            assert first <= the(model, "wait", date, "answer").end
    for worker in workers:
        assert_nested(worker.events)
        assert [e.date for e in worker.events if e.what == "inference"] == due
        for date in due:
            put_last = max(the(model, "put", date, "b").begin for model in models)
            taken = the(worker, "exchange", date, "a b")
            # what came from the other rank meanwhile was unpacked within the wait, and counts
            # behind it
            assert the(worker, "wait", date, "a b").end <= taken.begin
            assert put_last <= taken.end
            inference = the(worker, "inference", date, "")
            assert taken.end <= inference.begin
            assert inference.end <= the(worker, "exchange", date, "answer").begin


def test_with_lag_1_the_model_goes_on_while_a_worker_computes(tmp_path: Path) -> None:
    """A worker that cannot finish before the model's get of the same date returned."""
    case = Case(boxes=WHOLE, workers=1, lag=1)
    partner = python("overlapped_worker.py", "case.yaml")
    assert SUCCESS in run_exchange(tmp_path, case, partner=partner).stdout
    (model,), (worker,) = sides(tmp_path)
    for date in range(0, case.steps * DT, DT):
        inference = the(worker, "inference", date, "")
        assert the(model, "unpack", date, "answer").end <= inference.end
        if date > 0:
            earlier = the(worker, "inference", date - DT, "")
            assert earlier.end <= the(model, "wait", date, "answer").end


def test_what_a_model_does_between_its_calls(tmp_path: Path) -> None:
    run_exchange(tmp_path, Case(boxes=WHOLE, workers=1))
    (model,), (worker,) = sides(tmp_path)
    events = with_compute(model)
    assert_nested(events)
    outer: list[Event] = []
    for event in events:
        if not outer or event.begin >= outer[-1].end:
            outer.append(event)
    assert all(before.end == after.begin for before, after in pairwise(outer))
    assert {"compute", "put", "wait", "unpack"} == {event.what for event in events}
    assert with_compute(worker) == worker.events


def test_a_trace_has_its_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOCLINE_TRACE_LIMIT", "7")
    assert SUCCESS in run_exchange(tmp_path, Case(boxes=WHOLE, workers=1)).stdout
    traces = read_traces(tmp_path)
    assert [(len(trace.events), trace.cut) for trace in traces] == [(7, True)] * 2
    assert title(traces).endswith("2 of 2 traces were cut at their limit of events")


@pytest.mark.parametrize("mistake", ["exception", "killed", "none"])
def test_a_job_that_fails_leaves_its_traces(tmp_path: Path, mistake: str) -> None:
    """A worker that fails or dies at date 20, or (none) a model that puts a twice at that date."""
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    job = mpirun(
        tmp_path,
        (2, [fortran_test("misuse_model"), "put twice" if mistake == "none" else "none"]),
        (1, python("failing_worker.py", "case.yaml", mistake)),
        check=False,
    )
    assert job.returncode != 0
    models, (worker,) = sides(tmp_path)
    for model in models:
        assert the(model, "unpack", 10, "answer")
        assert the(model, "put", 20, "a")
    assert the(worker, "inference", 10, "")
    if mistake == "exception":
        assert the(worker, "inference", 20, "")


NOWHERE = ("HALOCLINE_TRACE=nowhere", "expected a directory that is there")
MANY = (
    "HALOCLINE_TRACE_LIMIT=many",
    "HALOCLINE_TRACE_LIMIT: got many, expected a number of events",
)


@pytest.mark.parametrize(("side", "mistake"), [("model", NOWHERE), ("worker", MANY)])
def test_what_is_no_directory_or_limit(tmp_path: Path, side: str, mistake: tuple[str, str]) -> None:
    """One side is told so."""
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(MISUSE))
    variable, said = mistake
    commands = {
        "model": [fortran_test("misuse_model"), "none"],
        "worker": python("failing_worker.py", "case.yaml", "none"),
    }
    commands[side] = ["env", variable, *commands[side]]
    job = mpirun(tmp_path, (2, commands["model"]), (2, commands["worker"]), check=False)
    assert job.returncode != 0
    assert f"halocline: {side} rank " in job.stderr
    assert said in job.stderr


def test_no_room_for_a_trace_names_the_file() -> None:
    file = open("/dev/full", "w", buffering=1, encoding="utf-8")  # noqa: SIM115
    with pytest.raises(OSError, match=r"No space left on device: '/dev/full'"):
        Trace(file, 9).record("wait", 0.0, 1.0, 0, "a")
    with pytest.raises(OSError, match="No space"):
        file.close()
