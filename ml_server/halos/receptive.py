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
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from coupler.routing.decomposition import Box
from ml_server.errors import AnswerError
from ml_server.halos.plausible import Array, Input, one_level
from ml_server.halos.probe import (
    SHIFTS,
    Ask,
    Probe,
    Unmeasurable,
    asker,
    differs,
    levels_are_alike,
    rounding_of,
)
from ml_server.halos.reach import Reach, ReceptiveField
from ml_server.predictor import Predictor

# Cells of the arrays along the axis that is looked at: multiples of what networks pool by.
SIZES = (48, 96, 192, 288)
FARTHEST = SIZES[-1] // 2 - 1  # cells: what reads farther is global
CORE = 4  # cells in a row that must agree before two answers count as the same

Axis = Literal["x", "y"]
AXES: tuple[Axis, ...] = ("x", "y")
Span = tuple[int, int]  # answers that move: cells before the changed one, and behind it
Mask = NDArray[np.bool_]


def measure(
    predictor: Predictor,
    inputs: Sequence[Input],
    outputs: Sequence[str],
    limit: float | None = None,
) -> ReceptiveField:
    """Ask a copy of `predictor` some dozens of times. The same on every rank: what is found does
    not depend on time.

    Raises AnswerError for answers that no run accepts, Unmeasurable where they are random, depend
    on earlier calls, are not finite, take longer than `limit` seconds, or where it refuses the
    fields.
    """
    taken = predictor.parameters
    used: Sequence[Input] = [item for item in inputs if taken is None or item.name in taken]
    ask = asker(predictor, outputs, limit)
    rounding = rounding_of(predictor, used)
    probe = _smallest(ask, used, rounding)
    try:
        alike = levels_are_alike(ask, used, probe)
        used = one_level(used) if alike else used
        return _Measurement(ask, used, probe.nx, rounding).field(alike)
    except (Unmeasurable, AnswerError):
        raise
    except Exception as error:  # whatever a user's predictor raises
        text = f"it takes some random fields and not others: {type(error).__name__}: {error}"
        raise Unmeasurable(text) from error


