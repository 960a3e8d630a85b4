# SPDX-License-Identifier: MIT
"""The spec's `grids`: sizes, boundaries, and where the cells are."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal, cast, get_args

import numpy as np

from coupler.grids.grid import GridError
from coupler.grids.read import size_in_file
from coupler.spec import (
    AxesGeometry,
    Boundary,
    Derived,
    FileGeometry,
    Geometry,
    GridFile,
    GridSpec,
    Pivot,
    Point,
    TripolarGeometry,
)
from coupler.spec.document import Value, hint
from coupler.spec.exchanges import check_name
from coupler.spec.run import Run, read_size

GRID_KEYS = ("size", "boundary", "geometry", "coarsen", "refine", "by")
STEPS: tuple[Literal["coarsen", "refine"], ...] = ("coarsen", "refine")


def read_grids(value: Value | None, run: Run) -> dict[str, GridSpec]:
    grids: dict[str, GridSpec] = {}
    for name, item in value.items() if value else ():
        check_name(name, item)
        found = item.mapping(GRID_KEYS)
        if any(step in found for step in STEPS):
            grid = _read_derived(name, item, found, grids)
        else:
            grid = _read_grid(name, item, found, run)
        if grid is not None:
            grids[name] = grid
    return grids


def _read_grid(name: str, item: Value, found: Mapping[str, Value], run: Run) -> GridSpec:
    if "by" in found:
        item.problems.add(found["by"].place, "'by' belongs to 'coarsen' or 'refine'")
    size = found["size"].mapping(("x", "y", "z")) if "size" in found else {}
    geometry = found.get("geometry")
    known = _known_size(geometry) if geometry else {}
    numbers = {
        axis: known[axis]
        if axis in known and axis not in size
        else read_size(size.get(axis), axis, found.get("size", item), run, 1, axis != "z") or 1
        for axis in ("x", "y", "z")
    }
    sides = found["boundary"].mapping(("x", "y", "north")) if "boundary" in found else {}
    boundary: dict[str, Boundary] = {}
    for axis in ("x", "y"):
        side = sides[axis].choice(("closed", "periodic"), "closed") if axis in sides else None
        boundary[axis] = cast(Boundary, side or "closed")
    north = _read_fold(sides["north"], boundary, numbers) if "north" in sides else None
    return GridSpec(
        name,
        numbers["x"],
        numbers["y"],
        numbers["z"],
        boundary["x"],
        boundary["y"],
        north,
        _read_geometry(geometry, numbers["x"], numbers["y"]) if geometry else None,
    )


def _read_fold(value: Value, boundary: Mapping[str, Boundary], size: Mapping[str, int]) -> Pivot:
    """`north: fold T` or `fold F`: the last row meets itself about T or F points."""
    pivot = value.choice(("fold T", "fold F"), "fold T")[-1]
    nx, ny = size["x"], size["y"]
    if boundary["x"] != "periodic" or boundary["y"] != "closed" or nx % 2 or ny < 2:
        text = f"x {boundary['x']}, y {boundary['y']}, {nx} x {ny} cells"
        value.problems.add(
            value.place,
            f"north fold: got {text}, expected x periodic, y closed (the south), an even number "
            "of columns, 2 rows or more",
        )
    return cast(Pivot, pivot)


def _read_derived(
    name: str, item: Value, found: Mapping[str, Value], grids: Mapping[str, GridSpec]
) -> GridSpec | None:
    """`{coarsen: ocean, by: 2}` or `{refine: ocean, by: 2}`; everything else follows."""
    step = STEPS[0] if STEPS[0] in found else STEPS[1]
    for key in found:
        if key not in (step, "by"):
            text = f"'{key}' does not go with '{step}': the grid has it from '{step}' and 'by'"
            item.problems.add(found[key].place, text)
    parent = grids.get(found[step].string())
    if parent is None:
        text = f"{step}: unknown grid '{found[step].string()}'{hint(found[step].string(), grids)}"
        item.problems.add(found[step].place, f"{text} (list it before '{name}')")
        return None
    by = found["by"].integer(2, 2) if "by" in found else 2
    if "by" not in found:
        item.problems.add(item.place, f"missing key 'by': how many cells of '{parent.name}'")
    nx, ny = parent.nx * by, parent.ny * by
    if step == "coarsen":
        if parent.nx % by or parent.ny % by:
            item.problems.add(
                found["by"].place if "by" in found else item.place,
                f"by: got {by}, expected a divisor of {parent.nx} and of {parent.ny}, the size of "
                f"grid '{parent.name}'",
            )
        nx, ny = max(parent.nx // by, 1), max(parent.ny // by, 1)
    north = inherited_fold(parent, nx)
    sides = parent.boundary_x, parent.boundary_y
    return GridSpec(name, nx, ny, parent.nz, *sides, north, Derived(parent, step, by))


def inherited_fold(parent: GridSpec, nx: int) -> Pivot | None:
    """A fold on the northern faces stays there; one through cells cuts the new ones in two."""
    return "F" if parent.north == "F" and nx % 2 == 0 else None


def _known_size(value: Value) -> dict[str, int]:
    """What the geometry says of the size: nothing, or x and y."""
    if not value.is_mapping():
        return {}
    found = dict(value.items())
    if "lon" in found and "lat" in found:
        return {
            axis: max(len(found[key].sequence()) - 1, 1)
            for axis, key in (("x", "lon"), ("y", "lat"))
        }
    if "file" not in found or "kind" not in found:
        return {}
    geometry = _read_file(value)
    try:
        nx, ny = size_in_file(geometry)
    except (GridError, OSError) as error:
        value.problems.add(found["file"].place, f"geometry: {error}")
        return {"x": 1, "y": 1}
    return {"x": nx, "y": ny}


def _read_geometry(value: Value, nx: int, ny: int) -> Geometry | None:
    """`{file:, kind:}`, `{lon: [...], lat: [...]}`, or `{kind: latlon | tripolar, ...}`."""
    found = dict(value.items()) if value.is_mapping() else {}
    if "file" in found:
        return _read_file(value)
    if "lon" in found or "lat" in found:
        axes = value.mapping(("lon", "lat"), ("lon", "lat"))
        if len(axes) < 2:
            return None
        return AxesGeometry(_read_edges(axes["lon"], nx), _read_edges(axes["lat"], ny))
    if "kind" not in found:
        value.wrong("{file: ..., kind: ...}, {lon: [...], lat: [...]} or {kind: latlon, ...}")
        return None
    kind = found["kind"].choice(("latlon", "tripolar"), "latlon")
    if kind == "tripolar":
        region = value.mapping(("kind", "south", "cap"))
        south = region["south"].finite(-80.0) if "south" in region else -80.0
        cap = region["cap"].finite(40.0) if "cap" in region else 40.0
        if not -90.0 <= south < cap < 90.0:
            value.wrong("south < cap, both within -90 and 90 degrees")
        return TripolarGeometry(south, cap)
    region = value.mapping(("kind", "west", "south", "width", "height"))
    usual = {"west": 0.0, "south": -90.0, "width": 360.0, "height": 180.0}
    west, south, width, height = (
        region[key].finite(default) if key in region else default for key, default in usual.items()
    )
    lon, lat = np.linspace(west, west + width, nx + 1), np.linspace(south, south + height, ny + 1)
    return AxesGeometry(tuple(lon.tolist()), tuple(lat.tolist()))


def _read_file(value: Value) -> FileGeometry:
    found = value.mapping(("file", "kind", "point", "grid"), ("file", "kind"))
    kind = found["kind"].choice(get_args(GridFile), "cf") if "kind" in found else "cf"
    point = found["point"].choice("TUVF", "T") if "point" in found else "T"
    prefix = found["grid"].string() if "grid" in found else None
    for key, only, missing in (("point", "nemo", False), ("grid", "oasis", kind == "oasis")):
        if key in found and kind != only:
            value.problems.add(found[key].place, f"'{key}' belongs to kind: {only}")
        if key not in found and missing:
            text = f"missing key '{key}' in geometry: the grid's name in the file, such as torc"
            value.problems.add(value.place, text)
    path = value.path.parent / found["file"].string()
    return FileGeometry(path, cast(GridFile, kind), cast(Point, point), prefix)


def _read_edges(value: Value, cells: int) -> tuple[float, ...]:
    """cells + 1 edges; or the centres of the cells, and the edges are halfway between them."""
    numbers = np.array([item.finite(0.0) for item in value.sequence()])
    if numbers.size == cells and cells > 1:
        middle = (numbers[1:] + numbers[:-1]) / 2
        first, last = 2 * numbers[0] - middle[0], 2 * numbers[-1] - middle[-1]
        numbers = np.concatenate(([first], middle, [last]))
    step = np.diff(numbers)
    if numbers.size != cells + 1 or not ((step > 0).all() or (step < 0).all()):
        text = f"{value.name}: got {numbers.size} numbers, expected {cells + 1} edges (or {cells} "
        value.problems.add(value.place, text + "centres) that only increase, or only decrease")
        return tuple(np.linspace(0.0, 1.0, cells + 1).tolist())
    return tuple(numbers.tolist())
