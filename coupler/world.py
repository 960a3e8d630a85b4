# SPDX-License-Identifier: MIT
"""Who is in the job: components by name, waits that end, failures that reach everyone."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
from mpi4py import MPI

from coupler.errors import CouplingError as CouplingError
from coupler.errors import PartnerFailed as PartnerFailed
from coupler.protocol import RECORD_LENGTH, TAG_CONTROL, TAG_FAILURE, Control, Record, Words
from coupler.spec.document import hint

POLLING = 5e-4  # [s]; then sleep: spinning on doubles a step with more ranks than cores
PAUSE_SHARE, LONGEST_PAUSE = 0.05, 1e-3  # of the time waited so far; [s]
EVERY_PROGRAM = "every program of the job to join the coupling (hcl_init, Component)"
LAST_WORDS = 2.0  # [s] for partners to close their files before a failed rank ends the job
PASSED_ON = 0.5  # [s] for the launcher to pass on what was printed: MPICH's drops the rest


@dataclass(frozen=True)
class Members:
    """A component's ranks in the job's communicator, in order."""

    kind: str
    ranks: tuple[int, ...]


@dataclass
class World:
    """All components of the job, and this rank's place in its own."""

    comm: MPI.Comm  # every component; COMM_NULL until all have joined
    local: MPI.Comm  # this component
    name: str
    members: dict[str, Members]
    time_limit: float  # [s]
    node: MPI.Intracomm  # the ranks of all components on this node

    @property
    def rank(self) -> int:
        return int(self.local.rank)

    def __str__(self) -> str:
        return f"{self.name} rank {self.rank}"

    def wait(self, done: Callable[[], bool], what: str, limited: bool = True) -> None:
        """Returns when done() is true; sees failures; raises CouplingError after the time limit."""
        since = time.perf_counter()
        while not done():
            waited = time.perf_counter() - since
            if waited < POLLING:
                os.sched_yield()  # not sleep(0): that of Python 3.11 sleeps, until a timer
                continue
            self.see_failure()
            if limited and waited > self.time_limit:
                raise CouplingError(
                    f"waited {self.time_limit:g} s for {what}; is the other side alive, and slower "
                    "than run.time_limit allows?"
                )
            time.sleep(min(PAUSE_SHARE * waited, LONGEST_PAUSE))

    def wait_requests(self, requests: Sequence[MPI.Request], what: str) -> None:
        self.wait(lambda: bool(MPI.Request.Testall(requests)), what)

    def receive_words(self, source: int, tag: int, what: str) -> Words:
        status = MPI.Status()
        self.wait(lambda: bool(self.comm.Iprobe(source, tag, status)), what)
        words = np.empty(status.Get_count(MPI.INT64_T), np.int64)
        self.comm.Recv(words, status.source, tag)
        return words

    def receive_bytes(self, source: int, tag: int, what: str) -> bytes:
        status = MPI.Status()
        self.wait(lambda: bool(self.comm.Iprobe(source, tag, status)), what)
        data = bytearray(status.Get_count(MPI.BYTE))
        self.comm.Recv([data, MPI.BYTE], status.source, tag)
        return bytes(data)

    def poll_control(self) -> Control | None:
        """A command of a model, if one has come."""
        status = MPI.Status()
        if not self.comm.Iprobe(MPI.ANY_SOURCE, TAG_CONTROL, status):
            return None
        words = np.empty(status.Get_count(MPI.INT64_T), np.int64)
        self.comm.Recv(words, status.source, TAG_CONTROL)
        return Control.decode(words)

    def see_failure(self) -> None:
        if self.comm == MPI.COMM_NULL:
            return
        status = MPI.Status()
        if self.comm.Iprobe(MPI.ANY_SOURCE, TAG_FAILURE, status):
            data = bytearray(status.Get_count(MPI.BYTE))
            self.comm.Recv([data, MPI.BYTE], status.source, TAG_FAILURE)
            raise PartnerFailed(f"told by {data.decode(errors='replace')}")

    def on_node(self, ranks: Sequence[int]) -> frozenset[int]:
        """Which of `ranks` of the job share this rank's memory."""
        places = self.comm.Get_group().Translate_ranks(ranks, self.node.Get_group())
        return frozenset(
            rank for rank, place in zip(ranks, places, strict=True) if place != MPI.UNDEFINED
        )

    def seat(self) -> tuple[int, int, int]:
        """Of this rank's node: ranks of the job, worker ranks, and which of those this one is."""
        workers = [r for m in self.members.values() if m.kind == "worker" for r in m.ranks]
        near = sorted(self.on_node(workers))
        return int(self.node.size), len(near), near.index(int(self.comm.rank))

    def tell_failure(self, message: str) -> None:
        """Every other rank of the job learns of `message` at its next wait."""
        data = bytearray(f"{self}: {message}".encode()[:2000])
        requests = [
            self.comm.Isend([data, MPI.BYTE], rank, TAG_FAILURE)
            for rank in range(self.comm.size)
            if rank != self.comm.rank
        ]
        end = time.perf_counter() + LAST_WORDS
        while time.perf_counter() < end and not MPI.Request.Testall(requests):
            time.sleep(LONGEST_PAUSE)

    def abort(self) -> None:
        """Ends every rank with a non-zero exit code, after partners had time to end themselves."""
        time.sleep(LAST_WORDS)
        self.comm.Abort(1)


