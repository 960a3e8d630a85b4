# SPDX-License-Identifier: MIT
"""The arrays and counters of the exchanges that can be under way at once."""

from __future__ import annotations

import numpy as np

from coupler.channel import Channel
from coupler.protocol import Words
from coupler.transport.packing import Arrays
from coupler.transport.window import Segment


def counters_of(channel: Channel, segment: Segment | None, count: int) -> Words | None:
    """Of an exchange in shared memory, what has been read."""
    if segment is None or channel.places is None:
        return None
    return segment.counters(channel.places, count)


def slot_arrays(channel: Channel, segment: Segment | None, private: int = 1) -> list[Arrays]:
    """Arrays by name for each slot: in shared memory, or `private` sets of zeros."""
    names = [f.name for f in channel.fields]
    wire = channel.exchange.wire
    if segment is not None and channel.places is not None:
        sets = [segment.arrays(channel.places, slot, wire) for slot in range(channel.slots)]
    else:
        sets = [[np.zeros(shape, wire) for shape in channel.shapes] for _ in range(private)]
    return [dict(zip(names, arrays, strict=True)) for arrays in sets]