def _smallest(ask: Ask, inputs: Sequence[Input], rounding: float) -> Probe:
    """Of the first size that the predictor takes, and of which answers hold anything."""
    reason, found = "", None
    for size in SIZES:
        probe = Probe(ask, inputs, size, size, rounding)
        try:
            again = probe.changed(probe.answers(0), probe.ask(0))
        except (Unmeasurable, AnswerError):
            raise
        except Exception as error:  # whatever a user's predictor raises: too small, perhaps
            reason = f"{type(error).__name__}: {error}"
            continue
        if again.any():
            raise Unmeasurable(
                "it gives another answer when it is asked the same again: it draws random numbers "
                "or keeps something between calls"
            )
        if not probe.usable:
            raise Unmeasurable("its answers to plausible random fields are not finite")
        found = found or probe  # whose answers may always be the same
        if probe.alive.any():
            return probe
    if found is None:
        raise Unmeasurable(f"it refuses random fields: {reason}")
    return found


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
    def __init__(self, ask: Ask, inputs: Sequence[Input], smallest: int, rounding: float) -> None:
        """`smallest`: cells of the arrays across the axis that is looked at: long is not many."""
        self.ask, self.inputs, self.smallest, self.rounding = ask, inputs, smallest, rounding
        self.sizes: dict[Axis, int] = dict.fromkeys(AXES, smallest)  # cells that are enough
        self.probes: dict[tuple[int, int], Probe] = {}
        self.seen: dict[tuple[int, int, str], dict[Axis, _Seen]] = {}
        self.remarks: list[str] = []

    def field(self, levels_alike: bool) -> ReceptiveField:
        moves = [self._moves(axis) for axis in AXES]
        still = [move for move in moves if move is not None]
        margin = max((margin for _, margin in still), default=0)
        block = math.lcm(*(shift for shift, _ in still)) if len(still) == len(AXES) else None
        reaches = self._reaches(block)
        if block is not None and all(reach.bounded for reach in reaches.values()):
            enough = self._enough(reaches, block)
            block = block if enough is not None else None
            margin = max(margin, enough or 0)
        probe = self._probe(self.smallest, self.smallest)
        if probe.changed(probe.answers(0), probe.ask(0)).any():
            raise Unmeasurable("its answers depend on what it was asked before")
        crops = {name: probe.crop(name, answer) for name, answer in probe.answers(0).items()}
        remarks = tuple(dict.fromkeys(self.remarks))
        found = ReceptiveField(reaches, margin, crops, block, levels_alike, remarks)
        return found if found.is_global else replace(found, remainders=self._remainders(found))

    def _remainders(self, field: ReceptiveField) -> tuple[int, ...]:
        """See ReceptiveField. Networks that interpolate to a size that is given have other answers
        in arrays that are no whole blocks, or refuse them."""
        block = field.block or 1
        alike = [
            {(size + more) % block for more in range(block) if self._as_in(axis, more, field.halo)}
            for axis, size in self.sizes.items()
        ]
        return tuple(sorted(set.intersection(*alike)))

    def _as_in(self, axis: Axis, more: int, halo: int) -> bool:
        """Whether answers are the same in an array that is longer by `more` cells, but for `halo`
        cells at its edges."""
        if more == 0:  # also where few answers are not 0, so that the margin is wide by chance
            return True
        probe = self._along(axis, self.sizes[axis])
        longer = self._along(axis, self.sizes[axis] + more)
        try:
            margin = _margin(probe, probe.answers(0), longer.answers(0), axis, 0)
        except Exception:  # such sizes it refuses, or its answers have others
            return False
        return margin is not None and margin <= halo

    def _probe(self, ny: int, nx: int) -> Probe:
        if (ny, nx) not in self.probes:
            self.probes[ny, nx] = Probe(self.ask, self.inputs, ny, nx, self.rounding)
        return self.probes[ny, nx]

    def _along(self, axis: Axis, size: int) -> Probe:
        return self._probe(*((self.smallest, size) if axis == "x" else (size, self.smallest)))

    def _moves(self, axis: Axis) -> tuple[int, int] | None:
        """The least shift of the values that shifts the answers, and the margin at the edges.

        First the answers of a small array must be, but for its edge, those of the largest one:
        what depends on an array's size, or reads around its edge from far, is not looked at in too
        small an array. None where that is never so, or where no shift does.
        """
        largest = self._along(axis, SIZES[-1])
        for size in (size for size in SIZES[:-1] if size >= self.smallest):
            probe = self._along(axis, size)
            cut = _margin(probe, probe.answers(0), largest.answers(0), axis, 0)
            enough = [s for s in SIZES if cut is not None and s >= max(size, 2 * cut + 2)]
            if not enough:
                continue
            self.sizes[axis] = enough[0]
            probe = self._along(axis, enough[0])
            for shift in SHIFTS:
                moved = probe.ask(0, **{f"d{axis}": shift})
                margin = _margin(probe, probe.answers(0), moved, axis, shift)
                if margin is not None:
                    return shift, max(margin, cut or 0)
        return None

    def _reaches(self, block: int | None) -> dict[str, Reach]:
        """By input. Once it is known that there is no end, only the smallest arrays are asked."""
        found: dict[str, Reach] = {}
        is_global = block is None
        for item in self.inputs:
            sides: list[int | None] = []
            for axis in AXES:
                sizes = [s for s in SIZES if s >= self.sizes[axis]]
                span = self._span(axis, item.name, block or 1, sizes[:1] if is_global else sizes)
                is_global |= span is None
                # what moves behind the changed cell reads before itself
                sides += [None, None] if span is None else [span[1], span[0]]
            found[item.name] = Reach(*sides)
        return found

    def _span(self, axis: Axis, name: str, block: int, sizes: Sequence[int]) -> Span | None:
        """Where answers move, in arrays of the first of the sizes in which there is an end."""
        seen = _Seen()
        for size in sizes:
            self.sizes[axis] = size
            probe = self._along(axis, size)
            key = probe.ny, probe.nx, name
            if key not in self.seen:
                self.seen[key] = _look(probe, name, block)
            seen = self.seen[key][axis]
            if seen.settled is not None:
                return seen.settled
        if seen.strong is not None and seen.exact is None:
            self.remarks.append(
                f"answers far from a change of '{name}' move by a rounding; that does not count"
            )
        elif seen.strong is not None:
            self.remarks.append(
                f"NaN in '{name}' goes everywhere, finite values do not, and they are what counts"
            )
        return seen.strong

    def _enough(self, reaches: Mapping[str, Reach], block: int) -> int | None:
        """The least width, from that of `reaches` on, beyond which nothing matters: all that lies
        farther from the cells of a block is replaced, and their answers stay. None: there is none.

        This is what a halo is for, and finds what changes of single cells do not show.
        """
        wide_x = max((max(r.west or 0, r.east or 0) for r in reaches.values()), default=0)
        wide_y = max((max(r.south or 0, r.north or 0) for r in reaches.values()), default=0)
        probe = self._probe(self.sizes["y"], self.sizes["x"])
        y, x = probe.ny // 2, probe.nx // 2
        cells = slice(y, y + block), slice(x, x + block)
        pairs = list(zip(probe.usable, (*probe.usable[1:], probe.usable[0]), strict=True))
        for more in range(min(y - wide_y, x - wide_x)):
            across, along = wide_x + more, wide_y + more
            kept = Box(x - across, x + block + across, y - along, y + block + along)
            changed = [
                probe.changed(
                    probe.answers(number), probe.ask_blend(number, other, kept), bool(self.remarks)
                )[cells].any()
                for number, other in pairs
            ]
            if not any(changed):
                return max(across, along)
        return None


