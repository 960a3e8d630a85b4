# SPDX-License-Identifier: MIT
"""A picture of weights: a benchmark function on the source grid, regridded, and the misfit."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure

from coupler.command.weights import Regridded
from coupler.grids.grid import Array, Grid
from coupler.weights import apply
from coupler.weights.quality import FUNCTIONS, sampled

LAND = "0.85"


def draw_weights(items: list[Regridded], function: str, path: Path) -> None:
    """One row for each pair of grids with places and corners; the ending of `path` says how."""
    matplotlib.use("Agg")
    figure = Figure(figsize=(17, 4.4 * len(items)), layout="constrained", dpi=110)
    for row, item in zip(figure.subplots(len(items), 3, squeeze=False), items, strict=True):
        _draw_one(figure, row.tolist(), item, function)
    figure.savefig(path)


def _draw_one(figure: Figure, row: list[Axes], item: Regridded, function: str) -> None:
    field, expected = (sampled(FUNCTIONS[function], g) for g in (item.source, item.target))
    got = apply(item.weights, field)
    misfit = 100 * np.abs(got - expected) / np.abs(expected)
    low, high = float(field[item.source.mask].min()), float(field[item.source.mask].max())
    worst = max(float(np.nanmax(misfit)), 1e-12)
    titles = (
        f"{function} on {item.source.name}",
        f"on {item.target.name}: {item.report.empty:,} active cells empty",
        f"misfit [%], mean {100 * item.report.functions[function].mean:.3g}",
    )
    fields = (item.source, field, low, high), (item.target, got, low, high)
    for axes, title, (grid, values, least, most), colors in zip(
        row,
        titles,
        (*fields, (item.target, misfit, 0.0, worst)),
        ("viridis", "viridis", "magma_r"),
        strict=True,
    ):
        drawn = _cells(grid, values, colors, least, most)
        axes.add_collection(drawn)
        figure.colorbar(drawn, ax=axes, shrink=0.8)
        axes.set_title(title, fontsize=10)
        axes.set_facecolor(LAND)
        axes.set_aspect("equal")
    _frame(row, (item.source, item.target, item.target))
    row[0].set_ylabel(f"{item.exchange.source} → {item.exchange.target}")


def _cells(grid: Grid, values: Array, colors: str, low: float, high: float) -> PolyCollection:
    """The active cells that have a value, as they lie on the map."""
    assert grid.lon is not None
    assert grid.corner_lon is not None
    assert grid.corner_lat is not None
    shown = grid.mask & np.isfinite(values)
    centre = (grid.lon[shown] % 360.0)[:, None]
    lon = centre + (grid.corner_lon[shown] - centre + 180.0) % 360.0 - 180.0
    cells = PolyCollection(list(np.stack((lon, grid.corner_lat[shown]), axis=-1)))
    cells.set(array=values[shown], cmap=colors, edgecolor="face", linewidth=0.2)
    cells.set_clim(low, high)
    return cells


def _frame(row: list[Axes], grids: tuple[Grid, Grid, Grid]) -> None:
    for axes, grid in zip(row, grids, strict=True):
        assert grid.lon is not None
        assert grid.lat is not None
        lon, lat = grid.lon[grid.mask] % 360.0, grid.lat[grid.mask]
        axes.set_xlim(max(float(lon.min()) - 2.0, 0.0), min(float(lon.max()) + 2.0, 360.0))
        axes.set_ylim(max(float(lat.min()) - 2.0, -90.0), min(float(lat.max()) + 2.0, 90.0))
