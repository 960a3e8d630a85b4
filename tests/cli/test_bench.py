# SPDX-License-Identifier: MIT
"""`halocline bench`: real jobs in a short form. Is everything compared and said? Never how fast."""

from __future__ import annotations

import json
from importlib.metadata import PackageNotFoundError
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from rich.console import Console

from coupler.command.bench import (
    exchange,
    exchange_job,
    exchange_room,
    inference,
    record,
)
from coupler.command.bench.exchange_job import Setup, Variant, job_spec
from coupler.command.bench.exchange_room import needed
from coupler.command.bench.report import Measure, as_objects, print_measures
from coupler.command.cli import main
from coupler.command.plan import build_plan
from coupler.spec.load import load_spec

SMALL = ["bench", "exchange", "--json", "--no-yac", "--steps", "1"]
# a field is much larger than what any step may allocate
ONE = [*SMALL, "--size", "160,100,8", "--halo", "1", "--transport", "windows", "--wire", "float32"]
VARIANTS = {
    "windows, float32, answer in place",
    "windows, float64, answer in place",
    "windows, float32, answer copied",
    "windows, float64, answer copied",
    "messages, float32, answer copied",
    "messages, float64, answer copied",
}


def objects(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(capsys.readouterr().out)
    assert all(list(item) == ["name", "value", "unit", "goal", "ok"] for item in found)
    return found


def test_all_variants(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([*SMALL, "--size", "160,100,8", "--halo", "1"]) == 0
    *ratios, allocations = objects(capsys)
    where = "160 x 100 x 8, 2 x 2 ranks, halo 1: "
    assert {item["name"] for item in ratios} == {where + variant for variant in VARIANTS}
    for item in ratios:
        assert item["value"] > 0
        assert (item["unit"], item["goal"], item["ok"]) == ("of raw MPI", None, None)
    assert allocations == {
        "name": where + "allocated by Python in a step",
        "value": 0,
        "unit": "fields",
        "goal": 0,
        "ok": True,
    }


@pytest.mark.parametrize("ranks", ["1,1", "2,1", "2,2"])
def test_ranks(ranks: str, capsys: pytest.CaptureFixture[str]) -> None:
    """On a flat grid both sides are split along x: without a halo some pairs have no message."""
    chosen = ["--size", "40,8,1", "--halo", "0", "--ranks", ranks]
    assert main([*SMALL, *chosen, "--transport", "messages", "--wire", "float64"]) == 0
    ratio, _ = objects(capsys)
    model, workers = ranks.split(",")
    assert ratio["name"].startswith(f"40 x 8 x 1, {model} x {workers} ranks, halo 0")


def test_beside_yac(capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("yac", reason="the extra 'bench' is not installed")
    assert main([*ONE, "--yac"]) == 0
    names = [(item["name"], item["unit"]) for item in objects(capsys)]
    assert any(unit.startswith("of YAC 3.") and "windows, float32" in name for name, unit in names)


@pytest.fixture
def faulty(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    monkeypatch.setattr(exchange_job, "WORKER", "cli.bench_worker")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    return monkeypatch


def test_a_wrong_value_fails(
    faulty: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.setenv("FAULT", "wrong")
    assert main(ONE) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "the answer has other values than expected" in printed.err


def test_an_allocation_is_seen(
    faulty: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    faulty.setenv("FAULT", "allocating")
    assert main(ONE) == 0
    *_, allocations = objects(capsys)
    assert (allocations["value"], allocations["ok"]) == (1, False)


def test_no_room(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(exchange_room, "free_memory", lambda: 10_000_000)
    assert main([*SMALL, "--size", "1442,1021,75", "--wire", "float64"]) == 0
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert printed.err.count("left out: needs") == 3
    assert "of memory, 10.0 MB are free" in printed.err


@pytest.mark.parametrize(
    ("variant", "memory", "shared"),
    [
        # 2 arrays of (4+4) x (2+4) cells; 8 values there, 8 back; raw: both ends of both; 2 slots
        (Variant("windows", "float64", True), 768 + 256 + 256, 256),
        (Variant("windows", "float32", False), 768 + 256 + 128 + 32, 128),
        # slots at both ends, the padded input, two answers; the copied answer
        (Variant("messages", "float32", False), 768 + 256 + 2 * 128 + 32 + 64 + 32, 0),
    ],
)
def test_memory_by_hand(tmp_path: Path, variant: Variant, memory: int, shared: int) -> None:
    setup = Setup((4, 2, 1), (1, 1), 0, 1)
    path = tmp_path / "bench.yaml"
    path.write_text(yaml.safe_dump(job_spec(setup, variant, 1)))
    ranks = 2 * exchange_room.PROCESS
    assert needed(setup, variant, build_plan(load_spec(path))) == (ranks + memory, shared)


def test_inference(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """All three parts in jobs and processes of their own, with one small network each."""
    pytest.importorskip("torch")
    from coupler.command.bench import inference_alone, inference_job

    small = inference_alone.Case("cnn", (2, 14, 16), 0.55)
    monkeypatch.setattr(inference_alone, "CASES", (small,))
    monkeypatch.setitem(inference_alone.SETTINGS, "cpu", [{}])
    monkeypatch.setattr(inference, "COUPLED", (("cnn", (9, 8, 2), 5.0),))
    monkeypatch.setitem(inference_job.LOAD, "grid", inference_job.LOAD["grid"] | {"nx": 9, "ny": 8})
    monkeypatch.setitem(inference_job.LOAD, "time", inference_job.LOAD["time"] | {"steps": 4})
    assert main(["bench", "inference", "--json", "--turns", "1"]) == 0
    alone, added, lagged, beside, calls = objects(capsys)
    assert (alone["name"], alone["goal"]) == (
        "cnn on (2, 2, 14, 16), cpu: worker's inference",
        0.55,
    )
    assert added["name"] == "cnn at 9 x 8 x 2: coupled step less plain inference"
    assert (added["unit"], added["goal"]) == ("% of the inference", 5.0)
    assert (lagged["name"], lagged["goal"]) == ("ocean_model coupled with lag 1", 1.05)
    assert (beside["unit"], beside["goal"]) == ("of the model alone", None)
    assert calls["unit"] == "% of a step alone"
    for item in (alone, lagged, beside, calls):
        assert item["value"] > 0


def test_a_network_that_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The bench says what the job said, and measures nothing."""
    pytest.importorskip("torch")
    from coupler.command.bench import inference_job

    monkeypatch.setattr(inference, "COUPLED", (("none", (9, 8, 2), 5.0),))
    monkeypatch.setitem(inference_job.LAYERS, "none", inference_job.LAYERS["cnn"])  # here alone
    assert main(["bench", "inference", "--json", "--part", "coupled", "--turns", "1"]) == 1
    printed = capsys.readouterr()
    assert json.loads(printed.out) == []
    assert "KeyError: 'none'" in printed.err


def test_record(capsys: pytest.CaptureFixture[str]) -> None:
    size = ["--size", "12,10", "--blocks", "1", "--steps", "10"]
    assert main(["bench", "record", "--json", *size]) == 0
    found = objects(capsys)
    names = [item["name"] for item in found]
    variants = [name for name in names if not name.endswith("processor time")]
    assert variants == [f"record: {name}" for name in record.VARIANTS]
    assert names[1::2] == [f"{name}: the writer's processor time" for name in variants]
    assert all(item["value"] > 0 and item["goal"] == 1.05 for item in found[::2])
    assert all(item["value"] >= 0 and item["goal"] is None for item in found[1::2])


def test_plan(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "plan", "--json"]) == 0
    found = objects(capsys)
    assert [(item["unit"], item["goal"]) for item in found] == [
        ("ms", 50),
        ("MB", 100),
        ("s", 60),
        *[("ms", 50), ("MB", 100)] * 2,
    ]
    assert all(item["value"] > 0 for item in found)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--size", "3,4"], "got '3,4', expected 3 whole numbers with commas between them"),
        (["--ranks", "2,-1"], "got '2,-1', expected 2 whole numbers"),
        (["--halo", "-"], "got '-', expected a whole number, 0 or more"),
        (["--steps", "0"], "got '0', expected a whole number, 1 or more"),
        (["--size", "3,4,1", "--ranks", "5,1"], "expected a column of cells for each model rank"),
    ],
)
def test_mistakes(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    try:
        code = main([*SMALL, *words])
    except SystemExit as exit:  # argparse's way
        code = exit.code
    assert code == 2
    assert said in capsys.readouterr().err


def test_no_yac(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(exchange, "version", missing)
    assert main([*ONE, "--yac"]) == 2
    assert "pip install 'halocline[bench]'" in capsys.readouterr().err


def test_report() -> None:
    """Less is better, a goal is met by its own value, and without one there is no verdict."""
    measures = [
        Measure("a", 1.5, "of b", 1.5, "3 ms, b 2 ms"),
        Measure("c", 2.0, "of b", 1.5),
        Measure("d", 1 / 3, "s"),
        Measure("e", 2370.4, "ms"),
    ]
    assert as_objects(measures) == [
        {"name": "a", "value": 1.5, "unit": "of b", "goal": 1.5, "ok": True},
        {"name": "c", "value": 2.0, "unit": "of b", "goal": 1.5, "ok": False},
        {"name": "d", "value": 0.333333, "unit": "s", "goal": None, "ok": None},
        {"name": "e", "value": 2370.4, "unit": "ms", "goal": None, "ok": None},
    ]
    file = StringIO()
    print_measures(Console(file=file, width=20), measures)
    lines = file.getvalue().splitlines()
    assert any("3 ms, b 2 ms" in line and "of b" in line for line in lines)
    assert any("2370" in line and "ms" in line for line in lines)
