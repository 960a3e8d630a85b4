# SPDX-License-Identifier: MIT
"""The halos of a worker's exchanges against what its predictor reads: `auto`, too small, too wide.

Arrays that meet in one network have one shape, so all exchanges with `halo: auto` get the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from coupler.routing.decomposition import Box, decompose
from coupler.spec import CouplingSpec, ExchangeSpec
from coupler.spec.exchanges import mirror_error
from ml_server.errors import AnswerError
from ml_server.halos.plausible import inputs_of
from ml_server.halos.probe import Unmeasurable
from ml_server.halos.reach import ReceptiveField
from ml_server.halos.receptive import FARTHEST, measure
from ml_server.predictor import Predictor, PredictorError


@dataclass(frozen=True)
class Fit:
    """A spec whose halos fit the predictor of `worker`, and what was found on the way."""

    spec: CouplingSpec
    worker: str
    predictor: str
    field: ReceptiveField | None  # None: it cannot be measured; `remarks` say why
    excess: tuple[tuple[ExchangeSpec, int], ...]  # halos wider than what is needed, and that
    remarks: tuple[str, ...]

    def ranks_error(self, ranks: int) -> str | None:
        """Why `ranks` ranks of the worker would not answer as one does; None if they would."""
        component = self.spec.component(self.worker)
        exchange = self.spec.incoming(self.worker)[0]
        grid, shape = exchange.worker_grid, component.decomposition
        split = decompose(self.worker, grid.nx, grid.ny, ranks, shape if ranks > 1 else None)
        boxes = [split.box(rank) for rank in range(ranks)]
        if self.field is None or sum(box.cells > 0 for box in boxes) < 2:
            return None
        if self.field.is_global:
            return (
                f"{component.place}: {self.predictor} needs the whole domain at once: "
                f"{_why_global(self.field)}. Each of {ranks} ranks would see its own box alone; "
                f"expected ranks: 1"
            )
        block = self.field.block or 1
        for rank, box in enumerate(boxes):
            if box.cells and (box.x0 % block or box.y0 % block):
                return (
                    f"{component.place}: {self.predictor} works in blocks of {block} x {block} "
                    f"cells, but the box of rank {rank} begins at x {box.x0}, y {box.y0}, so that "
                    f"it would not answer as one rank does; expected multiples of {block}: choose "
                    "other ranks or another decomposition"
                )
        return self._size_error(boxes)

    def _size_error(self, boxes: Sequence[Box]) -> str | None:
        """Why the answers in an array of one of these boxes are others; None if they are not."""
        assert self.field is not None
        block, remainders = self.field.block or 1, self.field.remainders
        halo = max(e.halo for e in self.spec.incoming(self.worker))
        for rank, box in enumerate(boxes):
            nx, ny = box.nx + 2 * halo, box.ny + 2 * halo
            if box.cells and not {nx % block, ny % block} <= {*remainders}:
                return (
                    f"{self.spec.component(self.worker).place}: {self.predictor} works in blocks "
                    f"of {block} x {block} cells, and the array of rank {rank}, with its halo of "
                    f"{halo}, has {nx} x {ny}, in which it has other answers, or none; expected "
                    f"sizes that divided by {block} leave {' or '.join(map(str, remainders))}: "
                    "choose another halo, other ranks or another decomposition"
                )
        return None


def _why_global(field: ReceptiveField) -> str:
    names = [f"'{name}'" for name, reach in field.reaches.items() if not reach.bounded]
    if names:
        return (
            f"its answers move with {' and '.join(names[:3])} at any distance that was tried, "
            f"{FARTHEST} cells (so does pooling, normalisation, attention or FFT over the domain)"
        )
    return (
        "its answers depend on the size of its array or on where in it a cell lies (as with "
        "positions counted from the array's edge, or statistics over all of it)"
    )


def fit_halos(spec: CouplingSpec, worker: str, predictor: Predictor) -> Fit:
    """Measure what `predictor` reads, fill in `halo: auto`, compare the halos that are written.

    Raises PredictorError with the place in the spec: a halo too small, with both numbers; `auto`
    for a predictor that cannot be measured; answers that no run accepts.
    """
    guess = max((e.halo for e in spec.incoming(worker) if not e.measured), default=0)
    try:
        field = _measured(with_halo(spec, worker, guess), worker, predictor)
    except AnswerError as error:
        config = spec.component(worker).predictor
        raise PredictorError(f"{config.place if config else worker}: {error}") from error
    except Unmeasurable as reason:
        return _declared(spec, worker, predictor, guess, f"{reason}")
    said = ""
    if predictor.halo is not None and predictor.halo != field.halo and not field.is_global:
        said = f"{predictor.name} says that it reads {predictor.halo} cells; measured: {field.halo}"
    remarks = [said, *field.remarks]
    if field.is_global:
        spec = with_halo(spec, worker, max(guess, predictor.halo or 0))
        remarks.append(
            f"{predictor.name} needs the whole domain at once, so it runs on one rank only: "
            f"{_why_global(field)}"
        )
        needs = [0] * len(spec.incoming(worker))
    else:
        spec = with_halo(spec, worker, max(guess, field.halo))
        needs = _needs(spec.incoming(worker), field)
        _check_crops(spec, worker, predictor, field)
    excess = []
    for exchange, need in zip(spec.incoming(worker), needs, strict=True):
        _check_width(exchange, need, predictor, field)
        # a halo may have to be wider for the sizes of arrays
        spare = 1 if len(field.remainders) == field.block else field.block or 1
        if exchange.halo >= need + spare and not any(field.crops.values()) and not field.is_global:
            excess.append((exchange, need))
    place = spec.component(worker).place
    texts = tuple(f"{place}: {remark}" for remark in remarks if remark)
    return Fit(spec, worker, predictor.name, field, tuple(excess), texts)


def _measured(spec: CouplingSpec, worker: str, predictor: Predictor) -> ReceptiveField:
    if len({e.worker_grid for e in (*spec.incoming(worker), *spec.outgoing(worker))}) > 1:
        raise Unmeasurable("its fields are on several grids")
    outputs = [f.name for e in spec.outgoing(worker) for f in e.fields]
    if not outputs:
        raise Unmeasurable("it answers nothing")
    return measure(predictor, inputs_of(spec, worker), outputs, spec.time_limit)


def with_halo(spec: CouplingSpec, worker: str, halo: int) -> CouplingSpec:
    """`spec` with `halo` where the exchanges to `worker` say auto. Raises PredictorError."""
    exchanges = list(spec.exchanges)
    for number, exchange in enumerate(exchanges):
        if exchange.target == worker and exchange.measured:
            exchanges[number] = replace(exchange, halo=halo, measured=False)
            mirrored = mirror_error(exchanges[number])
            if mirrored is not None:
                raise PredictorError(f"{exchange.place}: {mirrored}")
    return replace(spec, exchanges=tuple(exchanges))


def _needs(exchanges: Sequence[ExchangeSpec], field: ReceptiveField) -> list[int]:
    """Of each exchange: what is read of its fields, and, where its arrays are the widest, the
    margin within which answers feel the arrays' edge."""
    widest = max(e.halo for e in exchanges)
    needs = []
    for e in exchanges:
        read = [field.reaches[f.name] for f in (*e.fields, *e.static) if f.name in field.reaches]
        margin = max(field.margin, *field.crops.values()) - (widest - e.halo)
        needs.append(max(0, margin, *(reach.widest for reach in read)))
    return needs


