# SPDX-License-Identifier: MIT
"""A model in Python: it puts and gets as one in Fortran does with the client."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from types import TracebackType
from typing import Literal

import numpy as np
from mpi4py import MPI
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.failure import end_job
from coupler.model.calls import Incoming, Outgoing
from coupler.model.plan import (
    Config,
    ModelExchange,
    ModelField,
    ModelGrid,
    decode_config,
    decode_plan,
    encode_declaration,
    encode_names,
)
from coupler.model.transfer import Neighbours, Receiver, Sender
from coupler.protocol import (
    CONTROL_END,
    CONTROL_RESTART,
    IN,
    OUT,
    PARTIAL,
    STATIC,
    TAG_CONFIG,
    TAG_CONTROL,
    TAG_COUNTS,
    TAG_DECLARE,
    TAG_NAMES,
    TAG_PLAN,
    TAG_REPLY,
    Words,
)
from coupler.routing.decomposition import Box
from coupler.spec.document import hint
from coupler.world import World, join

Array = NDArray[np.floating]
Direction = Literal["out", "in", "static"]
NO_PARTIAL = (
    "the spec reduces fields in time, and a model in Python keeps no half averages for a restart; "
    "expected 'time: instant', or no restart"
)
DIRECTIONS = {"out": OUT, "in": IN, "static": STATIC}


class ModelComponent:
    """A model component of a coupled job, for a `with` block.

    Declare grids and fields, `start`, then at each date put what goes out and get what comes in.
    Arrays are (level, y, x) of this rank's own cells. `local` is the communicator of this
    component. An exception in the block reaches every rank of the job; its end ends the coupling.
    """

    def __init__(self, name: str, comm: MPI.Intracomm = MPI.COMM_WORLD) -> None:
        """`comm`: the communicator of all components; every one of them must join."""
        self.name, self.comm = name, comm
        self.grids: dict[str, ModelGrid] = {}
        self.fields: dict[str, ModelField] = {}
        self._outs: list[Outgoing] = []
        self._ins: list[Incoming] = []
        self._shared: Neighbours | None = None
        self._started = False

    def __enter__(self) -> ModelComponent:
        try:
            self.world: World = join(self.comm, self.name, "", "model")
            members = self.world.members
            workers = [item for item in members.values() if item.kind == "worker"]
            self._workers = [item.ranks for item in workers]
            if not workers:
                raise CouplingError("no worker in this job; start one beside the model")
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
        if error is None:
            try:
                self._close()
            except BaseException as failure:
                self._fail(failure)
                raise
        else:
            self._fail(error)

    @property
    def local(self) -> MPI.Comm:
        return self.world.local

    def define_grid(
        self,
        name: str,
        nx: int,
        ny: int,
        box: Box,
        periodic: tuple[bool, bool] | None = None,
        holes: bool = False,
    ) -> None:
        """`box`: this rank's cells of nx x ny, counted from 0. `holes`: cells without an owner,
        land that the model drops, are meant. `periodic` in x, y is compared with the spec."""
        said = (-1, -1) if periodic is None else (int(periodic[0]), int(periodic[1]))
        self.grids[name] = ModelGrid(name, nx, ny, box, said, holes)

    def define_field(self, name: str, grid: str, direction: Direction, levels: int = 1) -> None:
        """`out`: put at every date; `static`: put once, after `start`; `in`: got."""
        if grid not in self.grids:
            raise CouplingError(f"field '{name}': no grid '{grid}'{hint(grid, self.grids)}")
        self.fields[name] = ModelField(name, grid, DIRECTIONS[direction], levels)

    def start(self, date: int = 0, restart_file: str = "") -> None:
        """Ends the declarations; collective. `date` [s] is that of the first step; `restart_file`
        is what `write_restart` wrote at that date. Raises CouplingError."""
        if self._started:
            raise CouplingError(f"{self.name}: start is called twice")
        self._compare_ranks()
        self._declare(date, restart_file)
        configs = [self._receive_config(ranks[0]) for ranks in self._workers]
        exchanges = [exchange for config, _ in configs for exchange in config.exchanges]
        self._receive_plans(exchanges, sum(int(counts[self.local.rank]) for _, counts in configs))
        self._check(exchanges, restart_file)
        self.world.time_limit = max(config.time_limit for config, _ in configs)
        self.time_step = configs[0][0].time_step
        if any(config.windows for config, _ in configs):
            self._shared = Neighbours(self.world.node)
        for exchange in exchanges:
            if exchange.direction in (OUT, STATIC):
                self._outs.append(Outgoing(Sender(self.world, exchange, self._shared), date))
            elif exchange.direction == IN:
                self._ins.append(Incoming(Receiver(self.world, exchange, self._shared)))
        self._started, self._begun = True, time.perf_counter()

    def _compare_ranks(self) -> None:
        def declared(grid: ModelGrid) -> tuple[object, ...]:
            return (grid.name, grid.nx, grid.ny, grid.periodic, grid.holes)

        mine = ([declared(grid) for grid in self.grids.values()], list(self.fields.values()))
        if any(other != mine for other in self.local.allgather(mine)):
            raise CouplingError(
                f"ranks of {self.name} declare other grids or fields; expected the same calls on "
                "every rank"
            )

    def _declare(self, date: int, restart_file: str) -> None:
        """Rank 0 tells the leader of each worker component."""
        grids, fields = list(self.grids.values()), list(self.fields.values())
        boxes = self.local.gather([grid.box for grid in grids]) or []
        for ranks in self._workers if self.local.rank == 0 else ():
            words = encode_declaration(date, grids, fields, boxes, len(ranks))
            names = bytearray(encode_names(grids, fields, restart_file))
            self.world.comm.Send(words, ranks[0], TAG_DECLARE)
            self.world.comm.Send([names, MPI.BYTE], ranks[0], TAG_NAMES)

    def _receive_config(self, leader: int) -> tuple[Config, Words]:
        """What one worker component exchanges, and how many plans each model rank shall expect."""
        words = counts = np.empty(0, np.int64)
        if self.local.rank == 0:
            what = "the workers to plan"
            words = self.world.receive_words(leader, TAG_CONFIG, what)
            counts = self.world.receive_words(leader, TAG_COUNTS, what)
        # not bcast at once: the other ranks must see a failure while rank 0 waits
        self.world.wait_requests([self.local.Ibarrier()], "rank 0 and the workers")
        words, counts = self.local.bcast((words, counts))
        return decode_config(words, list(self.fields.values())), counts

    def _receive_plans(self, exchanges: Sequence[ModelExchange], count: int) -> None:
        by_number = {exchange.number: exchange for exchange in exchanges}
        for _ in range(count):
            status = MPI.Status()
            comm = self.world.comm

            def come(status: MPI.Status = status) -> bool:
                return bool(self.world.comm.Iprobe(MPI.ANY_SOURCE, TAG_PLAN, status))

            self.world.wait(come, "the plan of a worker")
            words = np.empty(status.Get_count(MPI.INT64_T), np.int64)
            comm.Recv(words, status.source, TAG_PLAN)
            for exchange, peer in decode_plan(words, status.source, by_number):
                exchange.peers.append(peer)

    def _check(self, exchanges: Sequence[ModelExchange], restart_file: str) -> None:
        brought = {name for e in exchanges if e.direction == IN for name in e.fields}
        for name, item in self.fields.items():
            if item.direction == IN and name not in brought:
                raise CouplingError(
                    f"{self.name}: field '{name}' is declared 'in', but no exchange of the spec "
                    f"brings it to {self.name}"
                )
        self._reduces = any(e.direction == PARTIAL for e in exchanges)
        if self._reduces and restart_file:
            raise CouplingError(f"{self.name}: {NO_PARTIAL}")

    def put(self, name: str, date: int, values: Array) -> None:
        """Hand over (level, y, x) of this rank's cells at `date` [s], the start of the step; they
        may change afterwards. Nothing happens where nothing is due. Raises CouplingError."""
        item = self._field(name, ("out", "static"))
        self._check_date(name, date)
        shape = self._shape(item)
        if values.shape != shape or values.dtype.kind != "f":
            raise CouplingError(
                f"put of '{name}': got {values.dtype} {values.shape}, expected floats (level, y, x)"
                f" = {shape}, this rank's cells without a halo"
            )
        for out in self._outs:
            out.put(name, date, values, self.time_step)

    def get(self, name: str, date: int) -> Array | None:
        """float64 (level, y, x) of this rank's cells at `date` [s], waiting for the workers; None
        where nothing is due. Levels that do not travel hold zeros. Raises CouplingError."""
        item = self._field(name, ("in",))
        self._check_date(name, date)
        found = None
        for incoming in self._ins:
            answer = incoming.get(name, date, self._shape(item))
            found = found if answer is None else answer
        return found

    def _field(self, name: str, directions: tuple[str, ...]) -> ModelField:
        if not self._started:
            raise CouplingError(f"{self.name}: put or get of '{name}' before start")
        if name not in self.fields:
            raise CouplingError(f"{self.name}: no field '{name}'{hint(name, self.fields)}")
        item = self.fields[name]
        if item.direction not in [DIRECTIONS[direction] for direction in directions]:
            raise CouplingError(f"{self.name}: '{name}' is declared for the other direction")
        return item

    def _check_date(self, name: str, date: int) -> None:
        if date % self.time_step and self.fields[name].direction != STATIC:
            raise CouplingError(
                f"put or get of '{name}' at date {date} s, expected a multiple of the time step, "
                f"{self.time_step} s (run.dt of the spec)"
            )

    def _shape(self, item: ModelField) -> tuple[int, int, int]:
        box = self.grids[item.grid].box
        return item.levels, box.ny, box.nx

    def write_restart(self, date: int, file: str) -> None:
        """The workers write what a lag still owes, for a run that starts at `date` [s]; collective.
        Returns when `file` is complete."""
        if self._reduces:
            raise CouplingError(f"{self.name}: {NO_PARTIAL}")
        self._command(CONTROL_RESTART, date, file)

    def _command(self, kind: int, date: int = 0, file: str = "") -> None:
        """Rank 0 commands every worker rank and waits for the workers' leaders."""
        for out in self._outs:
            out.check_complete()
        packing = sum(out.packing for out in self._outs)
        waiting = sum(incoming.waited for incoming in self._ins)  # and unpacking
        spent = [time.perf_counter() - self._begun, packing, waiting, 0.0]
        slowest = np.max(self.local.allgather(spent), axis=0)
        profile = [int(seconds * 1e9) for seconds in slowest]
        if self.local.rank == 0:
            outs = [out for out in self._outs if out.exchange.direction == OUT]
            counts = [(out.exchange.number, out.count) for out in outs]
            data = file.encode()
            words = [kind, date, len(counts), *(n for pair in counts for n in pair), *profile]
            text = np.frombuffer(data.ljust(-(-len(data) // 8) * 8), np.int64)
            message = np.array([*words, len(data), *text], np.int64)
            for rank in (rank for ranks in self._workers for rank in ranks):
                self.world.comm.Send(message, rank, TAG_CONTROL)
            for ranks in self._workers:
                what = "the workers to finish"
                self._wait(kind, partial(self.world.comm.Iprobe, ranks[0], TAG_REPLY), what)
                self.world.receive_words(ranks[0], TAG_REPLY, what)
        self._wait(kind, self.local.Ibarrier().Test, "rank 0 and the workers")

    def _wait(self, kind: int, done: Callable[[], bool], what: str) -> None:
        """At the end answers still come that nobody gets."""

        def ready() -> bool:
            for incoming in self._ins if kind == CONTROL_END else ():
                incoming.drop()
            return done()

        self.world.wait(ready, what)

    def _close(self) -> None:
        if not self._started:
            raise CouplingError(f"{self.name} ended before start")
        self._command(CONTROL_END)
        if self._shared is not None:
            self._shared.free()
        self.local.Barrier()
        for out in self._outs:
            out.close()
        for incoming in self._ins:
            incoming.close()

    def _fail(self, error: BaseException) -> None:
        end_job(error, self.name, self.comm, getattr(self, "world", None))
