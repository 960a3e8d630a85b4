# SPDX-License-Identifier: MIT
"""What goes wrong with a predictor."""


class PredictorError(Exception):
    """The predictor cannot be loaded or called as the spec asks."""


def brief(error: Exception) -> str:
    """Kind and reason in one line; TorchScript puts the reason last, below a trace."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    kind = type(error).__name__
    if not lines:
        return kind
    return lines[-1] if lines[-1].startswith(f"{kind}: ") else f"{kind}: {lines[-1]}"
