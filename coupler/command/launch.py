# SPDX-License-Identifier: MIT
"""From a spec to the MPMD command line that runs it."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from dataclasses import dataclass, field
from pathlib import Path

from coupler.command.launcher import Block, Launcher
from coupler.spec import ComponentSpec, CouplingSpec

# Words of a command with these endings name files that the component reads.
READ = {".nml", ".namelist", ".yaml", ".yml", ".toml", ".json", ".xml", ".txt", ".cfg", ".py"}


@dataclass(frozen=True)
class Launch:
    """One job: typed by hand as `str` says, it does the same."""

    directory: Path  # where it runs
    environment: dict[str, str]  # beside the user's own
    command: tuple[str, ...]
    files: dict[str, str] = field(default_factory=dict)  # what `command` reads there: name, text

    def __str__(self) -> str:
        place = shlex.quote(str(self.directory))
        variables = [f"{key}={shlex.quote(value)}" for key, value in self.environment.items()]
        words = [word if word == ":" else shlex.quote(word) for word in self.command]
        lines = [f"mkdir -p {place} && cd {place}"]
        lines += [f"cat >{name} <<'END'\n{text}END" for name, text in self.files.items()]
        return "\n".join([*lines, " ".join([*variables, *words])])

    def write_files(self) -> None:
        """Into `directory`, which is there."""
        for name, text in self.files.items():
            (self.directory / name).write_text(text, encoding="utf-8")


def mpi_environment() -> dict[str, str]:
    """The variables an Open MPI job of this machine needs; the user's own values win."""
    return Launcher("openmpi").environment()


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


def find_executable_of(spec: CouplingSpec, component: ComponentSpec) -> Path | None:
    """The program of a model's command."""
    return find_executable(component.command[0], spec.path.parent)


def files_named(component: ComponentSpec) -> list[str]:
    """Words of the command that look like files to read."""
    words = component.command[1:]
    return [word for word in words if not word.startswith("-") and Path(word).suffix in READ]


def coupled_launch(spec: CouplingSpec, directory: Path, launcher: Launcher) -> Launch:
    """The job of all components, in the spec's order."""
    return _launch(directory, launcher, coupled_blocks(spec))


def coupled_blocks(spec: CouplingSpec) -> list[Block]:
    """Ranks and command of each component, in the spec's order."""
    return [(component.ranks, component_words(spec, component)) for component in spec.components]


def _launch(directory: Path, launcher: Launcher, blocks: list[Block]) -> Launch:
    line, files = launcher.line(blocks), launcher.files(blocks)
    return Launch(directory, launcher.environment(), line, files)


def component_words(spec: CouplingSpec, component: ComponentSpec) -> list[str]:
    """The command of one component. The job runs elsewhere, so files become absolute."""
    if component.is_worker:
        # mpi4py's runner: an uncaught exception of plain python would leave the others waiting
        module = [sys.executable, "-m", "mpi4py", "-m", "ml_server"]
        return [*module, str(spec.path), "--component", component.name]
    executable = find_executable_of(spec, component)
    words = [str(executable or component.command[0])]
    for word in component.command[1:]:
        beside = spec.path.parent / word
        words.append(os.path.abspath(beside) if beside.is_file() else word)
    return words


def reference_launch(
    spec: CouplingSpec, directory: Path, namelist: Path, launcher: Launcher
) -> Launch:
    """The models alone, reading `namelist` in place of the spec's."""
    original = os.path.abspath(spec.namelist) if spec.namelist else ""
    blocks = []
    for component in spec.components:
        if not component.is_worker:
            words = component_words(spec, component)
            words = [str(namelist) if word == original else word for word in words]
            blocks.append((component.ranks, words))
    return _launch(directory, launcher, blocks)
