# SPDX-License-Identifier: MIT
"""Real coupled jobs that record: the record is what the predictor saw, and a replay repeats it."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coupled.exchange import Case, python, run_exchange
from coupled.gyre import coupled, namelist, run_coupled, spec
from coupled.test_stencil import BOXES, FIELDS, NX, NY, STEPS, initial
from coupled.test_stencil import spec as stencil_spec
from coupler.command.cli import main
from coupler.record import Record, open_record
from coupler.routing.decomposition import decompose
from jobs import fortran_test, mpirun

DT, HALO = 600, 2  # of the raw closure
INPUTS, ANSWERS = ("u", "v", "h"), ("su", "sv")


def recording(record: Any = True, predictor: str | None = None, **answer: Any) -> dict[str, Any]:
    loaded = spec("raw", **answer)
    loaded["exchanges"][0]["halo"] = HALO
    loaded["components"]["closure"]["record"] = record
    if predictor is not None:
        python = f"spying_predictors:{predictor}"
        loaded["components"]["closure"]["predictor"] = {"python": python}
    return loaded


def run(directory: Path, loaded: dict[str, Any], workers: int = 1, steps: int = 12, **more: Any):
    groups = namelist(coupled("raw"), steps)
    groups["time"] |= more.pop("time", {})
    directory.mkdir(exist_ok=True)
    shutil.copy(Path(__file__).with_name("spying_predictors.py"), directory)
    return run_coupled(directory, groups, loaded, 2, workers, **more)


@pytest.fixture(scope="module")
def two_workers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("two")
    job = run(directory, recording(predictor="Spy"), workers=2)
    assert "closure: recorded 12 dates in closure_record_0.rank*.nc" in job.stdout
    return directory


def assert_is_what_was_seen(directory: Path, record: Record, workers: int) -> None:
    """Every padded input, answer and static field of every rank and date, bit for bit."""
    nx, ny = record.size("ocean")
    split = decompose("closure", nx, ny, workers)
    for rank in range(workers):
        box = split.box(rank)
        own = np.s_[:, box.y0 : box.y1, box.x0 : box.x1]
        for number in range(len(record.dates)):
            seen = np.load(directory / f"seen.{rank + 2}.{number}.npz")
            for name, field in record.fields.items():
                values = seen[name]
                if field.role != "answer" or values.shape[1:] != (box.ny, box.nx):
                    values = values[:, HALO : HALO + box.ny, HALO : HALO + box.nx]
                got = field[0 if field.role == "static" else number][own]
                np.testing.assert_array_equal(got, values, name)


def test_the_record_is_what_the_predictor_saw(tmp_path: Path, two_workers: Path) -> None:
    run(tmp_path, recording(predictor="Spy"))
    with open_record(tmp_path) as one, open_record(two_workers / "closure_record_0") as two:
        assert one.dates.tolist() == two.dates.tolist() == list(range(0, 12 * DT, DT))
        assert {*INPUTS, *ANSWERS, "area_f", "mask_v"} <= set(one.fields)
        assert one.time_units == ("seconds since 0001-01-01 00:00:00", "noleap")
        assert_is_what_was_seen(tmp_path, one, 1)
        assert_is_what_was_seen(two_workers, two, 2)
        for name, field in one.fields.items():
            np.testing.assert_array_equal(np.asarray(field), np.asarray(two[name]), name)
        assert np.asarray(one["su"]).any()


@pytest.mark.parametrize("ranks", [1, 3])
def test_a_replay_has_the_same_bits_in_any_boxes(
    two_workers: Path, ranks: int, capsys: pytest.CaptureFixture[str]
) -> None:
    path = two_workers / "replay.yaml"
    path.write_text(yaml.safe_dump(recording()))  # the closure itself, in place of the spy
    assert main(["replay", str(path), str(two_workers), "--ranks", f"closure={ranks}"]) == 0
    said = capsys.readouterr().out
    assert re.search(r"su\s.* 0.000e\+00 .*equal bits", said)
    assert f"replay of 12 dates, 0 to 6600 s, in {ranks} box" in said


def test_a_replay_of_another_closure_differs(
    two_workers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    loaded = recording()
    loaded["components"]["closure"]["predictor"]["gamma"] = 0.3
    path, base = two_workers / "other.yaml", str(two_workers / "closure_record_0")
    path.write_text(yaml.safe_dump(loaded))
    output, plot = two_workers / "answers.nc", two_workers / "difference.png"
    more = ["--steps", "2", "--output", str(output), "--plot", str(plot)]
    assert main(["replay", str(path), base, *more]) == 1
    said = capsys.readouterr().out
    assert re.search(r"su\s.* 0 s .*differs", said)
    assert plot.stat().st_size > 1000
    assert main(["replay", str(path), base, "--steps", "2", "--tolerance", "100"]) == 0
    import netCDF4

    with netCDF4.Dataset(output) as file, open_record(base) as record:
        assert file["time"][:].tolist() == [0, DT]
        ratio = file["su"][1] / np.where(record["su"][1] == 0, 1, record["su"][1])
        changed = record["su"][1] != 0
        assert np.allclose(ratio[changed], ratio[changed][0], rtol=1e-6)  # linear in gamma
        assert ratio[changed][0] != 1
    loaded["components"]["closure"]["predictor"]["gamma"] = 0.5 * (1 + 1e-8)
    path.write_text(yaml.safe_dump(loaded))
    assert "no more than rounding" not in said
    assert main(["replay", str(path), base, "--steps", "2"]) == 1
    assert "no more than rounding" in capsys.readouterr().out


def test_a_fold_is_replayed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two grids, folded about T and about F points, mirrored in the south."""
    loaded = stencil_spec(2, "auto")
    loaded["components"]["worker"]["record"] = {"file": "folded"}
    loaded["components"]["worker"]["predictor"] = {"python": "stencil:answer"}
    lines = [" ".join(str(edge) for edge in box) for box in BOXES]
    (tmp_path / "boxes.txt").write_text("\n".join(lines) + "\n")
    (tmp_path / "case.yaml").write_text(yaml.safe_dump(loaded))
    (tmp_path / "stencil.py").write_text(
        "from coupled.stencil_worker import network\n"
        "def answer(**fields):\n"
        "    found = {}\n"
        "    for pivot in 'TF':\n"
        "        names = [f'{name}_{pivot}' for name in 'tuv']\n"
        "        answers = network(*(fields[name] for name in names))\n"
        "        found |= {f'd{name}': a for name, a in zip(names, answers)}\n"
        "    return found\n"
    )
    initial().tofile(tmp_path / "initial.bin")
    mpirun(
        tmp_path,
        (len(BOXES), [fortran_test("stencil_model"), str(NX), str(NY), str(STEPS)]),
        (2, python("stencil_worker.py", "case.yaml")),
    )
    spec, base = str(tmp_path / "case.yaml"), str(tmp_path / "folded")
    assert main(["replay", spec, base, "--ranks", "worker=4"]) == 0
    assert capsys.readouterr().out.count("equal bits") == 2 * len(FIELDS) + 1


