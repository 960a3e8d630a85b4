# SPDX-License-Identifier: MIT
"""Everything that can be known of a coupled job without running it."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

from coupler.command.fitting import load_fitted
from coupler.command.launch import files_named, find_executable_of
from coupler.command.launcher import Launcher
from coupler.command.mpis import Side, mpi_of_executable, mpi_of_launcher, mpi_of_python, pairing
from coupler.command.plan import build_plan, grid_of, plan_decompositions
from coupler.command.regrid_remarks import regrid_remarks
from coupler.command.tables import size_text
from coupler.grids.grid import GridError
from coupler.regridding.exchange_weights import field_weights, row_planner
from coupler.routing.decomposition import Box
from coupler.spec import ComponentSpec, CouplingSpec, ExchangeSpec
from coupler.spec.document import hint
from coupler.weights import WeightsError
from ml_server.halos.halo import Fit
from ml_server.predictor import Predictor, PredictorError

DAY = 86400.0  # [s]


@dataclass
class Findings:
    """Mistakes stop a run; warnings and notes do not; `passed` says what was looked at; `fitted`
    are the workers' predictors, with the spec's halos for them."""

    errors: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    passed: list[str] = field(default_factory=list)
    fitted: list[tuple[Predictor, Fit]] = field(default_factory=list)


def check_spec(spec: CouplingSpec, load: bool = True, launcher: Launcher | None = None) -> Findings:
    """Every mistake at once. `load`: import the predictors, as the workers will."""
    findings = Findings()
    launcher = launcher or Launcher("openmpi")
    _describe(spec, findings)
    for component in spec.components:
        if component.is_worker:
            spec = _check_worker(spec, component, load, findings)
        else:
            _check_command(spec, component, findings)
    _check_reference(spec, findings)
    _check_ranks(spec, launcher, findings)
    _check_mpis(spec, launcher, findings)
    _check_boxes(spec, findings)
    for exchange in spec.exchanges:
        if exchange.regrid is not None:
            _check_weights(spec, exchange, findings)
    try:
        findings.warnings += regrid_remarks(spec)
    except (GridError, WeightsError, OSError) as error:
        if not findings.errors:  # of a geometry that no weights were made from
            findings.errors.append(str(error))
    return findings


def _describe(spec: CouplingSpec, findings: Findings) -> None:
    components, exchanges = len(spec.components), len(spec.exchanges)
    findings.passed.append(f"{spec.path.name}: {components} components, {exchanges} exchanges")
    days = (
        f", {spec.steps} steps, {spec.steps * spec.time_step / DAY:.4g} days" if spec.steps else ""
    )
    source = spec.namelist.name if spec.namelist else spec.path.name
    used = (grid for e in spec.exchanges for grid in (e.grid, e.worker_grid))
    grids = {grid.name: grid for grid in used}.values()
    sizes = "; ".join(f"grid '{g.name}' {g.nx} x {g.ny} x {g.nz}" for g in grids)
    findings.passed.append(f"{source}: time step {spec.time_step} s{days}; {sizes}")
    for exchange in spec.exchanges:
        lag = f", lag {exchange.lag}" if exchange.lag else ""
        findings.passed.append(
            f"{exchange.place}: {exchange} every {exchange.period} s{lag}, {exchange.wire}"
        )


def _check_command(spec: CouplingSpec, component: ComponentSpec, findings: Findings) -> None:
    name, word = component.name, component.command[0]
    found = find_executable_of(spec, component)
    if found is None:
        findings.errors.append(
            f"{component.place}: {name}: no executable '{word}' "
            + (f"beside {spec.path.name}" if "/" in word else "on PATH or beside this Python")
            + "; build and install it, or write its path"
        )
    missing = [file for file in files_named(component) if not (spec.path.parent / file).is_file()]
    for file in missing:
        directory = (spec.path.parent / file).parent
        near = [item.name for item in directory.glob(f"*{Path(file).suffix}")]
        findings.errors.append(
            f"{component.place}: {name}: its command names '{file}', which is not beside "
            f"{spec.path.name}{hint(Path(file).name, near)}"
        )
    if found is not None and not missing:
        findings.passed.append(f"{name}: {_ranks(component)} of {found}")
    if spec.namelist is not None and spec.namelist.name not in map(_name, component.command):
        findings.warnings.append(
            f"{component.place}: {name}: its command does not name {spec.namelist.name}, which "
            "run.namelist reads; does it read the same file?"
        )


def _name(word: str) -> str:
    return Path(word).name


def _ranks(component: ComponentSpec) -> str:
    return f"{component.ranks} rank{'' if component.ranks == 1 else 's'}"


def _check_worker(
    spec: CouplingSpec, component: ComponentSpec, load: bool, findings: Findings
) -> CouplingSpec:
    """`spec` with what `halo: auto` means for this worker."""
    if component.predictor is not None and not load:
        text = f"{component.name}: {component.predictor} was not loaded (--no-load)"
        findings.notes.append(text)
        return spec
    try:
        predictor, fit = load_fitted(spec, component.name)
    except PredictorError as error:
        findings.errors.append(str(error))
        return spec
    takes = "any field" if predictor.parameters is None else _shorten(predictor.parameters)
    findings.passed.append(
        f"{component.name}: {_ranks(component)} of {predictor.name}, which takes {takes}"
    )
    findings.fitted.append((predictor, fit))
    _check_halo(fit, component, findings)
    return fit.spec


def _shorten(names: tuple[str, ...]) -> str:
    more = f" and {len(names) - 6} more" if len(names) > 6 else ""
    return ", ".join(names[:6]) + more


def _check_halo(fit: Fit, component: ComponentSpec, findings: Findings) -> None:
    findings.notes += fit.remarks
    wrong = fit.ranks_error(component.ranks)
    if wrong is not None:
        findings.errors.append(wrong)
    if fit.field is None:
        return
    findings.passed.append(f"{component.name}: it reads {fit.field}; measured")
    wasted = dict(fit.excess)
    for exchange in fit.spec.incoming(component.name):
        if exchange in wasted:
            findings.warnings.append(_wasted(fit.spec, exchange, wasted[exchange]))
        elif not fit.field.is_global:
            findings.passed.append(
                f"{exchange.place}: halo {exchange.halo} is what {fit.predictor} reads"
            )


def _wasted(spec: CouplingSpec, exchange: ExchangeSpec, need: int) -> str:
    """What a halo wider than needed costs at each date, over all ranks."""

    def sent(halo: int) -> int:
        changed = replace(exchange, halo=halo)
        plan = build_plan(replace(spec, exchanges=(changed,)))
        return sum(item.bytes for item in plan.exchanges if not item.static)

    wide, narrow = sent(exchange.halo), sent(need)
    cost = f"at each date {size_text(wide - narrow)} of {size_text(wide)} travel for nothing"
    if wide == narrow:
        cost = "the arrays are wider than they have to be"
    return f"{exchange.place}: halo: got {exchange.halo}, but {need} would do: {cost}"


def _check_reference(spec: CouplingSpec, findings: Findings) -> None:
    for key in spec.reference:
        group, _, name = key.partition(".")
        if not group or not name:
            findings.errors.append(
                f"{spec.path.name}: run.reference: got '{key}', expected group.key, "
                "for example closure.kind"
            )
    if spec.reference and spec.namelist is None:
        findings.errors.append(
            f"{spec.path.name}: run.reference changes a namelist, but run.namelist names none"
        )


def _check_ranks(spec: CouplingSpec, launcher: Launcher, findings: Findings) -> None:
    word = launcher.words[0]
    if shutil.which(word) is None:
        findings.errors.append(
            f"no '{word}' on PATH; install Open MPI or MPICH, or name another with --mpirun"
        )
    ranks = sum(component.ranks for component in spec.components)
    cores = os.cpu_count() or 1
    if ranks > cores and launcher.kind != "srun":
        findings.notes.append(f"{ranks} ranks share the {cores} cores of this machine")


def _check_mpis(spec: CouplingSpec, launcher: Launcher, findings: Findings) -> None:
    """Ranks of two MPIs would each believe to be alone."""
    sides = [Side(f"{launcher.words[0]}", mpi_of_launcher(launcher.words[0]), "launcher")]
    for component in spec.components:
        found = None if component.is_worker else find_executable_of(spec, component)
        if found is not None:
            sides.append(Side(component.name, mpi_of_executable(found), "model"))
    if any(component.is_worker for component in spec.components):
        sides.append(Side("mpi4py", mpi_of_python(launcher.environment()), "mpi4py"))
    problem = pairing(sides)
    if problem is not None and problem.fatal:
        findings.errors.append(f"{problem.text}; {problem.mend}")
    elif problem is not None:
        findings.warnings.append(f"{problem.text}; {problem.mend}")


def _check_boxes(spec: CouplingSpec, findings: Findings) -> None:
    decompositions = plan_decompositions(spec)
    for name, grids in decompositions.items():
        for grid, split in grids.items():
            empty = int((split.cells() == 0).sum())
            if empty:
                findings.warnings.append(
                    f"{name}: {empty} of {split.ranks} ranks own no cell of grid '{grid}', "
                    f"{split.nx} x {split.ny}; give it fewer ranks"
                )
    for exchange in spec.exchanges:
        split = decompositions[exchange.target][grid_of(spec, exchange.target, exchange).name]
        boxes = [split.box(rank) for rank in range(split.ranks)]
        narrowest = min((min(box.nx, box.ny) for box in boxes if box.cells), default=0)
        if exchange.halo > narrowest:
            findings.notes.append(
                f"{exchange.place}: halo {exchange.halo} is wider than the narrowest box of "
                f"{split.name}, {narrowest} cells: it reaches beyond the next rank"
            )


def _check_weights(spec: CouplingSpec, exchange: ExchangeSpec, findings: Findings) -> None:
    """They can be made or read, and say what every cell holds."""
    to_worker = spec.component(exchange.target).is_worker
    grid = grid_of(spec, exchange.target, exchange)
    weights = field_weights(exchange, to_worker)
    try:
        row_planner(exchange, to_worker)(Box(0, grid.nx, 0, grid.ny))
        found = dict.fromkeys(str(weights(field)) for field in exchange.fields)
    except WeightsError as error:
        findings.errors.append(str(error))
        return
    findings.passed += [f"{exchange.place}: {text}" for text in found]
