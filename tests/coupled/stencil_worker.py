# SPDX-License-Identifier: MIT
"""The partner of stencil_model: a network of 5 x 5 cells, nonlinear, without any symmetry.

Usage: stencil_worker.py SPEC
"""

from __future__ import annotations

import sys

import numpy as np

from coupler import Component

HALO = 2
WEIGHTS = np.random.default_rng(5).uniform(-1, 1, (3, 3, 2 * HALO + 1, 2 * HALO + 1))


def network(t: np.ndarray, u: np.ndarray, v: np.ndarray) -> list[np.ndarray]:
    """Changes of t, u, v (..., y, x), which are padded by HALO.

    Each cell's sums run over its neighbours in the same order, whatever the array's size.
    """
    ny, nx = t.shape[-2] - 2 * HALO, t.shape[-1] - 2 * HALO
    changes = [np.zeros((*t.shape[:-2], ny, nx)) for _ in range(3)]
    for y in range(2 * HALO + 1):
        for x in range(2 * HALO + 1):
            near = [field[..., y : y + ny, x : x + nx] for field in (t, u, v)]
            terms = [near[1] * near[2], near[0] * near[1], near[2] * np.abs(near[2]) + near[0]]
            for change, weights in zip(changes, WEIGHTS[:, :, y, x], strict=True):
                for weight, term in zip(weights, terms, strict=True):
                    change += weight * term
    return [0.1 * change / (1.0 + change * change) for change in changes]


def main(spec: str) -> None:
    with Component("worker", spec) as worker:
        for step in worker.steps():
            for pivot in "TF":
                names = [f"{name}_{pivot}" for name in "tuv"]
                answers = network(*(step[name] for name in names))
                step.update({f"d{name}": a for name, a in zip(names, answers, strict=True)})


if __name__ == "__main__":
    main(*sys.argv[1:])
