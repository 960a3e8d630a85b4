# SPDX-License-Identifier: MIT
"""Rectangles of cells against the cells themselves."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from coupler.transport.blank import blank, rectangles_of


@given(arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=7)))
def test_rectangles_cover_each_cell_once(cells: np.ndarray) -> None:
    covered = np.zeros(cells.shape, int)
    for where in rectangles_of(cells):
        covered[where] += 1
    np.testing.assert_array_equal(covered, cells)


@given(*(st.integers(1, 4) for _ in range(4)))
def test_a_frame_has_four(north: int, east: int, south: int, west: int) -> None:
    cells = np.ones((south + 3 + north, west + 2 + east), bool)
    cells[south : south + 3, west : west + 2] = False
    assert len(rectangles_of(cells)) == 4


def test_blank_every_level() -> None:
    cells = np.array([[True, False, True], [False, False, True]])
    array = np.ones((2, 2, 3))
    blank(array, rectangles_of(cells))
    assert array.tolist() == [[[0, 1, 0], [1, 1, 0]]] * 2
