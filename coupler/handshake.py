# SPDX-License-Identifier: MIT
"""The start of a coupled job, on the worker's side: compare, plan, tell each model rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from mpi4py import MPI

from coupler.agreement import disagreements
from coupler.channel import Channel
from coupler.planning import plan_channels
from coupler.protocol import (
    IN,
    OUT,
    PARTIAL,
    STATIC,
    TAG_CONFIG,
    TAG_COUNTS,
    TAG_DECLARE,
    TAG_NAMES,
    TAG_PLAN,
    Declaration,
    encode_plan,
    encode_treatment,
    encode_window,
)
from coupler.routing.directory import receive_lists, with_list_errors
from coupler.spec import CouplingSpec
from coupler.spec.document import hint
from coupler.transport.window import LINE, Segment, end_of, lay_out
from coupler.world import CouplingError, Members, World, require_members


@dataclass(frozen=True)
class Agreement:
    """What the handshake leaves behind."""

    declaration: Declaration
    model: Members
    channels: tuple[Channel, ...]
    segment: Segment | None  # None where all exchanges go by messages


Prepare = Callable[[tuple[Channel, ...]], None]


def _nothing(channels: tuple[Channel, ...]) -> None:
    pass


def shake_hands(world: World, spec: CouplingSpec, prepare: Prepare = _nothing) -> Agreement:
    """Receive the model's declarations, compare them with the spec, plan, send the plans.

    `prepare` is called while the model waits for the plans, for run.time_limit at most. Raises
    CouplingError with every disagreement. Collective over the worker component.
    """
    model_name = partner_of(spec, world.name)
    model = require_members(world, model_name, "model")
    for exchange in spec.exchanges:
        for name in (exchange.source, exchange.target):
            require_members(world, name, "worker" if spec.component(name).is_worker else "model")
    declaration = _receive_declaration(world, model_name, model)
    directories = receive_lists(world, declaration)
    declaration = with_list_errors(world, declaration, directories)
    found = disagreements(spec, world.name, declaration)
    if found:
        raise CouplingError("\n  ".join(["the model and the spec disagree:", *found]))
    planned = plan_channels(world, spec, declaration, directories)
    channels = tuple(_share(world, planned, model))
    _send_config(world, spec, declaration, channels, model)
    prepare(channels)
    _send_plans(world, channels, model)
    world.time_limit = spec.time_limit
    segment = Segment(world.node, _shared_bytes(channels)) if _uses_windows(spec) else None
    return Agreement(declaration, model, channels, segment)


def partner_of(spec: CouplingSpec, worker: str) -> str:
    """The model that `worker` exchanges with."""
    workers = [component.name for component in spec.components if component.is_worker]
    if worker not in workers:
        raise CouplingError(f"{spec.path.name} has no worker '{worker}'{hint(worker, workers)}")
    return spec.incoming(worker)[0].source


def require_same_halos(world: World, spec: CouplingSpec) -> None:
    """Halos that each rank measured for itself must be the same. Collective over the component.

    Raises CouplingError; a rank that fails elsewhere is heard meanwhile.
    """
    mine = np.array([exchange.halo for exchange in spec.incoming(world.name)], np.int64)
    all_of_them = np.empty((int(world.local.size), len(mine)), np.int64)
    request = world.local.Iallgather(mine, all_of_them)
    world.wait_requests([request], "the other ranks' halos")
    for rank, halos in enumerate(all_of_them):
        for exchange, ours, theirs in zip(spec.incoming(world.name), mine, halos, strict=True):
            if ours != theirs:
                raise CouplingError(
                    f"{exchange.place}: halo: auto is {ours} on rank {world.rank} and {theirs} on "
                    f"rank {rank}; do all ranks load the same predictor? write the number of cells"
                )


def _receive_declaration(world: World, name: str, model: Members) -> Declaration:
    words, names = np.empty(0, np.int64), b""
    if world.rank == 0:
        what = f"{name} to call hcl_start"
        words = world.receive_words(model.ranks[0], TAG_DECLARE, what)
        names = world.receive_bytes(model.ranks[0], TAG_NAMES, what)
    words, names = world.local.bcast((words, names))
    return Declaration.decode(name, words, names)


def _uses_windows(spec: CouplingSpec) -> bool:
    return any(exchange.transport != "messages" for exchange in spec.exchanges)


def _share(world: World, channels: Sequence[Channel], model: Members) -> Iterator[Channel]:
    """Which partners share this rank's memory, and where each exchange lies in it."""
    begin = 0
    for c in channels:
        partners = [message.partner for message in c.messages]
        near = world.on_node([model.ranks[partner] for partner in partners])
        windowed = frozenset(p for p in partners if model.ranks[p] in near)
        far = sorted(set(partners) - windowed)
        if c.exchange.transport == "windows" and far:
            raise CouplingError(
                f"{c.exchange.place}: transport is windows, but rank {far[0]} of the model is on "
                "another node; expected auto, which takes messages between nodes"
            )
        if not windowed or c.exchange.transport == "messages" or c.direction in (STATIC, PARTIAL):
            yield c
            continue
        counters = len(windowed) if c.direction == IN else 1
        places = lay_out(begin, counters, c.shapes, np.dtype(c.exchange.wire).itemsize)
        begin = end_of(places, c.slots)
        yield replace(c, windowed=windowed, places=places)


