# SPDX-License-Identifier: MIT
"""Which MPI a launcher, an executable, a compiler and mpi4py belong to; nothing starts MPI here."""

from __future__ import annotations

import ctypes
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

PATIENCE = 20.0  # [s] for a program that only says its version
OPEN_MPI, MPICH = "Open MPI", "MPICH"

# How libraries, launchers and compilers begin what they say of themselves. Everything built on
# MPICH shares its binary interface, and so works with programs linked with it.
SPEAKS = (
    (OPEN_MPI, r"Open MPI\)?[ :]*v?(\d[\w.]*)"),
    (MPICH, r"MPICH Version[ :\t]*(\d[\w.]*)"),
    (MPICH, r"Intel\(R\) MPI Library\D*(\d[\w.]*)"),
    (MPICH, r"MVAPICH\d? Version[ :\t]*(\d[\w.]*)"),
    (MPICH, r"HYDRA build details:\s+Version:\s*(\d[\w.]*)"),
    (MPICH, r"MPICH[^\n]*?(\d+\.[\w.]*)"),
)
LIBRARY = re.compile(r"^\s*(lib(?:mpi|mpich|mpifort)\.so\S*) => (\S+)", re.MULTILINE)
PREFERRED = ("libmpi.", "libmpich.")  # the library itself before its Fortran layer
ASK_MPI4PY = (
    "import mpi4py; mpi4py.rc.initialize = False; from mpi4py import MPI; "
    "print(MPI.Get_library_version())"
)


@dataclass(frozen=True, slots=True)
class Mpi:
    """An MPI library. Two sides of a job must be of one family, and best of one version."""

    family: str
    version: str

    def __str__(self) -> str:
        return f"{self.family} {self.version}"


@dataclass(frozen=True, slots=True)
class Side:
    """One part of a job and its MPI; None where that cannot be told."""

    name: str
    mpi: Mpi | None
    part: Literal["launcher", "model", "mpi4py"]

    def __str__(self) -> str:
        return f"{self.name} uses {self.mpi}"


@dataclass(frozen=True, slots=True)
class Problem:
    """What does not go together, and how to mend it."""

    text: str
    mend: str
    fatal: bool


def pairing(sides: Sequence[Side]) -> Problem | None:
    """Ranks of two families cannot meet: each sees itself alone. None if all is well."""
    known = [(side, side.mpi) for side in sides if side.mpi is not None]
    text = ", ".join(f"{side}" for side, _ in known)
    programs = [(side, mpi) for side, mpi in known if side.part != "launcher"]
    families = {mpi.family for _, mpi in known}
    if len(families) > 1:
        models = [mpi for side, mpi in known if side.part == "model"]
        wanted = models[0] if models else known[0][1]
        return Problem(f"two kinds of MPI in one job: {text}", _mend(known, wanted), True)
    if len({mpi.version for _, mpi in programs}) > 1:
        text = ", ".join(f"{side}" for side, _ in programs)
        mend = "install mpi4py and build the model with one MPI, if ranks do not find each other"
        return Problem(f"two versions of an MPI in one job: {text}", mend, False)
    return None


def _mend(known: Sequence[tuple[Side, Mpi]], wanted: Mpi) -> str:
    """What to change for every side to be of the family of `wanted`, the model's."""
    parts = {side.part for side, mpi in known if mpi.family != wanted.family}
    mends = []
    if "launcher" in parts:
        kind = "mpich" if wanted.family == MPICH else "openmpi"
        mends.append(f"launch with {wanted.family}'s mpirun (--launcher {kind})")
    if "mpi4py" in parts:
        kind = "mpich" if wanted.family == MPICH else "openmpi"
        mends.append(
            f"set MPI4PY_MPIABI={kind}, or build mpi4py for {wanted.family}: "
            "pip install --force-reinstall --no-binary mpi4py mpi4py"
        )
    if "model" in parts:
        mends.append("build all models with one MPI: FC=<its mpifort> meson setup ...")
    return "; ".join(mends)


