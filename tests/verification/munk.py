# SPDX-License-Identifier: MIT
"""Exact steady solutions of Munk's problem, both boundary layers included.

nu Laplacian^2(psi) - beta dpsi/dx = -curl(tau) / (rho H), psi = 0 on the walls. Lengths are in
units of the boundary layer's, delta = (nu / beta)^(1/3), curls such that the interior's meridional
velocity is the curl.
"""

from __future__ import annotations

import numpy as np

from verification.experiment import Array


def exponential(rate: complex, x: Array, width: float, derivative: int = 0) -> Array:
    """d^n/dx^n of exp(rate x), scaled to stay below 1 in 0 <= x <= width."""
    anchor = width if rate.real > 0 else 0.0
    return rate**derivative * np.exp(rate * (x - anchor))


def free_slip_profile(x: Array, width: float, wavenumber: float) -> Array:
    """X of psi = sin(l y) X(x) under the curl sin(l y): X = X'' = 0 on both walls.

    (d2/dx2 - l2)^2 X - X' = -1: four exponentials and a constant. sin(l y) itself meets free slip
    on the south and north walls, so this is the solution of the whole basin.
    """
    square = wavenumber**2
    rates = np.roots([1, 0, -2 * square, -1, square**2])
    ends = np.array([0.0, width])
    matrix = np.array(
        [
            np.concatenate([exponential(rate, ends, width, n) for n in (0, 2)])
            for rate in rates.astype(complex)
        ]
    ).T
    constant = -1 / square**2
    weights = np.linalg.solve(matrix, np.array([-constant, -constant, 0, 0], dtype=complex))
    terms = [w * exponential(r, x, width) for w, r in zip(weights, rates, strict=True)]
    return constant + np.sum(terms, axis=0).real


def no_slip_profile(x: Array, width: float, split: float, derivative: int = 0) -> Array:
    """X far from the south and north walls under a curl of 1 east of `split`, 0 west of it.

    X'''' - X' = -curl: in both parts 1, exp(x) and the two decaying exponentials, in the east also
    x. X = X' = 0 on the walls; X, X', X'', X''' are continuous at the split. West of it nothing
    drives the boundary layer, so there X = c (1 - exp(-x/2) (cos + sin / sqrt(3))(sqrt(3) x / 2)).
    """
    rates = [complex(0), *np.roots([1, 0, 0, -1]).astype(complex)]

    def basis(at: Array, n: int) -> Array:
        """(terms, points) of the eight functions: four of the west, four of the east."""
        west, east = at <= split, at > split
        ones = [np.full(at.shape, 1.0 if n == 0 else 0.0, dtype=complex)]
        parts = [
            ones + [exponential(rate, at - start, length, n) for rate in rates[1:]]
            for start, length in ((0.0, split), (split, width - split))
        ]
        return np.array([term * west for term in parts[0]] + [term * east for term in parts[1]])

    def forced(at: Array, n: int) -> Array:
        line = [at - split, np.ones_like(at)]
        return np.where(at > split, line[n] if n < 2 else 0.0, 0.0)

    rows, values = [], []
    for point in (0.0, width):
        for n in (0, 1):
            rows.append(basis(np.array([point]), n)[:, 0])
            values.append(-forced(np.array([point]), n)[0])
    either_side = np.array([split, np.nextafter(split, width)])
    for n in range(4):
        both = basis(either_side, n)
        jump = forced(either_side, n)
        rows.append(both[:, 1] - both[:, 0])
        values.append(jump[0] - jump[1])
    weights = np.linalg.solve(np.array(rows), np.array(values, dtype=complex))
    return (weights @ basis(x, derivative)).real + forced(x, derivative)
