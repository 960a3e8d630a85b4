# SPDX-License-Identifier: MIT
"""The run to compare with: the model's own namelist, changed as run.reference says."""

from __future__ import annotations

from pathlib import Path

import f90nml

from coupler.spec import CouplingSpec
from coupler.spec.document import SpecError


def require_reference(spec: CouplingSpec) -> None:
    """Raises SpecError when the spec does not say what a reference is."""
    if not spec.reference or spec.namelist is None:
        raise SpecError(
            [
                f"{spec.path.name}: --reference needs run.reference, the namelist changes of a run "
                "without the workers, for example closure.kind: none"
            ]
        )


def reference_path(spec: CouplingSpec, directory: Path) -> Path:
    assert spec.namelist is not None
    return directory / spec.namelist.name


def write_reference_namelist(spec: CouplingSpec, directory: Path) -> Path:
    """Into `directory`, with everything else of the namelist as it was, comments too."""
    changes: dict[str, dict[str, object]] = {}
    for key, value in spec.reference.items():
        group, _, name = key.partition(".")
        changes.setdefault(group.lower(), {})[name.lower()] = value
    path = reference_path(spec, directory)
    f90nml.patch(str(spec.namelist), f90nml.Namelist(changes), str(path))
    return path
