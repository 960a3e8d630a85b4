# SPDX-License-Identifier: MIT
"""The double gyre under a real Slurm: run, sbatch, a heterogeneous job, a failure.

Each has the bits of the closure inside the model.
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from coupled.gyre import coupled, final_state, in_model, namelist, spec
from coupler.command.launcher import multi_prog
from jobs import run_ocean, write_namelist
from slurm.cluster import cluster, missing

STEPS = 40
pytestmark = [pytest.mark.slurm, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    with cluster(tmp_path_factory.mktemp("slurm")) as found:
        tests = str(Path(__file__).parents[1])
        # both nodes have this machine's addresses, of which only this one is sure to be there
        loopback = {"OMPI_MCA_btl_tcp_if_include": "lo"}
        yield os.environ | found | loopback | {"PYTHONPATH": tests, "HALOCLINE_TIME_LIMIT": "60"}


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    directory = tmp_path_factory.mktemp("expected")
    run_ocean(directory, namelist(in_model(), STEPS))
    return final_state(directory, STEPS)


def case(directory: Path, predictor: str = "") -> None:
    """A spec with two ocean ranks and two workers, which runs in `directory`/out."""
    write_namelist(directory / "ocean.nml", namelist(coupled(), STEPS))
    loaded = spec()
    loaded["run"]["directory"] = "out"
    loaded["run"].pop("reference", None)
    loaded["components"]["ocean"] = {"command": "ocean_model ocean.nml", "ranks": 2}
    loaded["components"]["closure"]["ranks"] = 2
    if predictor:
        loaded["components"]["closure"]["predictor"] = {"python": predictor}
        loaded["exchanges"][0]["halo"] = 2
    (directory / "gyre.yaml").write_text(yaml.safe_dump(loaded, sort_keys=False))


def halocline(
    directory: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "coupler.command.cli", *words],
        cwd=directory,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )


def assert_expected(directory: Path, expected: dict[str, np.ndarray]) -> None:
    got = final_state(directory / "out", STEPS)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, name)


def test_run(tmp_path: Path, environment: dict[str, str], expected: dict[str, np.ndarray]) -> None:
    """srun --multi-prog started by `halocline run`, which makes an allocation of its own."""
    case(tmp_path)
    job = halocline(tmp_path, environment, "run", "gyre.yaml", "--launcher", "srun")
    assert job.returncode == 0, job.stdout + job.stderr
    assert "srun --mpi=pmix --kill-on-bad-exit=1 -n 4 --multi-prog ranks.conf" in job.stdout
    assert_expected(tmp_path, expected)


def submit(
    directory: Path, environment: dict[str, str], *words: str
) -> subprocess.CompletedProcess[str]:
    """`halocline slurm` with `words`, its script through sbatch; what the job printed is returned
    with sbatch's exit code, which is the job's."""
    script = halocline(directory, environment, "slurm", "gyre.yaml", "--no-load", *words)
    assert script.returncode == 0, script.stderr
    (directory / "job.sh").write_text(script.stdout)
    return batch(directory, environment)


def batch(directory: Path, environment: dict[str, str]) -> subprocess.CompletedProcess[str]:
    line = ["sbatch", "--wait", f"--output={directory}/job.out", str(directory / "job.sh")]
    job = subprocess.run(
        line,
        cwd=directory,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    job.stdout += (directory / "job.out").read_text()
    return job


def test_words_of_a_command(tmp_path: Path, environment: dict[str, str]) -> None:
    """srun has quotes and replacements of its own; what arrives is what was meant."""
    words = ["it's", "a b", "50%", "%t", "#x", 'q"q', "a\\b", "", "{$x}", "-n=1", "é"]
    show = [sys.executable, "-c", "import sys; print(sys.argv[1:])", *words]
    (tmp_path / "ranks.conf").write_text(multi_prog([(1, show)]))
    job = subprocess.run(
        ["srun", "-n", "1", "--multi-prog", "ranks.conf"],
        cwd=tmp_path,
        env=environment,
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert job.stdout.strip() == str(words), job.stderr


def test_sbatch(
    tmp_path: Path, environment: dict[str, str], expected: dict[str, np.ndarray]
) -> None:
    case(tmp_path)
    job = submit(tmp_path, environment, "--setup", "echo here we go")
    assert job.returncode == 0, job.stdout + job.stderr
    assert "here we go" in job.stdout
    assert_expected(tmp_path, expected)


def test_heterogeneous(tmp_path: Path, environment: dict[str, str]) -> None:
    """Ocean and workers in allocations of their own: Slurm accepts and starts both parts.
    Their MPI is not tried: all nodes are one host here, whose ranks Open MPI cannot connect.
    So srun serves no MPI either: with pmix that of Slurm 22.05 may wait for ever at the end of such
    a step (docs/install.md)."""
    case(tmp_path)
    words = ["--sbatch=--mem=50", "--sbatch=closure=--mem=100 --comment=worker"]
    script = halocline(tmp_path, environment, "slurm", "gyre.yaml", "--no-load", *words)
    assert script.returncode == 0, script.stderr
    lines = script.stdout.splitlines()
    part = lines.index("#SBATCH hetjob")
    assert "#SBATCH --mem=50" in lines[:part]
    assert "#SBATCH --comment=worker" in lines[part:]
    step = script.stdout[script.stdout.index("srun ") :]
    # what each part of the step says of itself, in place of the ranks
    say = "sh -c 'echo $SLURM_JOB_ID $SLURMD_NODENAME; :' "
    for group in (0, 1):
        step = step.replace(f"--het-group={group} -n 2 ", f"--het-group={group} -n 2 {say}")
    assert step.count("--mpi=pmix ") == 1
    body = script.stdout[: script.stdout.index("srun ")] + step.replace("--mpi=pmix", "--mpi=none")
    (tmp_path / "job.sh").write_text(body)
    job = batch(tmp_path, environment)
    assert job.returncode == 0, job.stdout + job.stderr
    said = sorted(line for line in job.stdout.splitlines() if line[:1].isdigit())
    assert len(said) == 4
    assert {line.split()[1] for line in said} == {"n1", "n2"}


def test_failure_ends_the_job(tmp_path: Path, environment: dict[str, str]) -> None:
    case(tmp_path, "coupled.bad_predictors:raises")
    begun = time.perf_counter()
    job = submit(tmp_path, environment)
    assert job.returncode != 0
    assert "ZeroDivisionError: no water left" in job.stdout
    assert time.perf_counter() - begun < 60
