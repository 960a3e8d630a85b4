# SPDX-License-Identifier: MIT
"""The double gyre in one container, in one for each rank, and in two that are nodes.

Each has the bits of the closure inside the model, which runs in no container.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml

from containers.images import (
    ENGINE,
    LARGEST,
    address,
    build_all,
    engine,
    missing,
    network,
    running,
    size,
)
from coupled.gyre import coupled, final_state, in_model, namelist, spec
from coupler.command.launch import mpi_environment
from jobs import run_ocean, write_namelist

STEPS = 40
PYTHON = "/opt/halocline/bin/python"
WORKER = ["-m", "mpi4py", "-m", "ml_server", "gyre.yaml", "--component", "closure"]
pytestmark = [pytest.mark.containers, pytest.mark.skipif(bool(missing()), reason=missing())]


@pytest.fixture(scope="module", autouse=True)
def _images() -> None:
    build_all()


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    directory = tmp_path_factory.mktemp("expected")
    run_ocean(directory, namelist(in_model(), STEPS))
    return final_state(directory, STEPS)


@pytest.fixture
def case(tmp_path: Path) -> Iterator[Path]:
    """A directory with namelist and spec, which any user may write to."""
    tmp_path.chmod(0o777)
    write_namelist(tmp_path / "ocean.nml", namelist(coupled(), STEPS))
    loaded = spec()
    loaded["run"] |= {"namelist": "ocean.nml", "directory": "out"}
    loaded["components"]["ocean"]["command"] = "ocean_model ocean.nml"
    (tmp_path / "gyre.yaml").write_text(yaml.safe_dump(loaded, sort_keys=False))
    return tmp_path


def assert_expected(directory: Path, expected: dict[str, np.ndarray]) -> None:
    got = final_state(directory, STEPS)
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, name)


@pytest.mark.parametrize("image", LARGEST)
def test_size(image: str) -> None:
    print(f"{image}: {size(image) / 1e6:.0f} MB")
    assert size(image) < LARGEST[image]


@pytest.mark.parametrize("image", ["ocean", "worker", "all"])
def test_nobody_is_root(image: str) -> None:
    assert engine("run", "--rm", f"halocline:{image}", "id", "-u").strip() == "1000"


REGRIDDED = """\
run: {dt: 60, steps: 1}
components:
  ocean: {command: model}
  closure: {worker: true}
grids:
  ocean: {size: {x: 8, y: 6}, geometry: {kind: latlon}}
  coarse: {size: {x: 5, y: 4}, geometry: {kind: latlon}}
exchanges:
  - {from: ocean, to: closure, grid: ocean, fields: [t],
     regrid: {to: coarse, method: barycentric, generator: yac}}
"""


def test_yac_makes_weights(tmp_path: Path) -> None:
    """In the image of the Python ranks; SciPy, which applies them, is there too."""
    tmp_path.chmod(0o777)
    (tmp_path / "case.yaml").write_text(REGRIDDED)
    words = ["run", "--rm", "-v", f"{tmp_path}:/data", "halocline:worker", "sh", "-c"]
    applies = "python -c 'from coupler.regridding.regrid import sparse; sparse()'"
    said = engine(*words, f"halocline weights case.yaml && {applies}")
    assert "grid ocean -> coarse, barycentric" in said
    assert len(list((tmp_path / "weights").glob("*.nc"))) == 1


def test_one_container(case: Path, expected: dict[str, np.ndarray]) -> None:
    """`halocline run` of the image, as its user."""
    words = ["run", "--rm", "--shm-size=256m", "-v", f"{case}:/data"]
    printed = engine(*words, "halocline:all", "halocline", "run", "gyre.yaml")
    assert f"coupled run: {STEPS} steps in " in printed
    assert_expected(case / "out", expected)


def test_a_container_for_each_rank(case: Path, expected: dict[str, np.ndarray]) -> None:
    """The host's mpirun starts containers: of the ocean image, and of the worker image."""
    me = (
        f"{os.getuid()}:{os.getgid()}"  # ranks in containers have the launcher's user, or none join
    )
    rank = [ENGINE, "run", "--rm", "--user", me, "--network=host", "--pid=host", "--ipc=host"]
    rank += ["-v", "/tmp:/tmp", "-w", str(case)]
    names = "OMPI_|PMIX_|OMP_|HALOCLINE_"
    script = case / "rank"
    script.write_text(
        "#!/bin/sh\n# what the launcher tells this rank, handed on to its container\n"
        f"exec {' '.join(rank)} $(env | sed -nE 's/^(({names})[A-Za-z0-9_]*)=.*/-e \\1/p') \"$@\"\n"
    )
    script.chmod(0o755)
    ocean = [str(script), "halocline:ocean", "ocean_model", "ocean.nml"]
    worker = [str(script), "halocline:worker", PYTHON, *WORKER]
    job = subprocess.run(
        ["mpirun", "-n", "2", *ocean, ":", "-n", "2", *worker],
        cwd=case,
        # Docker's seccomp blocks cross-memory attach
        env=os.environ | mpi_environment() | {"OMPI_MCA_btl_vader_single_copy_mechanism": "none"},
        text=True,
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert job.returncode == 0, job.stdout + job.stderr
    assert_expected(case, expected)


def test_two_nodes(case: Path, expected: dict[str, np.ndarray]) -> None:
    """Two containers on a private network: mpirun in one starts ranks in the other through ssh.

    One ocean rank and one worker on each: what both exchange goes through windows within a node,
    and in messages between them.
    """
    shared = ["--shm-size=256m", "-v", f"{case}:/data", "-w", "/data"]
    with (
        network("halocline-test") as net,
        running("halocline:node", "halocline-a", "--network", net, *shared) as first,
        running("halocline:node", "halocline-b", "--network", net, *shared) as second,
    ):
        on = [["--host", f"{address(name)}:2", "-n", "1"] for name in (first, second)]
        ocean, worker = ["ocean_model", "ocean.nml"], [PYTHON, *WORKER]
        blocks = [[*on[0], *ocean], [*on[1], *ocean], [*on[0], *worker], [*on[1], *worker]]
        line = [":" if word is None else word for block in blocks for word in (*block, None)][:-1]
        variables = mpi_environment() | {
            "OMPI_ALLOW_RUN_AS_ROOT": "1",
            "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
        }
        given = [word for name, value in variables.items() for word in ("-e", f"{name}={value}")]
        engine("exec", *given, first, "mpirun", "--wdir", "/data", *line)
    assert_expected(case, expected)
