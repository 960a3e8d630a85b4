# SPDX-License-Identifier: MIT
"""A picture of a plan: both decompositions, and what one worker rank receives from whom."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle
from numpy.typing import NDArray

from coupler.command.pieces import Piece, pieces
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.router import route_to_worker
from coupler.spec import ExchangeSpec, GridSpec

Color = tuple[float, float, float]
Colors = dict[int, Color]

HATCHES = {"in place": "", "periodic": "////", "fold": "xxxx", "wall": "...."}
LISTED = 26  # senders in the legend before the rest is only counted
NOBODY = "0.86"  # colour of cells that nobody owns
WORKER = "black"
MODEL = "0.55"
CHOSEN = "crimson"
EDGE = "0.2"


@dataclass(frozen=True)
class Received:
    """What worker rank `rank` receives of the first field of `exchange`."""

    exchange: ExchangeSpec
    model: Decomposition
    worker: Decomposition
    rank: int
    pieces: tuple[Piece, ...]

    @property
    def box(self) -> Box:
        return self.worker.box(self.rank)

    @property
    def grid(self) -> GridSpec:
        return self.exchange.grid

    @classmethod
    def of(
        cls, exchange: ExchangeSpec, model: Decomposition, worker: Decomposition, rank: int
    ) -> Received:
        box, halo = worker.box(rank), exchange.halo
        messages = route_to_worker(exchange.fields[:1], exchange.grid, model, box, halo)
        found = pieces(messages, 0, exchange.grid, model, box, halo)
        return cls(exchange, model, worker, rank, tuple(found))

    def cells(self) -> Counter[int]:
        """By sender."""
        cells: Counter[int] = Counter()
        for piece in self.pieces:
            cells[piece.rank] += piece.target.cells
        return cells


def draw_plan(received: Received, path: Path) -> None:
    """Writes the picture, in the format that the ending of `path` names."""
    matplotlib.use("Agg")
    matplotlib.rcParams["hatch.linewidth"] = 0.5
    figure = Figure(figsize=(15.5, 7.6), layout="constrained", dpi=130)
    whole, part = figure.subplots(1, 2)
    colors = {
        rank: _paler(matplotlib.colormaps["tab20"](number % 20))
        for number, rank in enumerate(sorted(received.cells()))
    }
    _draw_grid(whole, received, colors)
    _draw_padded(part, received, colors)
    _draw_legend(figure, received, colors)
    exchange, field = received.exchange, received.exchange.fields[0]
    halo = f", halo {exchange.halo}" if exchange.halo else ""
    figure.suptitle(
        f"{received.model.name} on {received.model.ranks} ranks → {received.worker.name} on "
        f"{received.worker.ranks}{halo}: field {field.name} ({field.point} points, {field.kind})",
        fontweight="bold",
    )
    figure.savefig(path)


def _paler(color: tuple[float, float, float, float]) -> Color:
    red, green, blue = (0.7 * part + 0.3 for part in color[:3])
    return red, green, blue


def _draw_grid(axes: Axes, received: Received, colors: Colors) -> None:
    """The whole grid: every box of both sides, and the cells that travel to the worker rank."""
    grid, box = received.grid, received.box
    for piece in received.pieces:
        axes.add_patch(_rectangle(piece.source, colors[piece.rank], HATCHES[piece.way]))
    boxes = [received.model.box(rank) for rank in range(received.model.ranks)]
    axes.add_collection(_outlines(boxes, MODEL, 0.6 if len(boxes) <= 400 else 0.15))
    boxes = [received.worker.box(rank) for rank in range(received.worker.ranks)]
    axes.add_collection(_outlines(boxes, WORKER, 1.6 if len(boxes) <= 64 else 0.8))
    axes.add_collection(_outlines([box], CHOSEN, 2.6))
    if received.worker.ranks <= 64:
        for rank, other in enumerate(boxes):
            if other.cells:
                middle = (other.x0 + other.x1) / 2, (other.y0 + other.y1) / 2
                chosen = rank == received.rank
                _label(axes, middle, f"{rank}", 13 if chosen else 10, CHOSEN if chosen else "k")
    edge = 0.02 * max(grid.nx, grid.ny)
    _frame(axes, Box(0, grid.nx, 0, grid.ny), edge)
    sides = f"x {grid.boundary_x}, y {grid.boundary_y}"
    north = f", north fold {grid.north}" if grid.north else ""
    axes.set_title(f"grid {grid.name}, {grid.nx:,} × {grid.ny:,}: {sides}{north}")


def _draw_padded(axes: Axes, received: Received, colors: Colors) -> None:
    """The worker rank's padded box, by sender; indices go on beyond the grid."""
    grid, box = received.grid, received.box
    padded = box.padded(received.exchange.halo)
    rulers = _Ruler.of(box.x0, box.x1, padded.x0), _Ruler.of(box.y0, box.y1, padded.y0)
    axes.add_patch(_rectangle(padded, NOBODY, ""))
    _frame(axes, padded, 0.03 * max(padded.nx, padded.ny, 1))
    stretched = rulers[0].stretched or rulers[1].stretched
    if stretched:
        axes.set_aspect("auto")
        axes.set_xscale("function", functions=(rulers[0].place, rulers[0].cell))
        axes.set_yscale("function", functions=(rulers[1].place, rulers[1].cell))
    for piece in received.pieces:
        axes.add_patch(_rectangle(piece.target, colors[piece.rank], HATCHES[piece.way]))
    axes.add_collection(_outlines([piece.target for piece in received.pieces], "white", 0.7))
    points = 72 * 5.6 / max(rulers[0].length, rulers[1].length)  # of a cell, nearly
    for piece in received.pieces:
        text = f"{'−' if piece.sign < 0 else ''}{piece.rank}"
        x, wide = rulers[0].middle(piece.target.x0, piece.target.x1)
        y, tall = rulers[1].middle(piece.target.y0, piece.target.y1)
        size = min(10.0, 0.8 * points * tall, 1.4 * points * wide / len(text))
        if size >= 4.0:
            _label(axes, (x, y), text, size, "k")
    axes.add_collection(_outlines([Box(0, grid.nx, 0, grid.ny)], EDGE, 1.8, "--"))
    axes.add_collection(_outlines([box], CHOSEN, 2.6))
    axes.set_title(
        f"what {received.worker.name} {received.rank} receives: {padded.nx:,} × {padded.ny:,} "
        f"cells from {len(colors)} rank{'' if len(colors) == 1 else 's'} of {received.model.name}"
        + ("\n(the halo is drawn wider than it is)" if stretched else "")
    )


