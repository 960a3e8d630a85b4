# SPDX-License-Identifier: MIT
"""What the equations keep: rest, the volume of every layer, and energy without friction."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from verification.experiment import Array, Grid, Groups, merged, read_grid, run_records

THICKNESS = [300.0, 500.0, 1200.0]  # [m]
GRAVITY = [0.98, 0.02, 0.01]  # [m s-2]
F0 = 1.0e-4  # [s-1]

# everything that could move a resting ocean, but wind
FRICTION: dict[str, Any] = {
    "viscosity": {"laplacian": 100.0, "biharmonic": 1.0e11, "smagorinsky_biharmonic": 0.06},
    "forcing": {"drag_linear": 3e-4, "drag_quadratic": 2e-3, "drag_rayleigh": 1e-7},
    "closure": {"kind": "zb20", "preset": "reynolds"},
}


def spherical(land: str, **changes: dict[str, Any]) -> Groups:
    """Three layers over a spherical box of 1/2 degree with land."""
    groups = Grid(44, 40, 1.0, 1.0).groups(THICKNESS, GRAVITY)
    box = {"geometry": "spherical", "west": 0.0, "south": 30.0, "width": 22.0, "height": 20.0}
    del groups["grid"]["length_x"], groups["grid"]["length_y"]
    return merged(merged(groups, grid=box | {"land": land}, time={"dt": 450}), **changes)


@pytest.mark.parametrize("land", ["none", "island", "peninsula"])
@pytest.mark.parametrize("free_slip", [True, False], ids=["free_slip", "no_slip"])
def test_rest_stays_at_rest(tmp_path: Path, land: str, free_slip: bool) -> None:
    """Not a bit changes, with every frictional term and the closure switched on."""
    groups = spherical(land, grid={"free_slip": free_slip}, **FRICTION)
    records = run_records(tmp_path, groups, steps=50, every=50)
    assert np.all(records.u == 0)
    assert np.all(records.v == 0)
    assert np.all(records.h[-1] == records.h[0])
    assert np.all(records.h[0] == np.array(THICKNESS)[:, None, None])


@pytest.mark.parametrize("land", ["none", "island", "peninsula"])
def test_volume_of_every_layer(tmp_path: Path, land: str) -> None:
    """Wind, friction and closure on a turbulent jet: what leaves a cell enters its neighbour.

    Measured relative drift: 2.2e-16 at most, one rounding.
    """
    groups = spherical(
        land,
        **merged(FRICTION, forcing={"wind": "double_gyre", "wind_stress": 0.2}),
        initial={"kind": "jet", "jet_speed": 0.4},
    )
    records = run_records(tmp_path, groups, steps=1000, every=1000)
    grid = read_grid(tmp_path)
    area = grid["area_t"] * grid["mask_t"]
    first, last = (np.array([math.fsum((area * layer).flat) for layer in h]) for h in records.h)
    drift = np.abs(last / first - 1)
    moved = np.abs(records.h[-1] - records.h[0]).max()
    print(f"relative drift {drift.max():.1e}, thickness changed by up to {moved:.1f} m")
    assert moved > 10
    assert np.all(drift < 1e-13), drift


def energy(grid: dict[str, Array], gravity: list[float], rest: list[float], state: Any) -> float:
    """Kinetic and available potential energy per density: what the energy scheme conserves.

    sum over faces of area h u^2 / 2 with h the mean of both cells, and over interfaces of
    area g' eta^2 / 2.
    """
    u, v, h = state
    sea = grid["mask_t"]
    eta = np.cumsum((h - np.array(rest)[:, None, None])[::-1], axis=0)[::-1]
    h_u = 0.5 * (h + np.roll(h, -1, axis=-1))
    h_v = 0.5 * (h + np.roll(h, -1, axis=-2))
    terms = 0.5 * (grid["area_u"] * h_u * u**2 + grid["area_v"] * h_v * v**2)
    terms = terms + 0.5 * np.array(gravity)[:, None, None] * grid["area_t"] * sea * eta**2
    return math.fsum(terms.flat)


def eddies(grid: Grid, shift_x: float, shift_y: float) -> Array:
    """Elevations of the interface [m] that meet any walls at rest, and smooth ends."""
    x, y = grid.points(shift_x, shift_y)
    x, y = 2 * np.pi * x / grid.length_x, 2 * np.pi * y / grid.length_y
    return 30.0 * (1 - np.cos(x)) * (1 - np.cos(y)) * (np.sin(x + 1) + np.cos(y - x))


def energy_drift(directory: Path, dt: int, vorticity: str = "energy", **grid_keys: Any) -> float:
    """Relative change of the energy of eddies in two layers without friction, in two days."""
    grid = Grid(24, 20, 1.2e6, 1.0e6)
    thickness, gravity = [400.0, 600.0], [0.98, 0.06]
    groups = grid.groups(thickness, gravity, f0=F0, **grid_keys)
    groups["time"]["dt"] = dt
    groups["dynamics"] = {"vorticity": vorticity}
    # the upper layer's eddies in geostrophic balance, the lower layer at rest below them
    interface = -eddies(grid, 0, 0)
    surface = -gravity[1] / gravity[0] * interface
    psi = gravity[1] / F0 * eddies(grid, 0.5, 0.5)
    u = -(psi - np.roll(psi, 1, axis=0)) / grid.dy
    v = (psi - np.roll(psi, 1, axis=1)) / grid.dx
    initial = {
        "u": np.stack([u, 0 * u]),
        "v": np.stack([v, 0 * v]),
        "h": np.stack([thickness[0] + surface - interface, thickness[1] + interface]),
    }
    steps = 2 * 86400 // dt
    records = run_records(directory, groups, steps=steps, every=steps, initial=initial)
    metrics = read_grid(directory)
    first, last = (
        energy(metrics, gravity, thickness, state)
        for state in zip(records.u, records.v, records.h, strict=True)
    )
    return last / first - 1


@pytest.mark.parametrize(
    "keys",
    [
        {"beta": 2.0e-11},
        {"periodic_x": True, "periodic_y": True},
    ],
    ids=["closed_beta_plane", "doubly_periodic"],
)
def test_energy_drift_is_third_order_in_dt(tmp_path: Path, keys: dict[str, Any]) -> None:
    """The scheme in space conserves energy: what is left is the Runge-Kutta's.

    Measured: orders 2.95 and 2.99 closed, 2.94 and 2.99 periodic.
    """
    drift = [energy_drift(tmp_path / str(dt), dt, **keys) for dt in (400, 200, 100)]
    orders = np.log2(np.array(drift[:-1]) / drift[1:])
    print(f"drift {', '.join(f'{d:.2e}' for d in drift)}; orders {np.round(orders, 3)}")
    assert np.all(orders >= 2.9)
    # the flow is nonlinear enough for an error in space to show
    other = energy_drift(tmp_path / "enstrophy", 100, "enstrophy", **keys)
    print(f"with the enstrophy scheme {other:.2e}")
    assert abs(other) > 1e4 * abs(drift[-1])
