# SPDX-License-Identifier: MIT
"""YAC in `halocline bench exchange`: the same field there and back, between ranks of its own.

YAC's wheel holds its C library and a Python interface, so both sides are Python here; the C library
gets the arrays as they are. Source and target have the same cells, split as those of the model and
the workers; each target cell takes the nearest source cell. Or the target's cells are blocks of the
source's, with first order conservative weights both ways. YAC fills no halo.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import yac
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.command.bench.exchange_job import FRESH, YAC_SECONDS
from coupler.command.bench.turns import OTHER, take_turn
from coupler.routing.decomposition import Box, decompose

Numbers = NDArray[np.int64]

FIELDS = (("a", "source", "target"), ("b", "target", "source"))
WIDTH = 1.0  # [rad] of the grid, in longitude and latitude


def main(size: tuple[int, int, int], steps: int, sources: int, block: int) -> None:
    """`block`: cells of the source along a side of a target's."""
    job = MPI.COMM_WORLD
    world = MPI.Intracomm(job.Split(OTHER, job.rank))
    source = world.rank < sources
    nx, ny, levels = size
    if source:
        box = decompose("source", nx, ny, sources, (sources, 1)).box(world.rank)
    else:
        size = nx // block, ny // block, levels
        box = decompose("target", *size[:2], world.size - sources).box(world.rank - sources)
    instance, a, b = _couple(world, "source" if source else "target", box, size, block > 1)
    side = world.Split(int(source), world.rank)
    values = np.arange(levels * box.cells, dtype=np.float64).reshape(levels, box.cells)
    if source and block > 1:
        columns, rows = np.arange(box.x0, box.x1) // block, np.arange(box.y0, box.y1) // block
        values[...] = 1.0 + _numbers(columns, rows, nx) + nx * ny * np.arange(levels)[:, None]
    received = np.empty_like(values)
    slowest = np.empty(1)
    for number in range(steps):
        take_turn(job, world)
        take_turn(job, world)
        received[...] = -1
        world.Barrier()
        begun = MPI.Wtime()
        if source:
            a.put(values)
            b.get(received)
        else:
            a.get(received)
            if number < FRESH or number >= steps - FRESH:
                np.multiply(received, 2, out=values)
            b.put(values)
        spent = np.array([MPI.Wtime() - begun])
        if source:
            # means of equal values; YAC's weights round
            if not np.allclose(received, 2 * values, rtol=1e-12 if block > 1 else 0, atol=0):
                raise RuntimeError("YAC: the answer has other values than expected")
            side.Reduce(spent, slowest, MPI.MAX)
            if side.rank == 0:
                with Path(YAC_SECONDS).open("a") as file:
                    file.write(f"{slowest[0]}\n")
    del instance


def _couple(
    world: MPI.Intracomm, name: str, box: Box, size: tuple[int, int, int], conservative: bool
) -> tuple[yac.YAC, yac.Field, yac.Field]:
    """The instance, which must live as long as the fields, and the fields there and back."""
    nx, ny, levels = size
    yac.def_calendar(yac.Calendar.PROLEPTIC_GREGORIAN)
    instance = yac.YAC(comm=world)
    instance.def_datetime("2000-01-01T00:00:00", "2001-01-01T00:00:00")
    component = instance.def_comp(name)
    x, y = (WIDTH * (np.arange(n + 1) / n - 0.5) for n in (nx, ny))
    corners = x[box.x0 : box.x1 + 1], y[box.y0 : box.y1 + 1]
    grid = yac.Reg2dGrid(f"grid of {name}", *corners)
    columns, rows = np.arange(box.x0, box.x1 + 1), np.arange(box.y0, box.y1 + 1)
    grid.set_global_index(_numbers(columns[:-1], rows[:-1], nx), yac.Location.CELL)
    grid.set_global_index(_numbers(columns, rows, nx + 1), yac.Location.CORNER)
    centres = ((edges[1:] + edges[:-1]) / 2 for edges in corners)
    points = grid.def_points(yac.Location.CELL, *centres)
    second = "1", yac.TimeUnit.SECOND
    fields = [yac.Field.create(f[0], component, points, levels, *second) for f in FIELDS]
    stack = yac.InterpolationStack()
    if conservative:
        stack.add_conservative(1, False, False, yac.ConservNormalizationType.FRACAREA)
    else:
        stack.add_nnn(yac.NNNReductionType.AVG, 1)
    for field, begin, end in FIELDS:
        ends = begin, f"grid of {begin}", field, end, f"grid of {end}", field
        instance.def_couple(*ends, *second, yac.Reduction.TIME_NONE, stack)
    instance.enddef()
    return instance, fields[0], fields[1]


def _numbers(columns: Numbers, rows: Numbers, width: int) -> Numbers:
    return np.add(columns, width * rows[:, None], dtype=np.int64).ravel()


def _arguments(words: list[str]) -> tuple[tuple[int, int, int], int, int, int]:
    nx, ny, levels, steps, sources, block = map(int, words)
    return (nx, ny, levels), steps, sources, block


main(*_arguments(sys.argv[1:]))