def _look(probe: Probe, name: str, block: int) -> dict[Axis, _Seen]:
    """Change cells in the middle, one for each place in a block."""
    found: dict[Axis, _Seen] = {axis: _Seen() for axis in AXES}
    for place in range(block):
        y, x = probe.ny // 2 + place, probe.nx // 2 + place
        for number in probe.usable:
            base = probe.answers(number)
            for answers, is_nan in probe.ask_changed(number, name, y, x):
                exact = probe.changed(base, answers)
                strong = exact if is_nan else probe.changed(base, answers, rounded=True)
                for axis, seen in found.items():
                    at = x if axis == "x" else y
                    span = _moved(exact, probe.alive, axis, at)
                    if is_nan:
                        seen.nan = _wider(seen.nan, span)
                        continue
                    seen.exact = _wider(seen.exact, span)
                    seen.strong = _wider(seen.strong, _moved(strong, probe.alive, axis, at))
    return found


def _moved(moved: Mask, alive: Mask, axis: Axis, at: int) -> Span | None:
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
    probe: Probe, still: Mapping[str, Array], moved: Mapping[str, Array], axis: Axis, shift: int
) -> int | None:
    """Cells from an array's edge within which `moved` is not `still`, shifted; None: everywhere.

    `moved` may be longer than `still`.
    """
    widest = 0
    for name in still:
        along = 2 if axis == "x" else 1
        one = np.moveaxis(still[name], along, 0)[shift:]
        other = np.moveaxis(moved[name], along, 0)[: len(one)]
        different = np.asarray(differs(one, other, probe.rounding).any(axis=(1, 2)))
        # a rim that a network leaves at zero is alike, too, and says nothing
        answered = np.flatnonzero(one.any(axis=(1, 2)))
        if answered.size:
            different[: int(answered[0])] = different[int(answered[-1]) + 1 :] = True
        edges = np.concatenate(([-1], np.flatnonzero(different), [len(one)]))
        gap = int(np.argmax(np.diff(edges)))
        first, last = int(edges[gap]) + 1, int(edges[gap + 1])
        if last - first < CORE:
            return None
        widest = max(widest, probe.crop(name, still[name]) + max(first, len(one) - last))
    return widest
