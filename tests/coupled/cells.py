# SPDX-License-Identifier: MIT
"""What a padded cell shows, one cell at a time: the brute force that tests compare with.

Written from the tables of the fold and from mirrors that a walker meets; it knows nothing of runs,
rectangles and ranks. Indices count from 0.
"""

from __future__ import annotations

from coupler.spec import FieldSpec, GridSpec

Cell = tuple[int, int, int]  # row, column, sign


def shown(grid: GridSpec, field: FieldSpec, i: int, j: int) -> Cell | None:
    """The cell of the grid, and its sign, that cell (i, j) of any padded box shows; None for 0."""
    column = along(i, grid.nx, grid.boundary_x, field, "x")
    if column is None:
        return None
    i, sign = column
    if grid.north is not None:
        i, j, turned = unfolded(grid, field, i, j)
        sign *= turned
    row = along(j, grid.ny, grid.boundary_y, field, "y")
    return None if row is None else (row[0], i, sign * row[1])


def along(
    index: int, size: int, boundary: str, field: FieldSpec, axis: str
) -> tuple[int, int] | None:
    """(index in the grid, sign) along one axis."""
    if boundary == "periodic":
        return index % size, 1
    on_face = field.point in ("UF" if axis == "x" else "VF")
    normal = field.kind == ("vector_i" if axis == "x" else "vector_j")
    if field.fill == "reflect":
        return mirrored(index, size, on_face, normal)
    if 0 <= index < size:
        return index, 1
    wall = index < 0 and normal and field.point == ("U" if axis == "x" else "V")
    if field.fill == "zero" or wall:
        return None
    return min(max(index, 0), size - 1), 1


def mirrored(index: int, size: int, on_face: bool, normal: bool) -> tuple[int, int] | None:
    """Walk back from mirror to mirror; a face on the wall below has no cell.

    On the wall above, a normal component is 0: of its images the sign has no meaning, and stays.
    """
    sign = 1
    while not 0 <= index < size:
        if on_face and index == -1:
            return None
        low, high = (-2, 2 * size - 2) if on_face else (-1, 2 * size - 1)
        index = low - index if index < 0 else high - index
        sign *= -1 if normal else 1
    return index, 1 if on_face and index == size - 1 else sign


def folded(grid: GridSpec, point: str, i: int, j: int) -> tuple[int, int]:
    """The table of the fold: the cell that (i, j) is an image of."""
    ni, nj = grid.nx, grid.ny
    if grid.north == "T":
        return {
            "T": ((ni - i) % ni, 2 * (nj - 1) - j),
            "U": (ni - 1 - i, 2 * (nj - 1) - j),
            "V": ((ni - i) % ni, 2 * (nj - 1) - 1 - j),
            "F": (ni - 1 - i, 2 * (nj - 1) - 1 - j),
        }[point]
    return {
        "T": (ni - 1 - i, 2 * (nj - 1) + 1 - j),
        "U": ((ni - 2 - i) % ni, 2 * (nj - 1) + 1 - j),
        "V": (ni - 1 - i, 2 * (nj - 1) - j),
        "F": ((ni - 2 - i) % ni, 2 * (nj - 1) - j),
    }[point]


def unfolded(grid: GridSpec, field: FieldSpec, i: int, j: int) -> Cell:
    """(column, row, sign) south of the fold; column i is in the grid."""
    top = grid.ny - 1
    turn = -1 if field.kind in ("vector_i", "vector_j") else 1
    column, row = folded(grid, field.point, i, j)
    if j > top or (j == top and row == top - 1):
        return column, row, turn
    if j == top == row and column < i:  # the right half shows the left one, pivots stay
        return column, j, turn
    return i, j, 1
