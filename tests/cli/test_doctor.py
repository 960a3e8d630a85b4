# SPDX-License-Identifier: MIT
"""`halocline doctor`: what it finds here, for real, and what it says where something is missing."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import pytest
from rich.console import Console

from cli.toy import halocline
from coupler.command.doctor.finding import error, ok, warning
from coupler.command.doctor.jobs import job
from coupler.command.doctor.machine import mpis
from coupler.command.doctor.report import print_findings
from coupler.command.launcher import Launcher, find_launcher
from coupler.command.mpis import MPICH, OPEN_MPI, Mpi, Problem, Side, mpi_in, pairing


def test_here(tmp_path: Path) -> None:
    """Where the tests run, coupled jobs run: no errors, and two ranks share memory."""
    done = halocline(tmp_path, "doctor", "--json")
    assert done.returncode == 0
    found: dict[str, list[dict[str, str]]] = {}
    for item in json.loads(done.stdout):
        assert set(item) == {"topic", "status", "text", "mend"}
        assert (item["status"] == "ok") == (item["mend"] == "")
        found.setdefault(item["topic"], []).append(item)
    for topic in ("launcher", "mpi4py", "model", "pairing", "job", "shared windows"):
        assert {item["status"] for item in found[topic]} == {"ok"}, topic
    assert found["job"][0]["text"].startswith("2 ranks of Open MPI")
    assert "GB/s" in found["raw MPI"][0]["text"]
    assert sys.executable in found["python"][0]["text"]


def test_what_people_see(capsys: pytest.CaptureFixture[str]) -> None:
    found = [ok("a", "fine"), warning("b", "so-so", "rest"), error("c", "bad\nworse", "mend it")]
    assert print_findings(Console(), found[:2]) == 0
    capsys.readouterr()
    assert print_findings(Console(), found) == 1
    gap = " " * 29
    assert capsys.readouterr().out.splitlines() == [
        f"ok       {'a':<20} fine",
        f"warning  {'b':<20} so-so",
        f"{gap} mend: rest",
        f"error    {'c':<20} bad",
        f"{gap} worse",
        f"{gap} mend: mend it",
        "1 error, 1 warning",
    ]


def test_programs_that_are_no_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A script has no MPI of its own; a program that is not there is an error."""
    (tmp_path / "model").write_text("#!/bin/sh\n")
    (tmp_path / "model").chmod(0o755)
    monkeypatch.chdir(tmp_path)
    found = [f for f in mpis(Launcher("openmpi"), ["./model", "absent"]) if f.topic == "model"]
    assert [f.status for f in found] == ["warning", "error"]
    assert found[1].text == "no absent on PATH"


def test_a_launcher_that_is_not_there() -> None:
    absent = Launcher("openmpi", ("no_such_mpirun",))
    assert next(iter(mpis(absent, []))).status == "error"
    (found,) = job(absent)
    assert (found.status, found.text) == ("error", "no 'no_such_mpirun' on PATH")


def launcher_that(directory: Path, script: str) -> Launcher:
    path = directory / "mpirun"
    path.write_text(f"#!/bin/sh\n{script}\n")
    path.chmod(0o755)
    return Launcher("openmpi", (str(path),))


def test_a_launcher_that_starts_nothing(tmp_path: Path) -> None:
    """What it prints is in the finding."""
    (found,) = job(launcher_that(tmp_path, "echo no slots >&2; exit 3"))
    first, second = found.text.splitlines()
    assert first.startswith("exit code 3 of: ")
    assert second == "no slots"


def test_ranks_that_do_not_meet(tmp_path: Path) -> None:
    """A launcher that starts programs side by side, as one of another MPI does."""
    (found,) = job(launcher_that(tmp_path, 'shift 2; "$@"; "$@"'))
    assert found.status == "error"
    assert found.text == "the launcher started 2 ranks, each sees itself alone"


@pytest.mark.skipif(shutil.which("mpirun.mpich") is None, reason="MPICH is not installed")
def test_a_launcher_of_another_mpi() -> None:
    found = {f.topic: f for f in mpis(find_launcher("mpich"), ["ocean_model"])}
    assert found["mpi4py"].text.startswith("mpi4py uses MPICH")
    assert found["pairing"].status == "error"
    assert "ocean_model uses Open MPI" in found["pairing"].text
    assert "(--launcher openmpi)" in found["pairing"].mend


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("mpirun (Open MPI) 4.1.4\n\nReport bugs to", Mpi(OPEN_MPI, "4.1.4")),
        ("Open MPI v5.0.7, package: Open MPI conda@a, ident: 5.0.7", Mpi(OPEN_MPI, "5.0.7")),
        ("HYDRA build details:\n    Version:             4.0.2\n", Mpi(MPICH, "4.0.2")),
        ("MPICH Version:\t4.0.2\nMPICH Release date:\tThu", Mpi(MPICH, "4.0.2")),
        ("MVAPICH2 Version      : 2.3.7\n", Mpi(MPICH, "2.3.7")),
        ("MPI VERSION    : CRAY MPICH version 8.1.28.29 (ANL base", Mpi(MPICH, "8.1.28.29")),
        ("Intel(R) MPI Library 2021.11 for Linux* OS", Mpi(MPICH, "2021.11")),
        ("Intel(R) MPI Library for Linux* OS, Version 2021.11 Build", Mpi(MPICH, "2021.11")),
        ("slurm 22.05.8", None),
        ("", None),
    ],
)
def test_what_they_say_of_themselves(text: str, expected: Mpi | None) -> None:
    assert mpi_in(text) == expected


def side(part: str, family: str, version: str = "4") -> Side:
    return Side(part, Mpi(family, version), part)  # type: ignore[arg-type]


def test_pairing() -> None:
    launcher, model, python = (side(p, OPEN_MPI) for p in ("launcher", "model", "mpi4py"))
    unknown = Side("script", None, "model")
    assert pairing([]) is None
    assert pairing([launcher, model, python, unknown]) is None
    odd = pairing([launcher, model, side("mpi4py", MPICH)])
    assert odd is not None
    assert odd.fatal
    assert odd.mend.startswith("set MPI4PY_MPIABI=openmpi, or build mpi4py")
    odd = pairing([launcher, side("model", MPICH), python])
    assert odd is not None
    assert odd.mend.startswith("launch with MPICH's mpirun (--launcher mpich); set MPI4PY_MPIABI")
    old = pairing([launcher, model, side("mpi4py", OPEN_MPI, "3")])
    assert old == Problem(
        "two versions of an MPI in one job: model uses Open MPI 4, mpi4py uses Open MPI 3",
        "install mpi4py and build the model with one MPI, if ranks do not find each other",
        False,
    )
