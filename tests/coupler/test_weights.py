# SPDX-License-Identifier: MIT
"""The sparse form of weights: applied as a dense matrix would be, and refused where it is wrong."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.weights import Weights, WeightsError, apply, checked, rows_of, weights_of

# 2 x 1 source cells, 3 x 1 target cells: the mean, a copy, nothing
MEAN = weights_of((1, 2), (1, 3), [1, 0, 0], [1, 1, 0], [1.0, 0.5, 0.5])


def test_links_are_sorted_and_mapped_cells_are_covered() -> None:
    assert MEAN.target.tolist() == [0, 0, 1]
    assert MEAN.source.tolist() == [0, 1, 1]
    assert MEAN.mapped.tolist() == [True, True, False]
    assert MEAN.fraction.tolist() == [1.0, 1.0, 0.0]
    assert str(MEAN) == "Weights(2 x 1 -> 3 x 1: 3 links)"


def test_areas_that_are_not_known_are_none() -> None:
    """So nothing is conserved with them: NaN counted as no area, and went unnoticed."""
    links = [0, 1], [0, 1], [1.0, 1.0]
    areas = np.array([1.0, np.nan]), np.array([1.0, 2.0])
    weights = weights_of((1, 2), (1, 2), *links, None, *areas)
    assert weights.source_area is None
    with pytest.raises(WeightsError, match="have no areas"):
        weights_of((1, 2), (1, 2), *links, None, *areas[::-1]).counted_area()


def test_a_cell_without_links_is_nan() -> None:
    got = apply(MEAN, np.array([[[1.0, 4.0]], [[0.0, -2.0]]]))
    assert got.shape == (2, 1, 3)
    np.testing.assert_array_equal(got[:, 0], [[2.5, 4.0, np.nan], [-1.0, -2.0, np.nan]])


@st.composite
def cases(draw: st.DrawFn) -> tuple[Weights, np.ndarray]:
    source = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    target = draw(st.tuples(st.integers(1, 4), st.integers(1, 4)))
    cells = source[0] * source[1], target[0] * target[1]
    links = draw(st.sets(st.tuples(st.integers(0, cells[1] - 1), st.integers(0, cells[0] - 1))))
    random = np.random.default_rng(draw(st.integers(0, 99)))
    to, from_ = (np.array([link[n] for link in links], np.int64) for n in (0, 1))
    weights = weights_of(source, target, to, from_, random.normal(size=len(links)))
    return weights, random.normal(size=(2, *source))


@given(cases())
def test_apply_adds_up_rows_in_their_order(case: tuple[Weights, np.ndarray]) -> None:
    weights, field = case
    for level, got in zip(field, apply(weights, field), strict=True):
        expected = np.full(weights.target_cells, np.nan)
        for to, from_, value in zip(weights.target, weights.source, weights.value, strict=True):
            before = 0.0 if np.isnan(expected[to]) else expected[to]
            expected[to] = before + value * level.ravel()[from_]
        np.testing.assert_array_equal(got.ravel(), expected)


@given(cases(), st.data())
def test_rows_of_chosen_cells(case: tuple[Weights, np.ndarray], data: st.DataObject) -> None:
    weights, _ = case
    chosen = data.draw(st.lists(st.integers(0, weights.target_cells - 1)))
    rows = rows_of(weights, chosen)
    assert len(rows.indptr) == len(chosen) + 1
    for number, cell in enumerate(chosen):
        links = slice(rows.indptr[number], rows.indptr[number + 1])
        assert rows.source[links].tolist() == weights.source[weights.target == cell].tolist()
        assert rows.value[links].tolist() == weights.value[weights.target == cell].tolist()


def test_what_values_count_with_in_an_integral() -> None:
    area = np.array([2.0, 2.0, 2.0])
    half = replace(MEAN, fraction=np.array([0.5, 1.0, 0.0]), target_area=area)
    assert half.normalisation == "fraction"
    assert half.counted_area().tolist() == [1.0, 2.0, 0.0]
    by_destination = replace(half, value=np.array([0.25, 0.25, 1.0]))
    assert by_destination.normalisation == "destination"
    assert by_destination.counted_area().tolist() == [2.0, 2.0, 0.0]


WRONG = {
    "a source beyond the grid": (
        {"source": np.array([0, 2, 1])},
        "source cell 2, expected 0 to 1 .* were they made for another grid",
    ),
    "a target below 0": ({"target": np.array([-1, 0, 1])}, "target cell -1, expected 0 to 2"),
    "a link twice": (
        {"source": np.array([1, 1, 1])},
        "1 links twice, such as source cell 1 to target cell 0",
    ),
    "another order": ({"target": np.array([1, 0, 0])}, "not sorted"),
    "no number": ({"value": np.array([0.5, np.nan, 1.0])}, "not finite"),
    "a row of 1.5": (
        {"value": np.array([0.5, 0.5, 1.5])},
        "row sums of 1 target cells are wrong: got 1.5 for cell 1, expected 1, or its fraction 1",
    ),
    "fractions of another grid": ({"fraction": np.ones(4)}, "4 fractions, expected 3"),
    "a fraction above 1": ({"fraction": np.array([1.0, 2.0, 0.0])}, "fractions from 0 to 2"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_refused(name: str) -> None:
    change, message = WRONG[name]
    with pytest.raises(WeightsError, match=f"^weights: .*{message}"):
        checked(replace(MEAN, **change))


def test_links_of_masked_cells_hint_at_the_polarity() -> None:
    with pytest.raises(WeightsError, match=r"file\.nc: source: 1 of 3 links .* OASIS masks have 0"):
        checked(MEAN, np.array([[False, True]]), None, "file.nc")
    with pytest.raises(WeightsError, match="target: 2 of 3 links are of masked cells, such as 0"):
        checked(MEAN, None, np.array([[False, True, True]]))
    with pytest.raises(WeightsError, match="got weights for 2 x 1 cells, expected 2 x 3"):
        checked(MEAN, np.ones((3, 2), bool))
    assert checked(MEAN, np.array([[True, True]]), np.array([[True, True, False]])) is MEAN
