# SPDX-License-Identifier: MIT
"""Threads, devices, the allocator."""

from __future__ import annotations

import ctypes
import subprocess
import sys

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coupler.spec import InferenceSpec
from ml_server.inference.tuning import (
    INDEX,
    RANKS,
    Seat,
    TuningError,
    choose_device,
    choose_threads,
    require_device,
)

no_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")


@pytest.fixture(autouse=True)
def _own_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OMP_NUM_THREADS", "HALOCLINE_THREADS", "CUDA_VISIBLE_DEVICES"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("ranks", "workers", "cores", "threads"),
    [
        (2, 1, 2, 1),  # the ocean has the other core
        (2, 1, 8, 7),
        (4, 2, 8, 3),
        (3, 1, 2, 1),
        (1, 1, 4, 4),
    ],
)
def test_threads(ranks: int, workers: int, cores: int, threads: int) -> None:
    assert choose_threads("auto", Seat(ranks, workers), cores) == threads


@given(st.integers(1, 64), st.integers(1, 64), st.integers(1, 256))
def test_never_more_threads_than_cores(models: int, workers: int, cores: int) -> None:
    threads = choose_threads("auto", Seat(models + workers, workers), cores)
    assert threads >= 1
    assert threads == 1 or models + workers * threads <= cores


def test_who_decides_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    seat = Seat(2, 1)
    monkeypatch.setenv("OMP_NUM_THREADS", "3,1")
    assert choose_threads("auto", seat, 8) == 3
    monkeypatch.setenv("HALOCLINE_THREADS", "auto")
    assert choose_threads("auto", seat, 8) == 7
    monkeypatch.setenv("HALOCLINE_THREADS", "2")
    assert choose_threads("auto", seat, 8) == 2
    assert choose_threads(5, seat, 8) == 5


@pytest.mark.parametrize("launcher", ["OMPI_COMM_WORLD_LOCAL_", "MPI_LOCAL"])
def test_a_seat_that_a_launcher_tells(launcher: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*RANKS, *INDEX):
        monkeypatch.delenv(name, raising=False)
    assert Seat.of_environment() == Seat(1, 1, 0)
    ours = [name for name in (*RANKS, *INDEX) if name.startswith(launcher)]
    for name, number in zip(ours, "42", strict=True):
        monkeypatch.setenv(name, number)
    assert Seat.of_environment() == Seat(4, 4, 2)


@no_gpu
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_no_gpu(device: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0")
    message = (
        rf"device: got '{device}', but torch \S+, built for .*, finds 0 GPUs "
        r"\(CUDA_VISIBLE_DEVICES is '0'\); expected device: auto or cpu"
    )
    with pytest.raises(TuningError, match=message):
        require_device(InferenceSpec(device=device))


@no_gpu
def test_what_only_gpus_have() -> None:
    assert choose_device(InferenceSpec(), Seat()) == torch.device("cpu")
    with pytest.raises(TuningError, match=r"inference.precision: got 'tf32'"):
        require_device(InferenceSpec(precision="tf32"))
    with pytest.raises(TuningError, match=r"inference.cuda_graph: got true"):
        require_device(InferenceSpec(cuda_graph=True))


def test_ranks_are_spread_over_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    chosen = [choose_device(InferenceSpec(), Seat(8, 5, index)).index for index in range(5)]
    assert chosen == [0, 1, 0, 1, 0]
    assert choose_device(InferenceSpec(device="cuda:1"), Seat()).index == 1
    assert choose_device(InferenceSpec(device="cpu"), Seat()).type == "cpu"
    with pytest.raises(TuningError, match=r"finds 2 GPUs; .* up to cuda:1"):
        require_device(InferenceSpec(device="cuda:2"))


ALLOCATES = """
import ctypes, resource, sys
from ml_server.inference.tuning import tune_allocator
if sys.argv[1] == "tuned":
    said = tune_allocator()
libc = ctypes.CDLL(None)
libc.malloc.restype, libc.free.argtypes = ctypes.c_void_p, [ctypes.c_void_p]
for turn in range(20):
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    block = libc.malloc(ctypes.c_size_t(1 << 26))
    ctypes.memset(block, turn, 1 << 26)
    libc.free(block)
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallopt"), reason="not glibc")
def test_freed_memory_is_kept() -> None:
    """64 MB that were freed are had again without one fault a page; there are 16,384 pages of
    4 kB, or 32 of 2 MB."""
    faults = {
        how: int(
            subprocess.run(
                [sys.executable, "-c", ALLOCATES, how], text=True, capture_output=True, check=True
            ).stdout
        )
        for how in ("plain", "tuned")
    }
    assert faults["tuned"] < 8 < 32 <= faults["plain"]
