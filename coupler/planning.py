# SPDX-License-Identifier: MIT
"""The receiver plans: which cells a worker rank needs of whom, exchange by exchange."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from coupler.channel import Channel
from coupler.protocol import (
    IN,
    NUMBER_PARTIAL,
    NUMBER_STATIC,
    NUMBERS,
    OUT,
    PARTIAL,
    STATIC,
    Declaration,
)
from coupler.regridding.conserve import Areas
from coupler.regridding.exchange_weights import field_weights, row_planner
from coupler.regridding.peers import meet_peers
from coupler.regridding.regrid import Plan, owned_targets, route_inputs
from coupler.routing.decomposition import Box, Decomposition, answer_split, decompose
from coupler.routing.directory import Directory, ask_owners
from coupler.routing.points import Cells, Owners, merged
from coupler.routing.router import cells_needed, own_rectangle, route_from_worker, spans_of
from coupler.spec import CouplingSpec, ExchangeSpec
from coupler.weights import WeightsError
from coupler.world import CouplingError, World


def plan_channels(
    world: World,
    spec: CouplingSpec,
    declaration: Declaration,
    directories: dict[str, Directory],
) -> list[Channel]:
    """What this rank receives and answers. Collective over the component; raises CouplingError."""
    rows = {spec.index(e): _plan_rows(world, spec, e) for e in _mine(spec, world.name) if e.regrid}
    owners = _owners(world, spec, declaration, directories, rows)
    return _plan(world, spec, owners, rows)


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
