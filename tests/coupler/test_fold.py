# SPDX-License-Identifier: MIT
"""The north fold and mirror walls: routed values against a brute force, cell by cell."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupled.cells import folded, shown
from coupler.routing import boundary
from coupler.routing.boundary import Fold, Run
from coupler.routing.decomposition import decompose
from coupler.routing.router import route_to_worker
from coupler.spec import FieldSpec, GridSpec
from coupling_cases import examples


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


@settings(max_examples=examples(400))
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


@settings(max_examples=examples(200))
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


# Each number of the formulas made wrong, one at a time: the brute force must see it.

MUTATED_HALO = 3


def agrees(pivot: str, point: str, kind: str) -> bool:
    """Do all values that two workers receive of three ranks show what they should?"""
    grid = GridSpec("g", 8, 5, 1, "periodic", "closed", pivot)
    field = FieldSpec("a", point, kind, "replicate", 1, "")
    try:
        for padded, got in routed(grid, field, 3, 2, MUTATED_HALO):
            for (y, x), value in np.ndenumerate(got):
                found = shown(grid, field, padded.x0 + x, padded.y0 + y)
                expected = 0 if found is None else found[2] * (found[0] * grid.nx + found[1] + 1)
                if value != expected:
                    return False
    except (AssertionError, IndexError):  # a cell filled twice, or from outside
        return False
    return True


MUTATIONS = {
    "a row more": lambda fold: replace(fold, rows=fold.rows + 1),
    "a row less": lambda fold: replace(fold, rows=fold.rows - 1),
    "a column more": lambda fold: replace(fold, columns=fold.columns + 1),
    "a column less": lambda fold: replace(fold, columns=fold.columns - 1),
    "the other sign": lambda fold: replace(fold, sign=-fold.sign),
    "another last row": lambda fold: replace(fold, meets_itself=not fold.meets_itself),
    "folded a row later": lambda fold: replace(fold, first_row=fold.first_row + 1),
    "folded a row earlier": lambda fold: replace(fold, first_row=fold.first_row - 1),
}
ENTRIES = [(pivot, point) for pivot in "TF" for point in "TUVF"]


@pytest.mark.parametrize(("pivot", "point"), ENTRIES)
@pytest.mark.parametrize("kind", ["scalar", "vector_i", "vector_j", "east"])
def test_the_formulas_as_they_are(pivot: str, point: str, kind: str) -> None:
    assert agrees(pivot, point, kind)


@pytest.mark.parametrize(("pivot", "point"), ENTRIES)
@pytest.mark.parametrize("mutation", MUTATIONS)
@pytest.mark.parametrize("kind", ["scalar", "vector_i"])
def test_a_wrong_number_is_seen(
    monkeypatch: pytest.MonkeyPatch, pivot: str, point: str, mutation: str, kind: str
) -> None:
    right = Fold.of
    monkeypatch.setattr(Fold, "of", lambda *words: MUTATIONS[mutation](right(*words)))
    assert not agrees(pivot, point, kind)


def image_too_early(fold: Fold, columns: list[Run]) -> Iterator[Run]:
    return _own_row(fold, columns, fold.columns // 2, fold.columns + 1, fold.columns)


def image_too_late(fold: Fold, columns: list[Run]) -> Iterator[Run]:
    return _own_row(fold, columns, fold.columns // 2 + 2, fold.columns + 1, fold.columns)


def image_too_short(fold: Fold, columns: list[Run]) -> Iterator[Run]:
    return _own_row(
        fold, columns, fold.columns // 2 + 1, min(fold.columns, fold.nx - 1), fold.columns
    )


def image_moved(fold: Fold, columns: list[Run]) -> Iterator[Run]:
    return _own_row(fold, columns, fold.columns // 2 + 1, fold.columns + 1, fold.columns - 1)


def no_image(fold: Fold, columns: list[Run]) -> Iterator[Run]:
    return iter(columns)


def _own_row(fold: Fold, columns: list[Run], first: int, stop: int, turned: int) -> Iterator[Run]:
    """`Fold.own_row` with other columns first..stop-1, which show column turned - i."""
    stop = min(stop, fold.nx)
    for run in columns:
        for low, high in ((0, first), (stop, fold.nx)):
            if (part := boundary.overlap(run, low, high)) is not None:
                yield part
        if (part := boundary.overlap(run, first, stop)) is not None:
            yield replace(part, source=turned - part.source, step=-1, sign=fold.sign)


MEETS_ITSELF = [("T", "T"), ("T", "U"), ("F", "V"), ("F", "F")]


@pytest.mark.parametrize(("pivot", "point"), MEETS_ITSELF)
@pytest.mark.parametrize(
    "wrong", [image_too_early, image_too_late, image_too_short, image_moved, no_image]
)
def test_a_wrong_image_of_the_row_that_meets_itself_is_seen(
    monkeypatch: pytest.MonkeyPatch, pivot: str, point: str, wrong: object
) -> None:
    monkeypatch.setattr(Fold, "own_row", wrong)
    assert not agrees(pivot, point, "vector_i")
