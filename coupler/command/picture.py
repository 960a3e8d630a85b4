# SPDX-License-Identifier: MIT
"""A picture of an ocean run beside its reference: vorticity at the end, energy over time."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import matplotlib
import netCDF4
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.figure import Figure
from numpy.typing import NDArray

Array = NDArray[np.float64]

DAY = 86400.0  # [s]
UNITS = {"second": 1.0, "minute": 60.0, "hour": 3600.0, "day": DAY}  # [s]
GRID_NAMES = ("x_f", "y_f", "dx_u", "dy_v", "area_t", "area_f", "coriolis_f", "mask_t", "mask_f")
DENSITY = 1035.0  # [kg m-3]
KILOMETRE = 1000.0  # [m]


class PictureError(Exception):
    """The files of a run do not hold what the picture shows."""


@dataclass(frozen=True)
class RunOutput:
    """What the picture shows of one run."""

    name: str
    x: Array  # of corners, in `x_label`'s unit
    y: Array
    x_label: str
    y_label: str
    days: Array  # (time)
    vorticity: Array  # (y, x) of the top layer at the last record, over |f|
    energy: Array  # (time) [J]


def draw_run(directory: Path, reference: Path | None) -> Path:
    """Writes `<name>.png` into `directory`. Raises PictureError."""
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
    axes.set_xlim(runs[0][1].days[0], max(run.days[-1] for _, run in runs) or 1.0)
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


def read_run(directory: Path) -> RunOutput:
    """The run in `directory`: `<name>_grid.nc` and the stream with uo, vo. Raises PictureError."""
    grids = sorted(directory.glob("*_grid.nc"))
    if not grids:
        raise PictureError(f"no *_grid.nc in {directory}; set grid_file in the model's namelist")
    if len(grids) > 1:
        names = ", ".join(path.name for path in grids)
        raise PictureError(f"{directory} holds several runs: {names}; give each its own directory")
    name = grids[0].name.removesuffix("_grid.nc")
    with netCDF4.Dataset(grids[0]) as file:
        missing = [key for key in GRID_NAMES if key not in file.variables]
        if missing:
            raise PictureError(f"{grids[0]} has no {', '.join(missing)}")
        grid = {key: _plain(file[key][:]) for key in GRID_NAMES}
        (x, x_label), (y, y_label) = _axis(file, "x_f"), _axis(file, "y_f")
    with netCDF4.Dataset(_stream(directory, name)) as file:
        time = file["time"]
        unit = str(time.units).split()[0].rstrip("s")
        days = _plain(time[:]) * UNITS.get(unit, DAY) / DAY
        energy = [
            kinetic_energy(_plain(file["uo"][n]), _plain(file["vo"][n]), _plain(h), grid)
            for n, h in enumerate(file["thickness"])
        ]
        vorticity = vorticity_over_f(_plain(file["uo"][-1, 0]), _plain(file["vo"][-1, 0]), grid)
    return RunOutput(name, x, y, x_label, y_label, days, vorticity, np.array(energy))


def _stream(directory: Path, name: str) -> Path:
    """The file with velocities and thickness that has most records."""
    records: dict[Path, int] = {}
    for path in sorted(directory.glob(f"{name}_*.nc")):
        with netCDF4.Dataset(path) as file:
            if {"uo", "vo", "thickness", "time"} <= set(file.variables):
                records[path] = len(file["time"])
    if not records or max(records.values()) == 0:
        raise PictureError(f"no output stream with uo, vo and thickness in {directory}")
    return max(records, key=lambda path: records[path])


def _axis(file: netCDF4.Dataset, name: str) -> tuple[Array, str]:
    """A coordinate of corners, which varies along its own axis only, with its label."""
    values = _plain(file[name][:])
    if values.ndim == 2:
        values = values[0] if name.startswith("x") else values[:, 0]
    unit = str(getattr(file[name], "units", ""))
    if unit.startswith("degree"):
        return values, "longitude [°E]" if name.startswith("x") else "latitude [°N]"
    return values / KILOMETRE, f"{name[0]} [km]"


def _plain(values: NDArray[np.floating]) -> Array:
    """Missing values become 0: closed faces and land carry nothing."""
    return np.asarray(np.ma.filled(np.ma.asarray(values, dtype=np.float64), 0.0))


def vorticity_over_f(u: Array, v: Array, grid: dict[str, Array]) -> Array:
    """ζ / |f| at corners (y, x), north-east of each cell; NaN off the inner corners."""
    v_dy, u_dx = v * grid["dy_v"], u * grid["dx_u"]
    # round the end is right where the grid is periodic; elsewhere the corner is masked
    circulation = (np.roll(v_dy, -1, axis=1) - v_dy) - (np.roll(u_dx, -1, axis=0) - u_dx)
    inner = grid["mask_f"] > 0
    planetary = np.abs(grid["coriolis_f"]) * grid["area_f"]
    known = inner & (planetary > 0)
    return np.where(known, circulation / np.where(known, planetary, 1.0), np.nan)


def kinetic_energy(u: Array, v: Array, thickness: Array, grid: dict[str, Array]) -> float:
    """[J] of u, v [m s-1], thickness [m] (level, y, x): squares of faces averaged to cells."""
    # the west wall of a closed basin is outside the array, and its east wall, 0 too, comes round
    west, south = np.roll(u, 1, axis=-1), np.roll(v, 1, axis=-2)
    square = 0.5 * (u**2 + west**2 + v**2 + south**2)
    mass = DENSITY * thickness * grid["area_t"] * grid["mask_t"]
    return float(0.5 * (mass * square).sum())
