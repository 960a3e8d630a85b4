# SPDX-License-Identifier: MIT
"""Launchers and job scripts: the lines for each kind, without starting one."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from cli.toy import EXCHANGE_MODEL, halocline, write_toy
from coupler.command.launcher import Launcher, find_launcher, multi_prog
from coupler.command.slurm import SlurmOptions, parse_sbatch, slurm_script
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec


def script(path: Path, text: str) -> str:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_a_launcher_is_known_by_what_it_says(tmp_path: Path) -> None:
    open_mpi = script(tmp_path / "a", "echo 'mpirun (Open MPI) 5.0.3'")
    hydra = script(tmp_path / "b", "echo 'HYDRA build details:'; echo '    Version: 4.2'")
    assert find_launcher(command=f"{open_mpi} --tag-output") == Launcher(
        "openmpi", (open_mpi, "--tag-output")
    )
    assert find_launcher(command=hydra).kind == "mpich"
    assert find_launcher(command="/opt/slurm/bin/srun -p debug").kind == "srun"
    assert find_launcher("mpich", open_mpi).kind == "mpich"  # the user knows best
    assert find_launcher().kind == "openmpi"


def test_no_launcher_of_a_kind(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(SpecError, match=r"--launcher mpich: none of mpirun\.mpich, mpiexec.hydra"):
        find_launcher("mpich")
    with pytest.raises(SpecError, match="--mpirun: got nothing"):
        find_launcher(None, "")
    with pytest.raises(SpecError, match=r"--mpirun: got .*; No closing quotation"):
        find_launcher(None, "mpirun --prefix 'a")


def test_ranks_of_multi_prog() -> None:
    text = multi_prog([(2, ["/a/model", "x.nml"]), (1, ["py", "a b", "%t"]), (3, ["c"])])
    assert text == "0-1 /a/model x.nml\n2 py a\\ b \\%t\n3-5 c\n"


def test_what_srun_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the user says is not said again."""
    monkeypatch.delenv("SLURM_MPI_TYPE", raising=False)
    blocks = [(2, ["a"]), (1, ["b"])]
    plain = Launcher("srun", ("srun", "-p", "x")).line(blocks)
    assert " ".join(plain) == (
        "srun -p x --mpi=pmix --kill-on-bad-exit=1 -n 3 --multi-prog ranks.conf"
    )
    own = Launcher("srun", ("srun", "--mpi=pmi2", "-K")).line(blocks)
    assert " ".join(own) == "srun --mpi=pmi2 -K -n 3 --multi-prog ranks.conf"
    monkeypatch.setenv("SLURM_MPI_TYPE", "pmix_v4")
    assert "--mpi" not in " ".join(Launcher("srun", ("srun",)).line(blocks))


def test_a_dry_run_of_srun_can_be_pasted(tmp_path: Path) -> None:
    """It writes the file that the line reads."""
    write_toy(tmp_path)
    srun = script(tmp_path / "srun", "cat ranks.conf")
    job = halocline(tmp_path, "run", "toy.yaml", "--dry-run", "--mpirun", srun)
    assert job.returncode == 0, job.stderr
    typed = script(tmp_path / "typed", job.stdout)
    ranks = os.popen(typed).read().splitlines()
    assert ranks[0].startswith(f"0-1 {EXCHANGE_MODEL} 7 5 3 ")
    assert ranks[1].startswith("2 ")
    assert ranks[1].endswith("toy.yaml --component worker")
    assert (tmp_path / "out" / "ranks.conf").read_text().splitlines() == ranks


@pytest.mark.skipif(shutil.which("mpirun.mpich") is None, reason="MPICH is not installed")
def test_the_line_of_mpich(tmp_path: Path) -> None:
    """No variables of Open MPI; what makes mpi4py load MPICH. (The toy is linked with Open MPI.)"""
    line = Launcher("mpich", ("mpirun.mpich",))
    assert line.line([(1, ["a"]), (2, ["b"])]) == (
        "mpirun.mpich", "-n", "1", "a", ":", "-n", "2", "b"
    )  # fmt: skip
    environment = line.environment()
    assert environment["MPI4PY_MPIABI"] == "mpich"
    assert not any(name.startswith("OMPI") for name in environment)


def test_sbatch_options(tmp_path: Path) -> None:
    spec = load_spec(write_toy(tmp_path))
    given = ["--account=a --qos=b", "worker=--gres=gpu:1 -p gpu", "worker=--mem=1G"]
    assert parse_sbatch(given, spec) == (
        ("--account=a", "--qos=b"),
        {"worker": ("--gres=gpu:1", "-p", "gpu", "--mem=1G")},
    )
    with pytest.raises(SpecError, match=r"got 'wroker=--mem=1', expected .* did you mean 'worker'"):
        parse_sbatch(["wroker=--mem=1"], spec)
    for text in ("--comment='a", "worker=--comment='a"):
        with pytest.raises(SpecError, match=r"--sbatch: got .*; No closing quotation"):
            parse_sbatch([text], spec)


def test_a_job_script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    spec = load_spec(write_toy(tmp_path))
    launcher = Launcher("srun", ("srun",))
    one = slurm_script(spec, SlurmOptions(time="02:00:00", setup=("module load x",)), launcher)
    lines = one.splitlines()
    assert lines[:5] == [
        "#!/bin/bash",
        "#SBATCH --job-name=toy",
        "#SBATCH --time=02:00:00",
        "#SBATCH --ntasks=3",
        "set -euo pipefail",
    ]
    assert lines.index("module load x") < lines.index(
        f"mkdir -p {tmp_path}/out && cd {tmp_path}/out"
    )
    words = parse_sbatch(["--comment='two words' --mem=1G"], spec)[0]
    quoted = slurm_script(spec, SlurmOptions(common=words), launcher).splitlines()
    assert "#SBATCH '--comment=two words'" in quoted
    assert "#SBATCH --mem=1G" in quoted
    two = slurm_script(spec, SlurmOptions(own={"worker": ("--gpus-per-task=1",)}), launcher)
    parts = two.split("#SBATCH hetjob\n")
    assert "#SBATCH --ntasks=2\n" in parts[0]
    assert "#SBATCH --ntasks=1\n#SBATCH --gpus-per-task=1\n" in parts[1]
    assert f"--het-group=0 -n 2 {EXCHANGE_MODEL} 7 5" in parts[1]
    assert " : \\\n  --het-group=1 -n 1 " in parts[1]
