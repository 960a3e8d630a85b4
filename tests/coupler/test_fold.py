# SPDX-License-Identifier: MIT
"""The north fold and mirror walls: routed values against a brute force, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import folded, shown
from coupler.decomposition import decompose
from coupler.router import route_to_worker
from coupler.spec import FieldSpec, GridSpec


def routed(grid: GridSpec, field: FieldSpec, ranks: int, workers: int, halo: int):
    """For each worker: its padded box, and the values it receives; cells are numbered from 1."""
    cells = np.arange(1, grid.nx * grid.ny + 1).reshape(grid.ny, grid.nx)
    model = decompose("model", grid.nx, grid.ny, ranks)
    split = decompose("worker", grid.nx, grid.ny, workers)
    for rank in range(workers):
        box = split.box(rank)
        padded = box.padded(halo)
        got = np.zeros((padded.ny, padded.nx), int)
        for message in route_to_worker((field,), grid, model, box, halo):
            owner = model.box(message.partner)
            owned = cells[owner.y0 : owner.y1, owner.x0 : owner.x1]
            for p in message.routes[0].patches:
                for y in range(p.ny):
                    for x in range(p.nx):
                        assert got[p.target_y + y, p.target_x + x] == 0  # filled once
                        place = p.source_y + y * p.step_y, p.source_x + x * p.step_x
                        assert min(place) >= 0
                        got[p.target_y + y, p.target_x + x] = p.sign * owned[place]
        yield padded, got


fields = st.builds(
    FieldSpec,
    st.just("a"),
    st.sampled_from("TUVF"),
    st.sampled_from(["scalar", "vector_i", "vector_j", "east", "north"]),
    st.sampled_from(["zero", "replicate", "reflect"]),
    st.just(1),
    st.just(""),
)


@settings(max_examples=400, deadline=None)
@given(
    half=st.integers(1, 6),
    ny=st.integers(2, 9),
    pivot=st.sampled_from("TF"),
    field=fields,
    ranks=st.integers(1, 6),
    workers=st.integers(1, 6),
    data=st.data(),
)
def test_fold_against_brute_force(half, ny, pivot, field, ranks, workers, data) -> None:
    widest = ny - 1 if field.fill == "reflect" else 12
    halo = data.draw(st.integers(0, widest))
    grid = GridSpec("g", 2 * half, ny, 1, "periodic", "closed", pivot)
    for padded, got in routed(grid, field, ranks, workers, halo):
        for (y, x), value in np.ndenumerate(got):
            found = shown(grid, field, padded.x0 + x, padded.y0 + y)
            expected = 0 if found is None else found[2] * (found[0] * grid.nx + found[1] + 1)
            assert value == expected, (y, x)


@settings(max_examples=200, deadline=None)
@given(
    nx=st.integers(1, 7),
    ny=st.integers(1, 7),
    field=fields,
    workers=st.integers(1, 4),
    halo=st.integers(0, 16),
)
def test_mirror_walls_are_numpys_symmetric_padding(nx, ny, field, workers, halo) -> None:
    """Cells: np.pad(symmetric). Faces: np.pad(reflect) of the array with its west/south wall."""
    field = FieldSpec("a", field.point, field.kind, "reflect", 1, "")
    grid = GridSpec("g", nx, ny, 1, "closed", "closed")
    cells = np.arange(1.0, nx * ny + 1).reshape(ny, nx)
    whole = cells
    for axis, faces, kind in ((1, "UF", "vector_i"), (0, "VF", "vector_j")):
        size = cells.shape[axis]
        index = np.arange(size, dtype=float) + 1
        signs = np.ones(size)
        if field.point in faces:
            width = [(halo, halo)]
            wall = np.concatenate(([0.0], index))  # the wall below has no cell: 0
            images = np.pad(wall, width, mode="reflect")[1:]
            turned = np.pad(np.arange(size + 1.0), width, mode="reflect", reflect_type="odd")[1:]
            signs = np.where(turned % (2 * size) > size, -1.0, 1.0)
        else:
            images = np.pad(index, [(halo, halo)], mode="symmetric")
            place = np.arange(-halo, size + halo) % (2 * size)
            signs = np.where(place >= size, -1.0, 1.0)
        if field.kind != kind:
            signs = np.ones_like(images)
        picked = np.concatenate((np.zeros_like(np.take(whole, [0], axis)), whole), axis)
        whole = np.take(picked, images.astype(int), axis)
        whole = whole * (signs[None, :] if axis else signs[:, None])
    for padded, got in routed(grid, field, 2, workers, halo):
        rows = slice(padded.y0 + halo, padded.y1 + halo)
        np.testing.assert_array_equal(got, whole[rows, padded.x0 + halo : padded.x1 + halo])


@pytest.mark.parametrize("point", "TUVF")
@pytest.mark.parametrize("pivot", "TF")
def test_an_image_of_an_image_is_the_cell_itself(pivot: str, point: str) -> None:
    grid = GridSpec("g", 8, 5, 1, "periodic", "closed", pivot)
    for j in range(3, 7):
        for i in range(8):
            assert folded(grid, point, *folded(grid, point, i, j)) == (i, j)


def test_by_hand() -> None:
    """4 x 2 cells numbered 1..8, T pivot, one row beyond: T shows 1 4 3 2, u shows -4 -3 -2 -1."""
    grid = GridSpec("g", 4, 2, 1, "periodic", "closed", "T")
    scalar = FieldSpec("t", "T", "scalar", "zero", 1, "")
    vector = FieldSpec("u", "U", "vector_i", "zero", 1, "")
    ((_, t),) = routed(grid, scalar, 1, 1, 1)
    ((_, u),) = routed(grid, vector, 1, 1, 1)
    assert t[3, 1:5].tolist() == [1, 4, 3, 2]
    assert t[2, 1:5].tolist() == [5, 6, 7, 6]  # the last row meets itself about 5 and 7
    assert u[3, 1:5].tolist() == [-4, -3, -2, -1]
    assert u[2, 1:5].tolist() == [5, 6, -6, -5]
