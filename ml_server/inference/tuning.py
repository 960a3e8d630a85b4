# SPDX-License-Identifier: MIT
"""What a worker's process is given to compute with: memory, threads, a device. No MPI in here."""

from __future__ import annotations

import ctypes
import os
import shutil
from dataclasses import dataclass
from typing import Any

from coupler.spec import InferenceSpec

THREADS = "HALOCLINE_THREADS"  # environment: a number, or auto whatever OMP_NUM_THREADS says
# of Open MPI, MPICH, Slurm: ranks of the node, and which of them this is
RANKS = ("OMPI_COMM_WORLD_LOCAL_SIZE", "MPI_LOCALNRANKS", "SLURM_NTASKS_PER_NODE")
INDEX = ("OMPI_COMM_WORLD_LOCAL_RANK", "MPI_LOCALRANKID", "SLURM_LOCALID")
M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's <malloc.h>


class TuningError(Exception):
    """The spec asks for what this machine does not have."""


@dataclass(frozen=True)
class Seat:
    """A rank's place on its node."""

    ranks: int = 1  # of the job, models and workers
    workers: int = 1  # of those, worker ranks
    index: int = 0  # this one's place among the worker ranks

    @staticmethod
    def of_environment() -> Seat:
        """What launchers say, until the ranks have met: others may all be workers."""
        ranks, index = (_number(names) for names in (RANKS, INDEX))
        return Seat(ranks or 1, ranks or 1, index or 0)


def _number(names: tuple[str, ...]) -> int | None:
    found = (os.environ.get(name, "") for name in names)
    return next((int(text) for text in found if text.isdigit()), None)


def tune_allocator() -> str:
    """Have glibc keep memory that is freed; what was done, in words.

    By default an array of the size of a field is mapped anew at every allocation and each of its
    pages faulted in again, which can cost more than the network's arithmetic. mallopt(3).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return "as it is: not glibc's"
    done = mallopt(M_MMAP_MAX, 0) and mallopt(M_TRIM_THRESHOLD, 2**31 - 1)
    return "keeps freed memory" if done else "as it is: mallopt refused"


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def choose_threads(wanted: int | str, seat: Seat, free: int | None = None) -> int:
    """Threads of this rank: the spec's number, else what the environment says, else a core and an
    even share of the cores that no rank of the node has: more threads than cores slow small kernels
    many times. `free` is for tests: the cores."""
    if isinstance(wanted, int):
        return wanted
    said = os.environ.get(THREADS) or os.environ.get("OMP_NUM_THREADS", "auto")
    first = said.split(",")[0].strip()  # OpenMP allows a list, one number a nesting level
    if first.isdigit() and int(first) > 0:
        return int(first)
    idle = (cores() if free is None else free) - seat.ranks
    return 1 + max(idle, 0) // max(seat.workers, 1)


def choose_device(inference: InferenceSpec, seat: Seat) -> Any:
    """The torch.device of this rank. Raises TuningError where there is no such GPU."""
    import torch

    require_device(inference)
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if inference.device == "cpu" or (inference.device == "auto" and not count):
        return torch.device("cpu")
    if inference.device in ("auto", "cuda"):
        return torch.device("cuda", seat.index % count)
    return torch.device(inference.device)


def require_device(inference: InferenceSpec) -> None:
    """Raises TuningError for a GPU, a compiler or a precision that is not there."""
    import torch

    name = inference.device
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    on_gpu = name.startswith("cuda") or (name == "auto" and count > 0)
    number = int(name.partition(":")[2] or 0)
    if name.startswith("cuda") and number >= count:
        visible = os.environ.get("CUDA_VISIBLE_DEVICES")
        built = f"built for CUDA {torch.version.cuda}" if torch.version.cuda else "built for CPUs"
        raise TuningError(
            f"device: got '{name}', but torch {torch.__version__}, {built}, finds {count} GPUs"
            + (f" (CUDA_VISIBLE_DEVICES is '{visible}')" if visible is not None else "")
            + "; expected device: auto or cpu"
            + (f", or up to cuda:{count - 1}" if count else "")
        )
    if not on_gpu and inference.precision == "tf32":
        raise TuningError("inference.precision: got 'tf32', which only GPUs have; expected full")
    if not on_gpu and inference.cuda_graph:
        raise TuningError("inference.cuda_graph: got true, but the network runs on the CPU")
    compiler = os.environ.get("CXX", "g++")
    if inference.compile and not on_gpu and shutil.which(compiler) is None:
        raise TuningError(
            f"inference.compile: got true, but there is no C++ compiler '{compiler}', which "
            "torch.compile calls; install g++, name another in CXX, or leave compile out"
        )