@dataclass(frozen=True)
class _Ruler:
    """Cells of one axis -> places in the picture; a halo too thin to be seen is stretched."""

    cells: NDArray[np.float64]
    places: NDArray[np.float64]

    @classmethod
    def of(cls, low: int, high: int, padded_low: int) -> _Ruler:
        halo = low - padded_low
        wide = max(halo, 0.07 * (high - low)) if halo else 0.0
        beyond = high - low + 1.0
        cells = [low - halo - beyond, low - halo, low, high, high + halo, high + halo + beyond]
        places = [low - wide - beyond, low - wide, low, high, high + wide, high + wide + beyond]
        return cls(np.array(cells, float), np.array(places, float))

    @property
    def stretched(self) -> bool:
        return not np.array_equal(self.cells, self.places)

    @property
    def length(self) -> float:
        return max(float(self.places[4] - self.places[1]), 1.0)

    def place(self, cells: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(cells, self.cells, self.places)

    def cell(self, places: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.interp(places, self.places, self.cells)

    def middle(self, low: int, high: int) -> tuple[float, float]:
        """The cell in the middle of the drawn range low..high, and the range's drawn length."""
        first, last = self.place(np.array([low, high], float))
        return float(self.cell(np.array((first + last) / 2))), float(last - first)


def _draw_legend(figure: Figure, received: Received, colors: Colors) -> None:
    shown = {piece.way for piece in received.pieces}
    texts = {
        "in place": "from its own place",
        "periodic": "periodic image",
        "fold": "image over the north fold",
        "wall": "beyond a wall: repeated or mirrored",
    }
    handles = [
        Patch(facecolor="white", edgecolor="0.3", hatch=HATCHES[way], label=text)
        for way, text in texts.items()
        if way in shown
    ]
    padded = received.box.padded(received.exchange.halo)
    if sum(received.cells().values()) < padded.cells:
        handles.append(Patch(facecolor=NOBODY, edgecolor="0.3", label="nobody's: 0"))
    if any(piece.sign < 0 for piece in received.pieces):
        handles.append(Patch(facecolor="none", label="−n: rank n, sign changed"))
    handles += [
        Patch(facecolor="none", edgecolor=color, lw=width, ls=style, label=label)
        for color, width, style, label in (
            (MODEL, 0.8, "-", f"boxes of {received.model.name}"),
            (WORKER, 1.6, "-", f"boxes of {received.worker.name}"),
            (CHOSEN, 2.6, "-", f"{received.worker.name} {received.rank} without halo"),
            (EDGE, 1.8, "--", "edge of the grid"),
        )
    ]
    cells = received.cells()
    handles += [
        Patch(facecolor=colors[rank], label=f"{received.model.name} {rank}: {cells[rank]:,} cells")
        for rank in sorted(cells)[:LISTED]
    ]
    if len(cells) > LISTED:
        handles.append(Patch(facecolor="none", label=f"and {len(cells) - LISTED} more ranks"))
    figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9)


def _rectangle(box: Box, color: Color | str, hatch: str) -> Rectangle:
    return Rectangle(
        (box.x0, box.y0), box.nx, box.ny, facecolor=color, edgecolor="0.3", hatch=hatch, lw=0
    )


def _outlines(boxes: Iterable[Box], color: str, width: float, style: str = "-") -> LineCollection:
    lines = [
        np.array([(b.x0, b.y0), (b.x1, b.y0), (b.x1, b.y1), (b.x0, b.y1), (b.x0, b.y0)])
        for b in boxes
        if b.cells
    ]
    return LineCollection(lines, colors=color, linewidths=width, linestyles=style)


def _label(axes: Axes, middle: tuple[float, float], text: str, size: float, color: str) -> None:
    box = {"facecolor": "white", "alpha": 0.75, "lw": 0, "boxstyle": "round,pad=0.12"}
    axes.text(*middle, text, ha="center", va="center", fontsize=size, color=color, bbox=box)


def _frame(axes: Axes, box: Box, edge: float) -> None:
    axes.set_xlim(box.x0 - edge, box.x1 + edge)
    axes.set_ylim(box.y0 - edge, box.y1 + edge)
    if max(box.nx, box.ny) <= 3 * min(box.nx, box.ny):
        axes.set_aspect("equal")
    axes.set_xlabel("x [cells, from 0]")
    axes.set_ylabel("y [cells, from 0]")
