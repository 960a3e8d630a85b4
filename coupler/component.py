# SPDX-License-Identifier: MIT
"""The public face of a worker: `with Component(...) as c: for step in c.steps(): ...`."""

from __future__ import annotations

import sys
import time
import traceback
from collections.abc import Iterator, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.clock import answer_date, first_due, is_due
from coupler.decomposition import Box
from coupler.handshake import Channel, shake_hands, worker_decomposition
from coupler.monitor import Profile
from coupler.partial import receive_partial, send_partial
from coupler.protocol import CONTROL_END, IN, OUT, PARTIAL, STATIC, TAG_REPLY, Control
from coupler.recorder import Place, Recorder
from coupler.restart import read_partial, read_restart, write_restart
from coupler.router import owned_cells
from coupler.spec import CouplingSpec
from coupler.spec_load import load_spec
from coupler.statistics import Statistics
from coupler.step import Step, require_finite
from coupler.transfer import Inbox, Outbox
from coupler.world import CouplingError, PartnerFailed, join

Array = NDArray[np.floating]
Endpoint = TypeVar("Endpoint", Inbox, Outbox)


class Component:
    """One worker component of a coupled job.

    Inside the `with` block: `static` maps names to padded arrays (level, y, x) that the model sent
    once; `steps()` yields a Step for every date at which an exchange is due; `owned` is a mask of
    the cells that the model has; `leads` is true on the first rank that has steps. An exception in
    the block reaches every rank of the job as text and ends it with a non-zero exit code.
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
        self.recorder: Recorder | None = None  # of what the spec records here
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
        return self._inboxes[0].channel.box

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """(y, x) of the padded box of the first exchange: cells that a model rank owns, or images
        of such cells beyond a periodic boundary or a fold. Elsewhere there is land that the model
        dropped, or a closed boundary."""
        channel = self._inboxes[0].channel
        return owned_cells(channel.exchange.grid, channel.model, channel.box, channel.halo)

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names of the answers, and the shape (level, y, x) of this rank's cells of each."""
        return {
            field.name: shape
            for out in self._outboxes
            for field, shape in zip(out.channel.fields, out.channel.shapes, strict=True)
        }

    def _start(self) -> None:
        agreement = shake_hands(self.world, self.spec)
        self._declaration, self._segment = agreement.declaration, agreement.segment
        ranks = agreement.model.ranks
        self._model_ranks, self._leader = ranks, ranks[0]
        self._statistics = Statistics(self.world, self.spec, bool(self._declaration.restart_file))
        self._partial = [c for c in agreement.channels if c.direction == PARTIAL]
        self._return_partial()  # first of all: hcl_start waits for it
        self._inboxes: list[Inbox] = []
        self._outboxes: list[Outbox] = []
        for channel in agreement.channels:
            if channel.direction == PARTIAL:
                continue
            if channel.direction == IN:
                self._outboxes.append(Outbox(self.world, channel, ranks, self._segment))
                continue
            inbox = Inbox(self.world, channel, ranks, self._segment)
            if channel.direction == STATIC:
                self.world.wait(inbox.arrived, "the model to put its static fields")
                self.static |= inbox.take(self._declaration.start_date, post_again=False)
            else:
                self._inboxes.append(inbox)
        self._idle = not any(inbox.channel.messages for inbox in self._inboxes)
        size = int(self.world.local.size)
        first = self.world.local.allreduce(size if self._idle else self.rank, MPI.MIN)
        self.leads = self.rank == first % size  # of the ranks that have steps, the first
        if self.spec.component(self.name).record is not None:
            self._start_recorder(agreement.channels)
        self._send_owed_answers()

    def _start_recorder(self, channels: Sequence[Channel]) -> None:
        size = int(self.world.local.size)
        writers = self.world.local.allgather(not self._idle)
        if self._idle:
            return
        boxes, owned = {}, {}
        for c in (c for c in channels if c.direction in (OUT, IN)):
            grid = c.exchange.grid
            boxes[grid.name] = worker_decomposition(self.spec, c.exchange, size)
            owned[grid.name] = owned_cells(grid, c.model, c.box, 0)
        ranks = tuple(rank for rank, writes in enumerate(writers) if writes)
        start = self._declaration.start_date
        place = Place(self.name, self.rank, ranks, start, boxes, owned)
        self.recorder = Recorder(self.spec, place, self.static)

    def _return_partial(self) -> None:
        """The model's ranks go on with the half sums of the run before."""
        start, file = self._declaration.start_date, self._declaration.restart_file
        for c in self._partial if file else ():
            held = read_partial(self.world, file, start, c)
            send_partial(self.world, c, self._model_ranks, start, held)

    def _send_owed_answers(self) -> None:
        """With a lag the first gets receive what the restart holds, or zeros."""
        start, file = self._declaration.start_date, self._declaration.restart_file
        for out in self._outboxes:
            channel, period = out.channel, out.channel.exchange.period
            owed = read_restart(self.world, file, start, channel) if file else None
            for number in range(channel.lag):
                for name, array in out.next_arrays().items():
                    array[...] = owed[number][name] if owed else 0
                got_at = first_due(start, period) + number * period
                out.send(answer_date(got_at, period, channel.lag))

    def message_sizes(self) -> dict[int, tuple[int, int]]:
        """For each model rank of the job the values that come from it and go to it in a step."""
        sizes: dict[int, tuple[int, int]] = {}
        ends = [(i.channel, i.ranks, 1, 0) for i in self._inboxes]
        ends += [(o.channel, o.ranks, 0, 1) for o in self._outboxes]
        for channel, ranks, comes, goes in ends:
            for rank, message in zip(ranks, channel.messages, strict=True):
                there, back = sizes.get(rank, (0, 0))
                sizes[rank] = there + comes * message.values, back + goes * message.values
        return sizes

    def steps(self) -> Iterator[Step]:
        """A Step for each date at which an exchange is due, until the model ends the coupling."""
        if self._idle:
            self._wait_for_end()
            return
        while (step := self.receive()) is not None:
            begun = time.perf_counter()
            yield step
            self.profile.inference += time.perf_counter() - begun
            self.send(step)
        self._close()

    def receive(self) -> Step | None:
        """Wait for every exchange due at the next date; None when the model has ended.

        `steps` is receive and send in turn; use them alone to do something in between.
        """
        start = self._declaration.start_date
        periods = [(inbox, inbox.channel.exchange.period) for inbox in self._inboxes]
        date = min(first_due(start, period) + i.sequence * period for i, period in periods)
        inputs: dict[str, Array] = {}
        for inbox in self._due(self._inboxes, date):
            begun = time.perf_counter()
            while not self._arrived(inbox, date):
                if self._obey() == CONTROL_END:
                    return None
            arrived = time.perf_counter()
            taken = inbox.take(date)
            self.profile.wait += arrived - begun
            self.profile.exchange += time.perf_counter() - arrived
            self._statistics.take(date, inbox.channel, taken, inbox.outside)
            if inbox.channel.exchange.check_finite:
                require_finite(taken, f"input of step {self.profile.steps}, date {date} s")
            if self.recorder is not None:  # now: a network may change its inputs
                self.recorder.take(date, inbox.channel.exchange, taken)
            inputs |= taken
        answers: dict[str, Array] = {}
        halos: dict[str, int] = {}
        for out in self._due(self._outboxes, date):
            arrays = out.next_arrays()
            answers |= arrays
            halos |= dict.fromkeys(arrays, self.spec.answered(out.channel.exchange).halo)
        self._step = Step(self.profile.steps, date, inputs, answers, halos)
        return self._step

    def _due(self, boxes: list[Endpoint], date: int) -> list[Endpoint]:
        return [box for box in boxes if is_due(date, box.channel.exchange.period)]

    def _arrived(self, inbox: Inbox, date: int) -> bool:
        """True when the next exchange is here; False when a command comes before it."""
        names = ", ".join(field.name for field in inbox.channel.fields)
        arrived = False

        def ready() -> bool:
            nonlocal arrived
            arrived = inbox.arrived()
            if not arrived and self._control is None:
                self._control = self.world.poll_control()
            return arrived or self._command_is_next()

        self.world.wait(
            ready, f"the model's fields of exchange {inbox.sequence} ({names} of {date} s)"
        )
        return arrived

    def _command_is_next(self) -> bool:
        return self._control is not None and all(
            self._control.counts[i.channel.number] <= i.sequence for i in self._inboxes
        )

    def _obey(self) -> int:
        """Carry out the model's command, when everything put before it has been answered."""
        control, self._control = self._control, None
        assert control is not None
        if control.kind == CONTROL_END:
            self.profile.model = control.profile
            return CONTROL_END
        owed = [(out.channel, out.pending()) for out in self._outboxes]
        partial = [
            (c, receive_partial(self.world, c, self._model_ranks, control.date))
            for c in self._partial
        ]
        write_restart(self.world, control.file, control.date, owed, partial)
        self._reply()
        return control.kind

    def _reply(self) -> None:
        self.world.local.Barrier()
        if self.rank == 0:
            self.world.comm.Send(np.ones(1, np.int64), self._leader, TAG_REPLY)

    def send(self, step: Step) -> None:
        """Send the step's answers to the model; its input arrays may change from now on."""
        begun = time.perf_counter()
        step.fill_answers()
        for inbox in self._due(self._inboxes, step.date):
            inbox.release()
        for out in self._due(self._outboxes, step.date):
            out.clear_nobodys_cells()
            answers = {field.name: step.out[field.name] for field in out.channel.fields}
            self._statistics.take(step.date, out.channel, answers)
            if out.channel.exchange.check_finite:
                require_finite(answers, f"answer of step {step.number}, date {step.date} s")
            if self.recorder is not None:
                self.recorder.take(step.date, out.channel.exchange, answers)
            out.send(step.date)
        if self.recorder is not None:
            self.recorder.commit(step.date)
        self.profile.exchange += time.perf_counter() - begun
        self.profile.count_step(step.date)
        self._step = None

    def _wait_for_end(self) -> None:
        """A rank to which nobody sends, for want of cells or because the model dropped them all,
        takes part in restarts and in the end, and in nothing else."""
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
        for out in self._outboxes:
            out.flush()
        self._statistics.close()
        if self.recorder is not None:
            text = self.recorder.close()
            if self.leads:
                print(f"halocline: {self.name}: {text}", flush=True)
        self._reply()
        for inbox in self._inboxes:
            inbox.close()
        if self._segment is not None:
            self._segment.free()
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
        if self.recorder is not None:
            self.recorder.abandon()
        if not hasattr(self, "world"):
            self.comm.Abort(1)
        if not isinstance(error, PartnerFailed):
            self.world.tell_failure(message)
        self.world.abort()
