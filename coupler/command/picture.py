# SPDX-License-Identifier: MIT
"""A picture of an ocean run beside its reference: vorticity at the end, energy over time."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure

from coupler.command.run_output import Array, RunOutput, read_run


def draw_run(directory: Path, reference: Path | None) -> Path:
    """Writes `<name>.png` into `directory`. Raises OutputError."""
    runs = [("coupled", read_run(directory))]
    if reference is not None:
        runs.insert(0, ("reference", read_run(reference)))
    path = directory / f"{runs[-1][1].name}.png"
    matplotlib.use("Agg")
    figure = Figure(figsize=(5.2 * len(runs) + 0.6, 8.2), layout="constrained", dpi=130)
    maps = figure.subplot_mosaic(
        [[f"map{n}" for n in range(len(runs))], ["energy"] * len(runs)], height_ratios=[1.6, 1.0]
    )
    limit = _limit([run.vorticity for _, run in runs])
    images = [
        _draw_map(maps[f"map{number}"], label, run, limit)
        for number, (label, run) in enumerate(runs)
    ]
    figure.colorbar(
        images[0],
        ax=[maps[f"map{n}"] for n in range(len(runs))],
        label="relative vorticity ζ / |f|  (upper layer)",
        shrink=0.85,
        extend="both",
    )
    _draw_energy(maps["energy"], runs)
    figure.suptitle(runs[-1][1].name, fontweight="bold")
    figure.savefig(path)
    return path


def _draw_map(axes: Axes, label: str, run: RunOutput, limit: float) -> QuadMesh:
    image = axes.pcolormesh(
        run.x, run.y, run.vorticity, cmap="RdBu_r", vmin=-limit, vmax=limit, shading="nearest"
    )
    axes.set_facecolor("0.75")  # land
    axes.set_title(f"{label}, day {run.days[-1]:.4g}")
    axes.set_xlabel(run.x_label)
    axes.set_ylabel(run.y_label)
    # a degree of longitude is shorter than one of latitude
    middle = np.deg2rad(run.y.mean()) if "latitude" in run.y_label else 0.0
    axes.set_aspect(1.0 / np.cos(middle))
    return image


def _draw_energy(axes: Axes, runs: list[tuple[str, RunOutput]]) -> None:
    styles = {"reference": ("0.35", "--"), "coupled": ("C3", "-")}
    scale, unit = energy_unit(max(float(run.energy.max()) for _, run in runs))
    for label, run in runs:
        color, style = styles[label]
        axes.plot(run.days, run.energy / scale, style, color=color, lw=1.8, label=label)
    axes.set_xlabel("time [days]")
    axes.set_ylabel(f"kinetic energy [{unit}]")
    first, last = runs[0][1].days[0], max(run.days[-1] for _, run in runs)
    axes.set_xlim(first, last if last > first else first + 1.0)  # one record has no length
    axes.margins(y=0.15)
    axes.grid(alpha=0.3)
    axes.legend(frameon=False)


def energy_unit(largest: float) -> tuple[float, str]:
    """The largest unit of energy that keeps `largest` above 1."""
    for scale, unit in ((1e15, "PJ"), (1e12, "TJ"), (1e9, "GJ")):
        if largest >= scale:
            return scale, unit
    return 1.0, "J"


def _limit(fields: list[Array]) -> float:
    """A symmetric colour range that a few extreme cells do not decide."""
    values = np.concatenate([np.abs(field[np.isfinite(field)]) for field in fields])
    return float(np.percentile(values, 99.5)) or 1.0 if values.size else 1.0
