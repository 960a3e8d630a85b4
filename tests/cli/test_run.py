# SPDX-License-Identifier: MIT
"""`halocline run`: the line it prints, a job that ends well, and jobs that do not."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from cli.toy import EXCHANGE_MODEL, command, environment, halocline, write_toy
from coupler.command.coupled_run import failure_reasons, lost_rank
from coupler.command.job import exit_reason, run_job
from coupler.command.launch import Launch


def test_dry_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Exactly what a user types: absolute files, the model's other words as they are."""
    for name in os.environ:
        if name.startswith(("OMPI_", "OMP_", "HALOCLINE_")):
            monkeypatch.delenv(name)
    write_toy(tmp_path)
    job = halocline(tmp_path, "run", "toy.yaml", "--dry-run", "--ranks", "worker=3")
    root = "OMPI_ALLOW_RUN_AS_ROOT=1 OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1 "
    assert job.returncode == 0
    assert job.stdout.replace(root, "") == (
        f"mkdir -p {tmp_path}/out && cd {tmp_path}/out\n"
        "OMPI_MCA_rmaps_base_oversubscribe=1 OMPI_MCA_hwloc_base_binding_policy=none "
        "OMPI_MCA_mpi_yield_when_idle=1 OMP_NUM_THREADS=1 HALOCLINE_THREADS=auto "
        f"mpirun -n 2 {EXCHANGE_MODEL} 7 5 3 1 0 40 10 20 0 8 {tmp_path}/toy.nml : "
        f"-n 3 {sys.executable} -m mpi4py -m ml_server {tmp_path}/toy.yaml --component worker\n"
    )


