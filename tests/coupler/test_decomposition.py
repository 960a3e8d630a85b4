# SPDX-License-Identifier: MIT
"""Partitions: what decompose makes, and what ownership_error accepts."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.routing.decomposition import (
    Box,
    Decomposition,
    decompose,
    nearest_aspect,
    ownership_error,
    split,
)
from coupling_cases import model_decompositions, sizes

corners = st.integers(-2, 11)
any_boxes = st.lists(st.builds(Box, corners, corners, corners, corners), min_size=1, max_size=5)


def owner_count(decomposition: Decomposition) -> tuple[np.ndarray, bool]:
    """Owners of each cell, and whether a box leaves the grid; cell by cell."""
    count, outside = np.zeros((decomposition.ny, decomposition.nx), int), False
    for rank in range(decomposition.ranks):
        box = decomposition.box(rank)
        for y in range(box.y0, box.y1):
            for x in range(box.x0, box.x1):
                if 0 <= x < decomposition.nx and 0 <= y < decomposition.ny:
                    count[y, x] += 1
                else:
                    outside = True
    return count, outside


@given(st.data(), sizes, sizes)
def test_a_tiling_is_accepted(data: st.DataObject, nx: int, ny: int) -> None:
    assert ownership_error(data.draw(model_decompositions(nx, ny))) is None


@given(st.data(), sizes, sizes)
def test_a_box_moved_by_one_edge_is_found(data: st.DataObject, nx: int, ny: int) -> None:
    tiling = data.draw(model_decompositions(nx, ny))
    rank = data.draw(st.sampled_from(np.flatnonzero(tiling.cells()).tolist()))
    edges = tiling.edges.copy()
    edges[data.draw(st.integers(0, 3)), rank] += data.draw(st.sampled_from([-1, 1]))
    assert ownership_error(Decomposition("model", nx, ny, edges)) is not None


@given(sizes, sizes, any_boxes)
def test_any_boxes_against_a_count_of_owners(nx: int, ny: int, boxes: list[Box]) -> None:
    decomposition = Decomposition.from_boxes("model", nx, ny, boxes)
    count, outside = owner_count(decomposition)
    valid = bool((count == 1).all()) and not outside
    assert (ownership_error(decomposition) is None) == valid


@pytest.mark.parametrize(
    ("boxes", "message"),
    [
        (
            [Box(0, 3, 0, 2), Box(2, 4, 0, 2)],
            "model: cell x 3, y 1 is owned by 2 ranks, expected 1; "
            "do the boxes leave out the model's halo?",
        ),
        (
            [Box(0, 2, 0, 2), Box(2, 4, 0, 1)],
            "model: cell x 3, y 2 is owned by 0 ranks, expected 1; "
            "if the model drops land, declare the grid with holes=.true.",
        ),
        (
            [Box(0, 2, 0, 2), Box(2, 5, 0, 2)],
            "model rank 1: got cells x 3..5, y 1..2, expected them within 1..4, 1..2",
        ),
        (
            [Box(0, 0, 0, 2)],
            "model: cell x 1, y 1 is owned by 0 ranks, expected 1; "
            "if the model drops land, declare the grid with holes=.true.",
        ),
    ],
    ids=["overlap", "gap", "outside", "nobody"],
)
def test_what_is_wrong_is_said_in_the_models_numbers(boxes: list[Box], message: str) -> None:
    made = Decomposition.from_boxes("model", 4, 2, boxes)
    assert ownership_error(made) == message
    if "by 0 ranks" in message:
        assert ownership_error(replace(made, holes=True)) is None
    else:
        assert ownership_error(replace(made, holes=True)) == message


@given(sizes, sizes, st.integers(1, 40))
def test_decompose_tiles_the_grid_evenly(nx: int, ny: int, ranks: int) -> None:
    made = decompose("worker", nx, ny, ranks)
    assert made.ranks == ranks
    assert ownership_error(made) is None
    owners = [made.box(rank) for rank in range(ranks) if made.box(rank).cells]
    assert max(b.nx for b in owners) - min(b.nx for b in owners) <= 1
    assert max(b.ny for b in owners) - min(b.ny for b in owners) <= 1
    assert made.box(0).cells > 0  # a component's first rank reports for all
    assert made.cells().tolist() == [made.box(rank).cells for rank in range(ranks)]


@given(sizes, sizes, st.integers(1, 4), st.integers(1, 4))
def test_a_given_shape_is_kept(nx: int, ny: int, px: int, py: int) -> None:
    made = decompose("worker", nx, ny, px * py, (px, py))
    assert made.ranks == px * py
    assert ownership_error(made) is None
    for rank in range(px * py):  # x runs fastest
        assert made.box(rank).x0 == made.box(rank % px).x0
        assert made.box(rank).y0 == made.box(rank - rank % px).y0


@given(st.integers(1, 60), st.integers(1, 60), st.integers(1, 36))
def test_nearest_aspect_has_the_least_surface(nx: int, ny: int, ranks: int) -> None:
    px, py = nearest_aspect(nx, ny, ranks)
    assert px * py == ranks
    idle = max(px - nx, 0) + max(py - ny, 0)
    for qx in range(1, ranks + 1):
        if ranks % qx == 0:
            qy = ranks // qx
            other_idle = max(qx - nx, 0) + max(qy - ny, 0)
            assert idle <= other_idle
            if idle == other_idle:
                assert nx / px + ny / py <= nx / qx + ny / qy


def test_split_by_hand() -> None:
    assert split(7, 3) == [(0, 2), (2, 4), (4, 7)]
    assert split(2, 4) == [(0, 1), (1, 2), (2, 2), (2, 2)]


def test_boxes_by_hand() -> None:
    assert decompose("worker", 4, 2, 2).box(1) == Box(2, 4, 0, 2)
    assert Box(2, 4, 0, 2).padded(3) == Box(-1, 7, -3, 5)
    assert Box(2, 2, 0, 2).padded(3) == Box(2, 2, 0, 2)  # nothing to surround
    assert str(decompose("worker", 4, 2, 2)) == "worker on 2 ranks of 4 x 2 cells"