def test_dropped_land_is_zero_and_an_idle_worker_writes_nothing(tmp_path: Path) -> None:
    case = Case(boxes=[(1, 2, 1, 5), (3, 3, 2, 4)], holes=True, workers=2, halo=0, steps=2)
    loaded = case.spec()
    loaded["components"]["worker"]["record"] = {"file": "holes"}
    run_exchange(tmp_path, case, loaded)
    assert not (tmp_path / "holes.rank0001.nc").exists()
    with open_record(tmp_path / "holes") as record:
        owned = np.zeros((5, 7), bool)
        owned[:, :2] = owned[1:4, 2] = True
        np.testing.assert_array_equal(record.owned("grid"), owned)
        a = np.asarray(record["a"])
        assert a.shape == (2, 3, 5, 7)
        assert not a[:, :, ~owned].any()
        assert a[:, :, owned].all()
        np.testing.assert_array_equal(record["answer"][1][:, owned], 2 * a[1][:, owned] + 1)


def test_a_restart_goes_on_in_a_file_of_its_own(tmp_path: Path) -> None:
    run(tmp_path, recording(lag=1), steps=4)
    time = {"restart_from": "gyre_00000004_restart.nc"}
    run(tmp_path, recording(lag=1), workers=2, steps=4, time=time)
    assert (tmp_path / "closure_record_2400.rank0001.nc").exists()
    with open_record(tmp_path) as record:
        assert record.dates.tolist() == list(range(0, 8 * DT, DT))
        assert record.complete
    spec = str(tmp_path / "spec.yaml")
    assert main(["replay", spec, str(tmp_path)]) == 0


