# SPDX-License-Identifier: MIT
"""Answers corrected so that their integral over the model's grid is that over the worker's.

Sums are exact before their one rounding, so they, and the correction, do not depend on the ranks.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.exact_sum import exact_terms, rounded_sum
from coupler.protocol import TAG_CONSERVE, Words
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
Arrays = Mapping[str, Array]
How = Literal["global", "positive"]
WHAT = "the integrals of other ranks of the worker"


@dataclass(frozen=True)
class Areas:
    """What the cells of one field count with in an integral [m2], (y, x)."""

    worker: NDArray[np.float64]  # of this rank's cells
    model: NDArray[np.float64]  # of those that it answers for; 0: not corrected


class Conservation:
    """`global` adds the same to every cell, `positive` multiplies every cell by the same."""

    def __init__(
        self, world: World, how: How, areas: Mapping[str, Areas], ranks: tuple[int, ...]
    ) -> None:
        """`ranks`: of the job, those of the worker that have cells; the first of them adds up."""
        self.world, self.how, self.areas, self.ranks = world, how, areas, ranks

    def correct(self, given: Arrays, regridded: Arrays) -> None:
        """`given` (level, y, x) of the worker's cells; `regridded` of the model's, which change.

        Every rank of `ranks` calls it for the same answers.
        """
        sums = [
            (exact_terms(source * areas.worker), exact_terms(target * areas.model))
            for name, areas in self.areas.items()
            for source, target in zip(
                given[name].astype(np.float64), regridded[name].astype(np.float64), strict=True
            )
        ]
        whole = [exact_terms(areas.model) for areas in self.areas.values()]
        totals = iter(self._added([terms for pair in sums for terms in pair] + whole))
        found = [(next(totals), next(totals)) for _ in sums]
        number = iter(found)
        for (name, areas), area in zip(self.areas.items(), totals, strict=True):
            counts = areas.model > 0
            for level in regridded[name]:
                source, target = next(number)
                if self.how == "positive":
                    level[counts] *= _factor(name, source, target)
                elif area > 0:
                    level[counts] += (source - target) / area

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
