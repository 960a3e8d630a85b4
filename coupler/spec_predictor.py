# SPDX-License-Identifier: MIT
"""The spec's `predictor` of a worker."""

from __future__ import annotations

from coupler.spec import PredictorSpec
from coupler.spec_yaml import Value


def read_predictor(value: Value) -> PredictorSpec:
    """`python: "module:Class"` and the class's arguments."""
    found = dict(value.items())
    if "python" not in found:
        value.problems.add(value.place, "predictor needs python: 'module:Class' or a function")
    python = found["python"].string("?") if "python" in found else "?"
    arguments = {key: item.plain() for key, item in found.items() if key != "python"}
    return PredictorSpec(python, arguments, value.place)
