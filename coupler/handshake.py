# SPDX-License-Identifier: MIT
"""The start of a coupled job, on the worker's side: compare, plan, tell each model rank."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.agreement import disagreements
from coupler.protocol import (
    IN,
    NUMBER_PARTIAL,
    NUMBER_STATIC,
    NUMBERS,
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
from coupler.regridding.conserve import Areas
from coupler.regridding.exchange_weights import field_weights, row_planner
from coupler.regridding.peers import Peers, meet_peers
from coupler.regridding.regrid import Plan, owned_targets, route_inputs
from coupler.routing.chunks import Chunk, chunk_bytes, cut
from coupler.routing.decomposition import Box, Decomposition, answer_split, decompose
from coupler.routing.directory import Directory, ask_owners, receive_lists, with_list_errors
from coupler.routing.points import Cells, Owners, merged
from coupler.routing.router import Message, cells_needed, own_rectangle, route_from_worker, spans_of
from coupler.spec import CouplingSpec, ExchangeSpec, FieldSpec
from coupler.spec.document import hint
from coupler.transport.window import LINE, Places, Segment, Shape, end_of, lay_out
from coupler.weights import WeightsError
from coupler.world import CouplingError, Members, World, require_members


@dataclass(frozen=True)
class Channel:
    """One stream of messages between this worker rank and the model's ranks."""

    exchange: ExchangeSpec
    number: int  # in message tags and headers
    direction: int  # seen from the model
    lag: int  # of the stream's answers: the sender holds lag + 2 exchanges
    fields: tuple[FieldSpec, ...]
    box: Box  # this rank's, without halo; of an answer and of half sums on the model's grid
    model: Decomposition | Owners  # who owns the cells that this rank's routes ask for
    messages: tuple[Message, ...]
    windowed: frozenset[int] = frozenset()  # partners that share this rank's memory
    places: Places | None = None  # of the arrays and counters that they share
    # where the worker has another grid than the model:
    rows: Plan | None = None  # to the worker: what comes are sources, what a step sees is made here
    owned: NDArray[np.bool_] | None = None  # (y, x) of the padded box: made of cells with an owner
    peers: Peers | None = None  # from the worker: an answer is made of what several ranks computed

    @property
    def slots(self) -> int:
        return self.lag + 2 if self.repeats else 1

    @property
    def repeats(self) -> bool:
        return self.direction != STATIC

    @property
    def halo(self) -> int:
        return self.exchange.halo if self.direction in (OUT, STATIC) else 0

    def chunks(self, message: Message) -> tuple[Chunk, ...]:
        """How `message` travels; a restart's half sums go whole, in messages of their own."""
        if self.direction == PARTIAL:
            return ()
        itemsize = np.dtype(self.exchange.wire).itemsize
        return cut(message, itemsize, message.partner in self.windowed, chunk_bytes())

    @property
    def shapes(self) -> tuple[Shape, ...]:
        """(level, y, x) of what travels of each field: padded inputs, or answers without."""
        if self.rows is not None:
            sources = self.rows.sources
            return tuple((field.levels, *sources[field.point].shape) for field in self.fields)
        padded = self.box.padded(self.halo)
        return tuple((field.levels, padded.ny, padded.nx) for field in self.fields)

    @property
    def step_shapes(self) -> tuple[Shape, ...]:
        """(level, y, x) of this rank's array of each field as a step sees it."""
        box = (self.peers.box if self.peers else self.box).padded(self.halo)
        return tuple((field.levels, box.ny, box.nx) for field in self.fields)


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
    rows = {spec.index(e): _plan_rows(world, spec, e) for e in _mine(spec, world.name) if e.regrid}
    owners = _owners(world, spec, declaration, directories, rows)
    channels = tuple(_share(world, _plan(world, spec, owners, rows), model))
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


def worker_decomposition(spec: CouplingSpec, exchange: ExchangeSpec, ranks: int) -> Decomposition:
    """The boxes of the exchange's worker on its grid; the same for every exchange on it."""
    worker = exchange.target if spec.component(exchange.target).is_worker else exchange.source
    shape = spec.component(worker).decomposition
    if shape is not None and shape[0] * shape[1] != ranks:
        raise CouplingError(
            f"{spec.component(worker).place}: decomposition is {shape[0]} x {shape[1]}, but "
            f"{worker} runs on {ranks} ranks; leave it out, or make them agree"
        )
    return decompose(worker, exchange.worker_grid.nx, exchange.worker_grid.ny, ranks, shape)


def channel_decomposition(spec: CouplingSpec, exchange: ExchangeSpec, ranks: int) -> Decomposition:
    """What each worker rank receives without halo, or answers: boxes of `Channel.box`."""
    split = worker_decomposition(spec, exchange, ranks)
    if spec.component(exchange.target).is_worker or exchange.regrid is None:
        return split
    return answer_split(split, exchange.grid.nx, exchange.grid.ny)


def _plan_rows(world: World, spec: CouplingSpec, exchange: ExchangeSpec) -> Plan:
    """The rows of weights of this rank's padded box, or of the cells that it answers for."""
    ranks, to_worker = int(world.local.size), exchange.target == world.name
    box = channel_decomposition(spec, exchange, ranks).box(world.rank)
    try:
        return row_planner(exchange, to_worker)(box)
    except WeightsError as error:
        raise CouplingError(str(error)) from error


def _receive_declaration(world: World, name: str, model: Members) -> Declaration:
    words, names = np.empty(0, np.int64), b""
    if world.rank == 0:
        what = f"{name} to call hcl_start"
        words = world.receive_words(model.ranks[0], TAG_DECLARE, what)
        names = world.receive_bytes(model.ranks[0], TAG_NAMES, what)
    words, names = world.local.bcast((words, names))
    return Declaration.decode(name, words, names)


