# SPDX-License-Identifier: MIT
"""`halocline check`: every mistake with its place and what to do, all at once."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from cli.toy import EXCHANGE_MODEL, environment, write_toy
from coupler.command.cli import main


def test_what_was_checked(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(tmp_path)
    assert main(["check", str(spec)]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("ok ")]
    assert lines == [
        "ok       toy.yaml: 2 components, 2 exchanges",
        "ok       toy.nml: time step 10 s, 40 steps, 0.00463 days; grid 'grid' 7 x 5 x 3",
        "ok       toy.yaml:11: model -> worker (a, b) every 20 s, float64",
        "ok       toy.yaml:13: worker -> model (answer) every 20 s, float64",
        f"ok       model: 2 ranks of {EXCHANGE_MODEL}",
        "ok       worker: 1 rank of toy_predictors:double, which takes a, b",
        "ok       worker: it reads west 1, east 0, south 0, north 0 (0: a; 1: b); measured",
        "ok       toy.yaml:11: halo 1 is what toy_predictors:double reads",
    ]


MISTAKES = {
    "executable by name": (
        (EXCHANGE_MODEL, "exchange_modle"),
        "toy.yaml:6: model: no executable 'exchange_modle' on PATH or beside this Python; "
        "build and install it, or write its path",
    ),
    "executable by path": (
        (EXCHANGE_MODEL, "./exchange_model"),
        "toy.yaml:6: model: no executable './exchange_model' beside toy.yaml; "
        "build and install it, or write its path",
    ),
    "file": (
        ("8 toy.nml", "8 tow.nml"),
        "toy.yaml:6: model: its command names 'tow.nml', which is not beside toy.yaml; "
        "did you mean 'toy.nml'?",
    ),
    "namelist": (
        ("file: toy.nml", "file: tow.nml"),
        "tow.nml: No such file or directory; did you mean 'toy.nml'?",
    ),
    "no predictor": (
        (', predictor: {python: "toy_predictors:double"}', ""),
        "toy.yaml:7: worker 'worker' has no predictor; write predictor: {python: 'module:Class'}",
    ),
    "module": (
        ("toy_predictors:double", "toy_predictor:double"),
        "toy.yaml:7: predictor 'toy_predictor:double': No module named 'toy_predictor'; "
        "is it beside the spec, on PYTHONPATH or installed?",
    ),
    "function": (
        ("toy_predictors:double", "toy_predictors:dubble"),
        "toy.yaml:7: predictor 'toy_predictors:dubble': toy_predictors has no 'dubble'; "
        "did you mean 'double'?",
    ),
    "class": (
        ('"toy_predictors:double"', '"toy_predictors:Refuses", strength: 9'),
        "toy.yaml:7: predictor toy_predictors:Refuses: ValueError: strength 9 is too much",
    ),
    "setting": (
        ('"toy_predictors:double"', '"toy_predictors:double", strength: 9'),
        "toy.yaml:7: predictor toy_predictors:double: got strength, "
        "but a function takes no settings",
    ),
    "argument": (
        ("toy_predictors:double", "toy_predictors:needs_salinity"),
        "toy.yaml:7: predictor toy_predictors:needs_salinity: needs 'salinity', which the "
        "exchange does not bring; known: a, b, flat",
    ),
    "halo": (
        ("toy_predictors:double", "toy_predictors:wide"),
        "toy.yaml:11: halo: got 1, expected 3 or more, which toy_predictors:wide reads beyond its "
        "own cells (measured: west 0, east 0, south 3, north 0)",
    ),
    "reference": (
        ("  time_limit: 90", "  time_limit: 30\n  reference: {count: 1}"),
        "toy.yaml: run.reference: got 'count', expected group.key, for example closure.kind",
    ),
    "expect": (
        ("  time_limit: 90", "  time_limit: 30\n  expect: {size.nx: 8}"),
        "toy.yaml:5: toy.nml has size.nx = 7, expected 8",
    ),
}


@pytest.mark.parametrize(("change", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], change: tuple[str, str], message: str
) -> None:
    spec = write_toy(tmp_path, change)
    assert main(["check", str(spec)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 2
    assert lines[0].endswith(message)
    assert lines[1] == "halocline: 1 mistake"


def test_all_at_once(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(
        tmp_path,
        (EXCHANGE_MODEL, "exchange_modle"),
        ("8 toy.nml", "8 tow.nml"),
        ("toy_predictors:double", "toy_predictors:wide"),
    )
    assert main(["check", str(spec)]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert [line.split(": ")[0] for line in lines[:-1]] == [
        "toy.yaml:6",
        "toy.yaml:6",
        "toy.yaml:11",
    ]
    assert lines[-1] == "halocline: 3 mistakes"


def test_run_stops_at_mistakes(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(tmp_path, (EXCHANGE_MODEL, "exchange_modle"))
    assert main(["run", str(spec)]) == 2
    assert "no executable 'exchange_modle'" in capsys.readouterr().err


def test_not_loaded(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(tmp_path, ("toy_predictors:double", "absent:double"))
    assert main(["check", str(spec), "--no-load"]) == 0
    assert "note     worker: absent:double was not loaded (--no-load)" in capsys.readouterr().out


def test_remarks(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """64 boxes, 8 x 8, of 7 x 5 cells: every box that is not empty has one cell."""
    spec = write_toy(
        tmp_path,
        ("toy_predictors:double", "toy_predictors:slopes"),
        ("halo: 1", "halo: 2"),
        ("8 toy.nml", "8"),
    )
    assert main(["check", str(spec), "--ranks", "worker=64"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert (
        "warning  worker: 29 of 64 ranks own no cell of grid 'grid', 7 x 5; give it fewer ranks"
    ) in lines
    assert (
        "warning  toy.yaml:6: model: its command does not name toy.nml, which run.namelist reads; "
        "does it read the same file?"
    ) in lines
    assert (
        "note     toy.yaml:11: halo 2 is wider than the narrowest box of worker, 1 cells: it "
        "reaches beyond the next rank"
    ) in lines


def test_halo_for_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two messages of 32 bytes and values. With halo 2 field a, which is replicated, has 11 x 9
    cells and b, which is not, 11 x 5: 154 x 3 levels x 8 bytes; with halo 1 63 and 45."""
    assert main(["check", str(write_toy(tmp_path, ("halo: 1", "halo: 2")))]) == 0
    text = (
        "warning  toy.yaml:11: halo: got 2, but 1 would do: at each date 1.1 kB of 3.8 kB travel "
        "for nothing"
    )
    assert text in capsys.readouterr().out.splitlines()


