# SPDX-License-Identifier: MIT
"""Noise: the generator against its authors' answers, the Gaussian against Python's, the statistics
against what they should be, and the bits against those of every other tile, order and date."""

from __future__ import annotations

import math
import statistics

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from closures.case import same_bits
from ml_server.closures.noise import inverse_normal, log, normal, philox, uniform

# the file of known answers that comes with the authors' library Random123: counter, key, result
KNOWN = [
    ((0, 0, 0, 0), (0, 0), (0x6627E8D5, 0xE169C58D, 0xBC57AC4C, 0x9B00DBD8)),
    (
        (0xFFFFFFFF,) * 4,
        (0xFFFFFFFF,) * 2,
        (0x408F276D, 0x41C83B0E, 0xA20BC7C6, 0x6D5451FD),
    ),
    (
        (0x243F6A88, 0x85A308D3, 0x13198A2E, 0x03707344),
        (0xA4093822, 0x299F31D0),
        (0xD16CFE09, 0x94FDCCEB, 0x5001E420, 0x24126EA1),
    ),
]


@pytest.mark.parametrize(("counter", "key", "expected"), KNOWN)
def test_the_generator_gives_its_authors_answers(
    counter: tuple[int, ...], key: tuple[int, int], expected: tuple[int, ...]
) -> None:
    a, b, c, d = (torch.tensor([word]) for word in counter)
    assert tuple(int(word) for word in philox((a, b, c, d), key)) == expected


def test_the_gaussian_is_the_inverse_of_the_normal_distribution() -> None:
    """Against Python's own; also in the far tails that a run of a year would meet."""
    near = np.random.default_rng(0).random(2000)
    p = np.concatenate([near, 10.0 ** -np.linspace(1, 15.9, 300), [2.0**-53, 1 - 2.0**-53]])
    expected = [statistics.NormalDist().inv_cdf(x) for x in p]
    got = inverse_normal(torch.from_numpy(p)).numpy()
    np.testing.assert_allclose(got, expected, rtol=2e-15, atol=1e-16)


def test_the_logarithm_is_right_to_the_last_bits() -> None:
    x = np.concatenate([np.random.default_rng(1).random(2000), 2.0 ** -np.arange(1.0, 1000)])
    got = log(torch.from_numpy(x)).numpy()
    np.testing.assert_allclose(got, [math.log(value) for value in x], rtol=5e-16)


def test_uniforms_are_never_0_or_1_and_symmetric() -> None:
    words = torch.tensor([0, 0xFFFFFFFF])
    low, high = uniform(words, words).tolist()
    assert (low, high) == (2.0**-53, 1.0 - 2.0**-53)


def sample(date: int = 0, seed: int = 3, levels: int = 4, size: int = 300) -> np.ndarray:
    """(component, level, y, x)"""
    cell = torch.arange(size * size).reshape(size, size)
    return torch.stack(normal(seed, date, cell, levels)).numpy()


def test_moments_and_distribution() -> None:
    """720,000 numbers; bounds are four standard errors, and the 1e-4 quantile of Kolmogorov's."""
    z = sample().ravel()
    n = z.size
    moments = [(z.mean(), 0, 1), (z.var(), 1, 2), ((z**3).mean(), 0, 15), ((z**4).mean(), 3, 96)]
    for got, expected, variance in moments:
        assert abs(got - expected) < 4 * math.sqrt(variance / n)
    cumulative = np.array([statistics.NormalDist().cdf(x) for x in np.sort(z)[::40]])
    steps = np.arange(0, n, 40) / n
    assert np.abs(cumulative - steps).max() < 2.23 / math.sqrt(n)


def test_neighbours_levels_components_dates_and_seeds_are_independent() -> None:
    z, tomorrow, other = sample(), sample(date=600), sample(seed=4)
    pairs = {
        "x": (z[..., :-1], z[..., 1:]),
        "y": (z[..., :-1, :], z[..., 1:, :]),
        "level": (z[:, :-1], z[:, 1:]),
        "component": (z[0], z[1]),
        "date": (z, tomorrow),
        "seed": (z, other),
    }
    for name, (left, right) in pairs.items():
        for power in (1, 2):  # of the squares too: independent, not merely uncorrelated
            correlation = np.corrcoef(left.ravel() ** power, right.ravel() ** power)[0, 1]
            assert abs(correlation) < 4.5 / math.sqrt(left.size), name


@given(st.integers(0, 9), st.integers(0, 9), st.integers(1, 37), st.integers(1, 37))
def test_bits_do_not_depend_on_the_tile(y: int, x: int, ny: int, nx: int) -> None:
    """Tiles of all odd sizes, packed or strided: vector units and their remainders agree."""
    whole = torch.arange(48 * 48).reshape(48, 48)
    reference = torch.stack(normal(5, 7200, whole, 3))
    tile = whole[y : y + ny, x : x + nx]
    expected = reference[..., y : y + ny, x : x + nx].numpy()
    for cell in (tile, tile.contiguous(), tile.T.contiguous().T):
        assert same_bits(torch.stack(normal(5, 7200, cell, 3)).numpy(), np.array(expected))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gives_the_same_bits() -> None:
    cell = torch.arange(101 * 103).reshape(101, 103)
    for here, there in zip(normal(5, 7200, cell, 3), normal(5, 7200, cell.cuda(), 3), strict=True):
        assert same_bits(there.cpu().numpy(), here.numpy())


def test_fewer_levels_or_components_are_the_first_ones() -> None:
    cell = torch.arange(35).reshape(5, 7)
    both = normal(1, 60, cell, 6)
    assert same_bits(normal(1, 60, cell, 2, components=1)[0].numpy(), both[0][:2].numpy())


def test_cells_seeds_and_dates_beyond_32_bits_and_before_0_count() -> None:
    cell = torch.tensor([[7, 7 + (1 << 32), 7 + (1 << 40)]])
    numbers = [normal(*key, cell, 2)[0] for key in ((1, 5), (1, 5 + (1 << 32)), (1 + (1 << 32), 5))]
    numbers.append(normal(1, -5, cell, 2)[0])
    assert torch.stack(numbers).unique().numel() == 4 * 2 * 3


def test_nobodys_cells_are_0() -> None:
    cell = torch.tensor([[3, -1], [-1, 4]])
    for z in normal(1, 0, cell, 2):
        assert (z[:, cell < 0] == 0).all()
        assert (z[:, cell >= 0] != 0).all()


def test_what_a_counter_has_no_room_for_is_refused() -> None:
    with pytest.raises(ValueError, match="65537 levels"):
        normal(1, 0, torch.zeros((1, 1), dtype=torch.int64), 65537)
