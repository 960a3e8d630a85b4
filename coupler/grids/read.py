# SPDX-License-Identifier: MIT
"""Grids in NetCDF files: CF, NEMO mesh_mask and domain_cfg, OASIS grids.nc, SCRIP."""

from __future__ import annotations

from dataclasses import replace

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.grids.file import angles, opened, plane, variable
from coupler.grids.grid import Array, Grid, GridError, cell_areas, corners_of, onwards
from coupler.grids.nemo import read_nemo, size_of_nemo
from coupler.grids.sphere import RADIUS, direction, points, polygon_area
from coupler.spec import FileGeometry, GridSpec


def read_grid(spec: GridSpec, geometry: FileGeometry) -> Grid:
    """Raises GridError, and OSError of a file that is not there."""
    if geometry.kind == "nemo":
        return read_nemo(spec, geometry)
    read = {"cf": _read_cf, "oasis": _read_oasis, "scrip": _read_scrip}[geometry.kind]
    grid = read(spec.name, geometry)
    if grid.corner_lon is None or grid.corner_lat is None:
        return grid
    if grid.corner_lon.shape[-1] != 4:
        raise GridError(
            f"{geometry.path}: got {grid.corner_lon.shape[-1]} corners of a cell, expected 4"
        )
    corners = _ordered(points(grid.corner_lon, grid.corner_lat), grid)
    lon = np.take_along_axis(grid.corner_lon, corners, axis=-1)
    lat = np.take_along_axis(grid.corner_lat, corners, axis=-1)
    place = points(lon, lat)
    west, east = place[..., 0, :] + place[..., 3, :], place[..., 1, :] + place[..., 2, :]
    angle = direction(grid.centres.reshape(*grid.shape, 3), west, east)
    grid = replace(grid, corner_lon=lon, corner_lat=lat, angle=angle)
    known = np.isfinite(grid.area)  # a file may have none, or none of land
    return grid if known.all() else replace(grid, area=np.where(known, grid.area, cell_areas(grid)))


def size_in_file(geometry: FileGeometry) -> tuple[int, int]:
    """(nx, ny). Raises GridError, and OSError of a file that is not there."""
    with opened(geometry.path) as file:
        if geometry.kind == "nemo":
            return size_of_nemo(file)
        if geometry.kind == "scrip":
            ny, nx = _scrip_shape(file)
        elif geometry.kind == "oasis":
            ny, nx = variable(file, f"{geometry.prefix}.lon").shape
        else:
            lon, lat = _cf_places(file)
            ny, nx = lon.shape if lon.ndim == 2 else (lat.size, lon.size)
    return int(nx), int(ny)


def _ordered(corners: Array, grid: Grid) -> NDArray[np.intp]:
    """(y, x, 4): which corner of the file is the first, second... of Grid, alike in all cells.

    Files agree on corners that go around the cell, not on where they begin and which way they go.
    The corners of least i and j are those next to the centres of the cells before.
    """
    centres = grid.centres.reshape(*grid.shape, 3)
    ny, nx = grid.shape
    if ny * nx < 2:
        order = np.arange(4)
    elif ny < 2 or nx < 2:
        order = _in_line(corners.reshape(-1, 4, 3), grid)
    else:
        inner = corners[1:, 1:], centres[:-1, :-1]
        far = ((inner[0] - inner[1][..., None, :]) ** 2).sum(axis=-1)
        active = grid.mask[1:, 1:] & grid.mask[:-1, :-1]
        chosen = far[active] if active.any() else far.reshape(-1, 4)
        first = int(np.bincount(chosen.argmin(axis=-1), minlength=4).argmax())
        beside = ((corners[1:, :-1] - centres[:-1, 1:][..., None, :]) ** 2).sum(axis=-1)
        active = grid.mask[1:, :-1] & grid.mask[:-1, 1:]
        chosen = beside[active] if active.any() else beside.reshape(-1, 4)
        second = int(np.bincount(chosen.argmin(axis=-1), minlength=4).argmax())
        step = 1 if (first + 1) % 4 == second else -1
        order = (first + step * np.arange(4)) % 4
    return np.broadcast_to(order, (*grid.shape, 4))


def _in_line(corners: Array, grid: Grid) -> NDArray[np.intp]:
    """(4,): `_ordered` of a single row or column, seen with j to the left of i.

    The side between a cell and the one before it is that nearest to the centre of that one.
    """
    far = ((corners[1:] - grid.centres[:-1, None]) ** 2).sum(axis=-1)
    side = far + np.roll(far, -1, axis=-1)  # of each corner and the next
    mask = grid.mask.ravel()
    active = mask[1:] & mask[:-1]
    chosen = side[active] if active.any() else side
    start = int(np.bincount(chosen.argmin(axis=-1), minlength=4).argmax())
    left = bool(np.median(polygon_area(corners)[mask]) > 0) if mask.any() else True
    # going left, the side is that from the last corner to the first, in a column from the first on
    first = start + (left == (grid.shape[0] == 1))
    return (first + (1 if left else -1) * np.arange(4)) % 4


def _cf_names(file: netCDF4.Dataset) -> tuple[str, str]:
    """Of longitude and latitude: by standard_name, units or name."""
    found = []
    corners = {getattr(item, "bounds", None) for item in file.variables.values()}
    for name, units in (("longitude", "degrees_east"), ("latitude", "degrees_north")):
        names = [
            key
            for key, item in file.variables.items()
            if getattr(item, "standard_name", key) == name
            or getattr(item, "units", "") == units
            or key in (name[:3], f"nav_{name[:3]}")
        ]
        names = [key for key in names if "bnds" not in key and "bounds" not in key]
        names = [key for key in names if key not in corners]
        if not names:
            raise GridError(
                f"{file.filepath()}: no variable with standard_name '{name}' or units '{units}'; "
                "is it a CF file?"
            )
        found.append(names[0])
    return found[0], found[1]


