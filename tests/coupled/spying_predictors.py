# SPDX-License-Identifier: MIT
"""Predictors that also note what they saw, fail on their 8th call, or fill their rank's disk;
tests put this file beside their spec."""

from __future__ import annotations

import os
import resource
from pathlib import Path
from typing import Any

import numpy as np

from ml_server.closures import ZannaBolton2020

LARGEST = 40  # cells along x in these jobs; what is asked to measure the halo is larger
calls = 0


class Spy:
    """A raw Zanna-Bolton closure; each call in the job leaves seen.RANK.NUMBER.npz."""

    def __init__(self) -> None:
        self.closure, self.halo = ZannaBolton2020(preset="raw"), 2
        self.rank = os.environ["OMPI_COMM_WORLD_RANK"]

    def __call__(self, **fields: Any) -> dict[str, Any]:
        import torch

        global calls
        tensors = {name: torch.from_numpy(field) for name, field in fields.items()}
        with torch.inference_mode():
            answers = {name: a.numpy() for name, a in self.closure(**tensors).items()}
        if fields["u"].shape[2] < LARGEST:
            np.savez(f"seen.{self.rank}.{calls}.npz", **fields, **answers)
            calls += 1
        return answers


def _nothing(u: Any, v: Any) -> dict[str, Any]:
    global calls
    calls += u.shape[2] < LARGEST
    return {"su": 0 * u, "sv": 0 * v}


def raises(u: Any, v: Any) -> dict[str, Any]:
    if calls == 7:
        raise ValueError("no water left")
    return _nothing(u, v)


def dies(u: Any, v: Any) -> dict[str, Any]:
    if calls == 7:
        os.kill(os.getpid(), 9)
    return _nothing(u, v)


def fills_the_disk(u: Any, v: Any) -> dict[str, Any]:
    if calls == 7:
        size = max(file.stat().st_size for file in Path().glob("*.rank*.nc"))
        children = Path("/proc/self/task").glob("*/children")
        for child in (int(word) for file in children for word in file.read_text().split()):
            resource.prlimit(child, resource.RLIMIT_FSIZE, (size, size))
    return _nothing(u, v)
