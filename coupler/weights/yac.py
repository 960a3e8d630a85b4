# SPDX-License-Identifier: MIT
"""Weights made by YAC, in a process of its own: its MPI and its aborts never touch this one.

The grids go there in a file, the weights come back as YAC's weight file. Conservative weights are
asked for by destination area, which says how much of each target cell is covered; the other
normalisation follows from that.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import numpy as np

from coupler.grids.grid import Grid, axes_of, cell_areas
from coupler.grids.sphere import degrees
from coupler.spec import Method, Normalisation
from coupler.weights import Weights, WeightsError, weights_of
from coupler.weights.io import read_weights
from coupler.weights.own import covered_area

TIME_LIMIT = 1800.0  # [s]
# an outer job's variables would make the process a rank of it
LAUNCHERS = ("OMPI_", "PMIX_", "PMI_", "PRTE_", "MPI_", "HYDRA_", "SLURM_", "ORTE_")


def yac_version() -> str | None:
    try:
        return version("yac")
    except PackageNotFoundError:
        return None


def yac_weights(
    source: Grid,
    target: Grid,
    method: Method,
    normalisation: Normalisation,
    time_limit: float = TIME_LIMIT,
) -> Weights:
    """Raises WeightsError where YAC is not installed, fails, or takes longer than `time_limit` [s];
    GridError where a grid has no places, or no corners."""
    if yac_version() is None:
        raise WeightsError(
            f"{method} weights from {source} to {target} are made by YAC, which is not installed; "
            "pip install 'halocline[regrid]'"
        )
    shapes = source.shape, target.shape
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_grid(folder / "source.npz", source)
        _write_grid(folder / "target.npz", target)
        _run(folder, method, time_limit)
        made = read_weights(folder / "weights.nc", *shapes)
        second = method == "conservative2"
        first = read_weights(folder / "first.nc", *shapes) if second else made
    if method not in ("conservative", "conservative2"):
        return _with_areas(made, source, target)
    return _conserving(made, first, source, target, normalisation)


def _conserving(
    made: Weights, first: Weights, source: Grid, target: Grid, normalisation: Normalisation
) -> Weights:
    """Of weights by destination area; those of first order are the shares that cells cover."""
    fraction = first.row_sums()
    areas = [np.where(grid.mask, cell_areas(grid), 0.0).ravel() for grid in (source, target)]
    overlap = np.bincount(
        first.source, first.value * areas[1][first.target], first.source_cells
    ).astype(np.float64)
    value = made.value
    if normalisation == "fraction":
        value = value / made.row_sums()[made.target]
    return weights_of(
        made.source_shape,
        made.target_shape,
        made.target,
        made.source,
        value,
        np.minimum(fraction, 1.0),
        covered_area(areas[0], overlap),
        areas[1],
    )


def _write_grid(path: Path, grid: Grid) -> None:
    """The active cells alone; of the points that are their corners, each once; in radians."""
    cells = np.flatnonzero(grid.mask)
    places = grid.corners[cells]
    # points are equal within 1e-9 (6 mm); the shift keeps round numbers off the bins' edges
    keys = np.floor(places.reshape(-1, 3) * 1e9 + 0.3712).astype(np.int64)
    _, first, number = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    vertices = number.reshape(-1, places.shape[1])
    # a corner that comes twice in a row, as at a pole, is one; an edge has a length
    kept = vertices != np.roll(vertices, 1, axis=1)
    lon, lat = (np.radians(part) for part in degrees(places.reshape(-1, 3)[first]))
    centre_lon, centre_lat = (np.radians(part) for part in degrees(grid.centres[cells]))
    np.savez(
        path,
        cells=cells,
        size=grid.mask.size,
        lon=centre_lon,
        lat=centre_lat,
        vertex_lon=lon,
        vertex_lat=lat,
        corners_of_cell=kept.sum(axis=1).astype(np.int32),
        vertices=vertices[kept].astype(np.int32),
        on_parallels=axes_of(grid) is not None,
    )


def _run(folder: Path, method: Method, time_limit: float) -> None:
    """Raises WeightsError with the last of what YAC said."""
    words = [sys.executable, "-m", "coupler.weights.yac_job", str(folder), method]
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(LAUNCHERS)
    } | {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    try:
        done = subprocess.run(
            words,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=time_limit,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise WeightsError(
            f"YAC made no weights in {time_limit:g} s, and was ended; take a smaller grid, or "
            "another method"
        ) from error
    if done.returncode or not (folder / "weights.nc").is_file():
        said = "\n  ".join(_told(done.stdout.strip().splitlines())) or "nothing"
        raise WeightsError(f"YAC failed with exit code {done.returncode} and said:\n  {said}")


def _told(lines: list[str]) -> list[str]:
    """The lines that name an error, without MPI's notice of the abort; else the last ones."""
    named = [line for line in lines if "rror" in line and "errorcode" not in line]
    return (named or lines)[-8:]


def _with_areas(made: Weights, source: Grid, target: Grid) -> Weights:
    """Of weights that do not conserve: the grids' areas say by how much."""
    areas = source.active_area, target.active_area
    links = made.target, made.source, made.value
    return weights_of(made.source_shape, made.target_shape, *links, made.fraction, *areas)
