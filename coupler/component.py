# SPDX-License-Identifier: MIT
"""The public face of a worker: `with Component(...) as c: for step in c.steps(): ...`."""

from __future__ import annotations

import sys
import time
import traceback
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.clock import answer_date, first_due, is_due
from coupler.decomposition import Box
from coupler.handshake import Channel, shake_hands
from coupler.monitor import Profile
from coupler.protocol import CONTROL_END, IN, OUT, STATIC, TAG_REPLY, Control
from coupler.restart import read_restart, write_restart
from coupler.router import owned_cells, unanswered_cells, unowned_cells
from coupler.spec import CouplingSpec
from coupler.spec_load import load_spec
from coupler.step import Step, require_finite
from coupler.transfer import Inbox, Outbox
from coupler.world import CouplingError, PartnerFailed, join

Array = NDArray[np.floating]


@dataclass
class _Incoming:
    """An exchange from the model, and the padded arrays that it fills."""

    channel: Channel
    inbox: Inbox
    arrays: dict[str, Array]
    outside: dict[str, NDArray[np.bool_]]  # cells that nobody owns: zero at every step

    def take(self, date: int, post_again: bool = True) -> None:
        self.inbox.take(date, self.arrays, post_again)
        for name, cells in self.outside.items():
            self.arrays[name][:, cells] = 0


@dataclass
class _Outgoing:
    channel: Channel
    outbox: Outbox
    pending: deque[dict[str, Array]]  # the last `lag` answers, for a restart
    nobodys: NDArray[np.bool_]  # (y, x) of the box: cells that nobody owns; no answer leaves them