def test_run_and_the_same_by_hand(tmp_path: Path) -> None:
    write_toy(tmp_path)
    (tmp_path / "out" / "earlier.nc").touch()
    os.utime(tmp_path / "out" / "earlier.nc", (1, 1))
    job = halocline(tmp_path, "run", "toy.yaml")
    assert job.returncode == 0, job.stdout + job.stderr
    lines = job.stdout.splitlines()
    assert f"note: {tmp_path}/out holds earlier.nc; the same names are overwritten" in lines
    assert "exchange_model: every value as expected" in lines
    assert any(line.startswith("coupled run: 40 steps in ") for line in lines)
    outputs = [line.split()[0] for line in lines if line.startswith("  out/")]
    assert outputs == ["out/restart.worker.nc"]
    table = lines[lines.index(next(line for line in lines if "Where the time went" in line)) :]
    for what in ("model", "worker", "compute", "inference", "exchange", "wait"):
        assert any(what in line for line in table)
    assert "every value as expected" in (tmp_path / "out" / "job.log").read_text()

    typed = halocline(tmp_path, "run", "toy.yaml", "--dry-run").stdout
    by_hand = subprocess.run(
        ["sh", "-c", typed],
        env=environment(),
        text=True,
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert "halocline: 20 coupling steps in " in by_hand.stdout
    assert "halocline:   worker       inference" in by_hand.stdout


def failing(tmp_path: Path, predictor: str, *words: str) -> list[str]:
    """The last lines of a run that fails."""
    write_toy(tmp_path, ("toy_predictors:double", f"toy_predictors:{predictor}"))
    begun = time.perf_counter()
    job = halocline(tmp_path, "run", "toy.yaml", *words)
    assert time.perf_counter() - begun < 30
    assert job.returncode == 1
    lines = job.stdout.splitlines()
    assert lines[-1] == f"log: {tmp_path}/out/job.log"
    return lines


def test_predictor_raises(tmp_path: Path) -> None:
    assert failing(tmp_path, "raises")[-3:-1] == [
        "coupled run failed: exit code 1",
        "halocline: worker rank 0: at step 2, date 40 s: ValueError: no water left",
    ]


@pytest.mark.parametrize("value", ["soon", "-1"])
def test_a_wrong_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv("HALOCLINE_TIME_LIMIT", value)
    said = f"HALOCLINE_TIME_LIMIT: got '{value}', expected seconds, above 0"
    assert any(said in line for line in failing(tmp_path, "double")[-3:-1])


def test_an_empty_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HALOCLINE_TIME_LIMIT", "")
    write_toy(tmp_path)
    assert halocline(tmp_path, "run", "toy.yaml").returncode == 0


def test_rank_is_killed(tmp_path: Path) -> None:
    lines = failing(tmp_path, "dies")
    assert "coupled run failed: a rank was ended by signal 9 (SIGKILL)" in lines
    assert any("exited on signal 9" in line for line in lines[-8:])


def test_timeout(tmp_path: Path) -> None:
    lines = failing(tmp_path, "hangs", "--timeout", "3")
    assert "coupled run failed: it ran longer than --timeout 3 s" in lines
    assert not processes_in(tmp_path)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_ends_every_rank(tmp_path: Path, number: signal.Signals) -> None:
    write_toy(tmp_path, ("toy_predictors:double", "toy_predictors:hangs"))
    job = subprocess.Popen(
        command("run", "toy.yaml"),
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdout=subprocess.PIPE,
        # a shell that starts the tests in the background has it ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 60
    while len(processes_in(tmp_path / "out")) < 3 and time.monotonic() < deadline:
        time.sleep(0.1)
    job.send_signal(number)
    output, _ = job.communicate(timeout=60)
    assert job.returncode == 130
    assert "coupled run failed: it was interrupted" in output
    assert not processes_in(tmp_path)


def processes_in(directory: Path) -> list[int]:
    """Living processes whose working directory is in `directory`."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            if (entry / "cwd").readlink().is_relative_to(directory):
                found.append(int(entry.name))
        except OSError:
            continue
    return found


def test_nobody_reads_on(tmp_path: Path) -> None:
    """`halocline run ... | head -1` ends, and leaves nothing behind."""
    write_toy(tmp_path, ("toy_predictors:double", "toy_predictors:slow"))
    line = f"{' '.join(command('run', 'toy.yaml'))} | head -1"
    subprocess.run(["sh", "-c", line], cwd=tmp_path, env=environment(), check=True, timeout=120)
    assert not processes_in(tmp_path)


@pytest.mark.parametrize("words", ["plan toy.yaml --json", "slurm toy.yaml --no-load"])
def test_nobody_reads_a_text(tmp_path: Path, words: str) -> None:
    """A pipe without a reader: no mistake, and no words of Python."""
    write_toy(tmp_path)
    reader, writer = os.pipe()
    os.close(reader)
    job = subprocess.run(
        command(*words.split()),
        cwd=tmp_path,
        env=environment(),
        text=True,
        stdout=writer,
        stderr=subprocess.PIPE,
        timeout=60,
        check=False,
    )
    os.close(writer)
    assert job.returncode == 1
    assert [line for line in job.stderr.splitlines() if not line.startswith("note ")] == []


def test_the_log_cannot_be_written(tmp_path: Path) -> None:
    """A full disk: what the job prints is still shown, and its end is its own."""
    shown: list[str] = []
    launch = Launch(tmp_path, {}, ("sh", "-c", "echo first; echo second; exit 3"))
    done = run_job(launch, Path("/dev/full"), shown.append, lambda: None, {}, 20)
    said = "/dev/full: No space left on device; what comes now is only shown here"
    assert shown == ["first", said, "second"]
    assert (done.code, done.reason) == (1, "exit code 3")


def test_no_place_to_run_in(tmp_path: Path) -> None:
    write_toy(tmp_path)
    shutil.rmtree(tmp_path / "out")
    (tmp_path / "out").write_text("a file")
    job = halocline(tmp_path, "run", "toy.yaml")
    assert job.returncode == 2
    assert f"run.directory {tmp_path / 'out'}: File exists; it is relative to where" in job.stderr


def test_timeout_is_a_time(tmp_path: Path) -> None:
    write_toy(tmp_path)
    job = halocline(tmp_path, "run", "toy.yaml", "--timeout", "soon")
    assert job.returncode == 2
    assert "argument --timeout: got 'soon', expected seconds, above 0" in job.stderr


def test_no_reference_in_the_spec(tmp_path: Path) -> None:
    write_toy(tmp_path)
    job = halocline(tmp_path, "run", "toy.yaml", "--reference")
    assert job.returncode == 2
    assert job.stderr.splitlines()[0] == (
        "toy.yaml: --reference needs run.reference, the namelist changes of a run without the "
        "workers, for example closure.kind: none"
    )


def test_dry_run_of_a_reference(tmp_path: Path) -> None:
    write_toy(tmp_path, ("  time_limit: 90", "  reference: {size.nz: 4, size.kind: none}"))
    job = halocline(tmp_path, "run", "toy.yaml", "--reference", "--dry-run")
    assert job.returncode == 0
    lines = job.stdout.splitlines()
    namelist = tmp_path / "out" / "reference" / "toy.nml"
    changes = "size.nz = 4, size.kind = none"
    assert lines[0] == f"# without the workers; {namelist} is {tmp_path}/toy.nml with {changes}"
    assert lines[1].endswith(f"cd {tmp_path}/out/reference")
    assert lines[2].endswith(f"mpirun -n 2 {EXCHANGE_MODEL} 7 5 3 1 0 40 10 20 0 8 {namelist}")
    assert len(lines) == 5


def test_exit_reasons() -> None:
    assert exit_reason(0) == ""
    assert exit_reason(3) == "exit code 3"
    assert exit_reason(137) == "a rank was ended by signal 9 (SIGKILL)"
    assert exit_reason(-15) == "the launcher was ended by signal 15 (SIGTERM)"
    assert exit_reason(255) == "exit code 255"


def test_reasons_in_a_log() -> None:
    log = [
        "Traceback (most recent call last):",
        '  File "net.py", line 2, in forward',
        "halocline: closure rank 1: the model and the spec disagree:",
        "  gyre.yaml:12: field 'w': ocean declares no such field",
        '  File "net.py", line 2, in forward',
        "halocline: ocean rank 0: told by closure rank 1: the model and the spec disagree:",
        "  gyre.yaml:12: field 'w': ocean declares no such field",
        "ocean_model: error: gyre.nml:3: unknown group &gird",
        "halocline: closure rank 1: the model and the spec disagree:",
    ]
    assert failure_reasons(log) == [log[2], log[3], log[7]]
    assert failure_reasons(log[5:7]) == log[5:7]
    assert failure_reasons(log[:2]) == []


def test_whose_rank_was_lost() -> None:
    """Open MPI 4.1's words; it counts over all components."""
    parts = [("ocean", 2), ("closure", 3)]
    killed = [
        "mpirun noticed that process rank 4 with PID 0 on node vm exited on signal 9 (Killed)."
    ]
    told = "closure rank 2, rank 4 of the job, exited on signal 9 (Killed)"
    assert lost_rank(killed, parts) == told
    left = [
        "mpirun has exited due to process rank 2 with PID 0 on",
        "node vm exiting improperly. There are three reasons this could occur:",
    ]
    told = "closure rank 0, rank 2 of the job, ended without finalizing MPI"
    assert lost_rank(left, parts) == told
    assert lost_rank(left, parts[:1]) is None
    assert lost_rank(["mpirun", "ended"], parts) is None
