# SPDX-License-Identifier: MIT
"""Answers on their way between ranks of a worker, where its grid is another than the model's."""

from __future__ import annotations

import numpy as np

from coupler.channel import Channel
from coupler.regridding.peers import Peers
from coupler.transport.packing import Arrays, pack, unpack, whole
from coupler.world import World


class Gather:
    """Answers that other worker ranks computed, where this rank's rows of weights need them."""

    def __init__(self, world: World, channel: Channel, peers: Peers) -> None:
        self.world, self.peers, self.rows = world, peers, peers.plan.fields
        wire = np.dtype(channel.exchange.wire)
        self.own = step_arrays(channel)
        shapes = {f.name: (f.levels, *peers.plan.sources[f.point].shape) for f in channel.fields}
        self._sources = {name: np.zeros(shape, wire) for name, shape in shapes.items()}
        self._comes, self._goes = (
            [(m, np.zeros(m.values, wire)) for m in messages]
            for messages in (peers.receives, peers.sends)
        )
        local, tag = world.local, channel.number
        self._receives, self._sends = (
            [start(values, m.partner, tag) for m, values in ends if m.partner != local.rank]
            for start, ends in ((local.Recv_init, self._comes), (local.Send_init, self._goes))
        )

    def __call__(self, answers: Arrays) -> Arrays:
        """(level, y, x) of this rank's cells -> of the gathered sources, in the wire's precision.

        Every rank of the worker that has cells calls it for the same answers, in the same order.
        """
        for request in self._receives:
            request.Start()
        for name, array in self.own.items():
            if answers[name] is not array:
                np.copyto(array, answers[name], casting="same_kind")
        mine = [values for m, values in self._comes if m.partner == self.world.local.rank]
        for message, values in self._goes:
            pack(message, whole(message), self.own, values)
            if message.partner == self.world.local.rank:
                mine[0][...] = values
        for request in self._sends:
            request.Start()
        what = "the answers of other ranks of the worker"
        self.world.wait_requests([*self._receives, *self._sends], what)
        for message, values in self._comes:
            unpack(message, whole(message), values, self._sources)
        return self._sources

    def close(self) -> None:
        for request in (*self._receives, *self._sends):
            request.Free()


def step_arrays(channel: Channel) -> Arrays:
    """Zeros (level, y, x) by name as a step sees them, where the worker's grid is another."""
    wire = channel.exchange.wire
    shapes = zip(channel.fields, channel.step_shapes, strict=True)
    return {field.name: np.zeros(shape, wire) for field, shape in shapes}
