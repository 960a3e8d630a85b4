# SPDX-License-Identifier: MIT
"""Padded cell -> (owner cell, sign): what lies beyond the edges of a grid.

A padded index may lie in the grid, on a periodic image, beyond a closed boundary (zero, the nearest
cell, or a mirror image) or beyond the north fold of a tripolar grid. Along an axis the map is a few
runs of constant step; a box is covered by rectangles, each the product of two runs. Any halo works,
also one wider than the whole grid.

The fold's formulas are those of NEMO's lateral boundary condition routines (T and F pivot), written
for indices that count from 0 and grids without duplicate columns.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Literal

from coupler.spec import Boundary, FieldSpec, Fill, GridSpec, Pivot

Axis = Literal["x", "y"]


@dataclass(frozen=True, slots=True)
class Run:
    """Padded cells target..target+length-1 hold sign times source, source+step, ..."""

    target: int  # counted from the padded box's first cell
    length: int
    source: int  # global index
    step: int  # 1: neighbours in the grid; -1: mirrored; 0: one cell repeated
    sign: int = 1

    @property
    def lowest(self) -> int:
        return min(self.source, self.source + self.step * (self.length - 1))

    @property
    def highest(self) -> int:
        return max(self.source, self.source + self.step * (self.length - 1))


@dataclass(frozen=True, slots=True)
class Rectangle:
    """Padded cells y * x and where their values come from; the signs multiply."""

    y: Run
    x: Run

    @property
    def sign(self) -> int:
        return self.y.sign * self.x.sign


@dataclass(frozen=True, slots=True)
class AxisFill:
    """What lies outside a closed axis: `below` its first cell and `above` its last one."""

    below: Fill
    above: Fill
    on_face: bool = False  # points sit on cell faces along the axis: walls are -1 and size - 1
    sign: int = 1  # of a mirror image


def axis_fill(field: FieldSpec, axis: Axis) -> AxisFill:
    """The fill policy of `field` along `axis`.

    The west (south) wall of a closed grid is face -1, outside the array: a normal velocity there
    is 0 whatever the policy. The east (north) wall is the array's own last face, which the model
    holds at 0, so that repeating it is right. A mirror image changes the sign of the normal
    component.
    """
    on_face = field.point in (("U", "F") if axis == "x" else ("V", "F"))
    along = field.kind == ("vector_i" if axis == "x" else "vector_j")
    if field.fill == "reflect":
        return AxisFill("reflect", "reflect", on_face, -1 if along else 1)
    normal = along and field.point == ("U" if axis == "x" else "V")
    return AxisFill("zero" if normal else field.fill, field.fill, on_face)


def axis_runs(start: int, stop: int, size: int, boundary: Boundary, fill: AxisFill) -> list[Run]:
    """The sources of padded indices start..stop-1 on an axis of `size` cells, in order of target.

    Indices that no run names have no owner: they are zero.
    """
    if boundary == "periodic":
        return list(_images(start, stop, size))
    if fill.below == "reflect":
        return list(_mirrors(start, stop, size, fill))
    runs: list[Run] = []
    if start < 0 and fill.below == "replicate":
        runs.append(Run(0, min(stop, 0) - start, 0, 0))
    first, last = max(start, 0), min(stop, size)
    if first < last:
        runs.append(Run(first - start, last - first, first, 1))
    if stop > size and fill.above == "replicate":
        first = max(start, size)
        runs.append(Run(first - start, stop - first, size - 1, 0))
    return runs


def _images(start: int, stop: int, size: int) -> Iterator[Run]:
    index = start
    while index < stop:
        length = min(stop, (index // size + 1) * size) - index
        yield Run(index - start, length, index % size, 1)
        index += length


def _mirrors(start: int, stop: int, size: int, fill: AxisFill) -> Iterator[Run]:
    """Walls are mirrors, so the axis repeats every 2 * size: once as it is, once reversed.

    Points on faces meet both walls: the one above is the array's last cell, the one below is no
    cell of it and stays without an owner.
    """
    index = start
    while index < stop:
        period, place = divmod(index, 2 * size)
        forward = place < size
        end = period * 2 * size + (size if forward else 2 * size)
        last = end - 1 if fill.on_face and not forward else end  # the wall below, an image of -1
        length = min(stop, last) - index
        if length > 0:
            mirrored = 2 * size - 1 - place - (1 if fill.on_face else 0)
            source = place if forward else mirrored
            step, sign = (1, 1) if forward else (-1, fill.sign)
            yield Run(index - start, length, source, step, sign)
        index = min(stop, end)


@dataclass(frozen=True, slots=True)
class Fold:
    """The north fold for one kind of point: row J shows row rows - J, column I column columns - I.

    Where the pivot lies on the last row, that row meets itself: its right half shows the left one.
    """

    first_row: int  # the first row that is folded, or that meets itself
    rows: int
    columns: int
    meets_itself: bool
    sign: int
    nx: int

    @classmethod
    def of(cls, pivot: Pivot, field: FieldSpec, grid: GridSpec) -> Fold:
        north_face = field.point in ("V", "F")
        east_face = field.point in ("U", "F")
        rows = 2 * grid.ny - (2 if pivot == "T" else 1) - north_face
        columns = grid.nx - (0 if pivot == "T" else 1) - east_face
        itself = rows == 2 * (grid.ny - 1)
        first = grid.ny - 1 if rows <= 2 * (grid.ny - 1) else grid.ny
        sign = -1 if field.kind in ("vector_i", "vector_j") else 1
        return cls(first, rows, columns, itself, sign, grid.nx)

    def own_row(self, columns: list[Run]) -> Iterator[Run]:
        """`columns` of the row that meets itself; its pivot points are left alone."""
        first, stop = self.columns // 2 + 1, min(self.columns + 1, self.nx)
        for run in columns:
            for low, high in ((0, first), (stop, self.nx)):
                part = overlap(run, low, high)
                if part is not None:
                    yield part
            part = overlap(run, first, stop)
            if part is not None:
                yield replace(part, source=self.columns - part.source, step=-1, sign=self.sign)


def overlap(run: Run, low: int, high: int) -> Run | None:
    """The part of `run` whose sources lie in low..high-1."""
    if run.step == 0:
        return run if low <= run.source < high else None
    if run.step > 0:
        first, stop = low - run.source, high - run.source
    else:
        first, stop = run.source - high + 1, run.source - low + 1
    first, stop = max(first, 0), min(stop, run.length)
    if first >= stop:
        return None
    return replace(
        run,
        target=run.target + first,
        length=stop - first,
        source=run.source + run.step * first,
    )


def rectangles(
    field: FieldSpec, grid: GridSpec, y0: int, y1: int, x0: int, x1: int
) -> list[Rectangle]:
    """The padded box y0..y1-1, x0..x1-1 of `field`: every cell that has an owner, once."""
    columns = axis_runs(x0, x1, grid.nx, grid.boundary_x, axis_fill(field, "x"))
    fill = axis_fill(field, "y")

    def rows(start: int, stop: int) -> list[Run]:
        return axis_runs(start, stop, grid.ny, grid.boundary_y, fill)

    if grid.north is None:
        return [Rectangle(row, column) for row in rows(y0, y1) for column in columns]
    fold = Fold.of(grid.north, field, grid)
    found = [Rectangle(r, c) for r in rows(y0, min(y1, fold.first_row)) for c in columns]
    first = fold.first_row
    if fold.meets_itself:
        if y0 <= first < y1:
            row = Run(first - y0, 1, first, 1)
            found += [Rectangle(row, column) for column in fold.own_row(columns)]
        first += 1
    first = max(y0, first)
    turned = _images(fold.columns - x1 + 1, fold.columns - x0 + 1, grid.nx)
    columns = [_reverse(run, x1 - x0) for run in turned]
    for run in rows(fold.rows - y1 + 1, fold.rows - first + 1) if first < y1 else ():
        row = _reverse(run, y1 - first)
        row = replace(row, target=row.target + first - y0, sign=row.sign * fold.sign)
        found += [Rectangle(row, column) for column in columns]
    return found


def _reverse(run: Run, total: int) -> Run:
    """`run` of a range of `total` padded cells, seen from the range's other end."""
    return replace(
        run,
        target=total - run.target - run.length,
        source=run.source + run.step * (run.length - 1),
        step=-run.step,
    )
