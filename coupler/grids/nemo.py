# SPDX-License-Identifier: MIT
"""NEMO's mesh_mask and domain_cfg: the grid of any of its points T, U, V, F.

The corners of a cell around one kind of point are the four points of another kind around it: F
points around T, V around U, U around V, T around F. Beyond the array they are periodic or folded
images, and beyond a closed edge the grid goes on as it ends.
"""

from __future__ import annotations

from collections.abc import Iterator

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.grids.file import angles, opened, plane, variable
from coupler.grids.grid import Array, Grid, GridError
from coupler.grids.sphere import degrees, direction, points
from coupler.routing.boundary import rectangles
from coupler.spec import FieldSpec, FileGeometry, GridSpec, Point

Places = tuple[NDArray[np.int64], ...]  # of rows and of columns
AROUND: dict[Point, Point] = {"T": "F", "U": "V", "V": "U", "F": "T"}


def size_of_nemo(file: netCDF4.Dataset) -> tuple[int, int]:
    """(nx, ny) as in the file, with the columns and rows that it holds twice."""
    if "glamt" not in file.variables:
        raise GridError(
            f"{file.filepath()}: no variable 'glamt'; is it a NEMO mesh_mask or domain_cfg?"
        )
    ny, nx = file.variables["glamt"].shape[-2:]
    return int(nx), int(ny)


def read_nemo(spec: GridSpec, geometry: FileGeometry) -> Grid:
    """The grid of `geometry.point`. NEMO's masks are 1 where a cell is active.

    A file with two columns more than `spec` where x is periodic, or with a row more where the
    north is folded, repeats them: they are left out.
    """
    point = geometry.point
    with opened(geometry.path) as file:
        place = _trimmed(_places(file, point), spec, geometry)
        around = _trimmed(_places(file, AROUND[point]), spec, geometry)
        mask = _mask(file, spec, geometry)
        area = _trimmed(_area(file, point), spec, geometry)
    corners = _corners(place, around, point, spec)
    lon, lat = degrees(place)
    corner_lon, corner_lat = degrees(corners)
    west = corners[..., 0, :] + corners[..., 3, :]
    east = corners[..., 1, :] + corners[..., 2, :]
    angle = direction(place, west, east)
    return Grid(spec.name, area, mask, lon, lat, corner_lon, corner_lat, angle)


def _places(file: netCDF4.Dataset, point: Point) -> Array:
    """(y, x, 3) on the unit sphere."""
    letter = point.lower()
    return points(plane(angles(file, f"glam{letter}")), plane(angles(file, f"gphi{letter}")))


def _mask(file: netCDF4.Dataset, spec: GridSpec, geometry: FileGeometry) -> NDArray[np.bool_]:
    """(y, x): the mask of the first level; a domain_cfg has the deepest level instead."""
    mask = f"{geometry.point.lower()}mask"
    for name in ("bottom_level", "mbathy"):
        if mask not in file.variables and name in file.variables:
            wet = _trimmed(plane(variable(file, name)), spec, geometry) > 0
            return _open(wet, geometry.point, spec)
    return _trimmed(plane(variable(file, mask)), spec, geometry) > 0.5  # or says what the file has


def _open(wet: NDArray[np.bool_], point: Point, spec: GridSpec) -> NDArray[np.bool_]:
    """Points are open where all T cells around them are; none is beyond a closed edge."""
    ny, nx = wet.shape
    padded = np.zeros((ny + 1, nx + 1), bool)
    for to, from_ in _images("T", spec, (0, ny + 1), (0, nx + 1)):
        padded[to] = wet[from_]
    here, east = padded[:-1, :-1], padded[:-1, 1:]
    north, both = padded[1:, :-1], padded[1:, 1:]
    return {"T": here, "U": here & east, "V": here & north, "F": here & east & north & both}[point]


def _area(file: netCDF4.Dataset, point: Point) -> Array:
    letter = point.lower()
    return plane(variable(file, f"e1{letter}")) * plane(variable(file, f"e2{letter}"))


def _trimmed(array: Array, spec: GridSpec, geometry: FileGeometry) -> Array:
    """Without the columns and rows that the file holds twice."""
    ny, nx = array.shape[:2]
    columns, rows = nx - spec.nx, ny - spec.ny
    periodic, folded = spec.boundary_x == "periodic", spec.north is not None
    if columns not in ((0, 2) if periodic else (0,)) or rows not in ((0, 1) if folded else (0,)):
        raise GridError(
            f"grid '{spec.name}': {geometry.path.name} has {nx} x {ny} cells, got {spec.nx} x "
            f"{spec.ny} in the spec, expected as many (2 columns fewer where x is periodic and "
            "the file repeats two, a row less where the north is folded and it repeats that)"
        )
    first = columns // 2  # of two columns that repeat others, one stands on either side
    return array[: spec.ny, first : first + spec.nx]


def _corners(place: Array, around: Array, point: Point, spec: GridSpec) -> Array:
    """(y, x, 4, 3): counterclockwise from the south-west, of padded points `around`."""
    ny, nx = place.shape[:2]
    low_x, low_y = (-1 if point in "TV" else 0), (-1 if point in "TU" else 0)
    padded = _padded(around, AROUND[point], spec)
    shifts = ((0, 0), (0, 1), (1, 1), (1, 0))
    parts = []
    for j, i in shifts:
        y, x = 1 + low_y + j, 1 + low_x + i
        parts.append(padded[y : y + ny, x : x + nx])
    return np.stack(parts, axis=2)


def _padded(around: Array, point: Point, spec: GridSpec) -> Array:
    """(y + 2, x + 2, 3): one more point on each side."""
    ny, nx = around.shape[:2]
    padded = np.zeros((ny + 2, nx + 2, 3))
    known = np.zeros((ny + 2, nx + 2), bool)
    for to, from_ in _images(point, spec, (-1, ny + 1), (-1, nx + 1)):
        padded[to] = around[from_]
        known[to] = True
    # the grid goes on as it ends: the next point is as far from the edge's as the one before it
    for edge, near, far in ((0, 1, 2), (-1, -2, -3)):
        _continue(padded, known, edge, near, far)
        turned = padded.swapaxes(0, 1), known.swapaxes(0, 1)
        _continue(*turned, edge, near, far)
    return padded


def _images(
    point: Point, spec: GridSpec, rows: tuple[int, int], columns: tuple[int, int]
) -> Iterator[tuple[Places, Places]]:
    """Where in an array of these rows and columns a cell of the grid is shown, and which."""
    field = FieldSpec("place", point, "scalar", "zero", 1, "")
    for part in rectangles(field, spec, *rows, *columns):
        steps = tuple(np.arange(run.length) for run in (part.y, part.x))
        yield (
            np.ix_(part.y.target + steps[0], part.x.target + steps[1]),
            np.ix_(part.y.source + part.y.step * steps[0], part.x.source + part.x.step * steps[1]),
        )


def _continue(padded: Array, known: NDArray[np.bool_], edge: int, near: int, far: int) -> None:
    """Sets the unknown points of row `edge` along the great circles through the next two."""
    a, b = padded[near], padded[far]
    image = 2 * np.sum(a * b, axis=-1, keepdims=True) * a - b
    ready = ~known[edge] & known[near] & known[far]
    padded[edge][ready] = image[ready]
    known[edge] |= ready
