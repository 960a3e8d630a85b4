# SPDX-License-Identifier: MIT
"""Closures without torch; their halo is measured when a job starts."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import NDArray

Answer = dict[str, NDArray[np.float64]]


def whole_domain(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    """Drags every level towards its mean."""
    return {"su": 1e-7 * (u.mean(axis=(1, 2), keepdims=True) - u), "sv": 0 * v}


def friction(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    """Drags every cell towards the mean of its neighbours in x."""

    def drag(field: NDArray[np.float64]) -> NDArray[np.float64]:
        return 1e-6 * (np.roll(field, 1, axis=2) + np.roll(field, -1, axis=2) - 2 * field)

    return {"su": drag(u), "sv": drag(v)}


def by_rank(u: NDArray[np.float64], v: NDArray[np.float64]) -> Answer:
    """What nobody should write: a stencil that is as wide as this process's rank."""
    rank = int(os.environ["OMPI_COMM_WORLD_RANK"])
    return {"su": 0 * u, "sv": 0 * np.roll(v, rank, axis=2)}
