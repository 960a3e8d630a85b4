# SPDX-License-Identifier: MIT
"""Random weights, fields and grids of a model and a worker that has another grid."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from coupler.routing.decomposition import Decomposition
from coupler.routing.points import Owners, directory_part
from coupler.routing.router import Message
from coupler.spec import FieldSpec, GridSpec
from coupler.weights import Weights, weights_of
from coupling_cases import model_decompositions

KINDS = {"T": ["scalar"], "U": ["scalar", "vector_i"], "V": ["vector_j"], "F": ["scalar"]}


@st.composite
def worker_grids(draw: st.DrawFn) -> GridSpec:
    """Closed or periodic, or with a north fold."""
    nx, ny = draw(st.integers(1, 8)), draw(st.integers(1, 6))
    north = draw(st.sampled_from([None, "T", "F"]))
    if north is not None:
        return GridSpec("worker", 2 * nx, ny + 1, 2, "periodic", "closed", north)
    sides = st.sampled_from(["closed", "periodic"])
    return GridSpec("worker", nx, ny, 2, draw(sides), draw(sides))


@st.composite
def some_fields(draw: st.DrawFn) -> tuple[FieldSpec, ...]:
    found = []
    for number in range(draw(st.integers(1, 3))):
        point = draw(st.sampled_from("TUVF"))
        kind = draw(st.sampled_from(KINDS[point]))
        fill = draw(st.sampled_from(["zero", "replicate"]))
        levels = draw(st.integers(1, 2))
        found.append(FieldSpec(f"f{number}", point, kind, fill, levels, "case.yaml:1"))
    return tuple(found)


def random_weights(
    seed: int, source: tuple[int, int], target: tuple[int, int], most: int = 5
) -> Weights:
    """Up to `most` links for each cell, from anywhere; some cells have none."""
    rng = np.random.default_rng(seed)
    sources, targets = source[0] * source[1], target[0] * target[1]
    links = [
        (cell, one)
        for cell in range(targets)
        for one in rng.choice(sources, min(int(rng.integers(0, most + 1)), sources), replace=False)
    ]
    to, from_ = np.array(links, np.int64).reshape(-1, 2).T
    return weights_of(source, target, to, from_, rng.uniform(-1, 1, len(to)))


@st.composite
def owners_of(draw: st.DrawFn, nx: int, ny: int) -> tuple[Decomposition | Owners, list[np.ndarray]]:
    """Boxes, or lists in any order; and the cells of each rank in its own array (y, x)."""
    numbers = np.arange(nx * ny).reshape(ny, nx)
    if draw(st.booleans()):
        split = draw(model_decompositions(nx, ny))
        boxes = [split.box(rank) for rank in range(split.ranks)]
        return split, [numbers[b.y0 : b.y1, b.x0 : b.x1] for b in boxes]
    cells = np.array(draw(st.permutations(range(nx * ny))))
    cuts = sorted(draw(st.lists(st.integers(0, nx * ny), max_size=4)))
    lists = [part.reshape(1, -1) for part in np.split(cells, cuts)]
    runs = [
        (rank, np.array([[cell, 1, place] for place, cell in enumerate(part[0])], np.int64))
        for rank, part in enumerate(lists)
    ]
    found = directory_part(0, nx * ny, [(r, table.reshape(-1, 3)) for r, table in runs])
    return found, lists


def sent(message: Message, arrays: list[np.ndarray]) -> np.ndarray:
    """The values that the owner of local `arrays`, one for each route, puts in a message."""
    values = []
    for route, array in zip(message.routes, arrays, strict=True):
        for p in route.patches:
            y = p.source_y + p.step_y * np.arange(p.ny)
            x = p.source_x + p.step_x * np.arange(p.nx)
            values += [p.sign * level[np.ix_(y, x)].ravel() for level in array]
    return np.concatenate([np.zeros(0), *values])
