# SPDX-License-Identifier: MIT
"""The spec's `device` and `inference`, and what `halocline check` says of a machine without."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cli.toy import write_toy
from coupler.command.cli import main
from coupler.spec import InferenceSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

PREDICTOR = 'predictor: {python: "toy_predictors:double"}'
TORCH = 'predictor: {python: "inference.networks:Closure"}'


def write(directory: Path, settings: str, predictor: str = PREDICTOR) -> Path:
    return write_toy(directory, (PREDICTOR, f"{predictor}, {settings}"))


def test_defaults(tmp_path: Path) -> None:
    worker = load_spec(write_toy(tmp_path)).component("worker")
    assert worker.inference == InferenceSpec(place="toy.yaml:7")
    assert worker.inference.device == worker.inference.chunk == "auto"


def test_every_key(tmp_path: Path) -> None:
    settings = (
        "device: 'cuda:1', inference: {threads: 3, chunk: all, compile: true, precision: tf32, "
        "cuda_graph: true, allocator: false, warm_up: false}"
    )
    assert load_spec(write(tmp_path, settings)).component("worker").inference == InferenceSpec(
        "cuda:1", 3, "all", True, "tf32", True, False, False, "toy.yaml:7"
    )


MISTAKES = {
    "device: gpu": "toy.yaml:7: device: got 'gpu', expected auto, cpu, cuda or cuda:1",
    "inference: {threads: 0}": (
        "toy.yaml:7: threads: got '0', expected auto, or a whole number above 0"
    ),
    f"inference: {{threads: {10**12}}}": (
        f"toy.yaml:7: threads: got '{10**12}', expected auto, or a whole number above 0"
    ),
    "inference: {chunk: some}": (
        "toy.yaml:7: chunk: got 'some', expected auto or all, or a whole number above 0"
    ),
    "inference: {precision: half}": (
        "toy.yaml:7: precision: got 'half', expected 'full' or 'tf32' or 'bfloat16' or 'float16'; "
        "known: full, tf32, bfloat16, float16"
    ),
    "on_failure: ignore": (
        "toy.yaml:7: on_failure: got 'ignore', expected 'abort' or 'zero' or 'hold'"
    ),
    "inference: {thread: 1}": (
        "toy.yaml:7: unknown key 'thread' in inference; did you mean 'threads'?"
    ),
}


@pytest.mark.parametrize(("settings", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistake(tmp_path: Path, settings: str, message: str) -> None:
    with pytest.raises(SpecError) as caught:
        load_spec(write(tmp_path, settings))
    assert caught.value.messages == [message]


@pytest.mark.parametrize("setting", ["device: cpu", "on_failure: hold"])
def test_a_model_has_none(tmp_path: Path, setting: str) -> None:
    spec = write_toy(tmp_path, ("toy.nml, ranks: 2", f"toy.nml, ranks: 2, {setting}"))
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    key = setting.partition(":")[0]
    assert caught.value.messages == [
        f"toy.yaml:6: component 'model': '{key}' belongs to a worker, got a command"
    ]


def test_only_a_predictor_can_fail(tmp_path: Path) -> None:
    spec = write_toy(tmp_path, (f"{PREDICTOR}", "on_failure: zero"))
    with pytest.raises(SpecError) as caught:
        load_spec(spec)
    text = "toy.yaml:7: component 'worker': 'on_failure' is of a predictor, and there is none"
    assert text in caught.value.messages


def test_a_failure_aborts_unless_the_spec_says_otherwise(tmp_path: Path) -> None:
    spec = write(tmp_path, "on_failure: hold")
    assert load_spec(spec).component("worker").on_failure == "hold"
    spec.write_text(spec.read_text().replace(", on_failure: hold", ""))
    assert load_spec(spec).component("worker").on_failure == "abort"


REFUSED = {
    "a function": (
        "inference: {compile: true}",
        PREDICTOR,
        "inference.compile: got True, but toy_predictors:double is no torch module; leave it out",
    ),
    "no GPU": ("device: cuda", TORCH, "device: got 'cuda', but torch "),
    "tf32": (
        "inference: {precision: tf32}",
        TORCH,
        "inference.precision: got 'tf32', which only GPUs have; expected full",
    ),
    "weights of float64": (
        "inference: {precision: bfloat16}",
        TORCH.replace("Closure", "Double"),
        "inference.precision: got 'bfloat16', but the weights of inference.networks:Double are",
    ),
}


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
@pytest.mark.parametrize(("settings", "predictor", "message"), REFUSED.values(), ids=REFUSED)
def test_check_refuses(
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    settings: str,
    predictor: str,
    message: str,
) -> None:
    assert main(["check", str(write(tmp_path, settings, predictor))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[0].startswith(f"toy.yaml:7: {message}")
    assert lines[-1] == "halocline: 1 mistake"