def _owners(
    world: World,
    spec: CouplingSpec,
    declaration: Declaration,
    directories: dict[str, Directory],
    rows: Mapping[int, Plan],
) -> dict[str, Decomposition | Owners]:
    """By grid: every rank's box, or from the directory what this rank's exchanges ask for."""
    found: dict[str, Decomposition | Owners] = {}
    mine = _mine(spec, world.name)
    for grid in dict.fromkeys(exchange.grid for exchange in mine):
        boxes = declaration.grids[grid.name]
        if isinstance(boxes, Decomposition):
            found[grid.name] = boxes
            continue
        needed = [_needed(world, spec, e, rows) for e in mine if e.grid == grid]
        found[grid.name] = ask_owners(world, directories[grid.name], merged(needed))
    return found


def _needed(
    world: World, spec: CouplingSpec, exchange: ExchangeSpec, rows: Mapping[int, Plan]
) -> Cells:
    """The cells of the model's grid whose owners this rank has to know."""
    box = channel_decomposition(spec, exchange, int(world.local.size)).box(world.rank)
    if exchange.regrid is None:
        return cells_needed((*exchange.fields, *exchange.static), exchange.grid, box, exchange.halo)
    if exchange.source == world.name:
        return spans_of([own_rectangle(box)], exchange.grid.nx)
    sources = rows[spec.index(exchange)].sources.values()
    half_sums = own_rectangle(_partial_box(world, exchange))
    found = (half_sums, *(r for source in sources for r in source.rectangles()))
    return spans_of(found, exchange.grid.nx)


def _partial_box(world: World, exchange: ExchangeSpec) -> Box:
    """The cells of the model whose half sums this rank keeps, whatever the worker's grid is."""
    grid, ranks = exchange.grid, int(world.local.size)
    return decompose(world.name, grid.nx, grid.ny, ranks).box(world.rank)


def _mine(spec: CouplingSpec, worker: str) -> tuple[ExchangeSpec, ...]:
    return (*spec.incoming(worker), *spec.outgoing(worker))


def _plan(
    world: World,
    spec: CouplingSpec,
    owners: dict[str, Decomposition | Owners],
    rows: Mapping[int, Plan],
) -> list[Channel]:
    channels = []
    mine, ranks = _mine(spec, world.name), int(world.local.size)
    deepest = max((exchange.lag for exchange in mine), default=0)
    for exchange in mine:
        box = channel_decomposition(spec, exchange, ranks).box(world.rank)
        model, number = owners[exchange.grid.name], NUMBERS * spec.index(exchange)
        plan = rows.get(spec.index(exchange))
        if exchange.source == world.name:
            messages = route_from_worker(exchange.fields, exchange.grid, model, box)
            fields, peers = exchange.fields, None
            if plan is not None:
                split = worker_decomposition(spec, exchange, ranks)
                areas = _areas(exchange, split.box(world.rank), box)
                peers = meet_peers(world, fields, plan, exchange.worker_grid, split, areas)
            ends = (fields, box, model, messages)
            channels.append(Channel(exchange, number, IN, exchange.lag, *ends, peers=peers))
            continue
        owned = owned_targets(plan, exchange.grid, model) if plan else None
        for fields, direction in ((exchange.fields, OUT), (exchange.static, STATIC)):
            if fields:
                messages = route_inputs(fields, exchange, model, box, plan)
                offset = NUMBER_STATIC if direction == STATIC else 0
                ends = (fields, box, model, messages)
                channel = Channel(exchange, number + offset, direction, deepest, *ends)
                channels.append(replace(channel, rows=plan, owned=owned))
        if exchange.reduced:
            # each cell once, with its owner, as an answer: a halo has no business in a restart
            box = _partial_box(world, exchange) if plan else box
            messages = route_from_worker(exchange.reduced, exchange.grid, model, box)
            ends = (exchange.reduced, box, model, messages)
            channels.append(Channel(exchange, number + NUMBER_PARTIAL, PARTIAL, 0, *ends))
    _require_steps(world, channels)
    return channels


def _areas(exchange: ExchangeSpec, worker: Box, model: Box) -> dict[str, Areas]:
    """Of the fields of an answer whose integrals are conserved; scalars at T points."""
    if exchange.regrid is None or exchange.regrid.conserve is None:
        return {}
    weights_of = field_weights(exchange, to_worker=False)
    found = {}
    for field in exchange.fields:
        if (field.point, field.kind) != ("T", "scalar"):
            continue
        weights = weights_of(field)
        if weights.source_area is None:
            raise CouplingError(
                f"{exchange.regrid.place}: conserve needs areas, and the weights have none"
            )
        source = weights.source_area.reshape(weights.source_shape)
        target = weights.counted_area().reshape(weights.target_shape)
        found[field.name] = Areas(
            source[worker.y0 : worker.y1, worker.x0 : worker.x1],
            target[model.y0 : model.y1, model.x0 : model.x1],
        )
    return found


def _require_steps(world: World, channels: Sequence[Channel]) -> None:
    """A rank to which nobody sends has no step; the answers of its cells would be lacking."""
    if not any(c.peers and c.peers.box.cells for c in channels):
        return
    if not any(c.messages for c in channels if c.direction == OUT):
        raise CouplingError(
            f"{world}: no rank of the model has any of the cells that this rank's box is made of; "
            "with regridding every worker rank needs some: take fewer workers"
        )


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
