# SPDX-License-Identifier: MIT
"""Weight files: SCRIP and OASIS rmp, ESMF, YAC. All count cells from 1.

SCRIP keeps areas in square radians, and so does ESMF; files that are written here keep them in m2
and say so in the attribute `units`, so that a weight file read again has the same bits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal, NamedTuple

import netCDF4
import numpy as np
from numpy.typing import NDArray

from coupler.grids.file import opened, variable
from coupler.grids.grid import Array, Grid, GridError
from coupler.grids.sphere import RADIUS
from coupler.weights import Weights, WeightsError, checked, weights_of

Format = Literal["rmp", "esmf", "yac"]
Shape = tuple[int, int]
Masks = tuple[NDArray[np.bool_] | None, NDArray[np.bool_] | None]
Cells = NDArray[np.int64]

YAC_VERSION = "yac weight file 1.0"


def read_weights(
    path: Path, source_shape: Shape | None = None, target_shape: Shape | None = None
) -> Weights:
    """The weights of a file in any of the formats, for grids (ny, nx) of these shapes.

    Raises WeightsError where the file is for other sizes, holds no weights, or cannot be right;
    OSError where there is none. Without shapes the file must know them (YAC's do not).
    """
    try:
        with opened(path) as file:
            names = set(file.variables)
            read: Callable[[_File], tuple[Weights, Masks]]
            if {"row", "col", "S"} <= names:
                read = _read_esmf
            elif {"src_address", "dst_address", "remap_matrix"} <= names:
                read = _read_yac if "yac" in str(getattr(file, "version", "")) else _read_rmp
            else:
                raise WeightsError(
                    f"{path}: got the variables {', '.join(sorted(names)[:8])}, expected "
                    "src_address, dst_address and remap_matrix (SCRIP, OASIS, YAC), or row, col "
                    "and S (ESMF)"
                )
            made, masks = read(_File(file, path.name, source_shape, target_shape))
    except GridError as error:
        raise WeightsError(str(error)) from error
    return checked(made, *masks, name=path.name)


@dataclass(frozen=True)
class _File:
    """A weight file, and the shapes that are wanted of it."""

    file: netCDF4.Dataset
    name: str
    source_shape: Shape | None
    target_shape: Shape | None

    def has(self, name: str) -> bool:
        return name in self.file.variables

    def cells(self, name: str) -> Cells:
        """Numbers of cells, from 0."""
        return np.asarray(self.file.variables[name][:], np.int64) - 1

    def shape(self, side: str, dims: str, size: str) -> Shape:
        """(ny, nx) of the `side`, which must be the wanted one."""
        wanted = self.source_shape if side == "source" else self.target_shape
        count = len(self.file.dimensions[size])
        held = tuple(variable(self.file, dims).astype(int).tolist()) if self.has(dims) else (count,)
        if wanted is None and len(held) == 2:
            return held[1], held[0]
        if wanted is None:
            raise WeightsError(
                f"{self.name}: it does not say the {side} grid's nx and ny: give them"
            )
        if held not in ((wanted[1], wanted[0]), (wanted[0] * wanted[1],)):
            raise WeightsError(
                f"{self.name}: got weights for {' x '.join(map(str, held))} {side} cells, expected "
                f"{wanted[1]} x {wanted[0]}; make them for this grid"
            )
        return wanted

    def area(self, name: str) -> Array | None:
        """[m2]; None where the file has none, or zeros."""
        if not self.has(name):
            return None
        values = np.nan_to_num(variable(self.file, name), nan=0.0)  # missing on land
        in_metres = getattr(self.file.variables[name], "units", "") == "m2"
        return (values if in_metres else values * RADIUS**2) if values.any() else None

    def mask(self, name: str, shape: Shape) -> NDArray[np.bool_] | None:
        """SCRIP's and ESMF's convention: 1 is active."""
        return variable(self.file, name).reshape(shape) > 0.5 if self.has(name) else None

    def fraction(self, name: str) -> Array | None:
        """None where the file has none, or zeros, as of methods that have no fractions."""
        values = variable(self.file, name) if self.has(name) else None
        return values if values is not None and values.any() else None


def _read_rmp(f: _File) -> tuple[Weights, Masks]:
    matrix = variable(f.file, "remap_matrix")
    matrix = matrix if matrix.ndim == 2 else matrix[:, None]
    if matrix.shape[1] == 4:
        raise WeightsError(
            f"{f.name}: got 4 weights of a link, which belong to gradients (bicubic), expected 1, "
            "or 3 of which the first is used (conservative)"
        )
    shapes = (
        f.shape("source", "src_grid_dims", "src_grid_size"),
        f.shape("target", "dst_grid_dims", "dst_grid_size"),
    )
    source, target, value = f.cells("src_address"), f.cells("dst_address"), matrix[:, 0]
    fraction = f.fraction("dst_grid_frac")
    # SCRIP normalises conservative weights alone, and CDO writes 'none' of any other
    method = str(getattr(f.file, "map_method", "conservative")).strip().lower()
    none = str(getattr(f.file, "normalization", "")).strip().lower() == "none"
    if none and method.startswith("conserv"):
        value = (
            value / (variable(f.file, "dst_grid_area") * variable(f.file, "dst_grid_frac"))[target]
        )
    areas = _covered(f.area("src_grid_area"), f.fraction("src_grid_frac")), f.area("dst_grid_area")
    masks = f.mask("src_grid_imask", shapes[0]), f.mask("dst_grid_imask", shapes[1])
    return _of_links(shapes, (target, source, value), fraction, *areas), masks


def _read_esmf(f: _File) -> tuple[Weights, Masks]:
    shapes = f.shape("source", "src_grid_dims", "n_a"), f.shape("target", "dst_grid_dims", "n_b")
    areas = _covered(f.area("area_a"), f.fraction("frac_a")), f.area("area_b")
    links = f.cells("row"), f.cells("col"), variable(f.file, "S")
    masks = f.mask("mask_a", shapes[0]), f.mask("mask_b", shapes[1])
    return _of_links(shapes, links, f.fraction("frac_b"), *areas), masks


def _read_yac(f: _File) -> tuple[Weights, Masks]:
    if str(getattr(f.file, "contains_fixed_dst", "")).upper() == "TRUE":
        raise WeightsError(
            f"{f.name}: got fixed values of target cells, which are no weights; make it without "
            "them, and say 'fallback: VALUE'"
        )
    if len(f.file.dimensions["num_src_fields"]) != 1:
        raise WeightsError(f"{f.name}: got links from several source fields, expected one")
    shapes = (
        f.shape("source", "", "src_grid_size"),
        f.shape("target", "", "dst_grid_size"),
    )
    value = variable(f.file, "remap_matrix")[:, 0] if f.has("remap_matrix") else np.empty(0)
    made = _of_links(shapes, (f.cells("dst_address"), f.cells("src_address"), value))
    # rows that do not add up to 1 are those of destination area: the sum is the covered part
    sums = made.row_sums() if (made.target < made.target_cells).all() else made.fraction
    fraction = np.where(np.abs(sums - 1.0) < 1e-12, 1.0, sums)
    return replace(made, fraction=fraction), (None, None)


def _of_links(
    shapes: tuple[Shape, Shape],
    links: tuple[Cells, Cells, Array],
    fraction: Array | None = None,
    *areas: Array | None,
) -> Weights:
    """Without links of value 0: a cell that has no other is one without a source, and 0 times a
    NaN on land is NaN."""
    kept = links[2] != 0
    target, source, value = (column[kept] for column in links)
    return weights_of(*shapes, target, source, value, fraction, *areas)


def _covered(area: Array | None, fraction: Array | None) -> Array | None:
    return area if area is None or fraction is None else area * fraction


def write_weights(
    path: Path,
    weights: Weights,
    kind: Format = "rmp",
    source: Grid | None = None,
    target: Grid | None = None,
) -> None:
    """`weights` as a new file; with the grids, their centres and masks are in it, too. Raises
    OSError where it cannot be written."""
    # made in memory: netCDF4 crashes behind a classic file for which there was no room
    file = netCDF4.Dataset(path.name, "w", format="NETCDF3_64BIT_OFFSET", memory=1)
    if kind == "yac":
        _write_yac(file, weights)
    else:
        _write_scrip(file, weights, RMP if kind == "rmp" else ESMF, source, target)
    path.write_bytes(file.close())


def _write_scrip(
    file: netCDF4.Dataset, weights: Weights, names: Names, source: Grid | None, target: Grid | None
) -> None:
    file.Conventions = "SCRIP" if names is RMP else "CF-1.8"
    file.title = "Weights written by Halocline"
    file.normalization = weights.normalisation[:4] + "area"
    file.createDimension(names.links, weights.value.size)
    if names is RMP:
        file.createDimension("num_wgts", 1)
    _write_links(file, names, weights)
    sides = (
        (names.source, weights.source_shape, weights.source_area, None, source),
        (names.target, weights.target_shape, weights.target_area, weights.fraction, target),
    )
    for side, shape, area, fraction, grid in sides:
        _write_side(file, side, shape, area, fraction, grid)


class Side(NamedTuple):
    """Names of what a file has of one grid."""

    size: str
    rank: str
    dims: str
    area: str
    fraction: str
    mask: str
    lon: str
    lat: str


class Names(NamedTuple):
    links: str
    to: str
    from_: str
    value: str
    value_dims: tuple[str, ...]
    source: Side
    target: Side


def _scrip_side(which: str) -> Side:
    parts = ("size", "rank", "dims", "area", "frac", "imask", "center_lon", "center_lat")
    return Side(*(f"{which}_grid_{part}" for part in parts))


def _esmf_side(which: str, letter: str) -> Side:
    parts = (f"area_{letter}", f"frac_{letter}", f"mask_{letter}", f"xc_{letter}", f"yc_{letter}")
    return Side(f"n_{letter}", f"{which}_grid_rank", f"{which}_grid_dims", *parts)


RMP = Names(
    *("num_links", "dst_address", "src_address", "remap_matrix", ("num_links", "num_wgts")),
    _scrip_side("src"),
    _scrip_side("dst"),
)
ESMF = Names("n_s", "row", "col", "S", ("n_s",), _esmf_side("src", "a"), _esmf_side("dst", "b"))


def _write_links(file: netCDF4.Dataset, names: Names, weights: Weights) -> None:
    dims = (names.links,)
    for name, cells in ((names.to, weights.target), (names.from_, weights.source)):
        file.createVariable(name, "i4", dims)[:] = cells + 1
    value = file.createVariable(names.value, "f8", names.value_dims)
    value[:] = weights.value.reshape([len(file.dimensions[name]) for name in names.value_dims])


def _write_side(
    file: netCDF4.Dataset,
    side: Side,
    shape: Shape,
    area: Array | None,
    fraction: Array | None,
    grid: Grid | None,
) -> None:
    file.createDimension(side.size, shape[0] * shape[1])
    file.createDimension(side.rank, 2)
    file.createVariable(side.dims, "i4", (side.rank,))[:] = shape[::-1]
    cells = (side.size,)
    if area is not None:
        variable = file.createVariable(side.area, "f8", cells)
        variable.units = "m2"
        variable[:] = area
    if fraction is not None:
        file.createVariable(side.fraction, "f8", cells)[:] = fraction
    if grid is not None:
        file.createVariable(side.mask, "i4", cells)[:] = grid.mask.ravel()
    if grid is not None and grid.lon is not None and grid.lat is not None:
        for name, values in ((side.lon, grid.lon), (side.lat, grid.lat)):
            centre = file.createVariable(name, "f8", cells)
            centre.units = "degrees"
            centre[:] = values.ravel()


def _write_yac(file: netCDF4.Dataset, weights: Weights) -> None:
    """The layout of YAC 3: yac weight file 1.0."""
    file.version = YAC_VERSION
    file.src_grid_name, file.dst_grid_name = "source", "target"
    file.contains_links, file.contains_fixed_dst = "TRUE", "FALSE"
    for name, size in (
        ("num_links", weights.value.size),
        ("num_wgts", 1),
        ("num_src_fields", 1),
        ("max_loc_str_len", 10),
        ("src_grid_size", weights.source_cells),
        ("dst_grid_size", weights.target_cells),
    ):
        file.createDimension(name, size)
    file.createVariable("src_address", "i4", ("num_links",))[:] = weights.source + 1
    file.createVariable("dst_address", "i4", ("num_links",))[:] = weights.target + 1
    matrix = file.createVariable("remap_matrix", "f8", ("num_links", "num_wgts"))
    matrix[:] = weights.value[:, None]
    file.createVariable("num_links_per_src_field", "i4", ("num_src_fields",))[:] = (
        weights.value.size
    )
    where = np.array(list("CELL".ljust(10, "\0")), "S1")
    places = file.createVariable("src_locations", "S1", ("num_src_fields", "max_loc_str_len"))
    places[:] = where[None]
    file.createVariable("dst_location", "S1", ("max_loc_str_len",))[:] = where
