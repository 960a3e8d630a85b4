# SPDX-License-Identifier: MIT
"""What users' networks do wrong, each at a known step."""

from __future__ import annotations

import sys

import numpy as np
from numpy.typing import NDArray

Answer = dict[str, NDArray[np.float64]]
IN_JOB = (24, 15)  # the padded box of a rank; what is asked to measure the halo has other sizes
calls = 0


def raises(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    global calls
    calls += u.shape[1:] == IN_JOB
    if calls == 4:
        raise ZeroDivisionError("no water left")
    return {"su": u * 0, "sv": v * 0}


def transposes(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    return {"su": u.swapaxes(1, 2), "sv": v * 0}


def returns_nan(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    bad = v * 0
    bad[1, 10, 9] = np.nan
    return {"su": u * 0, "sv": bad}


def forgets(u: NDArray[np.float64]) -> Answer:
    return {"su": u * 0}


def leaves(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    """With an exit code that looks like success."""
    if u.shape[1:] == IN_JOB:
        sys.exit(0)
    return {"su": u * 0, "sv": v * 0}


def changes_a_mask(
    u: NDArray[np.float64], v: NDArray[np.float64], mask_t: NDArray[np.float64]
) -> Answer:
    """Which comes once: it would be half of what it was at each step."""
    mask_t *= 0.5
    return {"su": u * mask_t, "sv": v * mask_t}