@pytest.mark.parametrize(
    ("predictor", "reason"),
    [
        ("raises", "ValueError: no water left"),
        ("dies", ""),
        ("fills_the_disk", "File too large (after "),
    ],
)
def test_a_job_that_fails_leaves_what_was_recorded(
    tmp_path: Path, predictor: str, reason: str
) -> None:
    record = {"fields": ["u", "su"], "buffer": 1}
    job = run(tmp_path, recording(record, predictor), check=False)
    assert job.returncode != 0
    assert reason in job.stderr
    with open_record(tmp_path) as record:
        count = len(record.dates)
        assert count == 7 or (predictor == "fills_the_disk" and count >= 7)
        assert record.dates.tolist() == list(range(0, count * DT, DT))
        assert np.asarray(record["u"]).any(axis=(1, 2, 3)).all()
        assert not record.complete


def test_a_network_that_needs_less_than_was_recorded(
    two_workers: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (two_workers / "frugal.py").write_text("def f(u):\n    return {'su': u * 0}\n")
    loaded = recording(predictor=None)
    loaded["components"]["closure"]["predictor"] = {"python": "frugal:f"}
    there, back = loaded["exchanges"]
    there["fields"] = {"u": there["fields"]["u"]}
    there["static"].pop("mask_v")
    back["fields"].pop("sv")
    path = two_workers / "frugal.yaml"
    path.write_text(yaml.safe_dump(loaded))
    assert main(["replay", str(path), str(two_workers / "closure_record_0")]) == 1
    assert re.search(r"su\s.* 1.000e\+00 .*differs", capsys.readouterr().out)


def test_mistakes_of_a_replay(two_workers: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(loaded: dict[str, Any], *arguments: str) -> str:
        path = two_workers / "wrong.yaml"
        path.write_text(yaml.safe_dump(loaded))
        assert main(["replay", str(path), *arguments]) == 2
        return capsys.readouterr().err

    base = str(two_workers / "closure_record_0")
    assert "nothing: got no file *.rank0000.nc" in said(recording(), "nothing")
    other = recording()
    other["exchanges"][0]["fields"]["u"]["levels"] = 1
    assert "the record holds 'u' with (level, y, x) = (2, 20, 22), expected (1," in said(
        other, base
    )
    needs = recording()
    needs["exchanges"][0]["fields"]["salt"] = {}
    (two_workers / "salty.py").write_text("def f(u, v, salt):\n    return u, v\n")
    needs["components"]["closure"]["predictor"] = {"python": "salty:f"}
    assert "the record has no 'salt', which salty:f needs; add it to record.fields" in said(
        needs, base
    )
    assert "--component: no 'clojure'; did you mean 'closure'" in said(
        recording(), base, "--component", "clojure"
    )
    seldom = recording()
    for exchange in seldom["exchanges"]:
        exchange["every"] = "2 steps"
    assert "every: got 1200 s, but the record holds 'su' of 600 s; expected" in said(seldom, base)
    other = recording()
    (two_workers / "curls.py").write_text("def f(u, v):\n    return {'curl': u}\n")
    other["components"]["closure"]["predictor"] = {"python": "curls:f"}
    other["exchanges"][1]["fields"] = {"curl": {}}
    assert "the record has no answers to compare with" in said(other, base)
