# SPDX-License-Identifier: MIT
"""Runs a torch module of named fields on named NumPy arrays, as fast as the machine allows.

What it does to the process (threads, allocator) it does at the first call or warm-up, and says in
`str(engine)`. No MPI in here.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from coupler.spec import InferenceSpec
from ml_server.errors import PredictorError, brief
from ml_server.inference.answers import Answers, Part, Target
from ml_server.inference.sides import DeviceSide, HostSide
from ml_server.inference.tuning import (
    Seat,
    TuningError,
    choose_device,
    choose_threads,
    tune_allocator,
)
from ml_server.inference.warm_up import undisturbed

ByName = Callable[[Any], Mapping[str, Any]]  # what a network returned -> its answers
HALF = {"bfloat16": torch.bfloat16, "float16": torch.float16}
BUDGET = 5.0  # [s] of trying chunks
SAME = 1e-3, 5e-2  # of the largest answer, full and half precision: chunks may change no more
WORTH = 0.95  # of the time of all levels at once: a chunk that saves less is not taken


class Engine:
    """A network and how it is run.

    `module` takes tensors (level, y, x) by name. Where it has `levels_independent = True` the
    levels are a batch and may be cut into chunks. Whether levels are cut, compiled or half
    precise may change answers by rounding, and by nothing else; see docs/inference.md.
    """

    def __init__(self, module: torch.nn.Module, inference: InferenceSpec | None = None) -> None:
        self.module = module
        self.inference = inference or InferenceSpec()
        self.chunk = 0  # levels at a time; 0: all
        self.tried: dict[int, float] = {}  # [s] for all levels, of each chunk
        self.held = 0  # [bytes] page-locked
        self.warmed = "no warm-up"  # how long it took, or why it failed
        self.is_warm = False
        self._side: HostSide | DeviceSide | None = None

    def __str__(self) -> str:
        """The one line that a run reports."""
        if self._side is None:
            return "not started"
        threads = torch.get_num_threads()
        words = [
            f"{self.device}",
            f"{threads} thread{'' if threads == 1 else 's'}",
            f"{self.chunk} levels at a time" if self.chunk else "all levels at once",
            f"precision {self.inference.precision}",
            f"allocator {self.allocator}",
        ]
        words += ["compiled"] if self.inference.compile else []
        words += [f"{self.held / 1e6:.3g} MB page-locked"] if self.held else []
        words += ["CUDA graph"] if self.inference.cuda_graph else []
        return ", ".join([*words, self.warmed])

    def start(self, seat: Seat, compiled: bool = True) -> None:
        """Take device, threads and memory. Raises PredictorError where the spec's are not there.

        `compiled`: as the spec says, else neither compiled nor recorded.
        """
        try:
            self.device = choose_device(self.inference, seat)
        except TuningError as error:
            raise PredictorError(f"{self.inference.place}: {error}") from error
        self.allocator = tune_allocator() if self.inference.allocator else "as it is"
        torch.set_num_threads(choose_threads(self.inference.threads, seat))
        self.module.to(self.device)
        dtype = None  # a module that casts takes fields as they come
        if not getattr(self.module, "casts", False):
            floats = (p.dtype for p in self.module.parameters() if p.is_floating_point())
            dtype = next(floats, None)  # not of whole or complex ones, which networks may have, too
        function: Callable[..., Any] = self.module
        if self.inference.compile and compiled:
            # weights do not change: folding them into the code is most of the gain
            options: dict[str, Any] = {"freezing": True} if self.device.type == "cpu" else {}
            function = torch.compile(self.module, dynamic=False, options=options)
        if self.device.type == "cuda":
            tf32 = self.inference.precision == "tf32"
            torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = tf32
            self._side = DeviceSide(
                function, self.device, dtype, self.inference.cuda_graph and compiled
            )
        else:
            self._side = HostSide(function, dtype)
        if isinstance(self.inference.chunk, int) and self._may_be_cut:
            self.chunk = self.inference.chunk

    def __call__(
        self,
        arguments: Mapping[str, Any],
        by_name: ByName,
        into: Mapping[str, Target] | None = None,
    ) -> dict[str, Any]:
        """The answers by name. Those that fit a target of `into` are written there, without the
        halo, and the target's array is the answer; others are the network's own.

        Before warm-up, as when a halo is measured with arrays of other shapes, nothing is compiled.
        """
        if self._side is None:
            self.start(Seat.of_environment(), compiled=False)
        assert self._side is not None
        parts = list(self._parts(arguments))
        answers = Answers(into or {}, self._side.download)
        with torch.inference_mode(), self._half_precision():
            for part in parts:
                answers.add(part, by_name(self._side.run(arguments, part)))
            self._side.finish()
        return answers.collected()

    def hold(self, arrays: Iterable[NDArray[Any]]) -> None:
        """These arrays, of inputs and answers, come again at every step: a GPU copies from and to
        page-locked memory faster, and without waiting."""
        if self._side is not None:
            self.held = self._side.hold(arrays)

    def warm_up(self, arguments: Mapping[str, Any], by_name: ByName, seat: Seat) -> None:
        """Let no step pay for compilation or calibration. `arguments` are like a step's, their
        values made up. Random states and the network's own are afterwards as before."""
        self.start(seat)
        if not self.inference.warm_up:
            return
        begun = time.perf_counter()
        try:
            with undisturbed(self.module):
                self._warm_up(arguments, by_name)
        except PredictorError:
            raise
        except Exception as error:  # whatever a network raises
            text = brief(error)
            if self.inference.compile or self.inference.cuda_graph:
                raise PredictorError(f"{self.inference.place}: inference: {text}") from error
            # a network may refuse values that are made up; what it says to real ones counts
            self.warmed = f"warm-up failed: {text}"
        else:
            self.is_warm = True
            self.warmed = f"warm-up {time.perf_counter() - begun:.2g} s"

    def _warm_up(self, arguments: Mapping[str, Any], by_name: ByName) -> None:
        if self.inference.chunk == "auto" and self.device.type == "cpu":
            self._calibrate(arguments, by_name)
        for _ in range(2):  # the second call finds what the first one made
            self(arguments, by_name)

    def _calibrate(self, arguments: Mapping[str, Any], by_name: ByName) -> None:
        """Try a few chunks, as long as the budget lasts; keep the fastest. None is taken where a
        chunk changes answers, since a network keeps a state of all levels or their statistics, or
        where it takes no other number of levels."""
        levels, begun = self._levels(arguments), time.perf_counter()
        sizes = [0, *(size for size in (1, 2, 4, 8, 16, 32) if size < levels)]
        if levels < 2:
            return
        whole = self._kept_answers(arguments, by_name)
        if not _alike(whole, self._kept_answers(arguments, by_name), 0.0):
            return
        for size in sizes:
            if time.perf_counter() - begun > BUDGET:
                break
            if not self._may_take(size, whole, arguments, by_name):
                self.tried.clear()
                break
            self.tried[size] = min(self._seconds(arguments, by_name) for _ in range(3))
        self.chunk = 0
        if self.tried:
            best = min(self.tried, key=lambda size: self.tried[size])
            self.chunk = best if self.tried[best] < WORTH * self.tried[0] else 0

    def _may_take(
        self, size: int, whole: Mapping[str, Any], arguments: Mapping[str, Any], by_name: ByName
    ) -> bool:
        """Whether answers stay those of the `whole` with chunks of `size`, which are set."""
        self.chunk = size
        try:
            answers = self._kept_answers(arguments, by_name)
        except Exception:  # such as a file that was exported for so many levels
            return False
        return _alike(whole, answers, SAME[self.inference.precision in HALF])

    def _kept_answers(self, arguments: Mapping[str, Any], by_name: ByName) -> dict[str, Any]:
        """To copies of `arguments`, in which a network may work, and no part of its memory."""
        fresh = {n: a.copy() if isinstance(a, np.ndarray) else a for n, a in arguments.items()}
        return {name: copy.deepcopy(answer) for name, answer in self(fresh, by_name).items()}

    def _seconds(self, arguments: Mapping[str, Any], by_name: ByName) -> float:
        begun = time.perf_counter()
        self(arguments, by_name)
        return time.perf_counter() - begun

    @property
    def _may_be_cut(self) -> bool:
        return bool(getattr(self.module, "levels_independent", False))

    def _levels(self, arguments: Mapping[str, Any]) -> int:
        """How many levels may be cut; 1 where they must not."""
        if not self._may_be_cut:
            return 1
        fields = (a for a in arguments.values() if isinstance(a, np.ndarray) and a.ndim == 3)
        counts = {len(field) for field in fields} - {1}
        return counts.pop() if len(counts) == 1 else 1

    def _parts(self, arguments: Mapping[str, Any]) -> Iterator[Part]:
        levels = self._levels(arguments)
        step = self.chunk or levels
        if step >= levels:
            yield Part()
            return
        for number, first in enumerate(range(0, levels, step)):
            yield Part(number, slice(first, min(first + step, levels)), levels)

    def _half_precision(self) -> AbstractContextManager[Any]:
        """Convolutions and products alone are made half precise: a normalisation would lose what
        it is there for."""
        half = HALF.get(self.inference.precision)
        if half is None:
            return nullcontext()
        cached = not self.inference.cuda_graph  # a graph must not hold what leaves with the context
        return torch.autocast(self.device.type, half, cache_enabled=cached)


def _alike(some: Mapping[str, Any], others: Mapping[str, Any], tolerance: float) -> bool:
    """Whether answers differ by no more than `tolerance`, of the largest; NaN equals NaN."""
    for name, one in some.items():
        other = others[name]
        if not isinstance(one, torch.Tensor) or one.shape != other.shape:
            continue  # no answer: the caller judges it
        largest = float(one.nan_to_num(0.0, 0.0, 0.0).abs().max()) if one.numel() else 0.0
        if not torch.allclose(one, other, rtol=0, atol=tolerance * largest, equal_nan=True):
            return False
    return True
