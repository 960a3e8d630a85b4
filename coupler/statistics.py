# SPDX-License-Identifier: MIT
"""What went through an exchange, as a table: one line a field and date, the same bits from any
number of workers. The extremes are exact, and so is the sum before its one rounding."""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.exact_sum import exact_terms, rounded_sum
from coupler.planning import channel_decomposition
from coupler.protocol import TAG_STATISTICS, Words
from coupler.spec import CouplingSpec
from coupler.world import CouplingError, World

Array = NDArray[np.floating]
COLUMNS = ("date", "from", "to", "field", "min", "max", "mean", "sum", "nan_count")


def summarize(values: Array) -> list[float]:
    """Finite values, others, minimum, maximum, and the exact terms of the sum."""
    wide = values.astype(np.float64).ravel()
    finite = wide[np.isfinite(wide)]
    extremes = (finite.min(), finite.max()) if finite.size else (math.inf, -math.inf)
    return [float(finite.size), float(wide.size - finite.size), *extremes, *exact_terms(finite)]


def combine(parts: Sequence[Sequence[float]]) -> tuple[float, float, float, float, int]:
    """Minimum, maximum, mean, sum, number of values that are not finite, of all ranks."""
    count = sum(part[0] for part in parts)
    total = rounded_sum(term for part in parts for term in part[4:])
    if not count:
        return math.nan, math.nan, math.nan, math.nan, int(sum(part[1] for part in parts))
    return (
        min(part[2] for part in parts),
        max(part[3] for part in parts),
        total / count,
        total,
        int(sum(part[1] for part in parts)),
    )


def _owned(channel: Channel, array: Array, outside: NDArray[np.bool_] | None) -> Array:
    """This rank's own cells, without those that the model has not."""
    halo = channel.halo
    inner = np.s_[halo : halo + channel.box.ny, halo : halo + channel.box.nx]
    owned: Array = array[:, *inner]
    return owned if outside is None else owned[:, ~outside[inner]]


class Statistics:
    """The first rank that has steps writes <component>_statistics.csv; the others that have cells,
    too, tell it what they saw."""

    def __init__(
        self, world: World, spec: CouplingSpec, start: int | None, stepping: tuple[int, ...]
    ) -> None:
        """`start`: the run continues another from that date on, and so does its table. `stepping`:
        the component's ranks that have steps, in the job's numbers; the model may have dropped all
        cells of the others."""
        self.stepping = stepping
        self.world, self.spec = world, spec
        self.path = Path(f"{world.name}_statistics.csv")
        self._start, self._append = start, False
        self._sent: list[tuple[MPI.Request, Words]] = []

    def take(
        self,
        date: int,
        channel: Channel,
        arrays: Mapping[str, Array],
        outside: Mapping[str, NDArray[np.bool_]] | None = None,
    ) -> None:
        """`arrays` (level, y, x), padded or not, of an exchange; cells `outside` have no owner."""
        if not channel.exchange.statistics:
            return
        leader, *others = self._ranks(channel)
        rows = []
        for field in channel.fields:
            mine = []
            if channel.box.cells:
                outer = (outside or {}).get(field.name)
                mine = [summarize(_owned(channel, arrays[field.name], outer))]
            if self.world.comm.rank != leader:
                self._send(leader, mine)
                continue
            parts = [*mine, *(self._receive(rank) for rank in others)]
            ends = (channel.exchange.source, channel.exchange.target)
            rows.append((date, *ends, field.name, *combine(parts)))
        if rows:
            self._write(rows)

    def _write(self, rows: Sequence[tuple[object, ...]]) -> None:
        """Complete lines at once: a run that fails later leaves what it saw."""
        try:
            earlier = [] if self._append else [COLUMNS, *self._earlier()]
            with self.path.open("a" if self._append else "w", newline="") as file:
                csv.writer(file, lineterminator="\n").writerows([*earlier, *rows])
        except OSError as error:
            raise CouplingError(f"statistics {self.path}: {error.strerror}") from error
        self._append = True

    def _earlier(self) -> list[list[str]]:
        """What the run that this one continues saw before `start`; it may have gone on farther,
        and then failed."""
        if self._start is None or not self.path.exists():
            return []
        with self.path.open(newline="") as file:
            table = [row for row in csv.reader(file) if len(row) == len(COLUMNS)]
        return [row for row in table if row != list(COLUMNS) and int(row[0]) < self._start]

    def _ranks(self, channel: Channel) -> list[int]:
        """Who writes, and the others that own cells of this exchange, in the job's numbers."""
        ranks = self.world.members[self.world.name].ranks
        split = channel_decomposition(self.spec, channel.exchange, len(ranks))
        leader = self.stepping[0]
        cells = dict(zip(ranks, split.cells(), strict=True))
        return [leader, *(rank for rank in self.stepping if cells[rank] and rank != leader)]

    def _send(self, leader: int, mine: list[list[float]]) -> None:
        self._sent = [(request, words) for request, words in self._sent if not request.Test()]
        for numbers in mine:
            words = np.array(numbers).view(np.int64)
            self._sent.append((self.world.comm.Isend(words, leader, TAG_STATISTICS), words))

    def _receive(self, rank: int) -> list[float]:
        words = self.world.receive_words(rank, TAG_STATISTICS, "the statistics of another rank")
        return [float(number) for number in words.view(np.float64)]

    def close(self) -> None:
        self.world.wait_requests([request for request, _ in self._sent], "statistics to be taken")
