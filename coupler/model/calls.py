# SPDX-License-Identifier: MIT
"""The puts and gets of one exchange of a model in Python: what is due, in which order, and what
happens to a field on its way."""

from __future__ import annotations

import time
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.clock import is_due
from coupler.errors import CouplingError
from coupler.model.plan import Treatment
from coupler.model.transfer import Receiver, Sender
from coupler.protocol import STATIC

Array = NDArray[np.floating]


@dataclass
class Reduction:
    """What the puts since the last date have come to, in 64 bits."""

    operation: str
    partial: NDArray[np.float64] | None = None
    puts: int = 0

    def add(self, values: Array) -> None:
        """A NaN stays: an extreme without it would hide that the model went wrong."""
        new = values.astype(np.float64)
        combine = {"min": np.minimum, "max": np.maximum}.get(self.operation, np.add)
        self.partial = new if self.partial is None else combine(self.partial, new)
        self.puts += 1

    def take(self) -> NDArray[np.float64]:
        assert self.partial is not None
        found = self.partial / self.puts if self.operation == "average" else self.partial
        self.partial, self.puts = None, 0
        return found


def converted(values: Array, treatment: Treatment) -> Array:
    """Scale and offset in the precision of the model's array."""
    if not treatment.converts:
        return values
    kind = values.dtype.type
    result: Array = values * kind(treatment.scale) + kind(treatment.offset)
    return result


class Outgoing:
    """An exchange to the workers, or static fields: it leaves with the last field of its date."""

    def __init__(self, sender: Sender, start: int) -> None:
        self.sender, self.exchange = sender, sender.exchange
        self.date: int | None = None  # of the exchange under way
        self.last: int | None = None
        self.done: set[str] = set()
        self.packing = 0.0  # [s]
        self.previous: dict[str, int] = {}  # dates of the last puts of what is reduced in time
        self.start = start
        self.reductions = {
            name: Reduction(treatment.operation)
            for name, treatment in self._treated()
            if treatment.operation != "instant" and self.exchange.direction != STATIC
        }

    def _treated(self) -> list[tuple[str, Treatment]]:
        return list(zip(self.exchange.fields, self.exchange.treatments, strict=True))

    @property
    def count(self) -> int:
        return self.sender.count

    def put(self, name: str, date: int, values: Array, time_step: int) -> None:
        """(level, y, x) of all levels that the model declared."""
        if name not in self.exchange.fields:
            return
        place = self.exchange.fields.index(name)
        treatment = self.exchange.treatments[place]
        leaving = values[treatment.levels]
        if name in self.reductions:
            self._reduce(name, date, leaving, time_step)
        if not self._is_due(date):
            return
        self._open(name, date)
        if not self.done:
            self.sender.wait_for_room(f"the workers to take '{name}'")
        begun = time.perf_counter()
        if name in self.reductions:
            leaving = self.reductions[name].take().astype(values.dtype)
        self.sender.pack(place, converted(leaving, treatment))
        self.packing += time.perf_counter() - begun
        self.done.add(name)
        if len(self.done) == len(self.exchange.fields):
            self.sender.send(date)
            self.last, self.date, self.done = date, None, set()

    def _is_due(self, date: int) -> bool:
        if self.exchange.direction == STATIC:
            return self.count == 0
        return is_due(date, self.exchange.period)

    def _reduce(self, name: str, date: int, values: Array, time_step: int) -> None:
        expected = self.previous.get(name, self.start - time_step) + time_step
        if date != expected:
            raise CouplingError(
                f"put of '{name}' at date {date} s, expected {expected} s: the spec reduces it in "
                f"time, which takes one put at every time step ({time_step} s)"
            )
        self.previous[name] = date
        self.reductions[name].add(values)

    def _open(self, name: str, date: int) -> None:
        if self.last is not None and date <= self.last:
            raise CouplingError(
                f"put of '{name}' at date {date} s, but the exchange of {self.last} s is complete; "
                "expected one put for each date, in order"
            )
        if self.date not in (None, date) and self.exchange.direction != STATIC:
            raise CouplingError(
                f"put of '{name}' at date {date} s, but the exchange of {self.date} s still lacks "
                f"{', '.join(self._lacking())}"
            )
        if name in self.done:
            raise CouplingError(f"put of '{name}' twice at date {date} s")
        self.date = date

    def _lacking(self) -> list[str]:
        return [field for field in self.exchange.fields if field not in self.done]

    def check_complete(self) -> None:
        """An exchange of which only some fields were put would be lost without a word."""
        if self.done:
            raise CouplingError(
                f"the exchange of date {self.date} s still lacks {', '.join(self._lacking())}"
            )

    def close(self) -> None:
        self.sender.close()


class Incoming:
    """An exchange from the workers: the first get of a date waits for all of its fields."""

    def __init__(self, receiver: Receiver) -> None:
        self.receiver, self.exchange = receiver, receiver.exchange
        self.date: int | None = None
        self.held: dict[str, Array] = {}
        self.waited = 0.0  # [s]

    def get(self, name: str, date: int, shape: tuple[int, int, int]) -> Array | None:
        """`shape` (level, y, x): of the model's field."""
        if name not in self.exchange.fields or not is_due(date, self.exchange.period):
            return None
        if self.date != date:
            self._receive(name, date, shape)
        if name not in self.held:
            raise CouplingError(f"get of '{name}' twice at date {date} s")
        treatment = self.exchange.treatments[self.exchange.fields.index(name)]
        answer = np.zeros(shape)
        values = self.held.pop(name).astype(np.float64)
        answer[treatment.levels] = converted(values, treatment)
        return answer

    def _receive(self, name: str, date: int, shape: tuple[int, int, int]) -> None:
        if self.held or (self.date is not None and date < self.date):
            lacking = " is complete"
            if self.held:
                lacking = f" still lacks a get of {', '.join(self.held)}"
            raise CouplingError(
                f"get of '{name}' at date {date} s, but the exchange of {self.date} s{lacking}; "
                "expected one get for each date, in order"
            )
        begun = time.perf_counter()
        arrays = {
            field: np.zeros((t.last - t.first + 1, *shape[1:]), self.exchange.wire)
            for field, t in zip(self.exchange.fields, self.exchange.treatments, strict=True)
        }
        self.receiver.receive(date, arrays)
        self.date, self.held = date, arrays
        self.waited += time.perf_counter() - begun

    def drop(self) -> None:
        self.receiver.drop()

    def close(self) -> None:
        self.receiver.close()