@pytest.mark.parametrize(("predictor", "halo"), [("wide", 3), ("slopes", 1), ("double", 1)])
def test_halo_auto(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], predictor: str, halo: int
) -> None:
    changes = ("halo: 1", "halo: auto"), ("toy_predictors:double", f"toy_predictors:{predictor}")
    spec = write_toy(tmp_path, *changes)
    assert main(["check", str(spec)]) == 0
    text = f"ok       toy.yaml:11: halo {halo} is what toy_predictors:{predictor} reads"
    assert text in capsys.readouterr().out.splitlines()
    assert main(["plan", str(spec)]) == 0
    assert f"Router(model 2 -> worker 1, halo {halo}: " in capsys.readouterr().out


def test_plan_says_what_halo_auto_needs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(tmp_path, ("halo: 1", "halo: auto"), ("toy_predictors:", "absent:"))
    assert main(["plan", str(spec)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == (
        "toy.yaml:11: halo: auto is measured from the predictor of 'worker', which has to be "
        "loaded for that; install what it needs, or write the number of cells: toy.yaml:7: "
        "predictor 'absent:double': No module named 'absent'; is it beside the spec, on "
        "PYTHONPATH or installed?"
    )


def test_the_whole_domain_is_for_one_rank(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = str(write_toy(tmp_path, ("toy_predictors:double", "toy_predictors:mean")))
    assert main(["check", spec]) == 0
    why = (
        "its answers move with 'a' at any distance that was tried, 143 cells (so does pooling, "
        "normalisation, attention or FFT over the domain)"
    )
    whole = "toy.yaml:7: toy_predictors:mean needs the whole domain at once"
    note = f"note     {whole}, so it runs on one rank only: {why}"
    assert note in capsys.readouterr().out.splitlines()
    assert main(["check", spec, "--ranks", "worker=2"]) == 2
    error = f"{whole}: {why}. Each of 2 ranks would see its own box alone; expected ranks: 1"
    assert capsys.readouterr().err.splitlines()[0] == error


def test_what_cannot_be_measured(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = write_toy(tmp_path, ("toy_predictors:double", "toy_predictors:noisy"))
    assert main(["check", str(spec)]) == 0
    reason = (
        "what toy_predictors:noisy reads cannot be measured: it gives another answer when it is "
        "asked the same again: it draws random numbers or keeps something between calls"
    )
    assert f"note     toy.yaml:7: {reason}" in capsys.readouterr().out.splitlines()
    spec.write_text(spec.read_text().replace("halo: 1", "halo: auto"))
    assert main(["check", str(spec)]) == 2
    assert capsys.readouterr().err.splitlines()[0] == (
        f"toy.yaml:11: halo: auto, but {reason}; mend that, or write the number of cells, or give "
        "the predictor an attribute 'halo'"
    )


@pytest.mark.parametrize(
    ("ranks", "message"),
    [
        ("modle=2", "--ranks: unknown component 'modle'; did you mean 'model'?"),
        ("model=0", "--ranks: model: got '0', expected a whole number, 1 or more"),
        ("model", "--ranks: model: got '', expected a whole number, 1 or more"),
        (
            "worker=3",
            "toy.yaml:7: decomposition: got 2 x 1 boxes, expected 3 (ranks of worker)",
        ),
    ],
)
def test_ranks(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], ranks: str, message: str
) -> None:
    shape = ("ranks: 1,", "ranks: 2, decomposition: {x: 2, y: 1},")
    spec = write_toy(tmp_path, shape)
    assert main(["check", str(spec), "--ranks", ranks]) == 2
    assert capsys.readouterr().err.splitlines()[0] == message


def test_launcher(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write_toy(tmp_path)), "--mpirun", "mpiexec.absent -v"]) == 2
    assert capsys.readouterr().err.splitlines()[0] == (
        "no 'mpiexec.absent' on PATH; install Open MPI or MPICH, or name another with --mpirun"
    )


def test_no_spec(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(tmp_path / "absent.yaml")]) == 2
    assert "absent.yaml: No such file or directory" in capsys.readouterr().err


def test_mpi_is_never_started() -> None:
    """Not even by a predictor's module that imports it: check would hang or fail on login nodes."""
    program = "import sys, coupler.command.cli; sys.exit('mpi4py.MPI' in sys.modules)"
    subprocess.run([sys.executable, "-c", program], env=environment(), check=True, timeout=60)


def test_help_and_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert "halocline check SPEC" in capsys.readouterr().out
    for words in (["--help"], ["--version"], ["check", "--help"], ["plot", "--help"]):
        with pytest.raises(SystemExit) as ended:
            main(words)
        assert ended.value.code == 0
        assert "halocline" in capsys.readouterr().out
