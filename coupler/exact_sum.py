# SPDX-License-Identifier: MIT
"""Sums that do not depend on the order of their terms, so neither on who added which of them."""

from __future__ import annotations

import math
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

CHUNK = 2**25  # terms at a time: the two halves of their mantissas then add up without rounding
SMALLEST = 2.0**-900  # a smaller term counts as 0: half a mantissa of it is no float64


def exact_terms(values: NDArray[np.float64]) -> list[float]:
    """A few numbers whose sum is that of the finite `values`, without any rounding.

    Values of one exponent are whole numbers of one unit; two halves of 26 and 27 bits of up to
    CHUNK of them have sums below 2**53 units.
    """
    terms: list[float] = []
    flat = values.ravel()
    for start in range(0, flat.size, CHUNK):
        part = flat[start : start + CHUNK]
        mantissa, exponent = np.frexp(part[np.abs(part) >= SMALLEST])
        if not mantissa.size:
            continue
        high = np.floor(mantissa * 2.0**26)
        low = mantissa * 2.0**26 - high
        lowest = int(exponent.min())
        units = np.arange(lowest, int(exponent.max()) + 1) - 26
        for half in (high, low):
            with np.errstate(over="ignore"):
                sums = np.ldexp(np.bincount(exponent - lowest, weights=half), units)
            terms += sums[sums != 0].tolist()
    return terms


def rounded_sum(terms: Iterable[float]) -> float:
    """The sum, rounded once; not finite where it, or a part of it, is beyond float64."""
    try:
        return math.fsum(terms)
    except (OverflowError, ValueError):
        return math.nan