def start_limit() -> float:
    """HALOCLINE_TIME_LIMIT [s] bounds the waits of the start. Raises CouplingError."""
    text = os.environ.get("HALOCLINE_TIME_LIMIT") or "120"
    try:
        limit = float(text)
    except ValueError:
        limit = 0.0
    if not limit > 0.0:
        raise CouplingError(f"HALOCLINE_TIME_LIMIT: got '{text}', expected seconds, above 0")
    return limit


def launched_ranks() -> int:
    """How many ranks the launcher started, by its own word; 1 without one."""
    names = ("OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "SLURM_STEP_NUM_TASKS")
    return max((int(os.environ.get(name, "1") or "1") for name in names), default=1)


def check_launcher(comm: MPI.Comm) -> None:
    """A wrong pairing of MPI libraries makes every rank believe it is alone, and then hangs."""
    launched = launched_ranks()
    if comm.size == 1 and launched > 1:
        library = " ".join(re.split(r"[,\n]", MPI.Get_library_version())[0].split())
        raise CouplingError(
            f"the launcher started {launched} ranks, but this one sees itself alone; mpi4py uses "
            f"{library}: launch with the mpirun of that library, or install mpi4py for the "
            "launcher's (halocline doctor shows both)"
        )


def abort_unjoined(comm: MPI.Comm) -> None:
    """Ends the job of a rank that has not joined it. Where it is alone its MPI cannot reach the
    launcher. Open MPI's ends the job of a rank that fails; that of MPICH only where the rank says
    so, in a line of PMI-1 on the descriptor that it inherited."""
    time.sleep(PASSED_ON)
    descriptor = os.environ.get("PMI_FD", "")
    if comm.size == 1 and launched_ranks() > 1 and descriptor.isdigit():
        with suppress(OSError):
            os.write(int(descriptor), b"cmd=abort exitcode=1\n")
    comm.Abort(1)


def split_nodes(comm: MPI.Comm) -> MPI.Intracomm:
    """The ranks that share memory. HALOCLINE_RANKS_PER_NODE pretends that nodes are smaller."""
    node = MPI.Intracomm(comm.Split_type(MPI.COMM_TYPE_SHARED))
    size = int(os.environ.get("HALOCLINE_RANKS_PER_NODE", "0"))
    return MPI.Intracomm(node.Split(comm.rank // size)) if size > 0 else node


def join(comm: MPI.Intracomm, name: str, digest: str, kind: str = "worker") -> World:
    """Join the job as component `name`, a worker or a model. Collective over `comm`: every
    component calls it.

    Components find each other by name. Raises CouplingError if a rank speaks another protocol or
    another Python rank holds another spec.
    """
    check_launcher(comm)
    world = World(MPI.COMM_NULL, MPI.COMM_SELF, name, {}, start_limit(), MPI.COMM_SELF)
    # not Dup: it would wait for ever for a program of the job that never joins
    shared, request = comm.Idup()
    world.wait_requests([request], EVERY_PROGRAM)
    world.comm = shared
    mine = bytearray(Record(kind, name, digest).encode())
    data = bytearray(RECORD_LENGTH * shared.size)
    request = shared.Iallgather([mine, MPI.BYTE], [data, MPI.BYTE])
    world.wait_requests([request], EVERY_PROGRAM)
    records = []
    for rank in range(shared.size):
        try:
            part = bytes(data[rank * RECORD_LENGTH : (rank + 1) * RECORD_LENGTH])
            records.append(Record.decode(part))
        except ValueError as error:
            raise CouplingError(
                f"rank {rank} of the job {error}; install the same halocline on both sides"
            ) from error
    for record in dict.fromkeys(records):
        ranks = tuple(rank for rank, other in enumerate(records) if other.name == record.name)
        world.members[record.name] = Members(record.kind, ranks)
    world.local = shared.Split(world.members[name].ranks[0], 0)
    world.node = split_nodes(shared)
    other = next((r for r, record in enumerate(records) if record.digest not in ("", digest)), None)
    if digest and other is not None:
        raise CouplingError(
            f"rank {other} of the job ({records[other].name}) holds another spec or namelist; "
            "give every Python component the same file"
        )
    return world


def require_members(world: World, name: str, kind: str) -> Members:
    """The component `name` of the job, or CouplingError that says who is there."""
    members = world.members.get(name)
    if members is None:
        raise CouplingError(
            f"component '{name}' of the spec is not in this job{hint(name, world.members)}"
        )
    if members.kind != kind:
        raise CouplingError(f"component '{name}': got a {members.kind}, expected a {kind}")
    return members
