# SPDX-License-Identifier: MIT
"""A Slurm on loopback, of this one machine: its daemons, state and ports are the test's own.

Two slurmd make two nodes of it, since the parts of a heterogeneous job start on different ones.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PROGRAMS = ("slurmctld", "slurmd", "munged", "srun", "sbatch")
START = 30.0  # [s] for the nodes to be idle
END = 20.0  # [s] for cancelled jobs to be gone
NODES = {"n1": 26818, "n2": 26819}  # name, port
QUIET = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
CPUS = 8  # what each node says it has: ranks of a test need not wait for each other's cores


def missing() -> str:
    """What is not installed, or why it cannot run; "" if all is there."""
    absent = [name for name in PROGRAMS if shutil.which(name) is None]
    if absent:
        return f"no {', '.join(absent)}: apt-get install slurm-wlm munge"
    return "" if os.geteuid() == 0 else "starting a Slurm needs root"


@contextlib.contextmanager
def cluster(directory: Path) -> Iterator[dict[str, str]]:
    """The environment that leads commands to it. Ends all its daemons."""
    directory.chmod(0o755)
    for parent in directory.parents:  # munged runs as its own user and walks there
        if parent.stat().st_uid == 0 and parent.is_relative_to("/tmp") and parent != Path("/tmp"):
            parent.chmod(0o755)
    _start_munge(directory)
    host = os.uname().nodename.partition(".")[0]
    configuration = directory / "slurm.conf"
    configuration.write_text(_configuration(directory, host))
    environment = {"SLURM_CONF": str(configuration)}
    try:
        for daemon in (["slurmctld"], *(["slurmd", "-N", name] for name in NODES)):
            line = [*daemon, "-f", str(configuration)]
            # daemons outlive a pipe's reader
            subprocess.run(line, check=True, env=os.environ | environment, **QUIET)
        _wait_idle(environment, directory)
        yield environment
    finally:
        _cancel_jobs(environment)
        _end(directory)


def _start_munge(directory: Path) -> None:
    """Its files must belong to the user that it runs as."""
    home = directory / "munge"
    home.mkdir()
    key = home / "key"
    key.write_bytes(os.urandom(128))
    key.chmod(0o400)
    shutil.chown(home, "munge", "munge")
    shutil.chown(key, "munge", "munge")
    files = {"socket": "socket", "pid-file": "munged.pid", "log-file": "log", "seed-file": "seed"}
    words = [f"--{option}={home / name}" for option, name in files.items()]
    user = ["setpriv", "--reuid=munge", "--regid=munge", "--clear-groups"]
    subprocess.run([*user, "munged", "--force", f"--key-file={key}", *words], check=True, **QUIET)


def _configuration(directory: Path, host: str) -> str:
    for name in ("state", *(f"{kind}-{node}" for node in NODES for kind in ("spool", "tmp"))):
        (directory / name).mkdir()
    settings = {
        "ClusterName": "halocline",
        "SlurmctldHost": f"{host}(127.0.0.1)",
        "SlurmUser": "root",
        "SlurmdUser": "root",
        "AuthType": "auth/munge",
        "AuthInfo": f"socket={directory}/munge/socket",
        "CredType": "cred/munge",
        "StateSaveLocation": f"{directory}/state",
        "SlurmdSpoolDir": f"{directory}/spool-%n",
        "SlurmctldPidFile": f"{directory}/slurmctld.pid",
        "SlurmdPidFile": f"{directory}/slurmd-%n.pid",
        "SlurmctldLogFile": f"{directory}/slurmctld.log",
        "SlurmdLogFile": f"{directory}/slurmd-%n.log",
        "SlurmctldPort": "26817",
        "TmpFS": f"{directory}/tmp-%n",
        "ProctrackType": "proctrack/linuxproc",
        "TaskPlugin": "task/none",
        "JobAcctGatherType": "jobacct_gather/none",
        "AccountingStorageType": "accounting_storage/none",
        "SelectType": "select/cons_tres",
        "SelectTypeParameters": "CR_Core",
        "SchedulerParameters": "sched_interval=1,bf_interval=1",
        "SlurmdParameters": "config_overrides",
        "ReturnToService": "2",
        "SwitchType": "switch/none",
    }
    common = f"NodeHostname={host} NodeAddr=127.0.0.1 CPUs={CPUS} CoresPerSocket={CPUS}"
    lines = [f"{key}={value}" for key, value in settings.items()]
    for name, port in NODES.items():
        lines.append(f"NodeName={name} Port={port} {common} RealMemory=1000 State=UNKNOWN")
    names = ",".join(NODES)
    part = (
        f"PartitionName=all Nodes={names} Default=YES MaxTime=INFINITE State=UP OverSubscribe=YES"
    )
    return "\n".join([*lines, part, ""])


def _wait_idle(environment: dict[str, str], directory: Path) -> None:
    deadline = time.monotonic() + START
    state = ""
    while state != "idle" and time.monotonic() < deadline:
        state = subprocess.run(
            ["sinfo", "-h", "-o", "%T"],
            env=os.environ | environment,
            text=True,
            capture_output=True,
            check=False,
        ).stdout.strip()  # one line while all nodes are in one state
        time.sleep(0.1)
    if state != "idle":
        logs = "\n".join(path.read_text() for path in directory.glob("*.log"))
        raise AssertionError(f"the nodes are {state or 'not there'}, expected idle\n{logs}")


def _cancel_jobs(environment: dict[str, str]) -> None:
    """Whatever a failed test left: without the daemons nobody would end it."""
    deadline = time.monotonic() + END
    jobs = "?"
    while jobs and time.monotonic() < deadline:
        for line in (["scancel", "--user=root"], ["squeue", "--noheader"]):
            done = subprocess.run(
                line, env=os.environ | environment, text=True, capture_output=True, check=False
            )
        jobs = done.stdout.strip()
        time.sleep(0.1)


def _end(directory: Path) -> None:
    """By the numbers that the daemons wrote themselves."""
    for path in (*directory.glob("*.pid"), directory / "munge/munged.pid"):
        if not path.exists():
            continue
        process = int(path.read_text())
        with contextlib.suppress(ProcessLookupError):
            os.kill(process, signal.SIGTERM)
            for _ in range(100):
                os.kill(process, 0)
                time.sleep(0.1)
            os.kill(process, signal.SIGKILL)
