# SPDX-License-Identifier: MIT
"""What the spec says happens to a field on its way: levels, time, scale, offset."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import cast, get_args

from coupler.spec import FieldSpec, Operation
from coupler.spec.document import Value

TREATMENT_KEYS = ("levels", "time", "scale", "offset", "mask")


def read_treatment(field: FieldSpec, found: Mapping[str, Value], may_reduce: bool) -> FieldSpec:
    """`field` (with the usual number of levels) and what its keys in the spec make of it."""
    if "levels" in found:
        field = _with_levels(field, found["levels"])
    if "time" in found:
        time = found["time"].choice(get_args(Operation), "instant")
        if not may_reduce:
            text = "'time' belongs to a field that the model puts at every step, to a worker"
            found["time"].problems.add(found["time"].place, text)
        field = replace(field, time=cast(Operation, time))
    if "scale" in found:
        field = replace(field, scale=found["scale"].finite(1.0, forbidden=0.0))
    if "offset" in found:
        if field.kind != "scalar":  # it would not follow the sign that a fold or a wall changes
            text = f"offset: got one for a {field.kind}, expected it for scalars only"
            found["offset"].problems.add(found["offset"].place, text)
        field = replace(field, offset=found["offset"].finite(0.0))
    if "mask" in found:
        value = found["mask"]
        names = [value] if value.is_scalar() else value.sequence()
        field = replace(field, masks=tuple(name.string() for name in names))
    return field


def _with_levels(field: FieldSpec, value: Value) -> FieldSpec:
    """`levels: 10`, all of which travel, or `levels: {from: 3, to: 10, of: 31}`."""
    if not value.is_mapping():
        return replace(field, levels=value.integer(field.levels, 1))
    found = value.mapping(("from", "to", "of"))
    count = found["of"].integer(field.levels, 1) if "of" in found else field.levels
    first = found["from"].integer(1, 1) if "from" in found else 1
    last = found["to"].integer(count, 1) if "to" in found else count
    if not first <= last <= count:
        text = f"levels: got {first} to {last}, expected a range within 1 to {count}"
        value.problems.add(value.place, text)
        return field
    return replace(field, levels=last - first + 1, first_level=first, model_levels=count)
