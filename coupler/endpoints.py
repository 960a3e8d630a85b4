# SPDX-License-Identifier: MIT
"""The ends of a worker rank's exchanges, opened: what comes once, and what the run before owes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from coupler.channel import Channel, owned_by_grid
from coupler.clock import answer_date, first_due
from coupler.handshake import Agreement
from coupler.partial import send_partial
from coupler.planning import worker_decomposition
from coupler.protocol import IN, OUT, PARTIAL, STATIC, Declaration
from coupler.record.contents import Place
from coupler.record.recorder import Recorder
from coupler.regridding.conserve import Conservation, conservation_of
from coupler.restart import read_partial, read_restart
from coupler.spec import CouplingSpec, ExchangeSpec
from coupler.transport.inbox import Inbox
from coupler.transport.outbox import Outbox
from coupler.world import World

Array = NDArray[np.floating]


@dataclass
class Endpoints:
    """`static` (level, y, x): padded, by name."""

    inboxes: list[Inbox] = field(default_factory=list)
    outboxes: list[Outbox] = field(default_factory=list)
    static: dict[str, Array] = field(default_factory=dict)


def open_endpoints(world: World, agreement: Agreement) -> Endpoints:
    """Returns when the model has put its static fields. Raises CouplingError."""
    opened, ranks = Endpoints(), agreement.model.ranks
    masks: dict[ExchangeSpec, Mapping[str, Array]] = {}
    for channel in agreement.channels:
        if channel.direction == PARTIAL:
            continue
        if channel.direction == IN:
            opened.outboxes.append(Outbox(world, channel, ranks, agreement.segment))
            continue
        inbox = Inbox(world, channel, ranks, agreement.segment)
        if channel.direction == STATIC:
            opened.static |= _receive_static(world, inbox, agreement.declaration.start_date)
            masks[channel.exchange] = inbox.sources_here
        else:
            opened.inboxes.append(inbox)
    for inbox in opened.inboxes:
        inbox.masks = masks.get(inbox.channel.exchange, {})
    return opened


def _receive_static(world: World, inbox: Inbox, date: int) -> Mapping[str, Array]:
    inbox.expect(date)

    def arrived() -> bool:
        inbox.poll()
        return inbox.whole

    world.wait(arrived, "the model to put its static fields")
    inbox.close()
    return inbox.arrays


def conserved_inputs(world: World, inboxes: Sequence[Inbox]) -> dict[Inbox, Conservation]:
    """Of the inboxes whose integrals are kept. Collective over the component.

    A rank to which nothing comes has nothing to add, and does not know when the model ends.
    """
    made = {}
    for inbox in (inbox for inbox in inboxes if inbox.channel.exchange.conserved):
        receives = world.local.allgather(bool(inbox.channel.messages))
        members = world.members[world.name].ranks
        ranks = tuple(rank for rank, some in zip(members, receives, strict=True) if some)
        conservation = conservation_of(world, inbox.channel, ranks)
        if conservation is not None and inbox.channel.messages:
            made[inbox] = conservation
    return made


def start_recorder(
    world: World,
    spec: CouplingSpec,
    agreement: Agreement,
    static: Mapping[str, Array],
    has_steps: bool,
) -> Recorder | None:
    """Of a rank that has steps, where the spec records its component. Collective over it."""
    if spec.component(world.name).record is None:
        return None
    size, writers = int(world.local.size), world.local.allgather(has_steps)
    if not has_steps:
        return None
    told = [c for c in agreement.channels if c.direction in (OUT, IN)]
    boxes = {
        c.exchange.worker_grid.name: worker_decomposition(spec, c.exchange, size) for c in told
    }
    owned = owned_by_grid(told, {name: split.box(world.rank) for name, split in boxes.items()})
    ranks = tuple(rank for rank, writes in enumerate(writers) if writes)
    start = agreement.declaration.start_date
    return Recorder(spec, Place(world.name, world.rank, ranks, start, boxes, owned), static)


def return_partial(
    world: World, channels: Sequence[Channel], ranks: Sequence[int], declaration: Declaration
) -> None:
    """The model's ranks go on with the half sums of the run before."""
    start, file = declaration.start_date, declaration.restart_file
    for channel in channels if file else ():
        held = read_partial(world, file, start, channel)
        send_partial(world, channel, ranks, start, held)


def send_owed_answers(world: World, outboxes: Sequence[Outbox], declaration: Declaration) -> None:
    """With a lag the first gets receive what the restart holds, or zeros."""
    start, file = declaration.start_date, declaration.restart_file
    for out in outboxes:
        channel, period = out.channel, out.channel.exchange.period
        owed = read_restart(world, file, start, channel) if file else None
        for number in range(channel.lag):
            for name, array in out.next_arrays().items():
                array[...] = owed[number][name] if owed else 0
            got_at = first_due(start, period) + number * period
            out.send(answer_date(got_at, period, channel.lag), out.next_arrays())
