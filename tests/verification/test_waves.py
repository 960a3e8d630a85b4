# SPDX-License-Identifier: MIT
"""Waves: the frequencies of linear theory, on the C-grid and in the continuum."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest

from verification.experiment import Grid, frequency, run_records

F0 = 1.0e-4  # Coriolis parameter [s-1]
LENGTH_X, LENGTH_Y = 1.0e6, 1.5e6  # one wavelength each [m]
K, L = 2 * np.pi / LENGTH_X, 2 * np.pi / LENGTH_Y  # [m-1]


@dataclass(frozen=True, slots=True)
class Stack:
    """Layers at rest and which of their vertical modes, the fastest first."""

    thickness: tuple[float, ...]  # [m]
    gravity: tuple[float, ...]  # reduced, of each upper interface [m s-2]
    mode: int

    def shape(self) -> tuple[float, np.ndarray]:
        """c^2 [m2 s-2] and velocity of each layer: eigenvalue, eigenvector of G diag(H).

        Layer k feels interface m of depth at most k, which every layer below m lifts:
        G[k, n] = sum of g' over the interfaces above both.
        """
        levels = range(len(self.thickness))
        g = np.array([[sum(self.gravity[: min(k, n) + 1]) for n in levels] for k in levels])
        squares, vectors = np.linalg.eig(g * np.array(self.thickness))
        chosen = np.argsort(squares)[::-1][self.mode]
        return float(squares[chosen]), vectors[:, chosen]


ONE_LAYER = Stack((150.0,), (2.0,), mode=0)
INTERNAL = Stack((100.0, 400.0), (2.0, 1.0), mode=1)


def discrete(c2: float, grid: Grid, coriolis: float = F0) -> float:
    """omega^2 = f^2 cos^2 cos^2 + 4 c^2 (sin^2/dx^2 + sin^2/dy^2) of half phases per cell [s-1]."""
    a, b = K * grid.dx / 2, L * grid.dy / 2
    gravity = 4 * c2 * ((np.sin(a) / grid.dx) ** 2 + (np.sin(b) / grid.dy) ** 2)
    return float(np.sqrt((coriolis * np.cos(a) * np.cos(b)) ** 2 + gravity))


def measured(directory: Path, cells: int, stack: Stack) -> tuple[float, Grid]:
    """Frequency of the travelling wave that is one mode of the C-grid, and the grid."""
    grid = Grid(cells, cells, LENGTH_X, LENGTH_Y)
    c2, layers = stack.shape()
    omega = discrete(c2, grid)
    a, b = K * grid.dx / 2, L * grid.dy / 2
    k, l_, f = 2 * np.sin(a) / grid.dx, 2 * np.sin(b) / grid.dy, F0 * np.cos(a) * np.cos(b)
    # polarisation: from the momentum equations with the grid's own k, l and f
    amplitude = 1e-3 / (omega**2 - f**2)
    u_hat = c2 * (omega * k + 1j * f * l_) * amplitude
    v_hat = c2 * (omega * l_ - 1j * f * k) * amplitude
    h_hat = (omega**2 - f**2) * amplitude  # of h' / H

    def wave(shift_x: float, shift_y: float) -> np.ndarray:
        x, y = grid.points(shift_x, shift_y)
        return np.exp(1j * (K * x + L * y))

    rest = np.array(stack.thickness)[:, None, None]
    profile = layers[:, None, None]
    initial = {
        "u": profile * (u_hat * wave(0.5, 0)).real,
        "v": profile * (v_hat * wave(0, 0.5)).real,
        "h": rest * (1 + profile * (h_hat * wave(0, 0)).real),
    }
    groups = grid.groups(
        list(stack.thickness), list(stack.gravity), f0=F0, periodic_x=True, periodic_y=True
    )
    groups["time"]["dt"] = 100
    groups["dynamics"] = {"linear": True}
    records = run_records(directory, groups, steps=400, every=20, initial=initial)
    top = records.h[:, 0] - stack.thickness[0]
    return frequency(records.time, (top * wave(0, 0).conj()).sum(axis=(-2, -1))), grid


@pytest.mark.parametrize("stack", [ONE_LAYER, INTERNAL], ids=["one_layer", "internal_mode"])
def test_inertia_gravity_wave_of_the_grid(tmp_path: Path, stack: Stack) -> None:
    """Measured relative errors: 2.3e-9 of one layer, 5.3e-10 of the internal mode."""
    omega, grid = measured(tmp_path, 16, stack)
    c2, _ = stack.shape()
    error = omega / discrete(c2, grid) - 1
    print(f"relative error {error:.1e}")
    assert abs(error) < 1e-4, f"relative error {error:.2e}"
    # the grid's averaging of f is seen: without it the frequency would be far outside
    assert abs(omega / discrete(c2, grid, F0 / np.cos(K * grid.dx / 2)) - 1) > 1e-3


def test_inertia_gravity_wave_converges(tmp_path: Path) -> None:
    """Measured: errors 1.8e-2, 4.5e-3, 1.1e-3 at 16, 32, 64 cells; orders 1.98 and 2.00."""
    c2, _ = ONE_LAYER.shape()
    exact = np.sqrt(F0**2 + c2 * (K**2 + L**2))
    errors = np.abs(
        [measured(tmp_path / str(cells), cells, ONE_LAYER)[0] / exact - 1 for cells in (16, 32, 64)]
    )
    orders = np.log2(errors[:-1] / errors[1:])
    print(f"errors {errors}, orders {orders}")
    assert np.all(np.abs(orders - 2) < 0.1), f"errors {errors}, orders {orders}"


def test_rossby_wave(tmp_path: Path) -> None:
    """Mode of a channel in which f varies by 2 %, so that quasi-geostrophy holds.

    Measured relative error: 6.0e-3.
    """
    grid = Grid(40, 32, 1.0e6, 1.0e6)
    beta = 0.02 * F0 / grid.length_y
    speed = 30.0
    thickness = 1000.0
    gravity = speed**2 / thickness
    k, l_ = 2 * np.pi / grid.length_x, np.pi / grid.length_y

    def stream(shift_x: float, shift_y: float) -> np.ndarray:
        x, y = grid.points(shift_x, shift_y)
        return 100.0 * np.sin(l_ * y) * np.cos(k * x)  # [m2 s-1]

    corner = stream(0.5, 0.5)
    south = np.vstack([np.zeros((1, grid.nx)), corner[:-1]])
    initial = {
        "u": -((corner - south) / grid.dy)[None],
        "v": ((corner - np.roll(corner, 1, axis=1)) / grid.dx)[None],
        "h": thickness + (F0 / gravity * stream(0, 0))[None],
    }
    initial["v"][:, -1] = 0
    groups = grid.groups(
        [thickness], [gravity], f0=F0 - beta * grid.length_y / 2, beta=beta, periodic_x=True
    )
    groups["time"]["dt"] = 500
    groups["dynamics"] = {"linear": True}
    records = run_records(tmp_path, groups, steps=15000, every=250, initial=initial)
    x, y = grid.points(0, 0)
    mode = np.sin(l_ * y) * np.exp(-1j * k * x)
    omega = frequency(records.time, ((records.h[:, 0] - thickness) * mode).sum(axis=(-2, -1)))
    exact = -beta * k / (k**2 + l_**2 + (F0 / speed) ** 2)
    print(f"relative error {omega / exact - 1:.2e}")
    assert abs(omega / exact - 1) < 0.02, f"omega {omega:.4e}, theory {exact:.4e}"
    # the divergence is seen: the rigid lid's frequency would be far outside
    assert abs(omega / (-beta * k / (k**2 + l_**2)) - 1) > 0.1
