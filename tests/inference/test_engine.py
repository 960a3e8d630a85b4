# SPDX-License-Identifier: MIT
"""The engine on the CPU: every way of running a network gives what the network alone gives."""

from __future__ import annotations

import gc
import random
import shutil
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coupler.spec import InferenceSpec
from inference.networks import Closure, Remembering, fields
from ml_server.errors import PredictorError
from ml_server.inference.engine import Engine
from ml_server.inference.sides import DeviceSide
from ml_server.inference.tuning import Seat

TOLERANCE = {"full": 1e-6, "bfloat16": 2e-2, "float16": 5e-3}  # of the largest value


def engine(module: torch.nn.Module, **settings: Any) -> Engine:
    return Engine(module, InferenceSpec(**{"device": "cpu", "threads": 1} | settings))


def alone(module: torch.nn.Module, arguments: dict[str, Any]) -> dict[str, np.ndarray]:
    """What the network says without an engine, without its halo of 2."""
    with torch.no_grad():
        said = module(**{name: torch.from_numpy(array) for name, array in arguments.items()})
    return {name: tensor.numpy()[:, 2:-2, 2:-2] for name, tensor in said.items()}


def targets(levels: int = 5, dtype: str = "float32") -> dict[str, Any]:
    """Arrays full of NaN: what is not written stays so."""
    return {name: (np.full((levels, 8, 10), np.nan, dtype), 2) for name in ("su", "sv")}


def assert_like(got: Any, expected: np.ndarray, tolerance: float = 1e-6) -> None:
    np.testing.assert_allclose(got, expected, rtol=0, atol=tolerance * np.abs(expected).max())


@pytest.mark.parametrize("precision", TOLERANCE)
@pytest.mark.parametrize("chunk", ["all", 1, 2, 3, 5, 7])
def test_chunks_and_precisions(chunk: int | str, precision: str) -> None:
    run, into = engine(Closure(), chunk=chunk, precision=precision), targets()
    arguments = fields()
    expected = alone(Closure(), arguments)
    answers = run(arguments, dict, into)
    for name, (array, _) in into.items():
        assert answers[name] is array
        assert_like(array, expected[name], TOLERANCE[precision])


@pytest.mark.parametrize("staged", [False, True])
@given(levels=st.integers(1, 6), chunk=st.integers(1, 7), seeds=st.lists(st.integers(0, 9)))
def test_buffers_carry_nothing_over(
    staged: bool, levels: int, chunk: int, seeds: list[int]
) -> None:
    """float64 arrays into a float32 network and back: every conversion has a buffer."""
    run = engine(Closure(), chunk=chunk)
    run.start(Seat())
    if staged:
        run._side = DeviceSide(run.module, torch.device("cpu"), torch.float32, graph=False)
    kept = []
    for seed in seeds:
        arguments, into = fields(levels, "float64", seed), targets(levels, "float64")
        single = {name: array.astype("float32") for name, array in arguments.items()}
        run(arguments, dict, into)
        kept.append((into, alone(run.module, single)))
    for into, expected in kept:  # later steps left earlier answers alone
        for name, (array, _) in into.items():
            assert_like(array, expected[name])


def test_answers_without_targets_are_not_written_over() -> None:
    run, arguments = engine(Closure(), chunk=2), fields()
    first = run(arguments, dict)["su"]
    before = first.clone()
    run(fields(seed=2), dict)
    assert torch.equal(first, before)


def test_inputs_are_not_copied() -> None:
    seen = []

    class Looks(torch.nn.Module):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            seen.append(u.data_ptr())
            return u + 1

    u = fields()["u"]
    engine(Looks())({"u": u}, lambda answer: {"su": answer})
    assert seen == [u.ctypes.data]


