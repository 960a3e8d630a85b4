# SPDX-License-Identifier: MIT
"""`on_failure`: a predictor fails at one date, and the model goes on with what the spec says."""

from __future__ import annotations

import subprocess
from pathlib import Path

import numpy as np
import pytest

from coupled.gyre import coupled, final_state, namelist, run_coupled, spec

STEPS = 12
DT = 600  # [s], of the tiny configuration


def run(directory: Path, failure: str, policy: str, step: int) -> subprocess.CompletedProcess[str]:
    """One ocean rank, two workers; on both the predictor fails at `step`."""
    loaded = spec()
    closure = loaded["components"]["closure"]
    closure["predictor"] = {
        "python": "coupled.failing_predictors:Once",
        "date": step * DT,
        "failure": failure,
    }
    closure["on_failure"] = policy
    groups = namelist(coupled(), STEPS)
    assert groups["time"]["dt"] == DT
    return run_coupled(directory, groups, loaded, workers=2)


@pytest.mark.parametrize(
    ("policy", "failure", "step", "meant"),
    [
        ("zero", "raises", 7, "gives zeros"),
        ("hold", "gives NaN", 7, "repeats"),
        ("hold", "forgets", 0, "gives zeros"),  # there is no good answer yet
    ],
)
def test_the_model_goes_on(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    policy: str,
    failure: str,
    step: int,
    meant: str,
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))
    job = run(tmp_path / "failing", failure, policy, step)
    sent = "zeros" if meant == "gives zeros" else "the last good answer"
    for rank in (0, 1):
        who = f"halocline: closure rank {rank}"
        assert f"{who}: at step {step}, date {step * DT} s: " in job.stderr
        assert f"{who}: 1 of {STEPS} answers failed (on_failure: {policy})" in job.stderr
    assert f"on_failure: {policy}, so the model gets {sent}" in job.stderr
    run(tmp_path / "meant", meant, "abort", step)
    ends = [final_state(tmp_path / name, STEPS) for name in ("failing", "meant")]
    for name, array in ends[0].items():
        np.testing.assert_array_equal(array, ends[1][name])
