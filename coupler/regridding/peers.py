# SPDX-License-Identifier: MIT
"""Answers among worker ranks: a model's cell is regridded by one rank, from cells that others have.

Each worker rank answers for a box of the model's grid. It asks the ranks that own the worker's
cells which its rows of weights need, in one message step.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from coupler.protocol import Words
from coupler.regridding.regrid import Plan
from coupler.routing.decomposition import Box, Decomposition
from coupler.routing.directory import swap
from coupler.routing.router import FieldRoute, Message, Patch, route_cells
from coupler.spec import FieldSpec, GridSpec
from coupler.world import World


@dataclass(frozen=True)
class Peers:
    """Who gives whom which answers; partners are ranks of the component, this one among them."""

    plan: Plan  # sources are cells of the worker's grid, targets those of this rank's answer box
    box: Box  # this rank's cells of the worker's grid
    receives: tuple[Message, ...]  # patches: from the partner's box into the array of sources
    sends: tuple[Message, ...]
    ranks: tuple[int, ...]  # of the component, those that have cells


def meet_peers(
    world: World,
    fields: tuple[FieldSpec, ...],
    plan: Plan,
    grid: GridSpec,
    split: Decomposition,
) -> Peers:
    """Tell each worker rank what this one needs of it. Collective over the component.

    `split`: every rank's box of `grid`, the worker's.
    """
    needs = [plan.sources[field.point].rectangles() for field in fields]
    receives = route_cells(fields, needs, grid, split)
    sent = [np.empty(0, np.int64)] * split.ranks
    for message in receives:
        sent[message.partner] = _encode(message)
    told = swap(world, sent, "other ranks of the worker to say which answers they need")
    sends = [_decode(fields, rank, words) for rank, words in enumerate(told) if len(words)]
    ranks = tuple(np.flatnonzero(split.cells()).tolist())
    return Peers(plan, split.box(world.rank), receives, tuple(sends), ranks)


def _encode(message: Message) -> Words:
    """Of each field how many patches, and the patches."""
    words: list[int] = []
    for route in message.routes:
        words.append(len(route.patches))
        for patch in route.patches:
            words += astuple(patch)
    return np.array(words, np.int64)


def _decode(fields: Sequence[FieldSpec], partner: int, words: Words) -> Message:
    routes, at = [], 0
    for field in fields:
        count, at = int(words[at]), at + 1
        table = words[at : at + 9 * count].reshape(count, 9).tolist()
        routes.append(FieldRoute(field, tuple(Patch(*row) for row in table)))
        at += 9 * count
    return Message(partner, tuple(routes))
