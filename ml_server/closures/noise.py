# SPDX-License-Identifier: MIT
"""Counter-based noise: a number depends on (seed, date, cell, level, component), on no order.

So a run has the same noise on any number of workers, in tiles of any shape, and across restarts.

The generator is Philox4x32-10 of Salmon, Moraes, Dror and Shaw 2011, *Parallel random numbers: as
easy as 1, 2, 3*, doi:10.1145/2063384.2063405. Gaussians come from its integers by the inverse of
the normal distribution, algorithm AS 241 (PPND16) of Wichura 1988, doi:10.2307/2347330. All is
written in integer operations and in + - * / of doubles, each of which IEEE 754 rounds in
one way only: vector units, remainder loops and other devices give the same bits. (A library's log,
cosine or, on a GPU, square root promises no such thing: versions may differ in the last bit.)
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

WORD = 0xFFFFFFFF
MULTIPLIERS = (0xD2511F53, 0xCD9E8D57)
WEYL = (0x9E3779B9, 0xBB67AE85)  # added to the key after each round
ROUNDS = 10
LEVELS = 1 << 16  # a counter's second word: level, and the cell number's bits 32 to 47

Words = tuple[Tensor, Tensor, Tensor, Tensor]

# Numerators and denominators of AS 241, constant term first.
CENTRE = (
    (
        *(3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3),
        *(1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4),
        *(3.3430575583588128105e4, 2.5090809287301226727e3),
    ),
    (
        *(1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3),
        *(2.1213794301586595867e4, 3.9307895800092710610e4, 2.8729085735721942674e4),
        5.2264952788528545610e3,
    ),
)
NEAR_TAIL = (
    (
        *(1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0),
        *(3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1),
        *(2.27238449892691845833e-2, 7.74545014278341407640e-4),
    ),
    (
        *(1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1),
        *(1.48103976427480074590e-1, 1.51986665636164571966e-2, 5.47593808499534494600e-4),
        1.05075007164441684324e-9,
    ),
)
FAR_TAIL = (
    (
        *(6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0),
        *(2.96560571828504891230e-1, 2.65321895265761230930e-2, 1.24266094738807843860e-3),
        *(2.71155556874348757815e-5, 2.01033439929228813265e-7),
    ),
    (
        *(1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2),
        *(7.86869131145613259100e-4, 1.84631831751005468180e-5, 1.42151175831644588870e-7),
        2.04426310338993978564e-15,
    ),
)
LOG_TERMS = tuple(1.0 / (2 * n + 1) for n in range(12))  # of atanh(s)/s in s*s, s < 0.172
LOG_2 = 0.6931471805599453
HALF_EXPONENT = 0x1FF7A3BEA91D9B1B  # half the bias of a double's exponent, and what errs least


def normal(seed: int, date: int, cell: Tensor, levels: int, components: int = 2) -> list[Tensor]:
    """`components` (1 or 2) independent fields of N(0, 1), each (level, y, x), float64.

    `date` [s]; `cell` (y, x) int64: the number of the cell, on whose device the fields are made.
    Where `cell` is negative, nobody's cells, they are 0. Raises ValueError for more levels or
    components than a counter has room for.
    """
    if levels > LEVELS or not 0 < components <= 2:
        raise ValueError(
            f"noise: got {levels} levels and {components} components, expected {LEVELS} and 2 "
            "at most"
        )
    level = torch.arange(levels, device=cell.device)[:, None, None]
    number = cell.clamp(min=0)[None]
    day = torch.full_like(number[:, :1, :1], date)
    counter = (number & WORD, (number >> 32) + (level << 16), day & WORD, (day >> 32) & WORD)
    words = philox(counter, (seed & WORD, (seed >> 32) & WORD))
    owned = cell >= 0
    return [
        torch.where(owned, inverse_normal(uniform(words[2 * c], words[2 * c + 1])), 0.0)
        for c in range(components)
    ]


def philox(counter: Words, key: tuple[int, int]) -> Words:
    """Philox4x32-10 of words below 2**32 in int64, which broadcast."""
    a, b, c, d = counter
    key_low, key_high = key
    for _ in range(ROUNDS):
        # products wrap around in int64, and have the right 64 bits
        first, second = MULTIPLIERS[0] * a, MULTIPLIERS[1] * c
        a, b = ((second >> 32) & WORD) ^ b ^ key_low, second & WORD
        c, d = ((first >> 32) & WORD) ^ d ^ key_high, first & WORD
        key_low, key_high = (key_low + WEYL[0]) & WORD, (key_high + WEYL[1]) & WORD
    return a, b, c, d


def uniform(low: Tensor, high: Tensor) -> Tensor:
    """(2 k + 1) / 2**53 of the upper 52 of 64 bits: exact, symmetric about 1/2, never 0 or 1."""
    k = (high << 20) | (low >> 12)
    return (2 * k + 1).to(torch.float64) * 2.0**-53


def inverse_normal(p: Tensor) -> Tensor:
    """The x [standard deviations] below which a share p in (0, 1) of N(0, 1) lies; float64."""
    q = p - 0.5
    centre = q * _ratio(CENTRE, 0.180625 - q * q)
    r = square_root(-log(torch.minimum(p, 1.0 - p)))
    tail = torch.where(r <= 5.0, _ratio(NEAR_TAIL, r - 1.6), _ratio(FAR_TAIL, r - 5.0))
    return torch.where(q.abs() <= 0.425, centre, torch.where(q < 0.0, -tail, tail))


def square_root(x: Tensor) -> Tensor:
    """Of positive doubles, to 3e-16, with the same bits everywhere: torch's own on a GPU is not
    always rounded correctly (1 in 100 of H200's were not).

    Newton's iteration from half the exponent, which is right to 4 %: 1e-3, 3e-7, 5e-14, rounding.
    """
    root = ((x.view(torch.int64) >> 1) + HALF_EXPONENT).view(torch.float64)
    for _ in range(4):
        root = 0.5 * (root + x / root)
    return root


def log(x: Tensor) -> Tensor:
    """Natural logarithm of positive doubles, to 2e-16, with the same bits everywhere.

    x = m 2**e with m in [sqrt(1/2), sqrt(2)); log m = 2 atanh((m - 1) / (m + 1)).
    """
    m, e = torch.frexp(x)
    small = m < 0.7071067811865476
    m, e = torch.where(small, 2.0 * m, m), (e - small.to(e.dtype)).to(x.dtype)
    s = (m - 1.0) / (m + 1.0)
    return e * LOG_2 + 2.0 * s * _polynomial(LOG_TERMS, s * s)


def _ratio(terms: tuple[Sequence[float], Sequence[float]], x: Tensor) -> Tensor:
    return _polynomial(terms[0], x) / _polynomial(terms[1], x)


def _polynomial(terms: Sequence[float], x: Tensor) -> Tensor:
    result = torch.full_like(x, terms[-1])
    for term in reversed(terms[:-1]):
        result = result * x + term  # two roundings: no fused multiply-add
    return result
