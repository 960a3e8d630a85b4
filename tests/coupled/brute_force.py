# SPDX-License-Identifier: MIT
"""What a padded cell shows, one cell at a time: written from the definitions, without the coupler.

Closed walls are passed or bounced off one at a time; the fold is the table of its eight formulas.
"""

from __future__ import annotations

from coupler.spec import FieldSpec, GridSpec

Source = tuple[int, int, int]  # row, column, sign


def source(grid: GridSpec, field: FieldSpec, j: int, i: int) -> Source | None:
    """The cell of the grid that cell (j, i) shows, from 0; None where nothing is."""
    column = along(i, grid.nx, grid.boundary_x, field, "UF", "U", "vector_i")
    if column is None:
        return None
    i, sign = column
    turn = -1 if field.kind in ("vector_i", "vector_j") else 1
    if grid.north is not None:
        row, image = folded(grid, field.point, j, i)
        top = grid.ny - 1
        itself = row == top and j == top
        if j > top or (j == top and row == top - 1) or (itself and image < i):
            j, i, sign = row, image, sign * turn
        if j >= 0:
            return j, i, sign
    row_found = along(j, grid.ny, grid.boundary_y, field, "VF", "V", "vector_j")
    return None if row_found is None else (row_found[0], i, sign * row_found[1])


def along(
    index: int, size: int, boundary: str, field: FieldSpec, faces: str, normal: str, kind: str
) -> tuple[int, int] | None:
    """(index, sign) on one axis."""
    if boundary == "periodic":
        return index % size, 1
    if 0 <= index < size:
        return index, 1
    if field.fill == "zero":
        return None
    if field.fill == "replicate":
        if index > 0:
            return size - 1, 1
        return None if (field.point, field.kind) == (normal, kind) else (0, 1)
    sign = 1
    on_face = field.point in faces
    while not 0 <= index < size:
        if on_face and index == -1:
            return None  # the wall itself, which is no cell
        if index < 0:
            index = -2 - index if on_face else -1 - index
        else:
            index = 2 * (size - 1) - index if on_face else 2 * size - 1 - index
        sign *= -1 if field.kind == kind else 1
    # a face on the wall is its own mirror image: no flow, so its sign is a matter of taste
    return index, 1 if on_face and index == size - 1 else sign


def folded(grid: GridSpec, point: str, j: int, i: int) -> tuple[int, int]:
    """The cell that (j, i) is an image of, beyond the fold."""
    ni, nj = grid.nx, grid.ny
    if grid.north == "T":
        return {
            "T": (2 * (nj - 1) - j, (ni - i) % ni),
            "U": (2 * (nj - 1) - j, ni - 1 - i),
            "V": (2 * (nj - 1) - 1 - j, (ni - i) % ni),
            "F": (2 * (nj - 1) - 1 - j, ni - 1 - i),
        }[point]
    return {
        "T": (2 * (nj - 1) + 1 - j, ni - 1 - i),
        "U": (2 * (nj - 1) + 1 - j, (ni - 2 - i) % ni),
        "V": (2 * (nj - 1) - j, ni - 1 - i),
        "F": (2 * (nj - 1) - j, (ni - 2 - i) % ni),
    }[point]
