# SPDX-License-Identifier: MIT
"""One of the processes that take turns in `halocline bench inference`: for each line on stdin it
runs the network once and prints the seconds, of the clock and of CPUs. Needs no MPI."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import torch

from coupler.command.bench.inference_network import Network
from coupler.spec import InferenceSpec
from ml_server.inference.engine import Engine
from ml_server.inference.tuning import Seat


def plain(network: Network, u: np.ndarray, v: np.ndarray, device: str) -> Callable[[], object]:
    """What one writes without thinking of speed: a batch there and back."""
    network.to(device)
    x = torch.from_numpy(np.stack((u, v), axis=1))

    def run() -> object:
        with torch.no_grad():
            return network.layers(x.to(device)).cpu()

    return run


def as_worker(
    network: Network, u: np.ndarray, v: np.ndarray, settings: dict[str, object]
) -> Callable[[], object]:
    """What a worker does in a step, warm-up before it: named fields in, own cells out."""
    engine = Engine(network, InferenceSpec(**settings))  # type: ignore[arg-type]
    fields, halo = {"u": u, "v": v}, network.halo
    own = tuple(slice(halo, length - halo) for length in u.shape[1:])
    into = {name: (np.empty_like(u[:, *own]), halo) for name in ("su", "sv")}
    engine.warm_up(fields, dict, Seat())
    engine.hold([u, v, *(array for array, _ in into.values())])  # as the driver does
    print(f"how {engine}", flush=True)
    return lambda: engine(fields, dict, into)


def main(name: str, shape: str, settings: str, device: str) -> None:
    """`settings`: JSON of an InferenceSpec's keys, or `plain`."""
    levels, ny, nx = map(int, shape.split(","))
    random = np.random.default_rng(2)
    u, v = random.standard_normal((2, levels, ny, nx), np.float32)
    network = Network(name).eval()
    if settings == "plain":
        run = plain(network, u, v, device)
        print("how plain torch", flush=True)
    else:
        run = as_worker(network, u, v, json.loads(settings) | {"device": device})
    for _ in sys.stdin:
        begun, used = time.perf_counter(), time.process_time()
        run()
        seconds = time.perf_counter() - begun, time.process_time() - used
        print("seconds", *seconds, flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
