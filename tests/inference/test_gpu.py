# SPDX-License-Identifier: MIT
"""The engine on a GPU: `python -m pytest -m gpu tests/inference`. Needs no MPI."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pytest
import torch

from coupler.spec import InferenceSpec
from inference.networks import Closure, Remembering, fields
from ml_server.errors import PredictorError
from ml_server.inference.engine import Engine
from ml_server.inference.tuning import Seat, TuningError, require_device

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="torch finds no GPU"),
]
# of the largest value; full is float32 with every product in float32
TOLERANCE = {"full": 2e-6, "tf32": 2e-3, "bfloat16": 2e-2, "float16": 5e-3}


def engine(module: torch.nn.Module, **settings: Any) -> Engine:
    return Engine(module, InferenceSpec(**{"device": "cuda", "place": "spec.yaml:7"} | settings))


def on_cpu(arguments: dict[str, Any]) -> dict[str, np.ndarray]:
    with torch.no_grad():
        said = Closure()(**{name: torch.from_numpy(array) for name, array in arguments.items()})
    return {name: tensor.numpy()[:, 2:-2, 2:-2] for name, tensor in said.items()}


def targets(levels: int = 5, dtype: str = "float32") -> dict[str, Any]:
    return {name: (np.full((levels, 8, 10), np.nan, dtype), 2) for name in ("su", "sv")}


def assert_like(got: Any, expected: np.ndarray, tolerance: float) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("graph", [False, True])
@pytest.mark.parametrize("chunk", ["auto", 1, 2, 5])
@pytest.mark.parametrize("precision", TOLERANCE)
def test_answers_of_the_cpu(precision: str, chunk: int | str, graph: bool) -> None:
    """Steps of other values, and of float64, follow each other through the same buffers."""
    run = engine(Closure(), precision=precision, chunk=chunk, cuda_graph=graph)
    run.warm_up(fields(seed=9), dict, Seat())
    assert str(run).startswith("cuda:0")
    kept = []
    for seed, dtype in ((1, "float32"), (2, "float32"), (3, "float64"), (4, "float64")):
        arguments, into = fields(5, dtype, seed), targets(5, dtype)
        single = {name: array.astype("float32") for name, array in arguments.items()}
        answers = run(arguments, dict, into)
        assert all(answers[name] is into[name][0] for name in into)
        kept.append((into, on_cpu(single)))
    for into, expected in kept:
        for name, (array, _) in into.items():
            assert_like(array, expected[name], TOLERANCE[precision])


@pytest.mark.parametrize("graph", [False, True])
def test_answers_without_targets(graph: bool) -> None:
    run, arguments = engine(Closure(), chunk=2, cuda_graph=graph), fields()
    first = run(arguments, dict)["su"]
    before = first.clone()
    run(fields(seed=2), dict)
    assert first.device.type == "cpu"
    assert torch.equal(first, before)
    assert_like(first.numpy()[:, 2:-2, 2:-2], on_cpu(arguments)["su"], TOLERANCE["full"])


def test_large_fields_overlap_without_mixing() -> None:
    """Enough bytes that a copy is still under way when the next chunk begins."""

    class Adds(torch.nn.Module):
        levels_independent = True

        def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            for _ in range(20):
                u = torch.sqrt(u * u + 1) - 1 + v
            return u

    random = np.random.default_rng(0)
    u, v = random.standard_normal((2, 24, 700, 900)).astype(np.float32)
    expected = Adds()(torch.from_numpy(u), torch.from_numpy(v)).numpy()
    run, out = engine(Adds(), chunk=3), np.empty_like(u)
    for _ in range(3):
        out[:] = np.nan
        run({"u": u, "v": v}, lambda answer: {"su": answer}, {"su": (out, 0)})
        np.testing.assert_allclose(out, expected, rtol=2e-5, atol=1e-5)


def test_auto_takes_the_gpu() -> None:
    run = engine(Closure(), device="auto")
    run.start(Seat(4, 3, torch.cuda.device_count()))
    assert run.device == torch.device("cuda", 0)


def test_a_gpu_that_is_not_there() -> None:
    with pytest.raises(TuningError, match=r"got 'cuda:99', but torch .* finds \d+ GPUs"):
        require_device(InferenceSpec(device="cuda:99"))


def test_a_graph_cannot_take_a_date() -> None:
    class Dated(torch.nn.Module):
        def forward(self, u: torch.Tensor, date: int) -> torch.Tensor:
            return u + date

    run = engine(Dated(), cuda_graph=True)
    with pytest.raises(PredictorError, match=r"inference.cuda_graph: the network takes 'date'"):
        run.warm_up({"u": fields()["u"], "date": 240}, lambda answer: {"su": answer}, Seat())


def test_what_cannot_be_recorded_says_so_at_the_start() -> None:
    """In a process of its own: torch's random generator does not survive a failed recording."""
    job = subprocess.run(
        [sys.executable, "-c", DECIDES], text=True, capture_output=True, check=False, timeout=120
    )
    assert "PredictorError: spec.yaml:7: inference: " in job.stderr


DECIDES = """
import numpy, torch
from coupler.spec import InferenceSpec
from ml_server.inference.engine import Engine
from ml_server.inference.tuning import Seat

class Decides(torch.nn.Module):
    def forward(self, u):
        return u if u.mean().item() > 0 else -u

inference = InferenceSpec(device="cuda", cuda_graph=True, place="spec.yaml:7")
u = {"u": numpy.ones((2, 4, 4), numpy.float32)}
Engine(Decides(), inference).warm_up(u, lambda answer: {"su": answer}, Seat())
"""


def test_held_memory_is_locked() -> None:
    """All of the memory that an array is a view of, once; answers are the same."""
    run, arguments, into = engine(Closure(), chunk=2), fields(), targets()
    segment = np.zeros(1 << 20, np.uint8)
    u = segment[: arguments["u"].nbytes].view(np.float32).reshape(arguments["u"].shape)
    u[:] = arguments["u"]
    run.start(Seat())
    run.hold([u, u[1:]])
    assert run.held == segment.nbytes
    assert "1.05 MB page-locked" in str(run)
    run(arguments | {"u": u}, dict, into)
    assert_like(into["su"][0], on_cpu(arguments)["su"], TOLERANCE["full"])


def test_warm_up_leaves_no_trace() -> None:
    class Noise(Remembering):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return super().forward(u) + torch.rand((), device=u.device)

    u = {"u": np.ones((2, 4, 4), np.float32)}

    def run(warm: bool) -> list[float]:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        run = engine(Noise())
        if warm:
            run.warm_up(u, lambda answer: {"su": answer}, Seat())
        return [run(u, lambda answer: {"su": answer})["su"].mean().item() for _ in range(3)]

    assert run(warm=True) == run(warm=False)


def test_compiled() -> None:
    run, arguments, into = engine(Closure(), compile=True), fields(), targets()
    run.warm_up(arguments, dict, Seat())
    run(arguments, dict, into)
    assert_like(into["su"][0], on_cpu(arguments)["su"], 1e-5)
