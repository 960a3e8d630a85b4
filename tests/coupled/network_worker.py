# SPDX-License-Identifier: MIT
"""The partner of network_model: GZ21 on every grid, in double and in single precision.

Usage: network_worker.py SPEC WEIGHTS
"""

from __future__ import annotations

import sys
from collections.abc import Mapping

import numpy as np
import torch

from coupler import Component
from ml_server.closures import GuillauminZanna2021


class Networks:
    """The same weights twice; the mean of the forcing, with coasts."""

    def __init__(self, weights: str) -> None:
        self.double, self.single = (
            GuillauminZanna2021(weights, stochastic=False, cast=kind)
            for kind in ("float64", "float32")
        )
        self.halo = self.double.halo

    def __call__(self, u: np.ndarray, v: np.ndarray, mask: np.ndarray) -> dict[str, np.ndarray]:
        """su, sv of double and ru, rv of single precision, in float64 (1, y, x), padded."""
        fields = [torch.from_numpy(field) for field in (u, v, mask)]
        with torch.inference_mode():
            double, single = self.double(*fields), self.single(*fields)
        answers = {"su": double["su"], "sv": double["sv"], "ru": single["su"], "rv": single["sv"]}
        return {name: answer.double().numpy() for name, answer in answers.items()}


def answer_all(networks: Networks, arrays: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    grids = [name.removeprefix("u_") for name in arrays if name.startswith("u_")]
    found = {}
    for grid in grids:
        answers = networks(*(arrays[f"{name}_{grid}"] for name in ("u", "v", "mask")))
        found |= {f"{name}_{grid}": answer for name, answer in answers.items()}
    return found


def main(spec: str, weights: str) -> None:
    networks = Networks(weights)
    with Component("worker", spec) as worker:
        for step in worker.steps():
            step.update(answer_all(networks, {**step.inputs, **worker.static}))


if __name__ == "__main__":
    main(*sys.argv[1:])
