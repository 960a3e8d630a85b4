# SPDX-License-Identifier: MIT
"""What is installed, and which MPI each part belongs to."""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from coupler.command.doctor.finding import Finding, error, ok, warning
from coupler.command.launch import find_executable
from coupler.command.launcher import Launcher
from coupler.command.mpis import (
    Side,
    mpi_of_compiler,
    mpi_of_executable,
    mpi_of_launcher,
    mpi_of_python,
    pairing,
)

NEEDED = ("mpi4py", "numpy", "netCDF4", "PyYAML", "f90nml", "rich")
OPTIONAL = {
    "torch": "torch",
    "onnxruntime": "onnx",
    "matplotlib": "plot",
}  # package: extra that brings it
PROGRAMS = ("halocline_exchange_bench", "ocean_model")  # what meson install brings
ASK_TORCH = (
    "import json, torch; print(json.dumps([torch.__version__, torch.version.cuda, "
    "[torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]]))"
)
CONTAINERS = {"/run/.containerenv": "podman", "/.dockerenv": "Docker"}
PATIENCE = 120.0  # [s] for importing torch from a slow file system


def system() -> Iterator[Finding]:
    release = platform.freedesktop_os_release().get("PRETTY_NAME", "")
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    text = f"{release}, {platform.machine()}, Linux {platform.release()}"
    inside = next((name for path, name in CONTAINERS.items() if Path(path).exists()), "")
    text += f"; {cores} cores, {memory:.0f} GB"
    yield ok("system", f"{text}; in a container of {inside}" if inside else text)


def python() -> Iterator[Finding]:
    yield ok("python", f"{platform.python_version()}, {sys.executable}")
    found = {name: _version(name) for name in (*NEEDED, *OPTIONAL)}
    missing = [name for name in NEEDED if not found[name]]
    text = ", ".join(f"{name} {number}" for name, number in found.items() if number)
    text = f"halocline {_version('halocline') or '(not installed)'}, {text}"
    if missing:
        yield error("packages", f"{text}; without {', '.join(missing)}", "pip install halocline")
    else:
        yield ok("packages", text)
    for name, extra in OPTIONAL.items():
        if not found[name]:
            mend = f"pip install 'halocline[{extra}]'"
            yield warning("packages", f"no {name}", mend)


def mpis(launcher: Launcher, programs: Sequence[str]) -> Iterator[Finding]:
    """The MPI of the launcher, mpi4py, the compiler and models; do they go together?"""
    word = launcher.words[0]
    environment = launcher.environment()
    sides = [
        Side(word, mpi_of_launcher(word), "launcher"),
        Side("mpi4py", mpi_of_python(environment), "mpi4py"),
    ]
    for side, mend in zip(
        sides,
        (
            "install one (openmpi-bin), or name it: --mpirun, --launcher",
            "python -c 'from mpi4py import MPI' says why",
        ),
        strict=True,
    ):
        if side.mpi is not None:
            yield ok(side.part, f"{side}")
        elif launcher.kind == "srun" and side.part == "launcher":
            yield ok("launcher", f"{word}: ranks meet by what --mpi names")
        else:
            yield error(side.part, f"{side.name}: no MPI found", mend)
    yield from _compiler()
    for name in [*(name for name in PROGRAMS if not programs), *programs]:
        path = find_executable(name, Path.cwd())
        if path is None:
            mend = "meson install puts it on PATH; or say where: halocline doctor PROGRAM"
            yield (error if programs else warning)("model", f"no {name} on PATH", mend)
            continue
        side = Side(name, mpi_of_executable(path), "model")
        sides.append(side)
        if side.mpi is None:
            yield warning(
                "model", f"{path}: a script, or linked with no MPI we know", "name another"
            )
        else:
            yield ok("model", f"{path} uses {side.mpi}")
    problem = pairing(sides)
    if problem is None:
        yield ok("pairing", "all parts belong to one MPI")
    else:
        yield (error if problem.fatal else warning)("pairing", problem.text, problem.mend)


def _compiler() -> Iterator[Finding]:
    word = os.environ.get("FC") or "mpifort"
    if shutil.which(word) is None:
        mend = "only to build models: apt-get install gfortran libopenmpi-dev"
        yield warning("compiler", f"no {word} on PATH", mend)
        return
    mpi = mpi_of_compiler(word)
    yield ok("compiler", f"{word} uses {mpi}" if mpi else f"{word}: which MPI it uses is not known")
    yield _client()


def _client() -> Finding:
    """The installed Fortran library, as other builds find it."""
    command = ["pkg-config", "--modversion", "halocline"]
    environment = os.environ | {"PKG_CONFIG_PATH": _pkg_config_path()}
    if shutil.which(command[0]) is None:
        mend = "only to build models: apt-get install pkg-config"
        return warning("client", "no pkg-config on PATH", mend)
    asked = subprocess.run(command, env=environment, text=True, capture_output=True, check=False)
    if asked.returncode:
        mend = "only to build models: meson install, and its lib/pkgconfig on PKG_CONFIG_PATH"
        return warning("client", "pkg-config does not know halocline", mend)
    return ok("client", f"halocline {asked.stdout.strip()} for Fortran")


def _pkg_config_path() -> str:
    """The user's, and beside this Python, where `./run` installs."""
    given = os.environ.get("PKG_CONFIG_PATH", "")
    return f"{given}{os.pathsep if given else ''}{Path(sys.prefix) / 'lib' / 'pkgconfig'}"


def gpus() -> Iterator[Finding]:
    """What workers would compute on. torch is imported in a process of its own."""
    cards = sorted(str(path) for path in Path("/dev").glob("nvidia[0-9]*"))
    if not _version("torch"):
        yield ok("gpu", f"{', '.join(cards) or 'none'}; no torch to use it")
        return
    job = subprocess.run(
        [sys.executable, "-c", ASK_TORCH],
        text=True,
        capture_output=True,
        timeout=PATIENCE,
        check=False,
    )
    if job.returncode:
        last = (job.stderr.strip().splitlines() or ["no reason given"])[-1]
        yield error("gpu", f"torch cannot be imported: {last}", "install torch anew")
        return
    number, cuda, names = json.loads(job.stdout.splitlines()[-1])
    if names:
        yield ok("gpu", f"{', '.join(names)}; torch {number}, CUDA {cuda}")
    elif cards:
        mend = "install a torch for CUDA; is the driver as new as it asks?"
        build = f"is for CUDA {cuda}" if cuda else "is a build for CPUs"
        yield warning("gpu", f"{', '.join(cards)} there, but torch {number} {build}", mend)
    else:
        yield ok("gpu", f"none; workers compute on cores with torch {number}")


def slurm() -> Iterator[Finding]:
    if shutil.which("srun") is None:
        return
    said = subprocess.run(["srun", "--mpi=list"], text=True, capture_output=True, check=False)
    number = subprocess.run(["srun", "--version"], text=True, capture_output=True, check=False)
    if number.returncode:
        yield ok("slurm", "srun is installed, but there is no Slurm here")
        return
    kinds = [word for word in (said.stdout + said.stderr).split() if word.startswith("pmi")]
    text = f"{number.stdout.strip()}, --mpi={', '.join(kinds) or 'none'}"
    if kinds:
        yield ok("slurm", text)
    else:
        mend = "ranks started by srun cannot meet: install its PMIx plugin, or use mpirun in jobs"
        yield warning("slurm", text, mend)


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
