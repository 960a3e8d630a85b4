# SPDX-License-Identifier: MIT
"""A mapped predictor against the exchanges of its worker: names, levels, grids."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np

from coupler.spec import ComponentSpec, ExchangeSpec, FieldSpec, MappedField, PredictorSpec, Wire
from coupler.spec.document import Problems, hint

STATISTICS = ("mean", "std", "scale")


def with_mapped_outputs(
    component: ComponentSpec, exchanges: Sequence[ExchangeSpec], problems: Problems
) -> ComponentSpec:
    """`component`, whose mapped predictor has all its outputs; mistakes of the mapping are noted.

    Outputs that the spec leaves out are the worker's answers, in the order of the spec.
    """
    predictor = component.predictor
    if predictor is None or not predictor.inputs:
        return component
    incoming = [e for e in exchanges if e.target == component.name]
    outgoing = [e for e in exchanges if e.source == component.name]
    brought = {f.name: (f, e) for e in incoming for f in (*e.fields, *e.static)}
    wanted = {f.name: (f, e) for e in outgoing for f in e.fields}
    if not predictor.outputs:
        outputs = tuple(MappedField(n, predictor.place) for n in wanted)
        predictor = replace(predictor, outputs=outputs)
    for place, text in _mistakes(predictor, brought, wanted):
        problems.add(place, text)
    return replace(component, predictor=predictor)


Known = dict[str, tuple[FieldSpec, ExchangeSpec]]


def _mistakes(predictor: PredictorSpec, brought: Known, wanted: Known) -> Iterator[tuple[str, str]]:
    """Places and texts."""
    for field in predictor.inputs:
        if field.name not in brought:
            text = f"input '{field.name}': no exchange brings it{hint(field.name, brought)}"
            yield field.place, text
    for field in predictor.outputs:
        if field.name not in wanted:
            text = f"output '{field.name}': no exchange asks for it{hint(field.name, wanted)}"
            yield field.place, text
    named = [field.name for field in predictor.outputs]
    for name in wanted:
        if name not in named:
            yield predictor.place, f"outputs lack '{name}', which {wanted[name][1]} asks for"
    for field in (*predictor.inputs, *predictor.outputs):
        if field.mask is not None and field.mask not in brought:
            text = f"mask '{field.mask}' of '{field.name}': no exchange brings it"
            yield field.place, f"{text}{hint(field.mask, brought)}"
    yield from _level_mistakes(predictor, brought, wanted)
    yield from _precision_mistakes(predictor, brought)
    yield from _box_mistakes(predictor, brought)


def _level_mistakes(
    predictor: PredictorSpec, brought: Known, wanted: Known
) -> Iterator[tuple[str, str]]:
    """Statistics and masks fit the levels; as members of a batch, all fields have as many."""
    levels = {name: known[0].levels for name, known in (brought | wanted).items()}
    for field in (*predictor.inputs, *predictor.outputs):
        count = levels.get(field.name)
        if count is None:
            continue
        for key in STATISTICS:
            numbers = getattr(field, key)
            if len(numbers) not in (0, 1, count):
                text = f"{field.name}: {key}: got {len(numbers)} numbers, expected 1 or {count}"
                yield field.place, f"{text}, its levels"
        if field.mask in levels and levels[field.mask] not in (1, count):
            text = f"mask '{field.mask}' of '{field.name}': got {levels[field.mask]} levels"
            yield field.place, f"{text}, expected 1 or {count}"
    if predictor.layout == "channels":
        return
    inputs = [f for f in predictor.inputs if f.name in brought]
    most = max((levels[f.name] for f in inputs), default=1)
    for field in (*inputs, *(f for f in predictor.outputs if f.name in wanted)):
        allowed = (1, most) if field in inputs else (most,)
        if levels[field.name] not in allowed:
            yield (
                field.place,
                f"'{field.name}': got {levels[field.name]} levels, expected {most} as the other "
                "fields; with layout: channels each field may have its own",
            )


def _precision_mistakes(predictor: PredictorSpec, brought: Known) -> Iterator[tuple[str, str]]:
    """Statistics are applied in the wire's precision, in which a number may be 0 or infinite."""
    wires = {f.name: brought[f.name][1].wire for f in predictor.inputs if f.name in brought}
    answers: Wire = "float64" if "float64" in wires.values() else "float32"
    fields: list[tuple[MappedField, Wire]] = [
        (f, wires[f.name]) for f in predictor.inputs if f.name in wires
    ]
    fields += [(f, answers) for f in predictor.outputs]
    for field, wire in fields:
        for key in STATISTICS if wire == "float32" else ():
            for number in getattr(field, key):
                with np.errstate(over="ignore"):
                    held = float(np.float32(number))
                if not np.isfinite(held) or (number and not held):
                    text = f"{field.name}: {key}: got {number:g}, which is {held:g} in float32"
                    yield field.place, f"{text}, the exchange's wire; expected wire: float64"


def _box_mistakes(predictor: PredictorSpec, brought: Known) -> Iterator[tuple[str, str]]:
    """Fields of one tensor have one padded box."""
    names = [f.name for f in predictor.inputs]
    names += [f.mask for f in (*predictor.inputs, *predictor.outputs) if f.mask is not None]
    boxes = [(name, brought[name][1]) for name in names if name in brought]
    for name, exchange in boxes[1:]:
        first, origin = boxes[0]
        if (exchange.worker_grid.name, exchange.halo) != (origin.worker_grid.name, origin.halo):
            yield (
                exchange.place,
                f"'{name}' comes on grid '{exchange.worker_grid.name}' with halo {exchange.halo}, "
                f"'{first}' on '{origin.worker_grid.name}' with {origin.halo}; expected the same, "
                "as they are channels of one network",
            )
