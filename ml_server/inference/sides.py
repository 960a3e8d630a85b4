# SPDX-License-Identifier: MIT
"""How a step's arrays reach the network and its answers come back: in place, or by copies to a
device that go on while it computes."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ml_server.errors import PredictorError
from ml_server.inference.answers import Part

PORTABLE = 1  # cudaHostRegisterPortable: locked for every device
Function = Callable[..., Any]
Arguments = Mapping[str, Any]


class HostSide:
    """On the CPU: tensors are views of the arrays, or copies in buffers that are used again."""

    def __init__(self, function: Function, dtype: torch.dtype | None) -> None:
        """`dtype`: of the network's weights; None leaves arrays as they are."""
        self.function, self.dtype = function, dtype
        self._buffers: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def run(self, arguments: Arguments, part: Part) -> Any:
        """What the network returns for `part`."""
        tensors = {name: self._tensor(name, part.cut(a)) for name, a in arguments.items()}
        return self.function(**tensors)

    def _tensor(self, name: str, value: Any) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        tensor = torch.from_numpy(value)
        if self.dtype in (None, tensor.dtype) or not tensor.is_floating_point():
            return tensor
        key = name, value.shape
        if key not in self._buffers:
            self._buffers[key] = torch.empty(value.shape, dtype=self.dtype)
        return self._buffers[key].copy_(tensor)

    def hold(self, arrays: Iterable[NDArray[Any]]) -> int:
        """Nothing: memory here needs no locking."""
        return 0

    def download(self, answer: Tensor, array: NDArray[Any]) -> None:
        torch.from_numpy(array).copy_(answer)

    def finish(self) -> None:
        """Everything is in its array already."""


def _unlock(runtime: Any, array: NDArray[Any]) -> None:
    runtime.cudaHostUnregister(array.ctypes.data)


class DeviceSide:
    """On another device: three streams, so that one chunk travels while another is computed. Its
    buffers there are used again; arrays here travel as they are, at full speed if page-locked.

    On the device "cpu", for tests, the same copies are made one after the other.
    """

    def __init__(
        self, function: Function, device: torch.device, dtype: torch.dtype | None, graph: bool
    ) -> None:
        """`graph`: record the network's kernels once for each chunk, and then replay them."""
        self.function, self.device, self.dtype, self.graph = function, device, dtype, graph
        self.on_gpu = device.type == "cuda"
        self._up, self._compute, self._down = (self._stream() for _ in range(3))
        self._inputs: dict[tuple[Any, ...], Tensor] = {}  # on the device
        self._graphs: dict[tuple[Any, ...], tuple[torch.cuda.CUDAGraph, Any]] = {}
        self._underway: list[Tensor] = []  # nothing may go before it has arrived
        self._locked: dict[int, NDArray[Any]] = {}  # by address

    def hold(self, arrays: Iterable[NDArray[Any]]) -> int:
        """Page-lock the memory of arrays that come again at every step, all of a shared segment at
        once; how many bytes are. What CUDA refuses travels slower, and that is all."""
        runtime: Any = torch.cuda.cudart() if self.on_gpu else None  # type: ignore[no-untyped-call]
        for array in arrays if self.on_gpu else ():
            whole = array
            while isinstance(whole.base, np.ndarray):
                whole = whole.base
            address = whole.ctypes.data
            if address not in self._locked and whole.flags.c_contiguous:
                refused = runtime.cudaHostRegister(address, whole.nbytes, PORTABLE)
                if int(refused) == 0:
                    self._locked[address] = whole
                    # with the array, which must not be freed before
                    finalizer = weakref.finalize(self, _unlock, runtime, whole)
                    finalizer.atexit = False  # shared memory may be gone by then
        return sum(whole.nbytes for whole in self._locked.values())

    def run(self, arguments: Arguments, part: Part) -> Any:
        """What the network returns for `part`, perhaps before it is computed."""
        with self._on(self._up):
            inputs = {name: self._upload(name, a, part) for name, a in arguments.items()}
        self._after(self._compute, self._up)
        with self._on(self._compute):
            if self.graph:
                return self._replay(inputs, part)
            return self._call(inputs)

    def download(self, answer: Tensor, array: NDArray[Any]) -> None:
        target = torch.from_numpy(array)
        with self._on(self._compute):
            ready = answer.to(target.dtype).contiguous()
        self._after(self._down, self._compute)
        with self._on(self._down):
            target.copy_(ready, non_blocking=True)
        self._underway.append(ready)

    def finish(self) -> None:
        """Wait for everything; the answers are in their arrays."""
        for stream in (self._compute, self._down):
            if stream is not None:
                stream.synchronize()
        self._underway.clear()

    def _upload(self, name: str, value: Any, part: Part) -> Any:
        if not isinstance(value, np.ndarray):
            return value
        key = name, value.shape, value.dtype
        if key not in self._inputs:
            self._inputs[key] = torch.empty_like(torch.from_numpy(value), device=self.device)
        there, piece = part.cut(self._inputs[key]), part.cut(value)
        if part.number == 0 or piece is not value:  # what has no levels travels once
            there.copy_(torch.from_numpy(piece), non_blocking=True)
        return there

    def _call(self, inputs: Arguments) -> Any:
        return self.function(
            **{
                name: value.to(self.dtype)
                if isinstance(value, Tensor) and value.is_floating_point()
                else value
                for name, value in inputs.items()
            }
        )

    def _replay(self, inputs: Arguments, part: Part) -> Any:
        fixed = [name for name, value in inputs.items() if not isinstance(value, Tensor)]
        if fixed:
            raise PredictorError(
                f"inference.cuda_graph: the network takes '{fixed[0]}', which a graph would keep "
                "as it was at first; leave cuda_graph out"
            )
        key = part, *((name, value.data_ptr()) for name, value in inputs.items())
        if key not in self._graphs:
            for _ in range(2):  # libraries choose and allocate at first calls, which a graph cannot
                self._call(inputs)
            graph = torch.cuda.CUDAGraph()
            with torch.cuda.graph(graph, stream=self._compute):
                answer = self._call(inputs)
            self._graphs[key] = graph, answer
        graph, answer = self._graphs[key]
        graph.replay()
        return answer

    def _stream(self) -> torch.cuda.Stream | None:
        return torch.cuda.Stream(self.device) if self.on_gpu else None  # type: ignore[no-untyped-call]

    @staticmethod
    def _on(stream: Any) -> AbstractContextManager[Any]:
        return nullcontext() if stream is None else torch.cuda.stream(stream)

    @staticmethod
    def _after(later: Any, earlier: Any) -> None:
        if later is not None:
            later.wait_stream(earlier)
