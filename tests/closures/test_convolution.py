# SPDX-License-Identifier: MIT
"""What layers see beyond a coast, cell by cell."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from ml_server.closures.convolution import ConvolutionStack, beyond_coast


def filled_by_cells(x: np.ndarray, wet: np.ndarray, passes: int) -> np.ndarray:
    """Cell by cell, NaN where too near the edge to know."""
    x, wet = np.where(wet, x, 0.0), wet.copy()
    for _ in range(passes):
        new, now_wet = np.full_like(x, np.nan), np.zeros_like(wet)
        for j in range(1, x.shape[0] - 1):
            for i in range(1, x.shape[1] - 1):
                near = [(j + b, i + a) for b in (-1, 0, 1) for a in (-1, 0, 1)]
                values = [x[c] for c in near if wet[c]]
                new[j, i] = x[j, i] if wet[j, i] else np.mean(values) if values else 0.0
                now_wet[j, i] = bool(values)
        x, wet = new, now_wet
    return x


@pytest.mark.parametrize("passes", [0, 1, 2])
@pytest.mark.parametrize("land", [0.0, 0.3, 0.8, 1.0])
def test_dry_cells_hold_the_mean_of_their_wet_neighbours(passes: int, land: float) -> None:
    random = np.random.default_rng(int(10 * land) + passes)
    x, wet = random.normal(size=(11, 13)), random.random((11, 13)) >= land
    x[~wet] = np.nan  # never enters
    got, sea = beyond_coast(torch.from_numpy(x)[None, None], torch.from_numpy(wet), passes)
    inner = slice(passes, -passes or None)
    expected = filled_by_cells(x, wet, passes)[inner, inner]
    np.testing.assert_allclose(got[0, 0].numpy(), expected, rtol=1e-14, atol=1e-15)
    np.testing.assert_array_equal(sea.numpy(), wet[inner, inner])


@pytest.mark.parametrize("coast", ["zeros", "replicate"])
def test_without_land_there_is_nothing_to_fill(coast: str) -> None:
    stack = ConvolutionStack((1, 3, 2), (5, 3), coast=coast).double()
    x = torch.randn(2, 1, 20, 21, dtype=torch.float64)
    wet = torch.ones(20, 21, dtype=torch.bool)
    with torch.no_grad():
        open_sea, masked = stack(x), stack(x, wet)
    assert open_sea.shape == masked.shape == (2, 2, 20 - 2 * stack.radius, 21 - 2 * stack.radius)
    torch.testing.assert_close(open_sea, masked, rtol=1e-13, atol=1e-15)


def test_a_constant_is_its_own_replica() -> None:
    x, wet = torch.full((1, 1, 9, 9), 0.7, dtype=torch.float64), torch.ones(9, 9, dtype=torch.bool)
    wet[3:6, 4:] = False
    filled, _ = beyond_coast(x, wet, 2)
    torch.testing.assert_close(filled, torch.full_like(filled, 0.7), rtol=1e-14, atol=0)


def test_an_unknown_coast_is_refused() -> None:
    with pytest.raises(ValueError, match="coast: got 'mirror', expected one of zeros, replicate"):
        ConvolutionStack((1, 2), (3,), coast="mirror")  # type: ignore[arg-type]
