# SPDX-License-Identifier: MIT
"""`halocline slurm`: the job script of a spec, for sbatch."""

from __future__ import annotations

import argparse
import shlex
from dataclasses import dataclass, field
from pathlib import Path

from coupler.command.launch import component_words
from coupler.command.launcher import RANKS_FILE, Launcher, multi_prog, split_words
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError, hint


@dataclass(frozen=True)
class SlurmOptions:
    """What a site asks for; `own` are the options of single components, by name."""

    time: str = "01:00:00"
    common: tuple[str, ...] = ()
    own: dict[str, tuple[str, ...]] = field(default_factory=dict)
    setup: tuple[str, ...] = ()  # lines before the job, such as `module load openmpi`


def add_slurm_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--time", metavar="HH:MM:SS", default="01:00:00", help="(default: an hour)")
    parser.add_argument(
        "--sbatch",
        metavar="[NAME=]OPTIONS",
        action="append",
        default=[],
        help="options of sbatch, for all components or for one, which makes the job heterogeneous",
    )
    parser.add_argument(
        "--setup",
        metavar="LINE",
        action="append",
        default=[],
        help="a line before the job, such as 'module load openmpi'",
    )


def slurm_options(options: argparse.Namespace, spec: CouplingSpec) -> SlurmOptions:
    """Of the command line. Raises SpecError."""
    common, own = parse_sbatch(options.sbatch, spec)
    return SlurmOptions(options.time, common, own, tuple(options.setup))


def parse_sbatch(
    texts: list[str], spec: CouplingSpec
) -> tuple[tuple[str, ...], dict[str, tuple[str, ...]]]:
    """`--account=a` is for all components, `closure=--partition=gpu --gpus-per-task=1` for one."""
    common: list[str] = []
    own: dict[str, tuple[str, ...]] = {}
    names = [component.name for component in spec.components]
    for text in texts:
        name, _, rest = text.partition("=")
        if name.startswith("-"):
            common += split_words("--sbatch", text)
        elif name in names and rest:
            own[name] = own.get(name, ()) + split_words("--sbatch", rest)
        else:
            expected = "--option=value, or component=--option=value"
            raise SpecError([f"--sbatch: got '{text}', expected {expected}{hint(name, names)}"])
    return tuple(common), own


def slurm_script(spec: CouplingSpec, options: SlurmOptions, launcher: Launcher) -> str:
    """One step of all components: srun --multi-prog on nodes of one kind; a heterogeneous job where
    components have options of their own, such as workers on nodes with GPUs."""
    directory = shlex.quote(str(Path.cwd() / spec.directory))
    heading = _heterogeneous(spec, options) if options.own else _homogeneous(spec, options)
    lines = [
        "#!/bin/bash",
        *heading,
        "set -euo pipefail",
        *options.setup,
        *(f"export {name}={shlex.quote(value)}" for name, value in launcher.environment().items()),
        f"mkdir -p {directory} && cd {directory}",
        *(_groups(spec, launcher) if options.own else _multi_prog(spec, launcher)),
    ]
    return "\n".join(lines) + "\n"


def _homogeneous(spec: CouplingSpec, options: SlurmOptions) -> list[str]:
    ranks = sum(component.ranks for component in spec.components)
    return _directives(
        f"--job-name={spec.path.stem}",
        f"--time={options.time}",
        f"--ntasks={ranks}",
        *options.common,
    )


def _heterogeneous(spec: CouplingSpec, options: SlurmOptions) -> list[str]:
    lines: list[str] = []
    for number, component in enumerate(spec.components):
        first = (f"--job-name={spec.path.stem}", f"--time={options.time}") if not number else ()
        own = options.own.get(component.name, ())
        lines += ["#SBATCH hetjob"] if number else []
        lines += [f"# {component.name}"]
        lines += _directives(*first, f"--ntasks={component.ranks}", *options.common, *own)
    return lines


def _directives(*words: str) -> list[str]:
    return [f"#SBATCH {shlex.quote(word)}" for word in words]  # sbatch reads quotes as a shell does


def _multi_prog(spec: CouplingSpec, launcher: Launcher) -> list[str]:
    blocks = [(component.ranks, component_words(spec, component)) for component in spec.components]
    line = shlex.join(launcher.line(blocks))
    return [f"cat >{RANKS_FILE} <<'END'", f"{multi_prog(blocks)}END", line]


def _groups(spec: CouplingSpec, launcher: Launcher) -> list[str]:
    """srun gives the steps of all groups one MPI_COMM_WORLD."""
    parts = [
        f"--het-group={number} -n {component.ranks} {shlex.join(component_words(spec, component))}"
        for number, component in enumerate(spec.components)
    ]
    return [f"{shlex.join(launcher.srun_words())} " + " : \\\n  ".join(parts)]
