# SPDX-License-Identifier: MIT
"""Coupling time in integer seconds: what is due when, and which answer a lagged get receives.

Dates are seconds since the model's origin and go on across restarts, so that an exchange is due
at the same dates whether or not a run was cut in two. A put or get names the start of its step.
"""

from __future__ import annotations

import re

SECONDS = {"s": 1, "second": 1, "minute": 60, "min": 60, "hour": 3600, "h": 3600, "day": 86400}
_PERIOD = re.compile(r"\s*(\d+)\s*([a-zA-Z]+?)s?\s*$")


def parse_period(text: str, time_step: int) -> int:
    """`3 steps`, `1 hour`, `5400 s` -> seconds. ValueError says what is wrong with `text`."""
    match = _PERIOD.match(text)
    unit = match.group(2).lower() if match else ""
    if match is None or (unit != "step" and unit not in SECONDS):
        raise ValueError("a number and a unit: steps, s, minutes, hours, days")
    seconds = int(match.group(1)) * (time_step if unit == "step" else SECONDS[unit])
    if seconds <= 0:
        raise ValueError("a period above 0")
    if seconds % time_step:
        raise ValueError(f"a multiple of the model's time step, {time_step} s")
    return seconds


def is_due(date: int, period: int) -> bool:
    return date % period == 0


def first_due(start: int, period: int) -> int:
    """The first due date at or after `start`."""
    return -(-start // period) * period


def answer_date(date: int, period: int, lag: int) -> int:
    """The date of the inputs from which the answer that is got at `date` was computed."""
    return date - lag * period
