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
from coupler.regridding.areas import Areas, answer_areas, input_areas
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
    channels: list[Channel] = []
    mine = _mine(spec, world.name)
    deepest = max((exchange.lag for exchange in mine), default=0)
    for exchange in mine:
        model, plan = owners[exchange.grid.name], rows.get(spec.index(exchange))
        if exchange.source == world.name:
            channels.append(_answer(world, spec, exchange, model, plan))
        else:
            channels += _inputs(world, spec, exchange, model, plan, deepest)
    _require_steps(world, channels)
    return channels


def _answer(
    world: World,
    spec: CouplingSpec,
    exchange: ExchangeSpec,
    model: Decomposition | Owners,
    plan: Plan | None,
) -> Channel:
    ranks, number = int(world.local.size), NUMBERS * spec.index(exchange)
    box = channel_decomposition(spec, exchange, ranks).box(world.rank)
    messages = route_from_worker(exchange.fields, exchange.grid, model, box)
    ends = (exchange.fields, box, model, messages)
    channel = Channel(exchange, number, IN, exchange.lag, *ends)
    if plan is None:
        return channel
    split = worker_decomposition(spec, exchange, ranks)
    peers = meet_peers(world, exchange.fields, plan, exchange.worker_grid, split)
    areas: Mapping[str, Areas] = {}
    if exchange.conserved:
        weights = field_weights(exchange, to_worker=False)
        areas = answer_areas(exchange, weights, split.box(world.rank), box)
    return replace(channel, peers=peers, areas=areas)


def _inputs(
    world: World,
    spec: CouplingSpec,
    exchange: ExchangeSpec,
    model: Decomposition | Owners,
    plan: Plan | None,
    lag: int,
) -> list[Channel]:
    """The fields of every date, those of the start, and half sums of the run before.

    `lag`: the longest of the worker's answers.
    """
    ranks, number = int(world.local.size), NUMBERS * spec.index(exchange)
    box = channel_decomposition(spec, exchange, ranks).box(world.rank)
    owned = owned_targets(plan, exchange.grid, model) if plan else None
    areas: Mapping[str, Areas] = {}
    if plan is not None and exchange.conserved:
        weights = field_weights(exchange, to_worker=True)
        areas = input_areas(exchange, weights, plan, box, model)
    messages = route_inputs(exchange.fields, exchange, model, box, plan)
    ends = (exchange.fields, box, model, messages)
    channel = Channel(exchange, number, OUT, lag, *ends, rows=plan, owned=owned)
    channels = [replace(channel, areas=areas)]
    if exchange.static:
        messages = route_inputs(exchange.static, exchange, model, box, plan)
        ends = (exchange.static, box, model, messages)
        number_static = number + NUMBER_STATIC
        channel = Channel(exchange, number_static, STATIC, lag, *ends, rows=plan, owned=owned)
        channels.append(channel)
    if exchange.reduced:
        # each cell once, with its owner, as an answer: a halo has no business in a restart
        box = _partial_box(world, exchange) if plan else box
        messages = route_from_worker(exchange.reduced, exchange.grid, model, box)
        ends = (exchange.reduced, box, model, messages)
        channels.append(Channel(exchange, number + NUMBER_PARTIAL, PARTIAL, 0, *ends))
    return channels


def _require_steps(world: World, channels: Sequence[Channel]) -> None:
    """A rank to which nobody sends has no step; the answers of its cells would be lacking. Where
    nothing comes at some dates, it could not know whether the model has come so far."""
    periods = [c.exchange.period for c in channels if c.direction == OUT and c.messages]
    for c in channels:
        owes = c.direction == IN and (c.peers.box.cells if c.peers else c.messages)
        if owes and not any(c.exchange.period % period == 0 for period in periods):
            names = ", ".join(field.name for field in c.fields)
            raise CouplingError(
                f"{c.exchange.place}: {world} owes answers ({names}) every {c.exchange.period} s, "
                "but no rank of the model has any of the cells that its inputs of these dates are "
                "made of: take fewer workers, or send it an input of where the answers go"
            )
