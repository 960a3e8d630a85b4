# SPDX-License-Identifier: MIT
"""The public face of a worker: `with Component(...) as c: for step in c.steps(): ...`."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TypeVar

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.channel import Channel
from coupler.clock import first_due, is_due
from coupler.endpoints import (
    conserved_inputs,
    open_endpoints,
    return_partial,
    send_owed_answers,
    start_recorder,
)
from coupler.failure import end_job
from coupler.handshake import shake_hands
from coupler.inputs import Inputs
from coupler.monitor import Profile
from coupler.partial import receive_partial
from coupler.protocol import CONTROL_END, OUT, PARTIAL, STATIC, TAG_REPLY, Control
from coupler.record.recorder import Recorder
from coupler.restart import write_restart
from coupler.routing.decomposition import Box
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec
from coupler.statistics import Statistics
from coupler.step import Step, require_finite
from coupler.trace import open_trace
from coupler.transport.inbox import Inbox
from coupler.transport.outbox import Outbox
from coupler.world import CouplingError, join

Array = NDArray[np.floating]
Shapes = Mapping[str, tuple[tuple[int, ...], str]]  # by name: shape and dtype
Endpoint = TypeVar("Endpoint", Inbox, Outbox)
POLLS = 4  # of fields, to one of the model's commands, which are rare: each may yield the core


class Component:
    """One worker component of a coupled job.

    Inside the `with` block: `static` maps names to padded arrays (level, y, x) that the model sent
    once; `steps()` yields a Step for every date at which an exchange is due; `owned` is a mask of
    the cells that the model has, `cells` their global numbers; `leads` is true on the first rank
    that has steps. An exception in the block reaches every rank of the job as text and ends it
    with a non-zero exit code.
    """

    def __init__(
        self,
        name: str,
        spec: str | Path | CouplingSpec,
        comm: MPI.Intracomm = MPI.COMM_WORLD,
        prepare: Callable[[Component, Shapes], None] | None = None,
    ) -> None:
        """`comm`: the communicator of all components; every one of them must join. `prepare` is
        called once, while the model waits at its start, with shape (level, y, x) and dtype of each
        array that will come: what it does no step waits for."""
        self.name = name
        self.spec = spec if isinstance(spec, CouplingSpec) else load_spec(spec)
        self.comm = comm
        self.static: dict[str, Array] = {}
        self.profile = Profile()
        self.recorder: Recorder | None = None  # of what the spec records here
        self._prepare = prepare
        self._step: Step | None = None
        self._control: Control | None = None
        self._ended = False

    def __enter__(self) -> Component:
        try:
            self.world = join(self.comm, self.name, self.spec.digest)
            self._require_halos()
            self._open_trace()
            self._start()
        except BaseException as failure:
            self._fail(failure)
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
            self._fail(error)

    @property
    def rank(self) -> int:
        return self.world.rank

    @property
    def box(self) -> Box:
        """This rank's cells of the worker's grid, without halo."""
        return self._inboxes[0].channel.box

    @cached_property
    def owned(self) -> NDArray[np.bool_]:
        """(y, x) of the padded box of the first exchange: cells that a model rank owns, or images
        of such cells beyond a periodic boundary or a fold. Elsewhere there is land that the model
        dropped, or a closed boundary. On another grid than the model's: cells that such cells are
        a source of."""
        return self._inboxes[0].channel.owned_cells

    @cached_property
    def cells(self) -> NDArray[np.int64]:
        """(y, x) of the padded box of the first exchange: the global number x + y * nx of the cell
        whose T point each shows, also through periodic images and the fold; -1 where `owned` is
        false. The same cell has the same number on every rank, whatever the decomposition."""
        return self._inboxes[0].channel.cell_numbers

    @property
    def outputs(self) -> dict[str, tuple[int, ...]]:
        """Names of the answers, and the shape (level, y, x) of this rank's cells of each."""
        return {
            field.name: shape
            for out in self._outboxes
            for field, shape in zip(out.channel.fields, out.channel.step_shapes, strict=True)
        }

    @property
    def buffers(self) -> list[Array]:
        """The arrays that inputs come in and answers leave from, again and again."""
        slots = [s for i in self._inboxes for s in i.slots]
        slots += [s for o in self._outboxes for s in o.arrays]
        return [array for slot in slots for array in slot.values()]

    def _open_trace(self) -> None:
        try:
            self.profile.trace = open_trace(self.name, self.rank)
        except (OSError, ValueError) as error:
            raise CouplingError(
                f"HALOCLINE_TRACE: {error}; expected a directory that is there, and has room"
            ) from error

    def _require_halos(self) -> None:
        """`halo: auto` is filled in before, by whoever has the predictor."""
        for exchange in self.spec.incoming(self.name):
            if exchange.measured:
                raise CouplingError(
                    f"{exchange.place}: halo: auto is measured from the predictor that ml_server "
                    "runs; a worker with a loop of its own writes the number of cells"
                )

    def _start(self) -> None:
        agreement = shake_hands(self.world, self.spec, self._before_plans)
        self._declaration, self._segment = agreement.declaration, agreement.segment
        ranks = agreement.model.ranks
        self._model_ranks, self._leader = ranks, ranks[0]
        self._partial = [c for c in agreement.channels if c.direction == PARTIAL]
        # first of all: hcl_start waits for it
        return_partial(self.world, self._partial, ranks, self._declaration)
        opened = open_endpoints(self.world, agreement)
        self._inboxes, self._outboxes, self.static = opened.inboxes, opened.outboxes, opened.static
        self._halos = {
            out: dict.fromkeys(out.step_arrays, self.spec.answered(out.channel.exchange).halo)
            for out in self._outboxes
        }
        self._idle = not any(inbox.channel.messages for inbox in self._inboxes)
        mine = self.world.members[self.name].ranks
        with_steps = self.world.local.allgather(not self._idle)
        stepping = tuple(r for r, steps in zip(mine, with_steps, strict=True) if steps)
        self.leads = mine[self.rank] == (stepping or mine)[0]
        goes_on = self._declaration.start_date if self._declaration.restart_file else None
        self._conserved = conserved_inputs(self.world, self._inboxes)
        self._statistics = Statistics(self.world, self.spec, goes_on, stepping)
        self.recorder = start_recorder(
            self.world, self.spec, agreement, self.static, not self._idle
        )
        send_owed_answers(self.world, self._outboxes, self._declaration)

    def _before_plans(self, channels: Sequence[Channel]) -> None:
        """Give `prepare` its turn, on a rank that will have steps."""
        incoming = [c for c in channels if c.direction in (OUT, STATIC)]
        if self._prepare is None or not any(c.messages for c in incoming):
            return
        shapes = {
            field.name: (shape, c.exchange.wire)
            for c in incoming
            for field, shape in zip(c.fields, c.step_shapes, strict=True)
        }
        self._prepare(self, shapes)

    def message_sizes(self) -> dict[int, tuple[int, int]]:
        """For each model rank of the job the values that come from it and go to it in a step."""
        sizes: dict[int, tuple[int, int]] = {}
        ends = [(i.channel, 1, 0) for i in self._inboxes]
        ends += [(o.channel, 0, 1) for o in self._outboxes]
        for channel, comes, goes in ends:
            for message in channel.messages:
                rank = self._model_ranks[message.partner]
                there, back = sizes.get(rank, (0, 0))
                sizes[rank] = there + comes * message.values, back + goes * message.values
        return sizes

    def steps(self) -> Iterator[Step]:
        """A Step for each date at which an exchange is due, until the model ends the coupling."""
        if self._idle:
            self._wait_for_end()
            return
        while (step := self.receive()) is not None:
            received = self._receiving
            with self.profile.measure("inference", step.date):
                yield step
            self.profile.inference -= self._receiving - received  # for fields that it looked up
            self.send(step)
        self._close()

    def receive(self) -> Step | None:
        """Wait for the first field of the next date at which an exchange is due; None when the
        model has ended. The step waits for each other field when it is looked up.

        `steps` is receive and send in turn; use them alone to do something in between.
        """
        start = self._declaration.start_date
        periods = [(inbox, inbox.channel.exchange.period) for inbox in self._inboxes]
        date = min([first_due(start, period) + i.sequence * period for i, period in periods])
        due = self._due(self._inboxes, date)
        for inbox in due:
            inbox.expect(date)
        inputs = Inputs(due, lambda inbox, name: self._receive_field(date, inbox, name))
        first = next((inbox for inbox in due if inbox.sources), due[0])
        while not self._arrived(first, date, lambda: first.begun):
            if self._obey() == CONTROL_END:
                return None
        for inbox in due:  # in this order on every rank: each waits for the sums of the others
            if inbox in self._conserved:
                self._conserve(date, inbox, inputs)
        recorder = self.recorder if self.recorder and self.recorder.wants(date) else None
        for inbox in due:  # of what came, before a network can change it
            if not (inbox.channel.exchange.statistics or recorder):
                continue
            for field in inbox.channel.fields:
                inputs[field.name]
            self._statistics.take(date, inbox.channel, inbox.arrays, inbox.outside)
            if recorder is not None:
                recorder.take(date, inbox.channel.exchange, inbox.arrays)
        answers: dict[str, Array] = {}
        halos: dict[str, int] = {}
        for out in self._due(self._outboxes, date):
            begun = time.perf_counter()
            out.next_arrays()  # waits for an earlier answer to be taken
            self.profile.add("wait", begun, time.perf_counter(), date, out.names)
            answers |= out.step_arrays
            halos |= self._halos[out]
        self._step = Step(self.profile.steps, date, inputs, answers, halos)
        return self._step

    def _receive_field(self, date: int, inbox: Inbox, name: str) -> None:
        """Returns when all of field `name` of `date` is here, and fit to be read."""
        if not (inbox.has(name) or self._arrived(inbox, date, lambda: inbox.has(name))):
            raise CouplingError(
                f"the model ended, or wrote a restart, without a put of {name} at date {date} s"
            )
        if inbox.channel.exchange.check_finite:
            arrays = {name: inbox.arrays[name]}
            require_finite(arrays, f"input of step {self.profile.steps}, date {date} s")

    def _conserve(self, date: int, inbox: Inbox, inputs: Inputs) -> None:
        """Correct what has been regridded, once all of it is here."""
        for name in self._conserved[inbox].areas:
            inputs[name]
        begun = time.perf_counter()
        self._conserved[inbox].correct(inbox.sources_here, inbox.arrays)
        self.profile.add("exchange", begun, time.perf_counter(), date, inbox.names)

    @property
    def _receiving(self) -> float:
        return self.profile.wait + self.profile.exchange

    def _due(self, boxes: list[Endpoint], date: int) -> list[Endpoint]:
        return [box for box in boxes if is_due(date, box.channel.exchange.period)]

    def _arrived(self, inbox: Inbox, date: int, enough: Callable[[], bool]) -> bool:
        """True when enough of the exchange is here; False when a command comes before it."""
        begun, unpacked = time.perf_counter(), inbox.unpacking
        polls = 0

        def ready() -> bool:
            nonlocal polls
            inbox.poll()
            if enough():
                return True
            polls += 1
            if self._control is None and polls % POLLS == 0:
                self._control = self.world.poll_control()
            return self._command_is_next()

        self.world.wait(
            ready, f"the model's fields of exchange {inbox.sequence} ({inbox.names} of {date} s)"
        )
        # what came while others were on their way was unpacked in between: told apart at the end
        ended = time.perf_counter()
        self.profile.add("wait", begun, ended - (inbox.unpacking - unpacked), date, inbox.names)
        self.profile.add("exchange", ended - (inbox.unpacking - unpacked), ended, date, inbox.names)
        return enough()

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
        for name in step.inputs:
            step.inputs[name]  # all of the date has come before any of its answers leaves
        begun = time.perf_counter()
        self._send(step)
        self.profile.add("exchange", begun, time.perf_counter(), step.date, " ".join(step.out))
        self.profile.count_step(step.date)
        self._step = None

    def _send(self, step: Step) -> None:
        answers = {name: step.answer(name) for name in step.out}
        given: list[tuple[Outbox, Mapping[str, Array]]] = []
        for out in self._due(self._outboxes, step.date):
            leaving = out.settle(answers)
            self._statistics.take(step.date, out.channel, leaving, out.outside)
            if out.channel.exchange.check_finite:
                require_finite(leaving, f"answer of step {step.number}, date {step.date} s")
            given.append((out, out.step_arrays if out.channel.peers else leaving))
            out.send(step.date, leaving)
        if self.recorder is not None:  # the model has its answers by now
            for out, arrays in given:
                self.recorder.take(step.date, out.channel.exchange, arrays)
            self.recorder.commit(step.date)
        for inbox in self._due(self._inboxes, step.date):
            inbox.release()  # not before: an answer may be a view of an input

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
            out.close()
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
        if self.profile.trace is not None:
            self.profile.trace.close()
        self._ended = True

    def _fail(self, error: BaseException) -> None:
        where = ""
        if self._step is not None:
            where = f"at step {self._step.number}, date {self._step.date} s: "
        close = self.recorder.abandon if self.recorder is not None else None
        end_job(error, self.name, self.comm, getattr(self, "world", None), where, close)
