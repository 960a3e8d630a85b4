# SPDX-License-Identifier: MIT
"""`halo: auto` in real jobs: the bits of the closure inside the model, and what is refused."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from coupled.gyre import coupled, final_state, in_model, namelist, run_coupled, spec
from coupled.test_double_gyre import assert_same
from jobs import OCEAN, mpirun, run_ocean, write_namelist

STEPS = 20


@pytest.fixture(autouse=True)
def _find_predictors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)


def with_halo(preset: str, halo: Any) -> dict[str, Any]:
    loaded = spec(preset)
    loaded["exchanges"][0]["halo"] = halo
    return loaded


def with_predictor(function: str) -> dict[str, Any]:
    loaded = with_halo("raw", "auto")
    loaded["components"]["closure"]["predictor"] = {"python": f"coupled.halo_predictors:{function}"}
    return loaded


def failing(tmp_path: Path, loaded: dict[str, Any], workers: int = 2) -> str:
    job = run_coupled(
        tmp_path, namelist(coupled("raw"), STEPS), loaded, ranks=1, workers=workers, check=False
    )
    assert job.returncode != 0
    assert "halocline: ocean rank 0: told by closure rank" in job.stdout + job.stderr
    return job.stdout + job.stderr


def test_measured_is_in_model(tmp_path: Path) -> None:
    """As is the written halo, in test_double_gyre.py."""
    run_ocean(tmp_path / "model", namelist(in_model("smooth"), STEPS))
    loaded = with_halo("smooth", "auto")
    run_coupled(tmp_path / "auto", namelist(coupled("smooth"), STEPS), loaded, ranks=2, workers=2)
    assert_same(final_state(tmp_path / "auto", STEPS), final_state(tmp_path / "model", STEPS))


def test_too_small_is_refused_with_both_numbers(tmp_path: Path) -> None:
    output = failing(tmp_path, with_halo("raw", 1))
    assert "halo: got 1, expected 2 or more, which ml_server.closures:ZannaBolton2020" in output


def test_the_whole_domain_on_one_rank(tmp_path: Path) -> None:
    """The spec says one rank; who types the job by hand with two is told."""
    loaded = with_predictor("whole_domain")
    run_coupled(tmp_path / "one", namelist(coupled("raw"), STEPS), loaded, 2, 1)
    output = failing(tmp_path / "two", loaded)
    assert "whole_domain needs the whole domain at once" in output
    assert "Each of 2 ranks would see its own box alone; expected ranks: 1" in output


def test_ranks_that_measure_different_halos(tmp_path: Path) -> None:
    output = failing(tmp_path, with_predictor("by_rank"))
    found = set(re.findall(r"halo: auto is (\d on rank \d and \d on rank \d); do all", output))
    assert found
    assert found <= {"1 on rank 0 and 2 on rank 1", "2 on rank 1 and 1 on rank 0"}


def test_a_loop_of_its_own_writes_the_number(tmp_path: Path) -> None:
    write_namelist(tmp_path / "ocean.nml", namelist(coupled("raw"), STEPS))
    (tmp_path / "spec.yaml").write_text(yaml.safe_dump(with_halo("raw", "auto")))
    loop = [sys.executable, "-m", "mpi4py", str(Path(__file__).with_name("own_loop.py"))]
    ranks = (1, [OCEAN, "ocean.nml"]), (1, [*loop, "spec.yaml"])
    job = mpirun(tmp_path, *ranks, check=False)
    assert job.returncode != 0
    text = "halo: auto is measured from the predictor that ml_server runs; a worker with a loop"
    assert text in job.stdout + job.stderr