class Component:
    """One worker component of a coupled job.

    Inside the `with` block: `static` maps names to padded arrays (level, y, x) that the model sent
    once; `steps()` yields a Step for every date at which an exchange is due. An exception in the
    block reaches every rank of the job as text and ends it with a non-zero exit code.
    """

    def __init__(
        self, name: str, spec: str | Path | CouplingSpec, comm: MPI.Intracomm = MPI.COMM_WORLD
    ) -> None:
        """`comm`: the communicator of all components; every one of them must join."""
        self.name = name
        self.spec = spec if isinstance(spec, CouplingSpec) else load_spec(spec)
        self.comm = comm
        self.static: dict[str, Array] = {}
        self.profile = Profile()
        self._step: Step | None = None
        self._control: Control | None = None
        self._ended = False

    def __enter__(self) -> Component:
        try:
            self.world = join(self.comm, self.name, self.spec.digest)
            self._start()
        except BaseException:
            self._fail(*sys.exc_info())
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is None and not self._ended:
            error = CouplingError("left the coupling before the model ended it")
        if error is not None:
            self._fail(type(error), error, trace)

    @property
    def rank(self) -> int:
        return self.world.rank

    @property
    def box(self) -> Box:
        """This rank's cells of the global grid, without halo."""
        return self._incoming[0].channel.box

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """(y, x) of the padded box of the first exchange: cells that a model rank owns, or images
        of such cells beyond a periodic boundary or a fold. Elsewhere there is land that the model
        dropped, or a closed boundary."""
        c = self._incoming[0].channel
        return owned_cells(c.exchange.grid, c.model, c.box, c.exchange.halo)

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names of the answers, and the shape (level, y, x) of this rank's cells of each."""
        return {
            field.name: (field.levels, out.channel.box.ny, out.channel.box.nx)
            for out in self._outgoing
            for field in out.channel.fields
        }

    def _start(self) -> None:
        agreement = shake_hands(self.world, self.spec)
        self._declaration = agreement.declaration
        ranks = agreement.model.ranks
        self._leader = ranks[0]
        self._incoming: list[_Incoming] = []
        self._outgoing: list[_Outgoing] = []
        for c in agreement.channels:
            wire = c.exchange.wire
            if c.direction == IN:
                outbox = Outbox(self.world, c.number, ranks, c.messages, wire, c.lag + 2)
                nobodys = unanswered_cells(c.messages, c.box)
                self._outgoing.append(_Outgoing(c, outbox, deque(maxlen=c.lag), nobodys))
                continue
            inbox = Inbox(
                self.world, c.number, ranks, c.messages, wire, 1 if c.direction == STATIC else 2
            )
            incoming = _padded_arrays(c, inbox)
            if c.direction == STATIC:
                self.world.wait(inbox.arrived, "the model to put its static fields")
                incoming.take(self._declaration.start_date, post_again=False)
                self.static |= incoming.arrays
            else:
                self._incoming.append(incoming)
        self._send_owed_answers()

    def _send_owed_answers(self) -> None:
        """With a lag the first gets receive what the restart holds, or zeros."""
        start, file = self._declaration.start_date, self._declaration.restart_file
        for out in self._outgoing:
            c = out.channel
            owed = read_restart(self.world, file, start, c) if file else _zeros(c)
            first = first_due(start, c.exchange.period)
            for number, answer in enumerate(owed):
                got_at = first + number * c.exchange.period
                self._answer(out, answer_date(got_at, c.exchange.period, c.lag), answer)

    def _answer(self, out: _Outgoing, date: int, answer: dict[str, Array]) -> None:
        out.outbox.send(date, answer)
        out.pending.append(answer)

    def steps(self) -> Iterator[Step]:
        """A Step for each date at which an exchange is due, until the model ends the coupling."""
        if self.box.cells == 0:
            self._wait_for_end()
            return
        while (date := self._next_inputs()) is not None:
            self._step = Step(
                self.profile.steps,
                date,
                {k: array for i in self._due(date) for k, array in i.arrays.items()},
                {field.name for out in self._outgoing for field in out.channel.fields},
            )
            begun = time.perf_counter()
            yield self._step
            self.profile.inference += time.perf_counter() - begun
            self._send_answers(self._step)
            self._step = None
            self.profile.count_step(date)
        self._close()

    def _due(self, date: int) -> list[_Incoming]:
        return [i for i in self._incoming if is_due(date, i.channel.exchange.period)]

    def _next_inputs(self) -> int | None:
        """Wait for every exchange due at the next date; None when the model has ended."""
        start = self._declaration.start_date
        date = min(
            first_due(start, i.channel.exchange.period)
            + i.inbox.sequence * i.channel.exchange.period
            for i in self._incoming
        )
        for incoming in self._due(date):
            begun = time.perf_counter()
            while not self._arrived(incoming.inbox):
                if self._obey() == CONTROL_END:
                    return None
            arrived = time.perf_counter()
            incoming.take(date)
            self.profile.wait += arrived - begun
            self.profile.exchange += time.perf_counter() - arrived
            require_finite(incoming.arrays, f"input of step {self.profile.steps}, date {date} s")
        return date

    def _arrived(self, inbox: Inbox) -> bool:
        """True when the next exchange is here; False when a command comes before it."""
        arrived = False

        def ready() -> bool:
            nonlocal arrived
            arrived = inbox.arrived()
            if not arrived and self._control is None:
                self._control = self.world.poll_control()
            return arrived or self._command_is_next()

        self.world.wait(ready, f"the model's fields of exchange {inbox.sequence}")
        return arrived

    def _command_is_next(self) -> bool:
        return self._control is not None and all(
            self._control.counts[i.channel.number] <= i.inbox.sequence for i in self._incoming
        )

    def _obey(self) -> int:
        """Carry out the model's command, when everything put before it has been answered."""
        control, self._control = self._control, None
        assert control is not None
        if control.kind == CONTROL_END:
            self.profile.model = control.profile
            return CONTROL_END
        owed = [(out.channel, list(out.pending)) for out in self._outgoing]
        write_restart(self.world, control.file, control.date, owed)
        self._reply()
        return control.kind

    def _reply(self) -> None:
        self.world.local.Barrier()
        if self.rank == 0:
            self.world.comm.Send(np.ones(1, np.int64), self._leader, TAG_REPLY)

    def _send_answers(self, step: Step) -> None:
        due = [o for o in self._outgoing if is_due(step.date, o.channel.exchange.period)]
        begun = time.perf_counter()
        for out in due:
            answer = {
                field.name: step.interior(
                    field.name,
                    (field.levels, out.channel.box.ny, out.channel.box.nx),
                    self._halo(),
                    np.dtype(out.channel.exchange.wire),
                )
                for field in out.channel.fields
            }
            if out.nobodys.any():  # where the inputs are zero a network may divide by it
                for array in answer.values():
                    array[:, out.nobodys] = 0
            require_finite(answer, f"answer of step {step.number}, date {step.date} s")
            self._answer(out, step.date, answer)
        self.profile.exchange += time.perf_counter() - begun

    def _halo(self) -> int:
        return self._incoming[0].channel.exchange.halo

    def _wait_for_end(self) -> None:
        """A rank without a cell takes part in restarts and in the end, and in nothing else."""
        while True:
            while self._control is None:
                self.world.wait(self._poll, "the model to end", limited=False)
            if self._obey() == CONTROL_END:
                break
        self._close()

    def _poll(self) -> bool:
        self._control = self.world.poll_control()
        return self._control is not None

    def _close(self) -> None:
        for out in self._outgoing:
            out.outbox.flush()
        self._reply()
        for incoming in self._incoming:
            incoming.inbox.close()
        self._ended = True

    def _fail(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Say who, what and where; tell everyone; end the job."""
        where = ""
        if self._step is not None:
            where = f"at step {self._step.number}, date {self._step.date} s: "
        who = str(self.world) if hasattr(self, "world") else self.name
        known = isinstance(error, CouplingError)
        message = f"{where}{error if known else f'{type(error).__name__}: {error}'}"
        if not known:
            traceback.print_exception(kind, error, trace, file=sys.stderr)
        print(f"halocline: {who}: {message}", file=sys.stderr, flush=True)
        if not hasattr(self, "world"):
            self.comm.Abort(1)
        if not isinstance(error, PartnerFailed):
            self.world.tell_failure(message)
        self.world.abort()


def _padded_arrays(channel: Channel, inbox: Inbox) -> _Incoming:
    """Zeroed arrays (level, y, x) of the box and its halo, in the wire's precision."""
    padded = channel.box.padded(channel.exchange.halo)
    arrays = {
        field.name: np.zeros((field.levels, padded.ny, padded.nx), channel.exchange.wire)
        for field in channel.fields
    }
    outside = {}
    for index, field in enumerate(channel.fields):
        cells = unowned_cells(channel.messages, index, channel.box, channel.exchange.halo)
        if channel.direction == OUT and cells.any():
            outside[field.name] = cells
    return _Incoming(channel, inbox, arrays, outside)


def _zeros(channel: Channel) -> list[dict[str, Array]]:
    shape = (channel.box.ny, channel.box.nx)
    return [
        {f.name: np.zeros((f.levels, *shape), channel.exchange.wire) for f in channel.fields}
        for _ in range(channel.lag)
    ]
