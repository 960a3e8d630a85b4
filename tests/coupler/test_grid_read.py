# SPDX-License-Identifier: MIT
"""Grids of NetCDF files: NEMO, CF, OASIS, SCRIP, written here from a grid that is known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import netCDF4
import numpy as np
import pytest

from coupled.cells import shown
from coupler.grids.grid import Grid, GridError, axes_of
from coupler.grids.make import grid_of, rectilinear_grid
from coupler.grids.nemo import read_nemo
from coupler.grids.read import size_in_file
from coupler.grids.sphere import RADIUS, degrees
from coupler.grids.tripolar import supergrid
from coupler.spec import FieldSpec, FileGeometry, GridFile, GridSpec, Pivot, Point, TripolarGeometry

NX, NY = 12, 8
SHAPE = TripolarGeometry(-78.0, 40.0)
STARTS: dict[Point, tuple[int, int]] = {"T": (1, 1), "U": (1, 2), "V": (2, 1), "F": (2, 2)}


def tripolar(pivot: Pivot) -> Grid:
    return grid_of(GridSpec("tripolar", NX, NY, 1, "periodic", "closed", pivot, SHAPE))


def spec_of(
    path: Path,
    kind: GridFile,
    pivot: Pivot | None = "F",
    point: Point = "T",
    prefix: str | None = None,
) -> GridSpec:
    geometry = FileGeometry(path, kind, point, prefix)
    return GridSpec("tripolar", NX, NY, 1, "periodic", "closed", pivot, geometry)


def write_mesh_mask(path: Path, pivot: Pivot, repeated: bool, mask: np.ndarray) -> None:
    """As NEMO's; `repeated`: with the two columns and the row that files before 4.2 hold twice."""
    place = supergrid(NX, NY, pivot, SHAPE)
    columns = np.arange(-1, NX + 1) % NX if repeated else np.arange(NX)
    rows = np.append(np.arange(NY), NY - 2) if repeated else np.arange(NY)
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("t", 1), ("z", 1), ("y", rows.size), ("x", columns.size)):
            file.createDimension(name, size)
        for point, (y, x) in STARTS.items():
            lon, lat = degrees(place[y::2, x::2][np.ix_(rows, columns)])
            for name, values in (("glam", lon), ("gphi", lat), ("e1", 2.0), ("e2", 3.0)):
                dims = ("t", "y", "x")
                file.createVariable(f"{name}{point.lower()}", "f8", dims)[:] = values
        tmask = file.createVariable("tmask", "i1", ("t", "z", "y", "x"))
        tmask[:] = mask[np.ix_(rows, columns)]
        file.createVariable("umask", "i1", ("t", "z", "y", "x"))[:] = 1
        file.createVariable("vmask", "i1", ("t", "z", "y", "x"))[:] = 1
        fmask = np.ones((NY, NX))
        if pivot == "F":
            fmask[-1, [NX // 2 - 1, -1]] = 0  # the poles, around which there is no cell
        dims = ("t", "z", "y", "x")
        file.createVariable("fmask", "i1", dims)[:] = fmask[np.ix_(rows, columns)]


@pytest.mark.parametrize("pivot", ["T", "F"])
@pytest.mark.parametrize("repeated", [False, True])
def test_nemo(pivot: Pivot, repeated: bool, tmp_path: Path) -> None:
    known = tripolar(pivot)
    mask = known.mask.copy()
    mask[:2, 3:7] = False
    path = tmp_path / "mesh_mask.nc"
    write_mesh_mask(path, pivot, repeated, mask)
    spec = spec_of(path, "nemo", pivot)
    grid = grid_of(spec)
    assert (grid.mask == mask).all()
    assert (grid.area == 6.0).all()
    np.testing.assert_allclose(grid.centres, known.centres, atol=1e-12)
    # to the south the grid goes on as it ends, which a parallel nearly does
    np.testing.assert_allclose(grid.corners[NX:], known.corners[NX:], atol=1e-12)
    np.testing.assert_allclose(grid.corners[:NX], known.corners[:NX], atol=2e-3)
    assert grid.angle is not None
    assert known.angle is not None
    off = np.angle(np.exp(1j * (grid.angle - known.angle)))[mask]
    assert np.abs(off).max() < 0.2
    assert np.median(np.abs(off)) < 1e-3
    assert isinstance(spec.geometry, FileGeometry)
    assert size_in_file(spec.geometry) == ((NX + 2, NY + 1) if repeated else (NX, NY))


@pytest.mark.parametrize("point", ["U", "V", "F"])
@pytest.mark.parametrize("pivot", ["T", "F"])
def test_other_points_of_nemo(point: Point, pivot: Pivot, tmp_path: Path) -> None:
    """Their corners enclose them, and what the fold repeats is masked: `grid_of` checks the one."""
    path = tmp_path / "mesh_mask.nc"
    write_mesh_mask(path, pivot, False, np.ones((NY, NX)))
    grid = grid_of(spec_of(path, "nemo", pivot, point))
    place = supergrid(NX, NY, pivot, SHAPE)[STARTS[point][0] :: 2, STARTS[point][1] :: 2]
    np.testing.assert_allclose(grid.centres, place.reshape(-1, 3), atol=1e-12)
    # the cells of the last row that show others; of F points and pivot, the two poles as well
    images = {"TU": 6, "TV": 12, "TF": 12, "FU": 0, "FV": 6, "FF": 5 + 2}
    assert (~grid.mask).sum() == images[pivot + point]


@pytest.mark.parametrize("pivot", ["T", "F", None])
@pytest.mark.parametrize("point", ["T", "U", "V", "F"])
def test_the_deepest_level_of_a_domain_cfg(
    point: Point, pivot: Pivot | None, tmp_path: Path
) -> None:
    """A face is open between two wet cells, also over the fold; a wall is none."""
    path = tmp_path / "domain_cfg.nc"
    wet = np.random.default_rng(3).random((NY, NX)) < 0.8
    write_mesh_mask(path, pivot or "F", False, wet)
    with netCDF4.Dataset(path, "a") as file:
        file.renameVariable("tmask", "bottom_level")
        for letter in "uvf":
            file.renameVariable(f"{letter}mask", f"no_{letter}mask")
    side = "periodic" if pivot else "closed"
    spec = replace(spec_of(path, "nemo", pivot, point), boundary_x=side)
    around = [(i, j) for i in (0, point in "UF") for j in (0, point in "VF")]
    field = FieldSpec("wet", "T", "scalar", "zero", 1, "")
    expected = np.ones((NY, NX), bool)
    for y, x in np.ndindex(NY, NX):
        for i, j in around:
            cell = shown(spec, field, x + i, y + j)
            expected[y, x] &= cell is not None and bool(wet[cell[:2]])
    assert isinstance(spec.geometry, FileGeometry)
    np.testing.assert_array_equal(read_nemo(spec, spec.geometry).mask, expected)


def test_a_mesh_mask_of_another_size(tmp_path: Path) -> None:
    path = tmp_path / "mesh_mask.nc"
    write_mesh_mask(path, "F", True, np.ones((NY, NX)))
    spec = replace(spec_of(path, "nemo"), nx=NX + 1)
    with pytest.raises(GridError, match=r"mesh_mask\.nc has 14 x 9 cells, got 13 x 8 in the spec"):
        grid_of(spec)


def write_oasis(folder: Path, grid: Grid, first: int = 0, step: int = 1) -> None:
    """Corners that begin with number `first`, and go the way of `step`."""
    assert grid.lon is not None
    assert grid.lat is not None
    assert grid.corner_lon is not None
    assert grid.corner_lat is not None
    ny, nx = grid.shape
    order = (first + step * np.arange(4)) % 4
    with netCDF4.Dataset(folder / "grids.nc", "w") as file:
        for name, size in (("c", 4), ("y", ny), ("x", nx)):
            file.createDimension(name, size)
        for name, values, corners in (
            ("lo", grid.lon, grid.corner_lon),
            ("la", grid.lat, grid.corner_lat),
        ):
            whole = {"lo": "lon", "la": "lat"}[name]
            file.createVariable(f"trip.{whole}", "f8", ("y", "x"))[:] = values
            held = file.createVariable(f"trip.c{name}", "f8", ("c", "y", "x"))
            held[:] = np.moveaxis(corners[..., order], -1, 0)
    with netCDF4.Dataset(folder / "masks.nc", "w") as file:
        file.createDimension("y", ny)
        file.createDimension("x", nx)
        file.createVariable("trip.msk", "i4", ("y", "x"))[:] = ~grid.mask
    with netCDF4.Dataset(folder / "areas.nc", "w") as file:
        file.createDimension("y", ny)
        file.createDimension("x", nx)
        file.createVariable("trip.srf", "f8", ("y", "x"))[:] = grid.area


@pytest.mark.parametrize(("first", "step"), [(0, 1), (2, 1), (1, -1), (3, -1)])
def test_oasis(first: int, step: int, tmp_path: Path) -> None:
    """Its masks are 0 where a cell is active; corners may begin anywhere."""
    known = tripolar("F")
    mask = known.mask.copy()
    mask[2:4, :5] = False
    known = replace(known, mask=mask)
    write_oasis(tmp_path, known, first, step)
    grid = grid_of(spec_of(tmp_path / "grids.nc", "oasis", "F", "T", "trip"))
    assert (grid.mask == mask).all()
    np.testing.assert_array_equal(grid.area, known.area)
    np.testing.assert_allclose(grid.corners, known.corners, atol=1e-12)
    assert grid.angle is not None
    assert known.angle is not None
    assert np.abs(np.angle(np.exp(1j * (grid.angle - known.angle)))).max() < 0.2


@pytest.mark.parametrize("shape", [(1, 4), (4, 1)])
@pytest.mark.parametrize("step", [1, -1])
@pytest.mark.parametrize("first", range(4))
def test_corners_of_a_single_row_or_column(
    first: int, step: int, shape: tuple[int, int], tmp_path: Path
) -> None:
    edges = (np.arange(size + 1) * 10.0 for size in shape[::-1])
    known = rectilinear_grid("line", *edges)
    assert known.angle is not None
    write_oasis(tmp_path, known, first, step)
    spec = replace(spec_of(tmp_path / "grids.nc", "oasis", None, "T", "trip"), boundary_x="closed")
    grid = grid_of(replace(spec, nx=shape[1], ny=shape[0]))
    np.testing.assert_allclose(grid.corners, known.corners, atol=1e-12)
    assert grid.angle is not None
    np.testing.assert_allclose(grid.angle, known.angle, atol=1e-12)


def test_oasis_alone_has_no_mask_and_takes_areas_from_corners(tmp_path: Path) -> None:
    known = tripolar("F")
    write_oasis(tmp_path, known)
    (tmp_path / "masks.nc").unlink()
    (tmp_path / "areas.nc").unlink()
    grid = grid_of(spec_of(tmp_path / "grids.nc", "oasis", "F", "T", "trip"))
    assert grid.mask.all()
    np.testing.assert_allclose(grid.area, known.area, rtol=1e-12)


@pytest.mark.parametrize("units", ["degrees", "radians"])
def test_scrip(units: str, tmp_path: Path) -> None:
    """1 where a cell is active; areas in square radians."""
    known = tripolar("F")
    mask = known.mask.copy()
    mask[2:4, :5] = False
    path = tmp_path / "scrip.nc"
    scale = np.radians(1.0) if units == "radians" else 1.0
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("grid_size", NX * NY), ("grid_corners", 4), ("grid_rank", 2)):
            file.createDimension(name, size)
        file.createVariable("grid_dims", "i4", ("grid_rank",))[:] = (NX, NY)
        file.createVariable("grid_imask", "i4", ("grid_size",))[:] = mask.ravel()
        file.createVariable("grid_area", "f8", ("grid_size",))[:] = known.area.ravel() / RADIUS**2
        for axis in ("lon", "lat"):
            centre = file.createVariable(f"grid_center_{axis}", "f8", ("grid_size",))
            centre[:] = getattr(known, axis).ravel() * scale
            corner = file.createVariable(f"grid_corner_{axis}", "f8", ("grid_size", "grid_corners"))
            corner[:] = getattr(known, f"corner_{axis}").reshape(-1, 4) * scale
            centre.units = corner.units = units
    grid = grid_of(spec_of(path, "scrip"))
    assert (grid.mask == mask).all()
    np.testing.assert_allclose(grid.area, known.area, rtol=1e-14)
    np.testing.assert_allclose(grid.corners, known.corners, atol=1e-12)


def write_cf(path: Path, units: str = "degrees") -> Grid:
    """Axes, with a mask."""
    known = rectilinear_grid("cf", np.linspace(0, 360, NX + 1), np.linspace(-90, 90, NY + 1))
    assert known.lon is not None
    assert known.lat is not None
    with netCDF4.Dataset(path, "w") as file:
        file.createDimension("lon", NX)
        file.createDimension("lat", NY)
        for name, values in (("lon", known.lon[0]), ("lat", known.lat[:, 0])):
            axis = file.createVariable(name, "f8", (name,))
            axis.standard_name = {"lon": "longitude", "lat": "latitude"}[name]
            axis.units = units
            axis[:] = values
        mask = file.createVariable("sea", "f4", ("lat", "lon"))
        mask.standard_name = "sea_binary_mask"
        mask[:] = 1
        mask[0] = 0
    return known


def test_cf_axes(tmp_path: Path) -> None:
    known = write_cf(tmp_path / "cf.nc")
    spec = spec_of(tmp_path / "cf.nc", "cf", None)
    grid = grid_of(spec)
    assert isinstance(spec.geometry, FileGeometry)
    assert size_in_file(spec.geometry) == (NX, NY)
    assert not grid.mask[0].any()
    assert grid.mask[1:].all()
    np.testing.assert_allclose(grid.corners, known.corners, atol=1e-12)
    np.testing.assert_allclose(grid.area, known.area, rtol=1e-12)


def test_cf_curvilinear_with_bounds(tmp_path: Path) -> None:
    known = tripolar("F")
    path = tmp_path / "cf.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("y", NY), ("x", NX), ("corner", 4)):
            file.createDimension(name, size)
        for axis, full in (("lon", "longitude"), ("lat", "latitude")):
            centre = file.createVariable(f"nav_{axis}", "f8", ("y", "x"))
            centre.standard_name, centre.units = full, "degrees_" + ("east", "north")[axis == "lat"]
            centre.bounds = f"bounds_{axis}"
            centre[:] = getattr(known, axis)
            corners = file.createVariable(f"bounds_{axis}", "f8", ("y", "x", "corner"))
            corners[:] = getattr(known, f"corner_{axis}")
    grid = grid_of(spec_of(path, "cf"))
    np.testing.assert_allclose(grid.corners, known.corners, atol=1e-12)
    np.testing.assert_allclose(grid.area, known.area, rtol=1e-12)


@pytest.mark.parametrize("bounds", [False, True])
def test_cf_longitudes_that_go_on_beyond_180(bounds: bool, tmp_path: Path) -> None:
    """0 .. 179, -180 .. -1 goes around once: no cell lies between 179 and -180 the long way."""
    write_cf(tmp_path / "cf.nc")
    with netCDF4.Dataset(tmp_path / "cf.nc", "a") as file:
        lon, lat = file.variables["lon"], file.variables["lat"]
        lon[:] = (lon[:] + 180.0) % 360.0 - 180.0
        if bounds:
            file.createDimension("two", 2)
            for axis, half in ((lon, 180.0 / NX), (lat, 90.0 / NY)):
                axis.bounds = f"{axis.name}_ends"
                held = file.createVariable(axis.bounds, "f8", (axis.name, "two"))
                held[:] = axis[:][:, None] + [-half, half]
    grid = grid_of(spec_of(tmp_path / "cf.nc", "cf", None))
    assert axes_of(grid) is not None
    np.testing.assert_allclose(grid.area.sum(), 4 * np.pi * RADIUS**2, rtol=1e-12)


@pytest.mark.parametrize("axis", ["lon", "lat"])
def test_one_cell_along_an_axis_needs_bounds(axis: str, tmp_path: Path) -> None:
    with netCDF4.Dataset(tmp_path / "cf.nc", "w") as file:
        for name in ("lon", "lat"):
            size = 1 if name == axis else 3
            file.createDimension(name, size)
            file.createVariable(name, "f8", (name,))[:] = 10.0 + np.arange(size)
    spec = replace(spec_of(tmp_path / "cf.nc", "cf", None), boundary_x="closed")
    with pytest.raises(GridError, match=r"cf\.nc: got . x . cells without bounds, expected those"):
        grid_of(spec)


def test_cf_areas_that_are_missing_on_land(tmp_path: Path) -> None:
    known = write_cf(tmp_path / "cf.nc")
    area = np.ma.masked_array(np.full((NY, NX), 7.0), np.arange(NY * NX).reshape(NY, NX) < NX)
    with netCDF4.Dataset(tmp_path / "cf.nc", "a") as file:
        held = file.createVariable("areacello", "f4", ("lat", "lon"), fill_value=1e20)
        held.standard_name = "cell_area"
        held[:] = area
    grid = grid_of(spec_of(tmp_path / "cf.nc", "cf", None))
    assert (grid.area[1:] == 7.0).all()
    np.testing.assert_allclose(grid.area[0], known.area[0], rtol=1e-12)


def test_cf_fields_of_turned_dimensions(tmp_path: Path) -> None:
    """Also where there are as many rows as columns, and no size that tells."""
    mask = np.arange(16).reshape(4, 4) > 5
    with netCDF4.Dataset(tmp_path / "cf.nc", "w") as file:
        for name, values in (("lon", 45.0 + 90 * np.arange(4)), ("lat", np.arange(4) * 10.0)):
            file.createDimension(name, 4)
            file.createVariable(name, "f8", (name,))[:] = values
        file.createVariable("mask", "i4", ("lon", "lat"))[:] = mask.T
        file.createVariable("cell_area", "f8", ("lon", "lat"))[:] = (
            1.0 + np.arange(16).reshape(4, 4).T
        )
    spec = replace(spec_of(tmp_path / "cf.nc", "cf", None), nx=4, ny=4)
    grid = grid_of(spec)
    assert (grid.mask == mask).all()
    assert (grid.area.ravel() == 1.0 + np.arange(16)).all()


def test_cf_corners_that_stand_before_the_centres(tmp_path: Path) -> None:
    """As CMIP6 names them: vertices_longitude has units of longitudes, too."""
    known = tripolar("F")
    path = tmp_path / "cf.nc"
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("j", NY), ("i", NX), ("vertices", 4)):
            file.createDimension(name, size)
        for axis, full in (("lon", "longitude"), ("lat", "latitude")):
            corners = file.createVariable(f"vertices_{full}", "f8", ("j", "i", "vertices"))
            corners[:] = getattr(known, f"corner_{axis}")
            centre = file.createVariable(full, "f8", ("j", "i"))
            centre[:] = getattr(known, axis)
            centre.bounds = corners.name
            centre.units = corners.units = "degrees_" + ("east", "north")[axis == "lat"]
    spec = spec_of(path, "cf")
    assert isinstance(spec.geometry, FileGeometry)
    assert size_in_file(spec.geometry) == (NX, NY)
    np.testing.assert_allclose(grid_of(spec).corners, known.corners, atol=1e-12)


def test_files_that_are_not_what_they_are_called(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"none\.nc: no such file"):
        grid_of(spec_of(tmp_path / "none.nc", "cf"))
    (tmp_path / "text.nc").write_text("no grid")
    with pytest.raises(GridError, match=r"text\.nc: not a NetCDF file"):
        grid_of(spec_of(tmp_path / "text.nc", "scrip"))
    write_cf(tmp_path / "cf.nc")
    with pytest.raises(GridError, match=r"no variable 'glamt'; did you mean 'lat'"):
        grid_of(spec_of(tmp_path / "cf.nc", "nemo"))
    with pytest.raises(GridError, match=r"no variable 'grid_dims'"):
        grid_of(spec_of(tmp_path / "cf.nc", "scrip"))
    write_oasis(tmp_path, tripolar("F"))
    with pytest.raises(GridError, match=r"no variable 'torc\.lon'; did you mean 'trip\.lon'"):
        grid_of(spec_of(tmp_path / "grids.nc", "oasis", "F", "T", "torc"))
    write_cf(tmp_path / "units.nc", "m")
    with pytest.raises(GridError, match="lon has units 'm', expected degrees or radians"):
        grid_of(spec_of(tmp_path / "units.nc", "cf"))
