# SPDX-License-Identifier: MIT
"""Coupling time, by hand and against counting."""

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from coupler.clock import SECONDS, answer_date, first_due, is_due, parse_period

dates = st.integers(-(10**12), 10**12)
periods = st.integers(1, 10**6)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1 step", 60),
        ("3 steps", 180),
        (" 2  steps ", 120),
        ("5400 s", 5400),
        ("5400s", 5400),
        ("120 seconds", 120),
        ("2 min", 120),
        ("2 mins", 120),
        ("7 minutes", 420),
        ("1 hour", 3600),
        ("2 h", 7200),
        ("10 Days", 864000),
    ],
)
def test_periods(text: str, seconds: int) -> None:
    assert parse_period(text, 60) == seconds


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("3", "a number and a unit"),
        ("step", "a number and a unit"),
        ("1.5 hours", "a number and a unit"),
        ("-1 step", "a number and a unit"),
        ("1 fortnight", "a number and a unit"),
        ("1 stepss", "a number and a unit"),
        ("1 step 2", "a number and a unit"),
        ("", "a number and a unit"),
        ("0 steps", "above 0"),
        ("90 s", "multiple of the model's time step, 60 s"),
    ],
)
def test_what_is_no_period(text: str, complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        parse_period(text, 60)


@given(st.integers(1, 500), st.sampled_from(sorted(SECONDS)), st.integers(1, 7200))
def test_a_period_is_a_number_of_steps(number: int, unit: str, step: int) -> None:
    seconds = number * SECONDS[unit]
    assume(seconds % step == 0)
    assert parse_period(f"{number} {unit}", step) == seconds
    assert parse_period(f"{seconds // step} steps", step) == seconds


@given(st.integers(-200, 200), st.integers(1, 60))
def test_first_due_by_counting(start: int, period: int) -> None:
    date = start
    while not is_due(date, period):
        date += 1
    assert first_due(start, period) == date


@given(dates, periods, st.integers(0, 5))
def test_a_lagged_answer_is_of_inputs_that_were_due(date: int, period: int, lag: int) -> None:
    got_at = first_due(date, period)
    inputs = answer_date(got_at, period, lag)
    assert is_due(inputs, period)
    assert got_at - inputs == lag * period


@given(dates, st.integers(1, 1000), st.integers(0, 300), st.integers(0, 300), st.integers(1, 50))
def test_cutting_a_run_in_two_changes_no_due_date(
    start: int, step: int, first: int, second: int, every: int
) -> None:
    """Dates go on across a restart, so each half finds the due dates of the whole."""
    period = every * step
    start *= step  # a run starts at a whole number of steps

    def due(begin: int, steps: int) -> list[int]:
        end = begin + steps * step
        return list(range(first_due(begin, period), end, period))

    cut = start + first * step
    assert due(start, first) + due(cut, second) == due(start, first + second)
