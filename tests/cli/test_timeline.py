# SPDX-License-Identifier: MIT
"""`halocline run --timeline`, `halocline timeline` and `halocline bench overlap`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import pytest

from cli.toy import halocline, write_toy
from coupler.command.cli import main
from coupler.command.timeline import read_traces, title, waiting_share

HEAD = "# halocline trace,{},{},{},node\nbegin,end,what,date,fields\n"


def write_trace(directory: Path, component: str, rank: int, kind: str, lines: str) -> None:
    path = directory / f"{component}.{rank}.trace.csv"
    path.write_text(HEAD.format(component, rank, kind) + lines)


def test_run_and_redraw(tmp_path: Path) -> None:
    write_toy(tmp_path)
    (tmp_path / "out" / "model.9.trace.csv").write_text("of an earlier run with more ranks\n")
    job = halocline(tmp_path, "run", "toy.yaml", "--timeline")
    assert job.returncode == 0, job.stdout + job.stderr
    out = tmp_path / "out"
    assert f"timeline: {out}/timeline.json (for ui.perfetto.dev); waiting: model " in job.stdout
    document = json.loads((out / "timeline.json").read_text())
    named = [e for e in document["traceEvents"] if e["name"] == "process_name"]
    assert [e["args"]["name"] for e in named] == ["model", "worker"]
    threads = [e for e in document["traceEvents"] if e["name"] == "thread_name"]
    assert [(e["pid"], e["tid"]) for e in threads] == [(1, 0), (1, 1), (2, 0)]
    spans = [e for e in document["traceEvents"] if e["ph"] == "X"]
    assert all(e["ts"] >= 0 and e["dur"] >= 0 for e in spans)
    counts = Counter((e["pid"], e["name"]) for e in spans)
    # 40 steps, due every second one; each rank puts a and b at every step and `flat` once
    assert counts[1, "put"] == 2 * (2 * 40 + 1)
    assert counts[1, "unpack"] == 2 * 20
    assert counts[2, "inference"] == 20
    assert counts[1, "compute"] > 0
    picture = out / "timeline.png"
    assert picture.read_bytes().startswith(b"\x89PNG")
    picture.unlink()
    assert halocline(tmp_path, "timeline", "out").returncode == 0
    assert picture.exists()


def test_a_run_that_fails_is_drawn_and_fails(tmp_path: Path) -> None:
    write_toy(tmp_path, ("toy_predictors:double", "toy_predictors:raises"))
    job = halocline(tmp_path, "run", "toy.yaml", "--timeline")
    assert job.returncode == 1
    assert "halocline: worker rank 0: at step 2, date 40 s: ValueError: no water left" in job.stdout
    (worker,) = [t for t in read_traces(tmp_path / "out") if t.kind == "worker"]
    assert [e.date for e in worker.events if e.what == "inference"] == [0, 20, 40]
    assert (tmp_path / "out" / "timeline.png").exists()


def test_the_line_to_type_has_the_variable(tmp_path: Path) -> None:
    write_toy(tmp_path)
    job = halocline(tmp_path, "run", "toy.yaml", "--timeline", "--dry-run")
    assert f" HALOCLINE_TRACE={tmp_path}/out mpirun " in job.stdout


def test_waiting_by_hand(tmp_path: Path) -> None:
    """Two model ranks of 10 s in all, which wait for 2.5 s; and half a line of a killed worker."""
    write_trace(tmp_path, "ocean", 0, "model", "0,1,put,0,u\n1,3,wait,0,s\n3,6,unpack,0,s\n")
    lines = "2.5,3,wait,0,u\n2,4,put,0,u\n5,6,put,1,u\n"  # a wait within a put
    write_trace(tmp_path, "ocean", 1, "model", lines)
    write_trace(tmp_path, "ml", 0, "worker", "0,4,wait,0,u\n4,8,inference,0,\n8,9,excha")
    traces = read_traces(tmp_path)
    assert [(t.component, t.rank) for t in traces] == [("ocean", 0), ("ocean", 1), ("ml", 0)]
    assert waiting_share(traces) == {"ocean": 0.25, "ml": 0.5}
    assert title(traces) == "waiting: ocean 25.0%, ml 50.0%"
    assert [event.date for event in traces[1].since(1).events] == [1]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (None, "no traces; expected *.trace.csv, which `halocline run SPEC --timeline` writes"),
        ("begin,end\n", "ocean.0.trace.csv: this is no trace of halocline"),
        (HEAD.format("ocean", 0, "model") + "1,2,put\n", "this is no trace of halocline"),
        (HEAD.format("ocean", 0, "model"), "nothing to draw: no rank has done anything"),
    ],
)
def test_what_cannot_be_drawn(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str | None, said: str
) -> None:
    if text is not None:
        (tmp_path / "ocean.0.trace.csv").write_text(text)
    assert main(["timeline", str(tmp_path)]) == 2
    assert said in capsys.readouterr().err


def test_bench_overlap(tmp_path: Path) -> None:
    """The form that all benches share, and a picture; seconds are not judged here."""
    words = ("bench", "overlap", "--size", "8,6,1", "--steps", "3", "--json", "--plot", "o.png")
    job = halocline(tmp_path, *words)
    assert job.returncode == 0, job.stderr
    objects = json.loads(job.stdout)
    assert [o["name"] for o in objects] == [
        f"overlap: the model's waiting, lag {lag}" for lag in (0, 1)
    ]
    assert all(0.0 <= o["value"] <= 1.0 for o in objects)
    assert [o["goal"] for o in objects] == [None, 0.01]
    assert (tmp_path / "o.png").exists()
