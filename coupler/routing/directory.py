# SPDX-License-Identifier: MIT
"""Where a model lists its cells: worker ranks receive the lists, and ask each other for owners."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
from mpi4py import MPI

from coupler.protocol import TAG_LISTS, Declaration
from coupler.routing.points import (
    Cells,
    IndexLists,
    Owners,
    clipped,
    directory_part,
    list_error,
    part_edges,
)
from coupler.world import World

WHAT = "the directory of the model's index lists"


@dataclass(frozen=True)
class Directory:
    """This worker rank's part: the owners of cells edges[rank]..edges[rank + 1] - 1."""

    grid: IndexLists
    edges: Cells
    owners: Owners


def receive_lists(world: World, declaration: Declaration) -> dict[str, Directory]:
    """By grid. Every model rank with cells in this rank's parts sends one message."""
    names = list(declaration.grids)
    lists: dict[str, list[tuple[int, Cells]]] = {name: [] for name in names}
    for _ in range(int(declaration.lists[world.rank])):
        what = f"the index lists of {declaration.component}"
        words = world.receive_words(MPI.ANY_SOURCE, TAG_LISTS, what)
        at = 1
        while at < len(words):
            name, runs = names[int(words[at]) - 1], int(words[at + 1])
            at += 2
            lists[name].append((int(words[0]), words[at : at + 3 * runs].reshape(runs, 3)))
            at += 3 * runs
    found = {}
    for name, grid in declaration.grids.items():
        if isinstance(grid, IndexLists):
            edges = part_edges(grid.nx * grid.ny, world.local.size)
            first, stop = (int(edge) for edge in edges[world.rank : world.rank + 2])
            found[name] = Directory(grid, edges, directory_part(first, stop, lists[name]))
    return found


def with_list_errors(
    world: World, declaration: Declaration, directories: dict[str, Directory]
) -> Declaration:
    """`declaration`, and the first cell of each grid whose lists are wrong; collective."""
    grids = dict(declaration.grids)
    for name, directory in directories.items():
        first, stop = (int(edge) for edge in directory.edges[world.rank : world.rank + 2])
        errors = world.local.allgather(list_error(directory.grid, directory.owners, first, stop))
        error = next((error for error in errors if error), None)
        grids[name] = replace(directory.grid, error=error)
    return replace(declaration, grids=grids)


def ask_owners(world: World, directory: Directory, spans: Cells) -> Owners:
    """The owners of the cells `spans`, (2, n) in order. Collective over the component."""
    edges = directory.edges.tolist()
    asked = swap(world, [clipped(spans, *ends).ravel() for ends in pairwise(edges)])
    answers = []
    for question in asked:
        mine = directory.owners.within(question.reshape(2, -1))
        answers.append(np.concatenate((mine.start, mine.stop, mine.rank, mine.local)))
    told = [words.reshape(4, -1) for words in swap(world, answers)]
    return Owners(*np.concatenate(told, axis=1))


def swap(world: World, sent: list[Cells], what: str = WHAT) -> list[Cells]:
    """sent[r] goes to rank r of the component; what rank r sent here comes back as item r.

    Collective over the component.
    """
    counts = np.array([len(words) for words in sent], np.int64)
    expected = np.empty_like(counts)
    world.wait_requests([world.local.Ialltoall(counts, expected)], what)
    data = np.empty(int(expected.sum()), np.int64)
    request = world.local.Ialltoallv([np.concatenate(sent), counts], [data, expected])
    world.wait_requests([request], what)
    return np.split(data, np.cumsum(expected)[:-1])
