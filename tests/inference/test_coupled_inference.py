# SPDX-License-Identifier: MIT
"""Options of inference in real coupled jobs: Fortran ranks, workers, the same answers."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coupled.gyre import coupled, final_state, namelist, run_coupled, spec

STEPS = 6


@pytest.fixture(autouse=True)
def _find_networks(monkeypatch: pytest.MonkeyPatch) -> None:
    tests = str(Path(__file__).parents[1])
    monkeypatch.setenv("PYTHONPATH", tests, prepend=os.pathsep)


def with_network(predictor: str, inference: dict[str, Any], device: str = "cpu") -> dict[str, Any]:
    loaded = spec()
    worker = loaded["components"]["closure"]
    worker |= {"predictor": {"python": predictor}, "device": device, "inference": inference}
    answer = {"point": "T", "scale": 1e-9}
    loaded["exchanges"][1]["fields"] = {"su": answer, "sv": answer}
    loaded["exchanges"][0]["static"] = {"mask_t": {"point": "T"}}
    return loaded


def run(directory: Path, loaded: dict[str, Any], workers: int = 1) -> tuple[str, Any]:
    """What was printed, and the state at the end."""
    groups = namelist(coupled(), STEPS)
    job = run_coupled(directory, groups, loaded, ranks=1, workers=workers)
    return job.stdout, final_state(directory, STEPS)


def test_options_change_nothing_but_rounding(tmp_path: Path) -> None:
    """Alone with defaults; on two workers, cut into single levels, untuned, cold."""
    plain, expected = run(tmp_path / "plain", with_network("inference.closure:Levels", {}))
    settings = {"threads": 1, "chunk": 1, "allocator": False, "warm_up": False}
    other, state = run(
        tmp_path / "other", with_network("inference.closure:Levels", settings), workers=2
    )
    assert re.search(
        r"closure +cpu, 1 thread, .*allocator keeps freed memory, warm-up \S+ s", plain
    )
    assert (
        "closure      cpu, 1 thread, 1 levels at a time, precision full, allocator as it is"
        in other
    )
    assert "no warm-up" in other
    for name, field in expected.items():
        np.testing.assert_allclose(state[name], field, rtol=0, atol=1e-6 * np.abs(field).max())
    still = final_state(tmp_path / "plain", STEPS)["u"]
    assert np.abs(still).max() > 0


def test_warm_up_is_not_a_step(tmp_path: Path) -> None:
    """A network that counts its calls answers the same with warm-up and without."""
    states = [
        run(tmp_path / str(warm), with_network("inference.closure:Counting", {"warm_up": warm}))[1]
        for warm in (True, False)
    ]
    for name, field in states[0].items():
        np.testing.assert_array_equal(states[1][name], field)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_no_gpu_ends_every_rank(tmp_path: Path) -> None:
    loaded = with_network("inference.closure:Levels", {}, device="cuda")
    job = run_coupled(tmp_path, namelist(coupled(), STEPS), loaded, check=False)
    assert job.returncode != 0
    assert re.search(r"spec.yaml:\d+: device: got 'cuda', but torch .* finds 0 GPUs", job.stderr)
    assert "ocean rank 0" in job.stderr + job.stdout  # the model learned why
