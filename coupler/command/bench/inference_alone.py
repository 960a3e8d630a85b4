# SPDX-License-Identifier: MIT
"""A worker's inference beside plain torch, without a model: two processes that take turns.

`python -m coupler.command.bench.inference_alone cuda` shows it where there is no MPI.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from types import TracebackType

from coupler.command.bench.inference_network import LAYERS, described
from coupler.command.bench.report import BenchFailed, Measure, Progress

TURN = f"{__package__}.inference_turn"
WARM = 3  # turns before the first that counts


@dataclass(frozen=True)
class Case:
    network: str
    shape: tuple[int, int, int]  # level, y, x of the tensor
    goal: float  # of plain torch, on the CPU

    def __str__(self) -> str:
        levels, ny, nx = self.shape
        return f"{self.network} on ({levels}, 2, {ny}, {nx})"


CASES = (Case("cnn", (31, 200, 200), 0.55), Case("gz21", (2, 80, 88), 0.9))
SETTINGS: dict[str, list[dict[str, object]]] = {
    "cpu": [{}, {"compile": True}, {"precision": "bfloat16"}],
    "cuda": [
        {},
        {"cuda_graph": True},
        {"precision": "tf32", "cuda_graph": True},
        {"precision": "bfloat16", "cuda_graph": True},
    ],
}


class Runner:
    """A process that runs a network once for each line it gets."""

    def __init__(self, case: Case, settings: str, device: str, threads: int) -> None:
        shape = ",".join(map(str, case.shape))
        # the same threads for both sides: those of a worker beside one model rank
        environment = os.environ | {"OMP_NUM_THREADS": str(threads), "HALOCLINE_THREADS": ""}
        self.process = subprocess.Popen(
            [sys.executable, "-m", TURN, case.network, shape, settings, device],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self.how = self._read("how")

    def __enter__(self) -> Runner:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.communicate()

    def turn(self) -> tuple[float, float]:
        """Seconds of the clock and of CPUs."""
        assert self.process.stdin is not None
        self.process.stdin.write("go\n")
        self.process.stdin.flush()
        clock, used = map(float, self._read("seconds").split())
        return clock, used

    def _read(self, word: str) -> str:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line.startswith(word):
            raise BenchFailed(f"bench inference: {TURN} ended with {self.process.wait()}: {line}")
        return line.removeprefix(word).strip()


def measure_alone(device: str, turns: int, threads: int, progress: Progress) -> Iterator[Measure]:
    """For each network and way of running it the ratio of medians."""
    for case in CASES:
        progress(f"{case.network}: {described(LAYERS[case.network])}")
        for settings in SETTINGS[device]:
            yield _ratio(case, settings, device, turns, threads, progress)


def _ratio(
    case: Case,
    settings: dict[str, object],
    device: str,
    turns: int,
    threads: int,
    progress: Progress,
) -> Measure:
    with (
        Runner(case, "plain", device, threads) as plain,
        Runner(case, json.dumps(settings), device, threads) as worker,
    ):
        progress(f"  {worker.how}")
        rows = [(*plain.turn(), *worker.turn()) for _ in range(WARM + turns)][WARM:]
    slow, slow_cpu, fast, fast_cpu = map(statistics.median, zip(*rows, strict=True))
    words = ", ".join(f"{key} {value}".removesuffix(" True") for key, value in settings.items())
    name = f"{case}, {device}{f', {words}' if words else ''}: worker's inference"
    goal = case.goal if device == "cpu" and not settings else None
    note = (
        f"{1e3 * fast:.4g} ms, plain {1e3 * slow:.4g} ms, {threads} thread(s); "
        f"CPU {1e3 * fast_cpu:.4g}, {1e3 * slow_cpu:.4g} ms"
    )
    return Measure(name, fast / slow, "of plain torch", goal, note)


if __name__ == "__main__":
    for measure in measure_alone(sys.argv[1], 31, 1, lambda line: print(line, flush=True)):
        print(f"{measure.name}: {measure.value:.3f} {measure.unit} ({measure.note})", flush=True)
