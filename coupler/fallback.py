# SPDX-License-Identifier: MIT
"""What the model gets where a predictor fails: the spec's `on_failure`, if it is not abort."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.spec import OnFailure
from coupler.step import Step, require_finite

Array = NDArray[np.floating]


def _as_sent(answer: Array, out: Array) -> Array:
    """In the precision of the wire, in which a large value may be infinite."""
    with np.errstate(over="ignore"):
        return answer.astype(out.dtype, copy=False)


class Fallback:
    """Zeros, or the last answers that were good (zeros before the first); counted, and said.

    Each rank decides for itself and for its own cells.
    """

    def __init__(self, policy: OnFailure, who: str) -> None:
        self.policy, self.who = policy, who
        self.steps = self.failed = 0
        self._good: dict[str, Array] = {}

    def answer(self, step: Step, predict: Callable[[], Mapping[str, Any]]) -> None:
        """Give `step` what `predict` returns if it is good, else what the policy says."""
        for name in step.inputs:
            step.inputs[name]  # NaN from the model, or its end, is no failure of the predictor
        self.steps += 1
        try:
            answers = predict()
            step.answers |= {name: answers[name] for name in step.due if name in answers}
            own = {name: _as_sent(step.answer(name), out) for name, out in step.out.items()}
            require_finite(own, "answer")
        except Exception as error:
            self._say(step, error)
            for name, array in step.out.items():
                step[name] = self._good.get(name, np.zeros_like(array))
            return
        if self.policy == "hold":
            self._good |= {name: array.copy() for name, array in own.items()}

    def _say(self, step: Step, error: Exception) -> None:
        self.failed += 1
        if self.failed > 1:
            return
        sent = "zeros" if self.policy == "zero" or not self._good else "the last good answer"
        text = f"{type(error).__name__}: {error}"
        where = f"at step {step.number}, date {step.date} s"
        print(
            f"halocline: {self.who}: {where}: {text}; on_failure: {self.policy}, so the model gets "
            f"{sent}; said once, counted at the end",
            file=sys.stderr,
            flush=True,
        )

    def close(self) -> None:
        if self.failed:
            text = f"{self.failed} of {self.steps} answers failed (on_failure: {self.policy})"
            print(f"halocline: {self.who}: {text}", file=sys.stderr, flush=True)
