# SPDX-License-Identifier: MIT
"""A closure that fails at one date, in one way; and what the model should get in its place."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Answer = dict[str, Any]


LARGEST = 40  # cells along x in these jobs; what is asked to measure the halo is larger


class Once:
    """A drag, which grows with each date, so that no two answers are the same."""

    halo = 0

    def __init__(self, date: int, failure: str) -> None:
        self.date, self.fail = date, FAILURES[failure]
        self.last: Answer = {}

    def __call__(self, u: Any, v: Any, date: int = 0) -> Answer:
        rate = -1e-7 * (1 + date / 1000)
        answer = {"su": rate * u, "sv": rate * v}
        if date == self.date and u.shape[2] < LARGEST:
            return self.fail(answer, self.last)
        self.last = answer
        return answer


def _raises(answer: Answer, last: Answer) -> Answer:
    raise ZeroDivisionError("no water left")


def _gives_nan(answer: Answer, last: Answer) -> Answer:
    _, ny, nx = answer["sv"].shape
    answer["sv"][1, ny // 2, nx // 2] = np.nan  # among the rank's own cells
    return answer


def _forgets(answer: Answer, last: Answer) -> Answer:
    return {"su": answer["su"]}


def _gives_zeros(answer: Answer, last: Answer) -> Answer:
    return {name: 0 * array for name, array in answer.items()}


def _repeats(answer: Answer, last: Answer) -> Answer:
    return last or _gives_zeros(answer, last)


FAILURES: dict[str, Callable[[Answer, Answer], Answer]] = {
    "raises": _raises,
    "gives NaN": _gives_nan,
    "forgets": _forgets,
    "gives zeros": _gives_zeros,
    "repeats": _repeats,
}
