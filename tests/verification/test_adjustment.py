# SPDX-License-Identifier: MIT
"""Geostrophic adjustment of a step in the surface (Gill 1976)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from verification.experiment import Grid, run_records

STEP = 1.0  # height of the surface on either side [m]
PERIOD, DT = 60_000, 500  # one inertial period and the time step [s]
F0 = 2 * np.pi / PERIOD  # [s-1]
DEPTH, RADIUS = 1000.0, 1.0e5  # [m]
GRAVITY = (F0 * RADIUS) ** 2 / DEPTH  # so that sqrt(g H) / f is RADIUS [m s-2]
WALLS = 60  # their distance from the step [deformation radii]
CELLS = 10  # per deformation radius
SPIN_UP = 10  # inertial periods left out, and averaged over afterwards


def test_geostrophic_adjustment(tmp_path: Path) -> None:
    """The mean over inertial periods, before waves come back from the walls.

    Measured: 1.2e-3 of the step, 0.3333.
    """
    grid = Grid(2 * WALLS * CELLS, 2, 2 * WALLS * RADIUS, 1.0e6)
    x = (grid.points(0, 0)[0] - WALLS * RADIUS) / RADIUS  # [deformation radii]
    rows = np.ones((grid.ny, 1))
    groups = grid.groups([DEPTH], [GRAVITY], f0=F0, periodic_y=True)
    groups["time"]["dt"] = DT
    groups["dynamics"] = {"linear": True}
    average = SPIN_UP * PERIOD // DT
    records = run_records(
        tmp_path,
        groups,
        steps=2 * average,
        every=average,
        initial={"h": (DEPTH + STEP * np.sign(x) * rows)[None]},
        operation="average",
    )
    surface = records.h[-1, 0] - DEPTH
    exact = STEP * np.sign(x) * (1 - np.exp(-np.abs(x)))
    near = np.abs(x[0]) < 5
    error = np.abs(surface - exact)[:, near].max() / STEP

    # energy of the mean per length and density, as far as the adjustment has reached
    reached = np.abs(x[0]) < 10
    kinetic = 0.5 * DEPTH * (records.v[-1, 0, 0, reached] ** 2).sum() * grid.dx
    released = 0.5 * GRAVITY * (STEP**2 - surface[0, reached] ** 2).sum() * grid.dx
    ratio = kinetic / released
    print(f"largest error / step {error:.2e}, kinetic / released energy {ratio:.4f}")
    assert error < 0.01
    assert abs(3 * ratio - 1) < 0.05
