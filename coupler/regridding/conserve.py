# SPDX-License-Identifier: MIT
"""Regridded fields corrected so that their integral is that of what they were made from.

Sums are exact before their one rounding, so they, and the correction, do not depend on the ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import isfinite
from typing import Literal

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.exact_sum import exact_terms, rounded_sum
from coupler.protocol import TAG_CONSERVE, Words
from coupler.regridding.areas import Areas
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
Arrays = Mapping[str, Array]
How = Literal["global", "positive"]
WHAT = "the integrals of other ranks of the worker"


class Conservation:
    """`global` adds the same to every cell, `positive` multiplies every cell by the same."""

    def __init__(
        self, world: World, how: How, areas: Mapping[str, Areas], ranks: tuple[int, ...]
    ) -> None:
        """`ranks`: of the job, those of the worker that call `correct`; the first adds up."""
        self.world, self.how, self.areas, self.ranks = world, how, areas, ranks

    def correct(self, given: Arrays, regridded: Arrays) -> None:
        """`given` (level, y, x) of source cells; `regridded` of target cells, which change.

        Every rank of `ranks` calls it for the same fields, in the same order.
        """
        sums = [
            (_integral(source, areas.source), _integral(target, areas.target))
            for name, areas in self.areas.items()
            for source, target in zip(given[name], regridded[name], strict=True)
        ]
        whole = [exact_terms(areas.target) for areas in self.areas.values()]
        totals = iter(self._added([terms for pair in sums for terms in pair] + whole))
        found = [(next(totals), next(totals)) for _ in sums]
        number = iter(found)
        for (name, areas), area in zip(self.areas.items(), totals, strict=True):
            for level in regridded[name]:
                source, target = next(number)
                if not (isfinite(source) and isfinite(target)):
                    raise CouplingError(
                        f"conserve: '{name}' is not finite, nor is its integral; expected numbers "
                        "in every cell with an area, as one without a row counts, too"
                    )
                if self.how == "positive":
                    level[areas.corrected] *= _factor(name, source, target)
                elif area > 0:
                    level[areas.corrected] += (source - target) / area

    def _added(self, sums: list[list[float]]) -> list[float]:
        """Of each sum's terms on this rank the total of all ranks."""
        leader, others = self.ranks[0], self.ranks[1:]
        if self.world.comm.rank != leader:
            self._send([leader], np.concatenate([_encode(terms) for terms in sums]))
            words = self.world.receive_words(leader, TAG_CONSERVE, WHAT)
            return [float(number) for number in words.view(np.float64)]
        parts = [sums]
        for rank in others:
            words = self.world.receive_words(rank, TAG_CONSERVE, WHAT)
            parts.append(_decode(words.view(np.float64)))
        together = zip(*parts, strict=True)
        totals = [rounded_sum(t for terms in of_ranks for t in terms) for of_ranks in together]
        self._send(others, np.array(totals))
        return totals

    def _send(self, ranks: tuple[int, ...] | list[int], numbers: NDArray[np.float64]) -> None:
        words: Words = numbers.view(np.int64)
        requests: list[MPI.Request] = [
            self.world.comm.Isend(words, rank, TAG_CONSERVE) for rank in ranks
        ]
        self.world.wait_requests(requests, WHAT)


def conservation_of(world: World, channel: Channel, ranks: tuple[int, ...]) -> Conservation | None:
    """None where the exchange has nothing to conserve; `ranks`: see Conservation."""
    regrid = channel.exchange.regrid
    if regrid is None or regrid.conserve is None or not channel.areas:
        return None
    return Conservation(world, regrid.conserve, channel.areas, ranks)


def _integral(values: Array, area: NDArray[np.float64]) -> list[float]:
    """Exact terms; what a cell without area holds does not matter, and NaN elsewhere is 0."""
    counts = area > 0
    with np.errstate(invalid="ignore"):  # of infinite values, which the sum shows
        return exact_terms(values[counts].astype(np.float64) * area[counts])


def _encode(terms: list[float]) -> NDArray[np.float64]:
    return np.array([float(len(terms)), *terms])


def _decode(numbers: NDArray[np.float64]) -> list[list[float]]:
    found, at = [], 0
    while at < len(numbers):
        end = at + 1 + int(numbers[at])
        found.append(numbers[at + 1 : end].tolist())
        at = end
    return found


def _factor(name: str, source: float, target: float) -> float:
    if source == target:
        return 1.0
    if not source * target > 0:
        raise CouplingError(
            f"conserve: positive multiplies '{name}' by the ratio of its integrals, but they are "
            f"{source:g} and {target:g}; take global for a field of both signs"
        )
    return source / target
