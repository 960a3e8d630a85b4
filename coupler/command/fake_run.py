# SPDX-License-Identifier: MIT
"""`halocline fake`: the job of a spec with synthetic fields in place of its model."""

from __future__ import annotations

from dataclasses import dataclass, replace

from rich.console import Console

from coupler.command.check import check_spec
from coupler.command.coupled_run import RunOptions, print_launches, run_spec
from coupler.command.tables import say
from coupler.model.synthetic import parse_limits
from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError, hint

FEWEST = 10  # steps
DATES = 5  # of the longest period, so that every exchange is seen several times


@dataclass(frozen=True)
class FakeOptions:
    name: str | None  # the model
    steps: int | None
    seed: int
    limits: str
    load: bool
    dry_run: bool


def run_fake(spec: CouplingSpec, options: FakeOptions, run: RunOptions, console: Console) -> int:
    """The exit code. Raises SpecError."""
    name = _model(spec, options.name)
    _check_limits(spec, name, options.limits)
    steps = options.steps or default_steps(spec)
    fake = with_fake(spec, name, steps, options)
    findings = check_spec(fake, options.load, run.launcher)
    if findings.errors:
        raise SpecError(findings.errors)
    for text in (*findings.warnings, *findings.notes):
        if f": {name}: " not in text:  # of the model's command, which is not run
            say(Console(stderr=True), f"note     {text}")
    if options.dry_run:
        print_launches(fake, run, console)
        return 0
    return run_spec(fake, run, console)


def _model(spec: CouplingSpec, name: str | None) -> str:
    models = [component.name for component in spec.components if not component.is_worker]
    if name is None and len(models) == 1:
        return models[0]
    if name not in models:
        raise SpecError([f"--as: got '{name or ''}', expected a model{hint(name or '', models)}"])
    return name


def _check_limits(spec: CouplingSpec, model: str, text: str) -> None:
    fields = [f.name for e in spec.outgoing(model) for f in (*e.fields, *e.static)]
    try:
        limits = parse_limits(text)
    except ValueError:
        raise SpecError([f"--range: got '{text}', expected NAME=LOW:HIGH,..."]) from None
    for name in limits:
        if name not in fields:
            raise SpecError([f"--range: {model} puts no '{name}'{hint(name, fields)}"])


def default_steps(spec: CouplingSpec) -> int:
    longest = max(exchange.period for exchange in spec.exchanges) // spec.time_step
    wanted = max(FEWEST, (DATES - 1) * longest + 1)
    return min(wanted, spec.steps) if spec.steps else wanted


def with_fake(spec: CouplingSpec, name: str, steps: int, options: FakeOptions) -> CouplingSpec:
    """`spec` with another command for its model, and a directory of its own."""
    words = ["python", "-m", "mpi4py", "-m", "coupler.model.fake", str(spec.path), "--as", name]
    words += ["--steps", str(steps), "--seed", str(options.seed)]
    words += ["--range", options.limits] if options.limits else []
    components = [
        replace(component, command=tuple(words)) if component.name == name else component
        for component in spec.components
    ]
    directory = spec.directory / "fake"
    return replace(spec, components=tuple(components), steps=steps, directory=directory)