def _shared_bytes(channels: Sequence[Channel]) -> int:
    return max((end_of(c.places, c.slots) for c in channels if c.places), default=0)


def _send_config(
    world: World,
    spec: CouplingSpec,
    declaration: Declaration,
    channels: tuple[Channel, ...],
    model: Members,
) -> None:
    """To the model's leader: the exchanges, and how many plans each of its ranks shall expect."""
    told = np.zeros(len(model.ranks), np.int64)
    told[_partners(channels)] = 1
    totals = np.zeros_like(told)
    world.local.Reduce(told, totals, MPI.SUM)
    if world.rank != 0:
        return
    words = [int(spec.time_limit * 1000), spec.time_step, int(_uses_windows(spec))]
    for c in channels:
        wire = 8 if c.direction == PARTIAL else np.dtype(c.exchange.wire).itemsize
        indices = [declaration.fields[field.name].index for field in c.fields]
        words += [c.number, c.direction, c.exchange.period, c.lag, wire, len(indices), *indices]
        for field in c.fields:
            words += encode_treatment(field)
    world.comm.Send(np.array(words, np.int64), model.ranks[0], TAG_CONFIG)
    world.comm.Send(totals, model.ranks[0], TAG_COUNTS)


def _partners(channels: tuple[Channel, ...]) -> list[int]:
    return sorted({message.partner for c in channels for message in c.messages})


def _send_plans(world: World, channels: tuple[Channel, ...], model: Members) -> None:
    for partner in _partners(channels):
        words = [
            encode_plan(
                c.number,
                message,
                c.direction in (OUT, STATIC),
                _encode_shared(world, c, partner),
                c.chunks(message),
            )
            for c in channels
            for message in c.messages
            if message.partner == partner
        ]
        world.comm.Send(np.concatenate(words), model.ranks[partner], TAG_PLAN)


def _encode_shared(world: World, c: Channel, partner: int) -> list[int]:
    """What `partner` must know to use this rank's memory; nothing where it uses messages.

    To the worker there is one counter, of exchanges read, that the worker counts; from it each
    partner counts what it has read.
    """
    if c.places is None or partner not in c.windowed:
        return []
    place = sorted(c.windowed).index(partner) if c.direction == IN else 0
    counter = c.places.counters + place * LINE
    rank = int(world.node.rank)
    return encode_window(rank, counter, c.places.slot, c.places.arrays, c.places.shapes)
