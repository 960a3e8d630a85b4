# SPDX-License-Identifier: MIT
"""How an answer leaves, on one rank alone: copied, or taken from where it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from mpi4py import MPI

from coupler.channel import Channel
from coupler.protocol import IN
from coupler.routing.decomposition import Box, decompose
from coupler.routing.router import route_from_worker
from coupler.spec import ExchangeSpec, FieldSpec, GridSpec
from coupler.transport.outbox import Outbox
from coupler.world import Members, World

GRID = GridSpec("grid", 4, 3, 2, "closed", "closed")
BOX = Box(0, 4, 0, 3)


def outbox(wire: str = "float64", statistics: bool = False, lag: int = 0) -> Outbox:
    """To a model of one rank, this one."""
    fields = (FieldSpec("su", "U", "scalar", "zero", 2, ""),)
    ends = ("worker", "model", GRID, 1, lag, 0, wire, "messages", False, fields, (), "", statistics)
    exchange = ExchangeSpec(*ends)  # type: ignore[arg-type]
    model = decompose("model", 4, 3, 1)
    messages = route_from_worker(fields, GRID, model, BOX)
    channel = Channel(exchange, 0, IN, lag, fields, BOX, model, messages)
    members = {"model": Members("model", (0,))}
    world = World(MPI.COMM_SELF, MPI.COMM_SELF, "worker", members, 5.0, MPI.COMM_SELF)
    return Outbox(world, channel, (0,), None)


def answer(dtype: type = np.float64) -> np.ndarray:
    return np.arange(24, dtype=dtype).reshape(2, 3, 4)


def test_messages_take_an_answer_from_where_it_is() -> None:
    mine = answer()
    assert outbox().settle({"su": mine})["su"] is mine


@pytest.mark.parametrize("case", [{"wire": "float32"}, {"statistics": True}])
def test_it_is_copied_where_it_must_stay_or_change(case: dict[str, object]) -> None:
    out = outbox(**case)  # type: ignore[arg-type]
    mine = answer()
    leaving = out.settle({"su": mine})["su"]
    assert leaving is out.next_arrays()["su"]
    np.testing.assert_array_equal(leaving, mine)


def test_an_answer_computed_in_place_is_not_copied() -> None:
    out = outbox(statistics=True)
    array = out.next_arrays()["su"]
    np.add(answer(), 1, out=array)
    array.flags.writeable = False  # a copy onto it would raise
    assert out.settle({"su": array})["su"] is array


def test_a_turned_view_of_the_array_that_leaves_is_no_answer_in_place() -> None:
    square = GridSpec("grid", 3, 3, 1, "closed", "closed")
    out = outbox(statistics=True)
    out.channel = replace(out.channel, exchange=replace(out.channel.exchange, grid=square))
    array = np.arange(9.0).reshape(1, 3, 3)
    out.arrays = [{"su": array}] * 2
    turned = array.transpose(0, 2, 1).copy()
    out.settle({"su": array.transpose(0, 2, 1)})
    np.testing.assert_array_equal(array, turned)


def test_what_was_sent_is_still_there_for_a_restart() -> None:
    """The network may overwrite its answer as soon as it was sent."""
    out, mine = outbox(lag=1), answer()
    receive = MPI.COMM_SELF.Irecv(np.zeros(28, np.int64), 0, MPI.ANY_TAG)
    out.next_arrays()
    out.send(0, out.settle({"su": mine}))
    mine[...] = -1
    receive.Wait()
    (held,) = out.pending()
    np.testing.assert_array_equal(held["su"], answer())
    out.close()
