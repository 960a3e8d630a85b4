# SPDX-License-Identifier: MIT
"""How good weights are: the benchmark of Valcke, Piacentini and Jonville 2022 (Mathematical and
Computational Applications 27, 31), its four functions and its metrics."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from coupler.grids.grid import Array, Grid, GridError
from coupler.weights import Weights, apply

Function = Callable[[Array, Array], Array]


def sinusoid(lon: Array, lat: Array) -> Array:
    """Smooth, of the size of the sphere; of radians, as all of them."""
    value: Array = 2.0 - np.cos(np.pi * np.arccos(np.cos(lon) * np.cos(lat)) / (1.2 * np.pi))
    return value


def harmonic(lon: Array, lat: Array) -> Array:
    """16 waves around the sphere, largest at 45 degrees north and south."""
    value: Array = 2.0 + np.sin(2.0 * lat) ** 16 * np.cos(16.0 * lon)
    return value


def vortex(lon: Array, lat: Array) -> Array:
    """Two vortices rolled up for t = 6: Nair and Machenhauer 2002."""
    lon0, lat0, r0, d, t = 5.5, 0.2, 3.0, 5.0, 6.0
    east = np.cos(lat) * np.sin(lon - lon0)
    middle = np.cos(lat) * np.cos(lon - lon0)
    turned_lon = np.arctan2(east, np.sin(lat0) * middle - np.cos(lat0) * np.sin(lat))
    up = np.clip(np.sin(lat0) * np.sin(lat) + np.cos(lat0) * middle, -1.0, 1.0)
    rho = r0 * np.sqrt(1.0 - up**2)
    speed = 1.5 * np.sqrt(3.0) * np.tanh(rho) / np.cosh(rho) ** 2
    omega = np.divide(speed, rho, out=np.zeros_like(rho), where=rho > 0)
    value: Array = 2.0 * (1.0 + np.tanh(rho / d * np.sin(turned_lon - omega * t)))
    return value


def gulfstream(lon: Array, lat: Array) -> Array:
    """The sinusoid with a narrow meandering jet off North America."""
    degree = np.pi / 180.0
    x, y = ((lon + np.pi) % (2 * np.pi) - np.pi + 80.0 * degree), lat - 25.0 * degree
    r0 = degree * np.hypot(-1.8 + 80.0, 50.0 - 25.0)  # the jet ends here
    r1 = degree * np.hypot(-25.5 + 80.0, 55.5 - 25.0)  # and begins to fade here
    r, angle = np.hypot(x, y), np.arctan2(y, x)
    height = np.where(r > r1, 1.3 * np.cos(np.pi / 2 * (r - r1) / (r0 - r1)), 1.3)
    height = np.where(r > r0, 0.0, height)
    wave = 1000.0 * np.sin(0.4 * (0.5 * r + angle) + 0.007 * np.cos(50.0 * angle) + 0.37 * np.pi)
    value: Array = sinusoid(lon, lat) + np.maximum(wave - 999.0, 0.0) * height
    return value


FUNCTIONS: dict[str, Function] = {
    "sinusoid": sinusoid,
    "harmonic": harmonic,
    "vortex": vortex,
    "gulfstream": gulfstream,
}


@dataclass(frozen=True)
class Quality:
    """The metrics for one function; misfits are |R - psi| / |psi| over mapped target cells.

    R is the regridded field and psi the function, both at the centres of the target cells.
    """

    mean: float
    greatest: float
    rms: float
    below: float  # L_min: by how much R is below the least psi, of the greatest |psi|
    above: float  # L_max
    source_conservation: float | None  # |I_t(R) - I_s| / |I_s|; None without areas
    target_conservation: float | None  # |I_t(R) - I_t(psi)| / |I_t(psi)|


@dataclass(frozen=True)
class Report:
    """What can be said of weights: links, empty cells, row sums, and functions where there are
    places."""

    links: int
    active: int  # target cells
    empty: int  # active target cells without links
    filled: int  # by a fallback: they have links, and no part in what is conserved
    row_sums: tuple[float, float]  # least and greatest over mapped cells
    covered: float | None  # of the active source area, what active target cells cover
    functions: dict[str, Quality]


def sampled(function: Function, grid: Grid) -> Array:
    """(y, x): at the centres. Raises GridError of a grid without places."""
    if grid.lon is None or grid.lat is None:
        raise GridError(f"grid '{grid.name}' has no geometry: say where its cells are")
    return function(np.radians(grid.lon), np.radians(grid.lat))


def report(weights: Weights, source: Grid, target: Grid) -> Report:
    mapped, active = weights.mapped, target.mask.ravel()
    sums = weights.row_sums()[mapped]
    functions = {}
    if source.lon is not None and target.lon is not None:
        functions = {
            name: quality(weights, sampled(function, source), sampled(function, target))
            for name, function in FUNCTIONS.items()
        }
    covered = None
    if weights.source_area is not None:
        covered = float(weights.source_area.sum() / source.active_area.sum())
    return Report(
        weights.value.size,
        int(active.sum()),
        int((active & ~mapped).sum()),
        int((mapped & (weights.fraction == 0)).sum()),
        (float(sums.min()), float(sums.max())) if sums.size else (0.0, 0.0),
        covered,
        functions,
    )


def quality(weights: Weights, field: Array, expected: Array) -> Quality:
    """Of `field` (y, x) on the source grid and what it should be on the target grid."""
    mapped = weights.mapped
    got, psi = apply(weights, field).ravel()[mapped], expected.ravel()[mapped]
    if not got.size:
        raise GridError("the weights have no links: the grids have no cell in common")
    misfit = np.abs(got - psi) / np.abs(psi)
    scale = float(np.abs(psi).max())
    source_error = target_error = None
    if weights.source_area is not None and weights.target_area is not None:
        area = weights.counted_area()[mapped]
        there, ideal = float((area * got).sum()), float((area * psi).sum())
        source_integral = float((weights.source_area * field.ravel()).sum())
        source_error = abs(there - source_integral) / abs(source_integral)
        target_error = abs(there - ideal) / abs(ideal)
    return Quality(
        float(misfit.mean()),
        float(misfit.max()),
        float(np.sqrt((misfit**2).mean())),
        float(psi.min() - got.min()) / scale,
        float(got.max() - psi.max()) / scale,
        source_error,
        target_error,
    )
