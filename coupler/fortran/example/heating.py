# SPDX-License-Identifier: MIT
"""A thermostat that feels the mean of 5 x 5 cells. A network would stand in the same place."""

import numpy as np

TARGET, RATE = 20.0, 0.05  # [K], share of the difference that is made up in a step


def heating(temperature: np.ndarray) -> np.ndarray:
    """temperature (level, y, x) comes with the 2 cells around this rank's own, which heat.yaml
    asks for, whoever owns them; the answer is of this rank's own cells, [K per step]."""
    windows = np.lib.stride_tricks.sliding_window_view(temperature, (5, 5), axis=(1, 2))
    answer: np.ndarray = RATE * (TARGET - windows.mean(axis=(3, 4)))
    return answer
