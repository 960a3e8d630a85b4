# SPDX-License-Identifier: MIT
"""Who starts the ranks: Open MPI's mpirun, MPICH's, or Slurm's srun; options and environment."""

from __future__ import annotations

import os
import re
import shlex
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

from coupler.command.mpis import MPICH, OPEN_MPI, mpi_of_launcher, mpi_of_python, mpich_environment
from coupler.spec.document import SpecError

Kind = Literal["openmpi", "mpich", "srun"]
KINDS: tuple[Kind, ...] = get_args(Kind)
# What starts jobs of each kind, the first that is there.
COMMANDS: dict[Kind, tuple[str, ...]] = {
    "openmpi": ("mpirun.openmpi", "mpirun"),
    "mpich": ("mpirun.mpich", "mpiexec.hydra", "mpirun"),
    "srun": ("srun",),
}
RANKS_FILE = "ranks.conf"  # of srun --multi-prog: which rank runs what
Block = tuple[int, list[str]]  # ranks, command


@dataclass(frozen=True)
class Launcher:
    """A command that starts ranks; `words` are it and the user's options."""

    kind: Kind
    words: tuple[str, ...] = ("mpirun",)

    def environment(self) -> dict[str, str]:
        """The variables that a job needs; the user's own values win."""
        needed = {"openmpi": _openmpi, "mpich": _mpich, "srun": _srun}[self.kind]()
        if "OMP_NUM_THREADS" not in os.environ:
            needed["HALOCLINE_THREADS"] = "auto"  # workers find the free cores by themselves
        return {key: os.environ.get(key, value) for key, value in needed.items()} | (
            mpich_environment() if self.kind == "mpich" else {}
        )

    def line(self, blocks: list[Block]) -> tuple[str, ...]:
        """The command that starts one job of all `blocks`; one of srun reads `files`."""
        if self.kind == "srun":
            ranks = sum(count for count, _ in blocks)
            return (*self.srun_words(), "-n", str(ranks), "--multi-prog", RANKS_FILE)
        words = list(self.words)
        for number, (ranks, command) in enumerate(blocks):
            words += [":"] if number else []
            words += ["-n", str(ranks), *command]
        return tuple(words)

    def plain_line(self, ranks: int, command: list[str]) -> tuple[str, ...]:
        """The command that starts `ranks` of one program."""
        words = self.srun_words() if self.kind == "srun" else self.words
        return (*words, "-n", str(ranks), *command)

    def files(self, blocks: list[Block]) -> dict[str, str]:
        """Files that `line` needs where it runs: name, text."""
        if self.kind != "srun":
            return {}
        return {RANKS_FILE: multi_prog(blocks)}

    def srun_words(self) -> tuple[str, ...]:
        """With what makes the ranks find each other, and the end of one the end of all."""
        given = {word.partition("=")[0] for word in self.words}
        words = list(self.words)
        if "--mpi" not in given and "SLURM_MPI_TYPE" not in os.environ:
            words.append(f"--mpi={srun_mpi()}")
        if "--kill-on-bad-exit" not in given and "-K" not in given:
            words.append("--kill-on-bad-exit=1")
        return tuple(words)


def find_launcher(kind: Kind | None = None, command: str | None = None) -> Launcher:
    """The launcher of `kind`, or of the kind that `command` (default mpirun) turns out to be.

    Raises SpecError where there is none.
    """
    words = split_words("--mpirun", command or "")
    if command is not None and not words:
        raise SpecError(["--mpirun: got nothing, expected a command such as mpirun"])
    if kind is None:
        words = words or ("mpirun",)
        return Launcher(_kind_of(words[0]), words)
    if not words:
        there = [name for name in COMMANDS[kind] if shutil.which(name)]
        if kind == "mpich":  # a plain mpirun may be another MPI's
            there = [name for name in there if _kind_of(name) == "mpich"]
        if not there:
            raise SpecError([f"--launcher {kind}: none of {', '.join(COMMANDS[kind])} is on PATH"])
        words = (there[0],) if kind != "openmpi" else (_short(there),)
    return Launcher(kind, words)


def split_words(option: str, text: str) -> tuple[str, ...]:
    """As a shell splits the text of `option`. Raises SpecError where a quote is not closed."""
    try:
        return tuple(shlex.split(text))
    except ValueError as error:
        raise SpecError([f"{option}: got {text!r}, expected words of a shell; {error}"]) from error


def multi_prog(blocks: list[Block]) -> str:
    """The file of srun --multi-prog: ranks, command."""
    lines, first = [], 0
    for ranks, command in blocks:
        last = first + ranks - 1
        which = f"{first}-{last}" if ranks > 1 else f"{first}"
        lines.append(f"{which} {' '.join(map(_escaped, command))}\n")
        first = last + 1
    return "".join(lines)


def _escaped(word: str) -> str:
    """For srun, which replaces %t and %o; of a shell's quoting it knows backslashes."""
    return re.sub(r"[^\w@+=:,./-]", lambda found: "\\" + found[0], word) or "''"


def srun_mpi() -> str:
    """How srun tells ranks of each other: what the MPI of mpi4py understands."""
    mpi = mpi_of_python()
    return "pmi2" if mpi is not None and mpi.family == MPICH else "pmix"


def _short(there: list[str]) -> str:
    """`mpirun`, where that is Open MPI's."""
    return "mpirun" if "mpirun" in there and _kind_of("mpirun") == "openmpi" else there[0]


def _kind_of(word: str) -> Kind:
    if "srun" in Path(word).name:
        return "srun"
    mpi = mpi_of_launcher(word)
    return "mpich" if mpi is not None and mpi.family != OPEN_MPI else "openmpi"


def _openmpi() -> dict[str, str]:
    """Root is refused by default, as is more ranks than cores; waiting ranks must give way to
    working ones; one thread a rank, since two OpenMP threads on a busy core slow small kernels many
    times."""
    environment = {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMP_NUM_THREADS": "1",
    }
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    return environment


def _mpich() -> dict[str, str]:
    """MPICH minds neither root nor many ranks, and binds no rank unless asked."""
    return {"OMP_NUM_THREADS": "1"}


def _srun() -> dict[str, str]:
    """Slurm has given each rank its cores, so they are not shared and stay bound."""
    return {"OMPI_MCA_mpi_yield_when_idle": "1", "OMP_NUM_THREADS": "1"}
