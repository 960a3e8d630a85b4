# SPDX-License-Identifier: MIT
"""How far a predictor reads, measured: one cell of one input is changed, which answers move?

Two kinds of change are made, in several random surroundings. Finite ones, small and large, show
what is read there and then; a bit that differs counts. NaN shows what is read at all, also through
a weight near 0 or a unit that is off; it is hidden only by comparisons (`where(mask > 0, ...)`),
which the finite changes of masks show. So the reach is the wider of the two. Where NaN goes
everywhere and no finite change does (a product with a zero), or where far answers move by a
rounding and no more (a convolution made by FFT), the larger finite changes decide.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coupler.decomposition import Box
from ml_server.predictor import Predictor
from ml_server.probe import (
    SHIFTS,
    Ask,
    Input,
    Probe,
    Unmeasurable,
    asker,
    differs,
    levels_are_alike,
    one_level,
)

SIZES = (32, 64, 128, 256)  # cells of the arrays along the axis that is looked at
FARTHEST = SIZES[-1] // 2 - 1  # cells: what reads farther is global
ROUNDING = 64.0  # units in the last place of the largest answer: less is no answer
CORE = 4  # cells that must agree before two answers count as the same, moved

Axis = Literal["x", "y"]
AXES: tuple[Axis, ...] = ("x", "y")
Span = tuple[int, int]  # answers that move: cells before the changed one, and behind it
Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Reach:
    """Cells that an answer reads beyond its own, towards each side; None: no end was found."""

    west: int | None = 0
    east: int | None = 0
    south: int | None = 0
    north: int | None = 0

    @property
    def sides(self) -> tuple[int | None, ...]:
        return self.west, self.east, self.south, self.north

    @property
    def bounded(self) -> bool:
        return None not in self.sides

    @property
    def widest(self) -> int:
        """Of the sides where there is an end."""
        return max((side for side in self.sides if side is not None), default=0)

    def __str__(self) -> str:
        names = ("west", "east", "south", "north")
        sides = zip(names, self.sides, strict=True)
        return ", ".join(f"{n} {'no end' if side is None else side}" for n, side in sides)


@dataclass(frozen=True)
class ReceptiveField:
    """What was measured of a predictor; lengths are cells.

    `reaches`: by input. `margin`: answers nearer to an array's edge are not those of a larger
    array. `crops`: by answer, how much narrower it is than the inputs on each side. `block`: the
    same values moved by so many cells give the same answers, moved; more than 1 for networks that
    pool and interpolate, None if answers depend on where in the array a cell lies.
    """

    reaches: Mapping[str, Reach]
    margin: int
    crops: Mapping[str, int]
    block: int | None
    remarks: tuple[str, ...] = field(default=())

    @property
    def reach(self) -> Reach:
        """Of all inputs together."""
        sides = zip(*(r.sides for r in self.reaches.values()), strict=True)
        return Reach(*(None if None in side else max(map(int, side)) for side in sides))

    @property
    def is_global(self) -> bool:
        """Whether a part of the domain cannot give the answers of the whole."""
        return self.block is None or not self.reach.bounded

    @property
    def halo(self) -> int:
        """What the answers of a box need around it, if they are not global."""
        return max(self.reach.widest, self.margin, *self.crops.values(), 0)

    def __str__(self) -> str:
        by_width: dict[str, list[str]] = {}
        for name, reach in self.reaches.items():
            width = f"{reach.widest}" if reach.bounded else "no end"
            by_width.setdefault(width, []).append(name)
        if len(by_width) < 2:
            return f"{self.reach}"
        widths = "; ".join(f"{width}: {', '.join(names)}" for width, names in by_width.items())
        return f"{self.reach} ({widths})"


def measure(
    predictor: Predictor, inputs: Sequence[Input], outputs: Sequence[str]
) -> ReceptiveField:
    """Ask a copy of `predictor` some dozens of times. The same on every rank: nothing is timed.

    Raises Unmeasurable where its answers are random, depend on earlier calls, are not finite, or
    where it refuses the fields.
    """
    taken = predictor.parameters
    used = [item for item in inputs if taken is None or item.name in taken]
    ask = asker(predictor, outputs)
    smallest = _smallest(ask, used)
    if levels_are_alike(ask, used, smallest):
        used = list(one_level(used))
    return _Measurement(ask, used, smallest).field()


def _smallest(ask: Ask, inputs: Sequence[Input]) -> int:
    """The first size of arrays that the predictor takes, and whose answers hold anything."""
    reason = ""
    for size in SIZES:
        try:
            probe = Probe(ask, inputs, size, size)
            again = probe.ask(0)
        except Unmeasurable:
            raise
        except Exception as error:  # whatever a user's predictor raises: too small, perhaps
            reason = f"{type(error).__name__}: {error}"
            continue
        if probe.changed(probe.answers[0], again).any():
            raise Unmeasurable(
                "it gives another answer when it is asked the same again: it draws random numbers "
                "or keeps something between calls"
            )
        if not probe.usable:
            raise Unmeasurable("its answers to plausible random fields are not finite")
        if _alive(probe).any():
            return size
    if reason:
        raise Unmeasurable(f"it refuses random fields: {reason}")
    return SIZES[0]  # its answers are always the same


def _alive(probe: Probe) -> Mask:
    """(y, x): answers that depend on anything; not the rim that a predictor leaves at 0."""
    alive = np.zeros((probe.ny, probe.nx), np.bool_)
    first = probe.answers[probe.usable[0]] if probe.usable else probe.answers[0]
    for number in probe.usable[1:]:
        alive |= probe.changed(first, probe.answers[number])
    try:
        alive |= probe.changed(first, probe.ask_nan())
    except Unmeasurable:
        raise
    except Exception:  # it refuses NaN
        pass
    return alive


@dataclass
class _Seen:
    """How far the answers that move lie from the changed cell; None: no end in this array."""

    exact: Span | None = (0, 0)
    strong: Span | None = (0, 0)  # by more than a rounding
    nan: Span | None = (0, 0)

    @property
    def settled(self) -> Span | None:
        if self.exact is None or self.nan is None:
            return None
        return _wider(self.exact, self.nan)


def _wider(one: Span | None, other: Span | None) -> Span | None:
    if one is None or other is None:
        return None
    return max(one[0], other[0]), max(one[1], other[1])


class _Measurement:
    def __init__(self, ask: Ask, inputs: Sequence[Input], smallest: int) -> None:
        self.ask, self.inputs, self.smallest = ask, inputs, smallest
        self.probes: dict[tuple[int, int], tuple[Probe, Mask]] = {}
        self.settled: dict[Axis, int] = {"x": smallest, "y": smallest}  # sizes of arrays
        self.remarks: list[str] = []

    def field(self) -> ReceptiveField:
        reaches = self._reaches(1)
        block: int | None = 1
        margin = 0
        if all(reach.bounded for reach in reaches.values()):
            moves = self._moves("x"), self._moves("y")
            block = math.lcm(*(found[0] for found in moves if found)) if all(moves) else None
            margin = max((found[1] for found in moves if found), default=0)
            if block is not None:
                reaches = reaches if block == 1 else self._reaches(block)
                widest = max((reach.widest for reach in reaches.values()), default=0)
                enough = self._enough(widest, block)
                block = block if enough is not None else None
                margin = max(margin, enough or 0)
        probe, _ = self._probe((self.smallest, self.smallest))
        if probe.changed(probe.answers[0], probe.ask(0)).any():
            raise Unmeasurable("its answers depend on what it was asked before")
        crops = {name: probe.crop(name, answer) for name, answer in probe.answers[0].items()}
        remarks = tuple(dict.fromkeys(self.remarks))
        return ReceptiveField(reaches, margin, crops, block, remarks)

    def _sizes(self, axis: Axis) -> Iterator[tuple[int, int]]:
        """(ny, nx): longer and longer along the axis, and narrow, so that long is not many."""
        for size in SIZES:
            if size >= self.smallest:
                yield (self.smallest, size) if axis == "x" else (size, self.smallest)

    def _probe(self, size: tuple[int, int]) -> tuple[Probe, Mask]:
        if size not in self.probes:
            probe = Probe(self.ask, self.inputs, *size)
            self.probes[size] = probe, _alive(probe)
        return self.probes[size]

    def _reaches(self, block: int) -> dict[str, Reach]:
        """By input. Once one has no end, the others are looked at in the smallest arrays alone."""
        found: dict[str, Reach] = {}
        for item in self.inputs:
            seen = self._look(self.smallest, self.smallest, item.name, block)
            known_global = not all(reach.bounded for reach in found.values())
            sides: list[int | None] = []
            for axis in AXES:
                span = seen[axis].settled
                if span is None and not known_global and None not in sides:
                    span = self._farther(axis, item.name, block)
                # what moves behind the changed cell reads before itself
                sides += [None, None] if span is None else [span[1], span[0]]
            found[item.name] = Reach(*sides)
        return found

    def _farther(self, axis: Axis, name: str, block: int) -> Span | None:
        """The span in larger and larger arrays."""
        seen = _Seen()
        for ny, nx in self._sizes(axis):
            seen = self._look(ny, nx, name, block)[axis]
            self.settled[axis] = max(self.settled[axis], nx if axis == "x" else ny)
            if seen.settled is not None:
                return seen.settled
        if seen.strong is not None and seen.exact is None:
            self.remarks.append(
                f"answers far from a change of '{name}' move by a rounding; that does not count"
            )
        elif seen.strong is not None:
            self.remarks.append(
                f"NaN in '{name}' goes everywhere, finite values do not; they are what counts"
            )
        return seen.strong

    def _look(self, ny: int, nx: int, name: str, block: int) -> dict[Axis, _Seen]:
        """Change cells in the middle, one for each place in a block."""
        probe, alive = self._probe((ny, nx))
        found: dict[Axis, _Seen] = {"x": _Seen(), "y": _Seen()}
        for place in range(block):
            y, x = ny // 2 + place, nx // 2 + place
            for number in probe.usable:
                base, answers = probe.answers[number], probe.ask_with(number, name, y, x)
                exact, strong = (probe.changed(base, answers, t) for t in (0.0, ROUNDING))
                for axis, seen in found.items():
                    at = x if axis == "x" else y
                    seen.exact = _wider(seen.exact, _span(exact, alive, axis, at))
                    seen.strong = _wider(seen.strong, _span(strong, alive, axis, at))
                if found["x"].strong is None and found["y"].strong is None:
                    return found
            try:
                answers = probe.ask_with(probe.usable[0], name, y, x, nan=True)
            except Exception:  # it refuses NaN: the finite changes alone count
                continue
            marked = probe.changed(probe.answers[probe.usable[0]], answers)
            for axis, seen in found.items():
                seen.nan = _wider(seen.nan, _span(marked, alive, axis, x if axis == "x" else y))
        return found

    def _moves(self, axis: Axis) -> tuple[int, int] | None:
        """The least shift that moves answers with the values, and the margin at edges."""
        large = [size for size in self._sizes(axis) if max(size) >= self.settled[axis]]
        for size in large[:2]:
            probe, _ = self._probe(size)
            number = probe.usable[0]
            for shift in SHIFTS:
                moved = probe.ask(number, **{f"d{axis}": shift})
                margin = _margin(probe, probe.answers[number], moved, axis, shift)
                if margin is not None:
                    return shift, margin
        return None

    def _enough(self, width: int, block: int) -> int | None:
        """The least width, from `width` on, beyond which nothing matters: all that lies farther
        from the cells of a block is replaced, and their answers stay. None: there is none.

        This is what a halo is for, and finds what changes of single cells do not show.
        """
        probe, _ = self._probe((self.settled["y"], self.settled["x"]))
        y, x = probe.ny // 2, probe.nx // 2
        cells = slice(y, y + block), slice(x, x + block)
        tolerance = ROUNDING if self.remarks else 0.0
        pairs = list(zip(probe.usable, (*probe.usable[1:], probe.usable[0]), strict=True))
        for wide in range(width, min(y, x)):
            kept = Box(x - wide, x + block + wide, y - wide, y + block + wide)
            answers = [probe.ask_blend(number, other, kept) for number, other in pairs]
            if not any(
                probe.changed(probe.answers[number], answer, tolerance)[cells].any()
                for (number, _), answer in zip(pairs, answers, strict=True)
            ):
                return wide
        return None


def _span(moved: Mask, alive: Mask, axis: Axis, at: int) -> Span | None:
    """Cells of `moved` before and behind `at`; None if they reach the end of what is alive."""
    across = 0 if axis == "x" else 1
    cells = np.flatnonzero(moved.any(axis=across))
    if not len(cells):
        return 0, 0
    living = np.flatnonzero(alive.any(axis=across))
    if cells[0] <= living[0] or cells[-1] >= living[-1]:
        return None
    return max(at - int(cells[0]), 0), max(int(cells[-1]) - at, 0)


def _margin(
    probe: Probe,
    still: Mapping[str, NDArray[np.floating]],
    moved: Mapping[str, NDArray[np.floating]],
    axis: Axis,
    shift: int,
) -> int | None:
    """Cells from an array's edge within which `moved` is not `still`, moved; None: everywhere."""
    widest = 0
    for name, one in still.items():
        other = moved[name]
        one, other = (np.moveaxis(a, 2 if axis == "x" else 1, 0) for a in (one, other))
        if len(one) < shift + CORE:
            return None
        different = differs(one[shift:], other[:-shift], ROUNDING).reshape(len(one) - shift, -1)
        wrong = np.flatnonzero(different.any(axis=1))
        length = len(different)
        edges = np.concatenate(([-1], wrong, [length]))
        gap = int(np.argmax(np.diff(edges)))
        first, last = int(edges[gap]) + 1, int(edges[gap + 1])
        if last - first < CORE:
            return None
        widest = max(widest, probe.crop(name, still[name]) + max(first, length - last))
    return widest
