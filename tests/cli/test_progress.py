# SPDX-License-Identifier: MIT
"""How far a job is, from the workers' profiles or from a model's own log."""

from __future__ import annotations

import io
import json
from pathlib import Path

import f90nml
import pytest
from rich.console import Console

from cli.toy import write_toy
from coupler.command.progress import JobProgress, StepsOfLog, steps_of_workers
from coupler.command.reference import write_reference_namelist
from coupler.monitor import MONITOR, Profile, Reporter, summary, summary_text
from coupler.spec.load import load_spec


def test_steps_of_workers(tmp_path: Path) -> None:
    """An exchange every 2 steps: n coupling steps are 2 n model steps, 40 at most."""
    spec = load_spec(write_toy(tmp_path))
    steps = steps_of_workers(spec, tmp_path)
    assert steps() == 0
    for done, expected in ((0, 0), (3, 6), (20, 40), (21, 40)):
        (tmp_path / "worker.json").write_text(json.dumps({"steps": done}))
        assert steps() == expected


def test_a_report_without_room_ends_no_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(MONITOR, str(tmp_path / "gone"))
    reporter, profile = Reporter("closure", "ocean"), Profile(steps=3)
    reporter.report(profile)
    reporter.end(profile)
    said = capsys.readouterr()
    assert "gone/closure.json: No such file or directory" in said.err
    assert "3 coupling steps in" in said.out


def test_steps_of_log() -> None:
    steps = StepsOfLog()
    for line, expected in (
        ("ocean_model 0.1.0", 0),
        ("    10   0.03 days  max|ssh| 0.01", 0),
        ("step: 20, 0.06 days", 10),
        ("  5 warnings", 10),
    ):
        steps.read(line)
        assert steps() == expected


def test_figures(tmp_path: Path) -> None:
    """40 steps of 10 s; 10 steps in 2 s after the first that was seen."""
    spec = load_spec(write_toy(tmp_path))
    done = iter((4, 14))
    progress = JobProgress(Console(file=io.StringIO()), "coupled", spec, lambda: next(done))
    progress.update()
    assert progress.figures(progress.begun) == "day 0.0 of 0.00463"
    progress.update()
    assert progress._first is not None
    text = progress.figures(progress._first[1] + 2.0)
    assert text == "day 0.0 of 0.00463, 5 steps/s, 0:05 left"


def test_reference_namelist_keeps_everything_else(tmp_path: Path) -> None:
    write_toy(
        tmp_path,
        ("  time_limit: 90", "  reference: {size.nz: 4, Closure.Kind: none, run.on: true}"),
    )
    (tmp_path / "new").mkdir()
    path = write_reference_namelist(load_spec(tmp_path / "toy.yaml"), tmp_path / "new")
    assert path == tmp_path / "new" / "toy.nml"
    assert path.read_text().startswith("! the toy's numbers\n")
    assert f90nml.read(path).todict() == {
        "clock": {"dt": 10, "steps": 40},
        "size": {"nx": 7, "ny": 5, "nz": 4},
        "closure": {"kind": "none"},
        "run": {"on": True},
    }


def test_summary() -> None:
    """4 steps: the model computes 6 s of 10, packs and unpacks 1, waits 3."""
    profile = Profile(steps=4, wait=2.0, exchange=1.0, inference=5.0)
    profile.model = {"total": 10.0, "packing": 0.75, "waiting": 3.0, "unpacking": 0.25}
    plain = {**profile.__dict__, "elapsed": 10.04}
    assert summary("net", "sea", plain) == [
        ("sea", "compute", 1.5, 0.6),
        ("sea", "exchange", 0.25, 0.1),
        ("sea", "wait", 0.75, 0.3),
        ("net", "inference", 1.25, 0.625),
        ("net", "exchange", 0.25, 0.125),
        ("net", "wait", 0.5, 0.25),
    ]
    lines = summary_text("net", "sea", plain).splitlines()
    assert lines[0] == "halocline: 4 coupling steps in 10.0 s"
    assert lines[1] == "halocline:   sea          compute      1.500000 s/step  60.0%"