def _cf_places(file: netCDF4.Dataset) -> tuple[Array, Array]:
    """Longitude and latitude; one- or two-dimensional."""
    lon, lat = _cf_names(file)
    return plane(angles(file, lon)), plane(angles(file, lat))


def _cf_field(file: netCDF4.Dataset, name: str) -> Array:
    """(y, x) of a variable that has its dimensions in either order."""
    lon, lat = (file.variables[key].dimensions for key in _cf_names(file))
    values = plane(variable(file, name))
    turned = len(lon) == len(lat) == 1 and file.variables[name].dimensions[-2:] == (*lon, *lat)
    return values.T if turned else values


def _read_cf(name: str, geometry: FileGeometry) -> Grid:
    """Axes or curvilinear; corners of `bounds`, areas of cell_area, the mask of sea_binary_mask."""
    with opened(geometry.path) as file:
        lon, lat = _cf_places(file)
        bounds = [_bounds(file, of) for of in ("lon", "lat")]
        extras = {getattr(item, "standard_name", key): key for key, item in file.variables.items()}
        area = _cf_field(file, extras["cell_area"]) if "cell_area" in extras else None
        mask = None
        for known in ("sea_binary_mask", "mask"):
            if known in extras and mask is None:
                mask = _cf_field(file, extras[known])
    corner_lon, corner_lat = bounds
    if lon.ndim == 1:
        if corner_lon is not None and corner_lat is not None:
            x, y = (np.append(b[:, 0], b[-1, 1]) for b in (corner_lon, corner_lat))
        elif lon.size > 1 and lat.size > 1:
            x, y = _edges(onwards(lon)), np.clip(_edges(lat), -90.0, 90.0)
        else:
            raise GridError(
                f"{geometry.path}: got {lon.size} x {lat.size} cells without bounds, expected "
                "those: where a single one ends, its centre does not say"
            )
        corner_lon, corner_lat = corners_of(onwards(x), y)
        lon, lat = np.meshgrid(lon, lat)
    active = np.ones(lon.shape, bool) if mask is None else np.nan_to_num(mask) > 0.5
    nothing = np.full(lon.shape, np.nan)
    return Grid(name, nothing if area is None else area, active, lon, lat, corner_lon, corner_lat)


def _bounds(file: netCDF4.Dataset, of: str) -> Array | None:
    full = {"lon": "longitude", "lat": "latitude"}[of]
    for key, item in file.variables.items():
        is_it = getattr(item, "standard_name", "") == full or key in (of, full, f"nav_{of}")
        if is_it and getattr(item, "bounds", None) in file.variables:
            values = variable(file, item.bounds)
            units = str(getattr(file.variables[item.bounds], "units", getattr(item, "units", "")))
            return np.degrees(values) if units.lower().startswith("rad") else values
    return None


def _edges(centres: Array) -> Array:
    """Halfway between the centres."""
    middle = (centres[1:] + centres[:-1]) / 2
    return np.concatenate(([2 * centres[0] - middle[0]], middle, [2 * centres[-1] - middle[-1]]))


def _read_oasis(name: str, geometry: FileGeometry) -> Grid:
    """grids.nc, and beside it masks.nc (0: active) and areas.nc."""
    prefix = geometry.prefix
    with opened(geometry.path) as file:
        lon, lat = angles(file, f"{prefix}.lon"), angles(file, f"{prefix}.lat")
        corner_lon = corner_lat = None
        if f"{prefix}.clo" in file.variables:
            corner_lon = np.moveaxis(angles(file, f"{prefix}.clo"), 0, -1)
            corner_lat = np.moveaxis(angles(file, f"{prefix}.cla"), 0, -1)
    folder = geometry.path.parent
    mask, area = np.ones(lon.shape, bool), np.full(lon.shape, np.nan)
    if (folder / "masks.nc").is_file():
        with opened(folder / "masks.nc") as file:
            mask = variable(file, f"{prefix}.msk") < 0.5
    if (folder / "areas.nc").is_file():
        with opened(folder / "areas.nc") as file:
            area = variable(file, f"{prefix}.srf")
    return Grid(name, area, mask, lon, lat, corner_lon, corner_lat)


def _scrip_shape(file: netCDF4.Dataset) -> tuple[int, int]:
    dims = variable(file, "grid_dims").astype(int).tolist()
    if len(dims) != 2:
        raise GridError(
            f"{file.filepath()}: got {len(dims)} grid_dims, expected 2: a grid of x and y"
        )
    nx, ny = dims
    return ny, nx


def _read_scrip(name: str, geometry: FileGeometry) -> Grid:
    """grid_imask is 1 where a cell is active; grid_area is in square radians."""
    with opened(geometry.path) as file:
        shape = _scrip_shape(file)
        lon, lat = (angles(file, f"grid_center_{axis}").reshape(shape) for axis in ("lon", "lat"))
        corner_lon = corner_lat = None
        if "grid_corner_lon" in file.variables:
            corner_lon = angles(file, "grid_corner_lon").reshape(*shape, -1)
            corner_lat = angles(file, "grid_corner_lat").reshape(*shape, -1)
        mask, area = np.ones(shape, bool), np.full(shape, np.nan)
        if "grid_imask" in file.variables:
            mask = variable(file, "grid_imask").reshape(shape) > 0.5
        if "grid_area" in file.variables:
            area = variable(file, "grid_area").reshape(shape) * RADIUS**2
    return Grid(name, area, mask, lon, lat, corner_lon, corner_lat)
