# SPDX-License-Identifier: MIT
"""Steady wind-driven gyres of linear theory: Stommel (1948) and Munk (1950).

Linear continuity makes the steady transport free of divergence, so the barotropic vorticity
equation holds exactly, whatever gravity and f0: they only set how soon the steady state comes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verification.experiment import (
    Array,
    Grid,
    Groups,
    Records,
    merged,
    run_records,
    stream_function,
    write_fields,
)
from verification.munk import free_slip_profile, no_slip_profile

BETA = 2.0e-11  # [m-1 s-1]
DEPTH, DENSITY = 1000.0, 1000.0  # [m], [kg m-3]
STRESS = 1.0e-5  # [N m-2]
DELTA = 1.0e5  # Munk's boundary layer (nu / beta)^(1/3) [m]
VISCOSITY = BETA * DELTA**3  # [m2 s-1]
WIDTH = 12  # of Munk's basins [DELTA]
CELLS = 4  # per DELTA


def gyre(grid: Grid, dt: int, speed: float, forcing: dict[str, Any], **keys: Any) -> Groups:
    """The namelist; `speed` of the gravity wave [m s-1], `keys` of &grid. f is 0 in the middle."""
    f0 = -BETA * grid.length_y / 2
    groups = grid.groups([DEPTH], [speed**2 / DEPTH], f0=f0, beta=BETA, **keys)
    return merged(
        groups,
        time={"dt": dt},
        layers={"density": DENSITY},
        dynamics={"linear": True},
        forcing={"wind_stress": STRESS} | forcing,
    )


def assert_steady(records: Records) -> None:
    """The second half of the run changed nothing that matters to the tolerances."""
    change = np.abs(records.v[-1] - records.v[-2]).max() / np.abs(records.v[-1]).max()
    assert change < 1e-3, f"v still changes by {change:.1e}"


def relative_l2(field: Array, exact: Array) -> float:
    return float(np.sqrt(((field - exact) ** 2).sum() / (exact**2).sum()))


@pytest.mark.parametrize("layer", [4, 10], ids=["layer_of_4_cells", "layer_of_10_cells"])
def test_stommel_gyre(tmp_path: Path, layer: int) -> None:
    """beta dpsi/dx + r Laplacian(psi) = curl(tau) / (rho H), psi = 0 on the walls.

    Measured L2 errors: 1.6e-3 with a layer of 4 cells, 5.0e-4 with 10.
    """
    grid = Grid(60, 60, 1.2e6, 1.2e6)
    friction = layer * grid.dx * BETA  # so that r / beta is `layer` cells [s-1]
    groups = gyre(grid, 2500, 4.0, {"wind": "single_gyre", "drag_rayleigh": friction})
    records = run_records(tmp_path, groups, steps=6000, every=3000)
    assert_steady(records)
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
    error = relative_l2(psi, amplitude * np.sin(np.pi * y / grid.length_y) * profile)
    print(f"L2 error {error:.2e}")
    assert error < 0.02


def test_munk_gyre_with_free_slip(tmp_path: Path) -> None:
    """The whole basin: psi = sin(pi y / L) X(x), `free_slip_profile`.

    Measured L2 error: 8.5e-3.
    """
    grid = Grid(WIDTH * CELLS, WIDTH * CELLS // 2, WIDTH * DELTA, WIDTH * DELTA)
    groups = gyre(grid, 3600, 5.0, {"wind": "single_gyre"}, free_slip=True)
    groups["viscosity"] = {"laplacian": VISCOSITY}
    records = run_records(tmp_path, groups, steps=20_000, every=10_000)
    assert_steady(records)
    psi = stream_function(records.v[-1, 0], grid.dx)

    x = np.arange(grid.nx + 1) / CELLS
    y = grid.points(0, 0.5)[1]
    wavenumber = np.pi / WIDTH
    # velocity of the interior, -d(tau)/dy / (rho H beta) at its largest
    interior = -STRESS * np.pi / grid.length_y / (DENSITY * DEPTH * BETA)
    profile = interior * DELTA * free_slip_profile(x, WIDTH, wavenumber)
    error = relative_l2(psi, np.sin(np.pi * y / grid.length_y) * profile)
    print(f"L2 error of psi {error:.2e}")
    assert error < 0.03


def test_munk_layers_with_no_slip(tmp_path: Path) -> None:
    """Half way between south and north walls far apart: v = X'(x), `no_slip_profile`.

    The curl of the wind is the same for all y, and 0 in the western half: nothing but the boundary
    layer flows there, and its v is largest at 2 pi / (3 sqrt(3)) = 1.209 layers from the wall.

    Measured: L2 error 8.3e-3, v largest at 1.2076.
    """
    height = 32  # [DELTA]
    split = WIDTH / 2 + 0.5 / CELLS  # between two faces: the curl jumps there [DELTA]
    grid = Grid(WIDTH * CELLS, height * CELLS // 2, WIDTH * DELTA, height * DELTA)
    x_u, y_u = grid.points(0.5, 0)
    taux = STRESS * (y_u / grid.length_y - 0.5) * (x_u > split * DELTA)
    write_fields(tmp_path / "wind.nc", taux=taux, tauy=np.zeros_like(taux))
    groups = gyre(grid, 1800, 10.0, {"wind": "file", "wind_file": "wind.nc"}, free_slip=False)
    groups["viscosity"] = {"laplacian": VISCOSITY}
    records = run_records(tmp_path, groups, steps=12_000, every=6_000)
    assert_steady(records)
    v = records.v[-1, 0, grid.ny // 2 - 1]  # north faces of the southern half: the middle

    interior = -STRESS / grid.length_y / (DENSITY * DEPTH * BETA)
    x = grid.points(0, 0)[0][0] / DELTA
    error = relative_l2(v, interior * no_slip_profile(x, WIDTH, split, derivative=1))
    # the vertex of the parabola through the largest value and its neighbours
    at = int(np.abs(v[: grid.nx // 2]).argmax())
    before, largest, after = v[at - 1 : at + 2]
    position = x[at] + 0.5 * (after - before) / (2 * largest - before - after) / CELLS
    print(f"L2 error of v {error:.2e}, largest v at {position:.4f} layers")
    assert error < 0.03
    assert abs(position / 1.209 - 1) < 0.03
