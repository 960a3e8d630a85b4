# SPDX-License-Identifier: MIT
"""From a spec to the MPMD command line that runs it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from coupler.spec import ComponentSpec, CouplingSpec

# Words of a command with these endings name files that the component reads.
READ = {".nml", ".namelist", ".yaml", ".yml", ".toml", ".json", ".xml", ".txt", ".cfg", ".py"}


@dataclass(frozen=True)
class Launch:
    """One job: typed by hand as `str` says, it does the same."""

    directory: Path  # where it runs
    environment: dict[str, str]  # beside the user's own
    command: tuple[str, ...]

    def __str__(self) -> str:
        place = shlex.quote(str(self.directory))
        variables = [f"{key}={shlex.quote(value)}" for key, value in self.environment.items()]
        words = [word if word == ":" else shlex.quote(word) for word in self.command]
        return f"mkdir -p {place} && cd {place}\n{' '.join([*variables, *words])}"


def mpi_environment() -> dict[str, str]:
    """The variables an Open MPI job of this machine needs; the user's own values win.

    Root is refused by default, as is more ranks than cores; waiting ranks must give way to working
    ones; one thread a rank, since two OpenMP threads on a busy core slow small kernels many times.
    """
    environment = {
        "OMPI_MCA_rmaps_base_oversubscribe": "1",
        "OMPI_MCA_hwloc_base_binding_policy": "none",
        "OMPI_MCA_mpi_yield_when_idle": "1",
        "OMP_NUM_THREADS": "1",
    }
    if os.geteuid() == 0:
        environment |= {"OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1"}
    if "OMP_NUM_THREADS" not in os.environ:
        environment["HALOCLINE_THREADS"] = "auto"  # workers find the free cores by themselves
    return {key: os.environ.get(key, value) for key, value in environment.items()}


def find_executable(word: str, directory: Path) -> Path | None:
    """A path beside the spec, a name on PATH, or one in the bin directory of this Python."""
    if word in ("python", "python3"):
        return Path(sys.executable)
    if "/" in word:
        found = shutil.which(directory / word)
    else:
        here = str(Path(sys.executable).parent)
        found = shutil.which(word, path=os.pathsep.join((os.environ.get("PATH", ""), here)))
    return Path(found).absolute() if found else None


def files_named(component: ComponentSpec) -> list[str]:
    """Words of the command that look like files to read."""
    words = component.command[1:]
    return [word for word in words if not word.startswith("-") and Path(word).suffix in READ]


def coupled_launch(spec: CouplingSpec, directory: Path, launcher: Sequence[str]) -> Launch:
    """The job of all components, in the spec's order."""
    words = list(launcher)
    for number, component in enumerate(spec.components):
        words += [":"] if number else []
        words += ["-n", str(component.ranks), *component_words(spec, component)]
    return Launch(directory, mpi_environment(), tuple(words))


def component_words(spec: CouplingSpec, component: ComponentSpec) -> list[str]:
    """The command of one component. The job runs elsewhere, so files become absolute."""
    if component.is_worker:
        # mpi4py's runner: an uncaught exception of plain python would leave the others waiting
        module = [sys.executable, "-m", "mpi4py", "-m", "ml_server"]
        return [*module, str(spec.path), "--component", component.name]
    executable = find_executable(component.command[0], spec.path.parent)
    words = [str(executable or component.command[0])]
    for word in component.command[1:]:
        beside = spec.path.parent / word
        words.append(os.path.abspath(beside) if beside.is_file() else word)
    return words


def reference_launch(
    spec: CouplingSpec, directory: Path, namelist: Path, launcher: Sequence[str]
) -> Launch:
    """The models alone, reading `namelist` in place of the spec's."""
    words = list(launcher)
    original = os.path.abspath(spec.namelist) if spec.namelist else ""
    models = [component for component in spec.components if not component.is_worker]
    for number, component in enumerate(models):
        command = component_words(spec, component)
        words += [":"] if number else []
        words += ["-n", str(component.ranks)]
        words += [str(namelist) if word == original else word for word in command]
    return Launch(directory, mpi_environment(), tuple(words))