def mpi_in(text: str) -> Mpi | None:
    """The MPI that `text`, said by one of its parts, names; None if it is none we know."""
    for family, pattern in SPEAKS:
        found = re.search(pattern, text)
        if found:
            return Mpi(family, found.group(1).rstrip("."))
    return None


def mpi_of_launcher(word: str) -> Mpi | None:
    """None for a launcher of no MPI's own (srun), and for one that is not there."""
    return mpi_in(_said([word, "--version"]))


def mpi_of_compiler(word: str) -> Mpi | None:
    """Of a wrapper such as mpifort, from the line that it would run."""
    line = _said([word, "-show"])
    directories = re.findall(r"-L(\S+)", line)
    if "-lmpich" in line:
        names = ["libmpich.so", "libmpi.so"]
    elif "-lmpi" in line:
        names = ["libmpi.so"]
    else:
        return None
    for directory in [*directories, ""]:
        for name in names:
            found = mpi_of_library(str(Path(directory) / name) if directory else name)
            if found is not None:
                return found
    return None


def mpi_of_executable(path: Path) -> Mpi | None:
    """Of the library that it would load now; None for a script or a static program."""
    libraries = dict(LIBRARY.findall(_said(["ldd", str(path)])))
    for begin in PREFERRED:
        for name, place in libraries.items():
            if name.startswith(begin):
                return mpi_of_library(place)
    return None


def mpi_of_library(path: str) -> Mpi | None:
    """What MPI_Get_library_version says, asked in a process of its own."""
    ask = (
        "import ctypes, sys; library = ctypes.CDLL(sys.argv[1], ctypes.RTLD_GLOBAL); "
        "text = ctypes.create_string_buffer(8192); length = ctypes.c_int(); "
        "library.MPI_Get_library_version(text, ctypes.byref(length)); print(text.value.decode())"
    )
    return mpi_in(_said([sys.executable, "-c", ask, path]))


def mpi_of_python(environment: Mapping[str, str] | None = None) -> Mpi | None:
    """Of mpi4py in this Python, with `environment` beside the process's own."""
    return mpi_in(_said([sys.executable, "-c", ASK_MPI4PY], environment))


def mpich_environment() -> dict[str, str]:
    """What makes mpi4py's wheel load MPICH, also where Debian calls its library libmpich.so.12.

    The wheel holds a module for each binary interface; MPICH's asks the loader for libmpi.so.12.
    """
    environment = {"MPI4PY_MPIABI": "mpich"}
    if _loads("libmpi.so.12") or not _loads("libmpich.so.12"):
        return environment
    library = _path_of("libmpich.so.12")
    if library is None:
        return environment
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "halocline" / "mpich"
    link = cache / "libmpi.so.12"
    if not link.exists():
        cache.mkdir(parents=True, exist_ok=True)
        link.unlink(missing_ok=True)
        link.symlink_to(library)
    given = os.environ.get("LD_LIBRARY_PATH", "")
    known = str(cache) in given.split(os.pathsep)
    path = given if known else os.pathsep.join(filter(None, (str(cache), given)))
    return environment | {"LD_LIBRARY_PATH": path}


def _loads(name: str) -> bool:
    try:
        ctypes.CDLL(name)
    except OSError:
        return False
    return True


def _path_of(name: str) -> str | None:
    """Where the loader finds `name`, which this process has loaded."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        path = line.rpartition(" ")[2]
        if Path(path).name.startswith(name):
            return path
    return None


def _said(command: Sequence[str], environment: Mapping[str, str] | None = None) -> str:
    """Stdout and stderr; "" if it cannot be run."""
    if shutil.which(command[0]) is None:
        return ""
    try:
        job = subprocess.run(
            command,
            env=os.environ | dict(environment or {}),
            text=True,
            errors="replace",
            capture_output=True,
            stdin=subprocess.DEVNULL,
            timeout=PATIENCE,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return job.stdout + job.stderr