def test_steps_allocate_no_field() -> None:
    """A network without arithmetic of its own, converted both ways, allocates nothing."""

    class Hands(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = torch.nn.Parameter(torch.ones(()))

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return u

    run = engine(Hands())
    u, out = np.ones((2, 12, 14)), np.empty((2, 8, 10))
    shown = []
    for _ in range(3):
        with torch.profiler.profile(profile_memory=True) as profile:
            run({"u": u}, lambda answer: {"su": answer}, {"su": (out, 2)})
        memory = [e.self_cpu_memory_usage for e in profile.key_averages()]
        shown.append(sum(size for size in memory if size > 0))
        gc.collect()
    assert shown[0] >= u.size * 4
    assert shown[1:] == [0, 0]


def test_other_arguments_pass() -> None:
    class Takes(torch.nn.Module):
        levels_independent = True

        def forward(self, u: Any, date: Any, cell: Any) -> Any:
            assert date == 240
            assert cell.dtype is torch.int64
            assert cell.shape == (12, 14)
            return u.double() + cell

    u, cell = fields(dtype="float64")["u"], np.arange(168).reshape(12, 14)
    answers = engine(Takes(), chunk=2)(
        {"u": u, "date": 240, "cell": cell}, lambda answer: {"su": answer}
    )
    np.testing.assert_array_equal(answers["su"], u + cell)


@pytest.mark.parametrize("chunk", ["all", 2])
@pytest.mark.parametrize("turn", ["x and y", "levels", "integers", "none"])
def test_answers_that_do_not_fit_are_left_to_the_caller(chunk: str | int, turn: str) -> None:
    answers = {
        "x and y": lambda u: u.transpose(1, 2),
        "levels": lambda u: u[:1],
        "integers": lambda u: u.int(),
        "none": lambda u: None,
    }

    class Wrong(torch.nn.Module):
        levels_independent = True

        def forward(self, u: torch.Tensor) -> Any:
            return answers[turn](u)

    array = np.empty((5, 8, 10))
    got = engine(Wrong(), chunk=chunk)(
        {"u": fields()["u"]}, lambda answer: {"su": answer}, {"su": (array, 2)}
    )
    assert got["su"] is not array


def test_levels_are_cut_only_where_the_network_says_so() -> None:
    lengths = []

    class Counts(torch.nn.Module):
        def forward(self, u: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
            lengths.append((len(u), len(mask)))
            return u

    arguments = {name: array for name, array in fields().items() if name != "v"}
    module = Counts()
    run = engine(module, chunk=2)
    run(arguments, lambda answer: {"su": answer})
    assert "all levels at once" in str(run)
    module.levels_independent = True  # type: ignore[assignment]
    engine(module, chunk=2)(arguments, lambda answer: {"su": answer})
    assert lengths == [(5, 1), (2, 1), (2, 1), (1, 1)]


def test_warm_up_leaves_no_trace() -> None:
    u = {"u": np.ones((2, 4, 4), np.float32)}

    def run(warm: bool) -> list[float]:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        random.seed(0)
        run = engine(Remembering())
        if warm:
            run.warm_up(u, lambda answer: {"su": answer}, Seat())
        said = [run(u, lambda a: {"su": a})["su"].mean().item() for _ in range(3)]
        return [*said, random.random()]

    assert run(warm=True) == run(warm=False)


class LateBuffer(torch.nn.Module):
    """The size of what it remembers is that of its first fields."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", None)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        before = torch.zeros_like(u) if self.state is None else self.state
        self.state = before / 2 + u
        return self.state


class RegistersLate(torch.nn.Module):
    def forward(self, u: torch.Tensor) -> torch.Tensor:
        if not hasattr(self, "state"):
            self.register_buffer("state", torch.zeros_like(u))
        self.state = self.state / 2 + u
        return self.state


class Shares(torch.nn.Module):
    """A module inside looks at the same list."""

    def __init__(self) -> None:
        super().__init__()
        self.past: list[torch.Tensor] = []
        self.child = torch.nn.Module()
        self.child.past = self.past

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        self.past.append(u.clone())
        return torch.stack(self.child.past).sum(0)


class Draws(torch.nn.Module):
    """From every kind of generator; `expanded` is one that nobody can write into."""

    def __init__(self) -> None:
        super().__init__()
        self.legacy = np.random.RandomState(1)
        self.plain = random.Random(2)
        self.nested = {"torch": (torch.Generator().manual_seed(3),)}
        self.expanded = torch.ones(1).expand(4)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        noise = self.legacy.random() + self.plain.random()
        return self.expanded * noise + u * torch.rand((), generator=self.nested["torch"][0])


class Scripted(torch.nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", torch.zeros(()))

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        self.state = self.state / 2 + u.mean()
        return u * 0 + self.state


@pytest.mark.parametrize("kind", [LateBuffer, RegistersLate, Shares, Draws, Scripted])
def test_warm_up_leaves_no_trace_in(kind: type[torch.nn.Module]) -> None:
    u = {"u": np.ones((2, 4, 4), np.float32)}

    def run(warm: bool) -> list[float]:
        module = kind().eval()
        run = engine(torch.jit.script(module) if kind is Scripted else module)
        if warm:
            run.warm_up(u, lambda answer: {"su": answer}, Seat())
            assert "failed" not in run.warmed
        return [run(u, lambda a: {"su": a})["su"].mean().item() for _ in range(3)]

    assert run(warm=True) == run(warm=False)


@pytest.mark.parametrize("other", [torch.tensor([3], dtype=torch.int8), torch.ones(1) * 1j])
def test_fields_get_the_precision_of_the_real_weights(other: torch.Tensor) -> None:
    """Quantised and spectral networks have weights of other types, perhaps first."""

    class Mixed(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.other = torch.nn.Parameter(other, requires_grad=False)
            self.weight = torch.nn.Parameter(torch.ones(1))

        def forward(self, u: torch.Tensor) -> torch.Tensor:
            return u * self.weight

    answer = engine(Mixed())({"u": np.full((1, 4, 4), 0.7)}, lambda a: {"su": a})["su"]
    assert answer.dtype == torch.float32
    assert answer[0, 0, 0] == torch.tensor(0.7)


def test_calibration_takes_the_fastest(monkeypatch: pytest.MonkeyPatch) -> None:
    """A clock that counts the network's calls is slowest where there are most; here the levels
    of a call cost quadratically, so that two at a time are best."""
    seconds = 0.0

    class Costs(Closure):
        def forward(self, u: Any, v: Any, mask: Any) -> Any:
            nonlocal seconds
            seconds += 4e-3 + 1e-3 * len(u) ** 2
            return super().forward(u, v, mask)

    monkeypatch.setattr("ml_server.inference.engine.time.perf_counter", lambda: seconds)
    run = engine(Costs())
    run.warm_up(fields(8), dict, Seat())
    assert run.tried.keys() == {0, 1, 2, 4}
    assert run.chunk == 2
    assert "2 levels at a time" in str(run)


class Recurrent(torch.nn.Module):
    """What it keeps is of the levels of the last call."""

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("state", None)

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        new = self.state is None or self.state.shape != u.shape
        self.state = u.clone() if new else self.state / 2 + u
        return self.state


class Normalised(torch.nn.Module):
    """With statistics of all levels."""

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.batch_norm(u.unsqueeze(1), None, None, training=True)[:, 0]


class InPlace(torch.nn.Module):
    """Works in an argument that every chunk gets."""

    def forward(self, u: torch.Tensor, eta: torch.Tensor) -> torch.Tensor:
        return u * eta.mul_(2)


class Fixed(torch.nn.Module):
    """As a file is that was exported for so many levels."""

    def forward(self, u: torch.Tensor) -> torch.Tensor:
        if len(u) != 4:
            raise PredictorError("exported for 4 levels")
        return u


@pytest.mark.parametrize("kind", [Recurrent, Normalised, InPlace, torch.nn.Dropout, Fixed])
def test_levels_are_not_cut_where_that_changes_answers(
    kind: type[torch.nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    seconds = 0.0

    class Costs(torch.nn.Module):
        """A clock by which one level at a time is fastest."""

        levels_independent = True

        def __init__(self) -> None:
            super().__init__()
            self.network = kind()

        def forward(self, **fields: torch.Tensor) -> torch.Tensor:
            nonlocal seconds
            seconds += 1e-3 * len(fields["u"]) ** 2
            return self.network(*fields.values())

    monkeypatch.setattr("ml_server.inference.engine.time.perf_counter", lambda: seconds)
    arguments = {"u": np.random.default_rng(1).random((4, 5, 6))}
    arguments |= {"eta": np.ones((1, 5, 6))} if kind is InPlace else {}
    run = engine(Costs())
    run.warm_up(arguments, lambda answer: {"su": answer}, Seat())
    assert "failed" not in run.warmed
    assert run.chunk == 0


def test_a_network_that_refuses_made_up_values() -> None:
    class Refuses(torch.nn.Module):
        def forward(self, u: torch.Tensor) -> torch.Tensor:
            if u.max() < 2:
                raise ValueError("too cold")
            return u

    run = engine(Refuses())
    run.warm_up({"u": np.ones((1, 4, 4))}, lambda a: {"su": a}, Seat())
    assert "warm-up failed: ValueError: too cold" in str(run)
    assert run({"u": np.full((1, 4, 4), 9.0)}, lambda a: {"su": a})["su"].max() == 9


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler")
def test_compiled() -> None:
    run, arguments, into = engine(Closure(), compile=True), fields(), targets()
    run.warm_up(arguments, dict, Seat())
    run(arguments, dict, into)
    expected = alone(Closure(), arguments)
    assert_like(into["su"][0], expected["su"])
    assert "compiled" in str(run)


def test_no_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CXX", "no-such-compiler")
    run = engine(Closure(), compile=True, place="spec.yaml:7")
    with pytest.raises(
        PredictorError, match=r"spec.yaml:7: inference.compile: .* compiler 'no-such-compiler'"
    ):
        run.start(Seat())
