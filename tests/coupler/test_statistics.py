# SPDX-License-Identifier: MIT
"""Sums against fractions, and the same bits however the values are dealt to ranks."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler import exact_sum
from coupler.exact_sum import SMALLEST, exact_terms, rounded_sum
from coupler.statistics import combine, summarize

numbers = st.floats(allow_nan=False, allow_infinity=False).filter(
    lambda x: x == 0 or SMALLEST <= abs(x) < 2.0**1000
)
series = st.lists(numbers, max_size=40)


@given(series, st.integers(1, 50))
def test_terms_have_the_exact_sum_of_the_values(values: list[float], chunk: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(exact_sum, "CHUNK", chunk)
        terms = exact_terms(np.array(values))
    assert sum(map(Fraction, terms)) == sum(map(Fraction, values))
    assert rounded_sum(terms) == float(sum(map(Fraction, values)))


def test_a_full_chunk_loses_no_bit() -> None:
    """The largest mantissas, as many as one chunk takes: half sums of 2**52."""
    largest = np.nextafter(2.0, 0.0)
    terms = exact_terms(np.full(2**20, largest))
    assert sum(map(Fraction, terms)) == 2**20 * Fraction(largest)
    assert exact_sum.CHUNK * 2**27 <= 2**53


def test_what_has_no_sum() -> None:
    assert not math.isfinite(rounded_sum(exact_terms(np.full(4, 1.7e308))))
    assert math.isnan(rounded_sum([1.7e308, 1.7e308]))
    assert exact_terms(np.array([0.0, 5e-324])) == []


@given(
    st.lists(numbers | st.sampled_from([math.nan, math.inf]), max_size=30),
    st.lists(st.integers(0, 3), min_size=30, max_size=30),
)
def test_statistics_do_not_depend_on_who_holds_what(values: list[float], ranks: list[int]) -> None:
    whole = np.array(values, np.float64)
    owner = np.array(ranks[: len(values)], np.int64)
    one = combine([summarize(whole)])
    several = combine([summarize(whole[owner == rank]) for rank in range(4)])
    np.testing.assert_array_equal(one, several)
    finite = [value for value in values if math.isfinite(value)]
    assert one[4] == len(values) - len(finite)
    if finite:
        total = float(sum(map(Fraction, finite)))
        assert one[:4] == (min(finite), max(finite), total / len(finite), total)
    else:
        assert all(map(math.isnan, one[:4]))
