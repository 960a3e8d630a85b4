# SPDX-License-Identifier: MIT
"""Weights of the two components of a vector, which turn as the grids do.

A vector is the same arrow in space on both grids: at each source cell its components along the grid
make a vector in three dimensions, these are averaged, and the mean is taken apart along the target
grid. Near a pole, where east is another direction in each cell, nothing is lost.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from coupler.grids.grid import Grid, GridError
from coupler.regridding.regrid import shown_cells, sparse
from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec, GridSpec, Kind, Point
from coupler.weights import Weights, weights_of

Array = NDArray[np.float64]
KINDS: tuple[Kind, Kind] = ("vector_i", "vector_j")
Way = Literal["to_worker", "to_model"]
FACES: tuple[Point, Point] = ("U", "V")


class Pair(NamedTuple):
    """What one component of the target takes of the source's two."""

    i: Weights
    j: Weights


def vector_weights(
    weights: Weights, source: Grid, target: Grid, model: GridSpec, way: Way, faces: bool
) -> tuple[Pair, Pair]:
    """Weights of the components along i and along j; `weights` are those of T points.

    `way`: to_worker or to_model. `faces`: the model's components are at U and V points. They are
    averaged to T points before they are turned, or after. Raises GridError without places.
    """
    matrix = _matrix(weights)
    from_, to = directions(source), directions(target)
    turned = [[_turned(matrix, t, s) for s in from_] for t in to]
    if faces and way == "to_worker":
        means = [centred(model, axis) for axis in (0, 1)]
        turned = [[part @ mean for part, mean in zip(row, means, strict=True)] for row in turned]
    elif faces:
        turned = [[on_faces(model, axis) @ part for part in turned[axis]] for axis in (0, 1)]
    shapes = weights.source_shape, weights.target_shape
    pairs = [Pair(*(_weights(part, shapes) for part in row)) for row in turned]
    return pairs[0], pairs[1]


def _matrix(weights: Weights) -> Any:
    links = weights.value, (weights.target, weights.source)
    return sparse().csr_array(links, shape=(weights.target_cells, weights.source_cells))


def _turned(matrix: Any, target: Array, source: Array) -> Any:
    """Each link times the cosine of the angle between the two directions."""
    links = matrix.tocoo()
    cosine = (target[links.row] * source[links.col]).sum(axis=1)
    return sparse().csr_array((links.data * cosine, (links.row, links.col)), shape=matrix.shape)


def _weights(matrix: Any, shapes: tuple[tuple[int, int], tuple[int, int]]) -> Weights:
    links = matrix.tocoo()
    return weights_of(*shapes, links.row, links.col, links.data)


def centred(grid: GridSpec, axis: int) -> Any:
    """(T points, faces): the mean of the two faces of each cell across x (0) or y (1)."""
    field = FieldSpec("", FACES[axis], KINDS[axis], "zero", 1, "")
    before = Box(-1, grid.nx - 1, 0, grid.ny) if axis == 0 else Box(0, grid.nx, -1, grid.ny - 1)
    return _means(grid, field, before)


def on_faces(grid: GridSpec, axis: int) -> Any:
    """(faces, T points): the mean of the two cells of each face; 0 on a wall."""
    field = FieldSpec("", "T", KINDS[axis], "zero", 1, "")
    behind = Box(1, grid.nx + 1, 0, grid.ny) if axis == 0 else Box(0, grid.nx, 1, grid.ny + 1)
    return _means(grid, field, behind, wall=True)


def _means(grid: GridSpec, field: FieldSpec, shifted: Box, wall: bool = False) -> Any:
    """Half of what each cell of the grid shows, and half of what `shifted` does, with its sign."""
    targets = np.arange(grid.nx * grid.ny)
    rows, columns, values = [], [], []
    near, near_sign = shown_cells(field, grid, Box(0, grid.nx, 0, grid.ny))
    far, far_sign = shown_cells(field, grid, shifted)
    there = far.ravel() >= 0
    weight = np.where(there, 0.5, 0.0) if wall else np.full(len(targets), 0.5)
    for cells, signs, kept in (
        (near.ravel(), near_sign.ravel(), near.ravel() >= 0),
        (far.ravel(), far_sign.ravel(), there),
    ):
        rows.append(targets[kept])
        columns.append(cells[kept])
        values.append((weight * signs)[kept])
    links = np.concatenate(values), (np.concatenate(rows), np.concatenate(columns))
    return sparse().csr_array(links, shape=(len(targets), len(targets)))


def directions(grid: Grid) -> tuple[Array, Array]:
    """(cells, 3) twice: unit vectors along i and along j. Raises GridError without corners."""
    if grid.lon is None or grid.lat is None:
        raise GridError(f"grid '{grid.name}' has no geometry: say where its cells are")
    if grid.corner_lon is None or grid.angle is None:
        raise GridError(
            f"grid '{grid.name}' has no corners, which say where i and j point: take a file that "
            "has them"
        )
    lon, lat = (np.radians(angle).ravel() for angle in (grid.lon, grid.lat))
    east = np.stack((-np.sin(lon), np.cos(lon), np.zeros_like(lon)), axis=1)
    north = np.stack((-np.sin(lat) * np.cos(lon), -np.sin(lat) * np.sin(lon), np.cos(lat)), axis=1)
    cos, sin = np.cos(grid.angle).reshape(-1, 1), np.sin(grid.angle).reshape(-1, 1)
    left = cos * north - sin * east
    # j is to the left of i, on a mirrored grid, such as one that goes south, to the right
    corners = grid.corners
    along_j = corners[:, 2] + corners[:, 3] - corners[:, 0] - corners[:, 1]
    mirrored = np.median(np.sum(left * along_j, axis=1)[grid.mask.ravel()]) < 0
    return cos * east + sin * north, -left if mirrored else left
