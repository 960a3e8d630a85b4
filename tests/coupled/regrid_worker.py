# SPDX-License-Identifier: MIT
"""The partner of stencil_model on other grids: a nonlinear network of neighbours.

Usage: regrid_worker.py SPEC [positive]; then the answers are above 0. Each rank leaves what it saw
at each step in inputs.RANK.STEP.npz.
"""

from __future__ import annotations

import sys

import numpy as np

from coupler import Component

REACH = 2  # cells that the network reads beyond its own, if the halo has them
WEIGHTS = np.random.default_rng(5).uniform(-1, 1, (3, 3, 2 * REACH + 1, 2 * REACH + 1))


def network(t: np.ndarray, u: np.ndarray, v: np.ndarray, halo: int) -> list[np.ndarray]:
    """Changes of t, u, v (level, y, x), which are padded by `halo`.

    Each cell's sums run over its neighbours in the same order, whatever the array's size.
    """
    reach = min(halo, REACH)
    ny, nx = t.shape[-2] - 2 * halo, t.shape[-1] - 2 * halo
    changes = [np.zeros((len(t), ny, nx)) for _ in range(3)]
    for y in range(-reach, reach + 1):
        for x in range(-reach, reach + 1):
            rows, columns = slice(halo + y, halo + y + ny), slice(halo + x, halo + x + nx)
            t1, u1, v1 = (field[:, rows, columns] for field in (t, u, v))
            terms = [u1 * v1, t1 * u1, v1 * np.abs(v1) + t1]
            for change, weights in zip(changes, WEIGHTS[:, :, REACH + y, REACH + x], strict=True):
                for weight, term in zip(weights, terms, strict=True):
                    change += weight * term
    return [0.1 * change / (1.0 + change * change) for change in changes]


def positive(changes: list[np.ndarray]) -> list[np.ndarray]:
    return [0.01 + np.abs(change) for change in changes]


def main(spec: str, how: str = "") -> None:
    with Component("worker", spec) as worker:
        halos = {f.name: e.halo for e in worker.spec.incoming("worker") for f in e.fields}
        for step in worker.steps():
            seen = dict(step)
            np.savez(f"inputs.{worker.rank}.{step.number}.npz", **seen)
            for grid in "TF":
                names = [f"{name}_{grid}" for name in "tuv"]
                answers = network(*(seen[name] for name in names), halos[names[0]])
                if how:
                    answers = positive(answers)
                step.update({f"d{name}": a for name, a in zip(names, answers, strict=True)})


if __name__ == "__main__":
    main(*sys.argv[1:])
