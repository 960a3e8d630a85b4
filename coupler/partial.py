# SPDX-License-Identifier: MIT
"""Partly accumulated fields on their way to a restart and back: the model's half sums and extremes.

A message holds the header, how many puts each field has taken, and the values in float64 whatever
the exchange's wire. Each cell comes from its owner, once. The client's half is hcl_partial.f90.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.protocol import HEADER_WORDS, TAG_DATA, Words
from coupler.routing.router import Message, reversed_message
from coupler.transport.packing import pack, unpack, whole
from coupler.world import CouplingError, World


@dataclass(frozen=True)
class Partial:
    """This rank's cells (level, y, x) of each field, and how many puts are in them."""

    arrays: Mapping[str, NDArray[np.float64]]
    puts: Mapping[str, int]


def _buffer(message: Message) -> tuple[Words, NDArray[np.float64]]:
    head = HEADER_WORDS + len(message.routes)
    words = np.zeros(head + message.values, np.int64)
    return words, words[head:].view(np.float64)


def receive_partial(world: World, channel: Channel, ranks: Sequence[int], date: int) -> Partial:
    """What the model's ranks hold before the step of `date`; each of them sends it."""
    shape = (channel.box.ny, channel.box.nx)
    arrays = {field.name: np.zeros((field.levels, *shape)) for field in channel.fields}
    puts = {field.name: 0 for field in channel.fields}
    for message in map(reversed_message, channel.messages):
        words, values = _buffer(message)
        request = world.comm.Irecv(words, ranks[message.partner], TAG_DATA + channel.number)
        world.wait_requests([request], "the model's partly accumulated fields")
        if words[:2].tolist() != [channel.number, date]:
            raise CouplingError(
                f"partly accumulated fields of rank {ranks[message.partner]} of the job: got "
                f"exchange, date {words[:2].tolist()}, expected {[channel.number, date]}; "
                "do all ranks write their restart at the same date?"
            )
        unpack(message, whole(message), values, arrays)
        counts = words[HEADER_WORDS : HEADER_WORDS + len(channel.fields)].tolist()
        for field, count in zip(channel.fields, counts, strict=True):
            puts[field.name] = count
    return Partial(arrays, puts)


def send_partial(
    world: World, channel: Channel, ranks: Sequence[int], date: int, partial: Partial
) -> None:
    """Give the model's ranks what they go on with at `date`."""
    sent: list[Words] = []
    requests: list[MPI.Request] = []
    for message in channel.messages:
        words, values = _buffer(message)
        words[:HEADER_WORDS] = (channel.number, date, 0, values.nbytes)
        words[HEADER_WORDS : HEADER_WORDS + len(channel.fields)] = [
            partial.puts[field.name] for field in channel.fields
        ]
        pack(message, whole(message), partial.arrays, values)
        sent.append(words)
        rank = ranks[message.partner]
        requests.append(world.comm.Isend(words, rank, TAG_DATA + channel.number))
    world.wait_requests(requests, "the model to take its partly accumulated fields")
