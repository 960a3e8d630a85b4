# SPDX-License-Identifier: MIT
"""The model's own namelist: sizes, time step and steps are read there and never written twice."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import f90nml

from coupler.spec.document import SpecError, hint


@dataclass(frozen=True)
class ModelNamelist:
    """A Fortran namelist file; values by `group.key`, in any case."""

    path: Path
    groups: dict[str, dict[str, object]]

    def get(self, name: str) -> object | None:
        group, _, key = name.lower().partition(".")
        return self.groups.get(group, {}).get(key)

    def missing(self, name: str) -> str:
        """What to say when `name` is not there."""
        known = [f"{group}.{key}" for group, keys in self.groups.items() for key in keys]
        return f"{self.path.name} has no '{name}'{hint(name.lower(), known)}"


def read_namelist(path: Path, place: str) -> ModelNamelist:
    """Raises SpecError, with `place` of the spec that named the file."""
    try:
        parsed = f90nml.read(path)
    except OSError as error:
        near = hint(path.name, [file.name for file in path.parent.glob(f"*{path.suffix}")])
        raise SpecError([f"{place}: namelist {path}: {error.strerror}{near}"]) from error
    except Exception as error:  # the parser raises whatever its tokenizer stumbles on
        raise SpecError([f"{place}: {path.name} is not a readable namelist: {error!r}"]) from error
    groups: dict[str, dict[str, object]] = {}
    for group, keys in parsed.items():
        if isinstance(keys, f90nml.Namelist):
            # of a group that is there twice the first value counts, as for a model that reads it
            known = groups.setdefault(str(group).lower(), {})
            for key in keys:
                known.setdefault(str(key).lower(), keys[key])
    return ModelNamelist(path, groups)