def _check_width(
    exchange: ExchangeSpec, need: int, predictor: Predictor, field: ReceptiveField
) -> None:
    if exchange.halo < need:
        raise PredictorError(
            f"{exchange.place}: halo: got {exchange.halo}, expected {need} or more, which "
            f"{predictor.name} reads beyond its own cells (measured: {field.reach})"
        )


def _check_crops(
    spec: CouplingSpec, worker: str, predictor: Predictor, field: ReceptiveField
) -> None:
    """Answers are as wide as the padded arrays, or the interior: then the halo is their crop."""
    widest = max(spec.incoming(worker), key=lambda e: e.halo)
    for answer in spec.outgoing(worker):
        for name, crop in ((f.name, field.crops[f.name]) for f in answer.fields):
            allowed = (0, widest.halo, widest.halo - spec.answered(answer).halo)
            if crop not in allowed:
                raise PredictorError(
                    f"{widest.place}: halo: got {widest.halo}, expected {crop}: answer '{name}' of "
                    f"{predictor.name} is narrower than its inputs by {crop} on each side"
                    + (f", though it reads {field.halo}" if field.halo > crop else "")
                )


def _declared(
    spec: CouplingSpec, worker: str, predictor: Predictor, guess: int, reason: str
) -> Fit:
    """What the predictor says must do."""
    place = spec.component(worker).place
    unknown = f"what {predictor.name} reads cannot be measured: {reason}"
    for exchange in spec.incoming(worker):
        if exchange.measured and predictor.halo is None:
            raise PredictorError(
                f"{exchange.place}: halo: auto, but {unknown}; mend that, or write the number of "
                "cells, or give the predictor an attribute 'halo'"
            )
        if not exchange.measured and exchange.halo < (predictor.halo or 0):
            raise PredictorError(
                f"{exchange.place}: halo: got {exchange.halo}, expected {predictor.halo} or more, "
                f"which {predictor.name} says it reads beyond its own cells"
            )
    fitted = with_halo(spec, worker, max(guess, predictor.halo or 0))
    return Fit(fitted, worker, predictor.name, None, (), (f"{place}: {unknown}",))
