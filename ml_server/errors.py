# SPDX-License-Identifier: MIT
"""What goes wrong with a predictor."""

from collections.abc import Iterator
from contextlib import contextmanager


class PredictorError(Exception):
    """The predictor cannot be loaded or called as the spec asks."""


class AnswerError(PredictorError):
    """The predictor answers what no run accepts."""


@contextmanager
def no_exit() -> Iterator[None]:
    """A predictor that calls sys.exit must not end this process: exit code 0 would pass for
    success, and a rank alone would leave the others waiting."""
    try:
        yield
    except SystemExit as error:
        raise RuntimeError(f"it called sys.exit({error.code!r})") from error


def brief(error: Exception) -> str:
    """Kind and reason in one line; TorchScript puts the reason last, below a trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    return lines[-1] if lines[-1].startswith(f"{kind}: ") else f"{kind}: {lines[-1]}"
