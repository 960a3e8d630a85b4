# SPDX-License-Identifier: MIT
"""What was measured of a predictor, as plain data; `ml_server.halos.receptive` measures."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


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
    `remainders`: of an array's size, divided by the block: those with which answers are the same.
    `levels_alike`: every level's answer is that of the level alone.
    """

    reaches: Mapping[str, Reach]
    margin: int
    crops: Mapping[str, int]
    block: int | None
    levels_alike: bool
    remarks: tuple[str, ...] = ()
    remainders: tuple[int, ...] = (0,)

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
