# SPDX-License-Identifier: MIT
"""Steady wind-driven gyres of linear theory: Stommel (1948) and Munk (1950).

Linear continuity makes the steady transport free of divergence, so the barotropic vorticity
equation holds exactly, whatever gravity and f0: they only set how fast the steady state comes.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from verification.experiment import Array, Grid, Records, run_records, stream_function, write_fields

BETA = 2.0e-11  # [m-1 s-1]
DEPTH, DENSITY = 1000.0, 1000.0  # [m], [kg m-3]
STRESS = 1.0e-3  # [N m-2]


def run_gyre(
    directory: Path, grid: Grid, steps: int, dt: int, speed: float, **changes: dict[str, object]
) -> Records:
    """From rest to steps, the gravity wave's speed [m s-1] being free."""
    gravity = speed**2 / DEPTH
    groups = grid.groups([DEPTH], [gravity], f0=0.0, beta=BETA, **changes.pop("grid", {}))
    groups["layers"]["density"] = DENSITY
    groups["time"]["dt"] = dt
    groups["dynamics"] = {"linear": True}
    forcing = {"wind": "single_gyre", "wind_stress": STRESS} | changes.pop("forcing", {})
    groups |= {"forcing": forcing, **changes}
    return run_records(directory, groups, steps=steps, every=steps // 2)


def steadiness(records: Records) -> float:
    """Largest change of v over the second half of the run, over the largest v."""
    return float(np.abs(records.v[-1] - records.v[-2]).max() / np.abs(records.v[-1]).max())


def roots_solution(roots: Array, conditions: Array, values: Array) -> Array:
    return np.linalg.solve(conditions, values)


def relative_l2(field: Array, exact: Array) -> float:
    return float(np.sqrt(((field - exact) ** 2).sum() / (exact**2).sum()))


def test_stommel_gyre(tmp_path: Path) -> None:
    """beta dpsi/dx + r Laplacian(psi) = curl(tau) / (rho H), psi = 0 on the walls.

    Measured: X
    """
    grid = Grid(60, 60, 1.2e6, 1.2e6)
    friction = 4 * grid.dx * BETA  # a boundary layer of four cells [s-1]
    records = run_gyre(
        tmp_path, grid, steps=4000, dt=2000, speed=4.0, forcing={"drag_rayleigh": friction}
    )
    psi = stream_function(records.v[-1, 0], grid.dx)

    length = grid.length_x
    half = BETA / (2 * friction)
    root = np.sqrt(half**2 + (np.pi / grid.length_y) ** 2)
    a, b = -half + root, -half - root
    p = (1 - np.exp(b * length)) / (np.exp(a * length) - np.exp(b * length))
    x = np.linspace(0, length, grid.nx + 1)
    y = grid.points(0, 0.5)[1]
    amplitude = STRESS * grid.length_y / (np.pi * DENSITY * DEPTH * friction)
    profile = 1 - p * np.exp(a * x) - (1 - p) * np.exp(b * x)
    exact = amplitude * np.sin(np.pi * y / grid.length_y) * profile
    error = relative_l2(psi, exact)
    print(f"L2 error {error:.2e}, steady to {steadiness(records):.1e}")
    assert steadiness(records) < 1e-3
    assert error < 0.02
