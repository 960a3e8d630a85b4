# SPDX-License-Identifier: MIT
"""A predictor against the boxes of a job: the sizes that its file fixes, and one call on zeros."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np

from coupler.routing.decomposition import decompose
from coupler.spec import CouplingSpec, ExchangeSpec
from ml_server.errors import PredictorError, brief
from ml_server.halos.probe import copied
from ml_server.networks.shapes import require_shape
from ml_server.predictor import Predictor

LARGEST_TRIAL = 64  # cells in x and y; a network on more is the workers' business
CUT = 32  # cells: a box is cut by multiples of it, since networks that pool refuse other sizes


def check_shapes(spec: CouplingSpec, worker: str, predictor: Predictor) -> None:
    """Sizes that a file fixes against the box of every rank; then a mapped network on zeros.

    Raises PredictorError.
    """
    try:
        _compare(spec, worker, predictor)
        if predictor.channels is not None:
            _try(spec, worker, predictor)
    except PredictorError as error:
        config = spec.component(worker).predictor
        raise PredictorError(f"{config.place if config else worker}: {error}") from error


def _compare(spec: CouplingSpec, worker: str, predictor: Predictor) -> None:
    channels, fixed = predictor.channels, predictor.shapes or {}
    for rank, box in _boxes(spec, worker) if fixed else ():
        for name, sizes in fixed.items():
            got = channels.shape(box) if channels else box.get(name)
            if got is not None:
                require_shape(predictor.name, name, sizes, got, f" on rank {rank} of {worker}")


def _boxes(spec: CouplingSpec, worker: str) -> Iterator[tuple[int, dict[str, tuple[int, ...]]]]:
    """The padded shape of each field, for one rank of each size of box."""
    component, seen = spec.component(worker), set()
    incoming = spec.incoming(worker)
    splits = {
        e.worker_grid.name: decompose(
            worker, e.worker_grid.nx, e.worker_grid.ny, component.ranks, component.decomposition
        )
        for e in incoming
    }
    for rank in range(component.ranks):
        shapes: dict[str, tuple[int, ...]] = {}
        for e in incoming:
            box = splits[e.worker_grid.name].box(rank)
            if box.cells:
                padded = box.ny + 2 * e.halo, box.nx + 2 * e.halo
                shapes |= {f.name: (f.levels, *padded) for f in (*e.fields, *e.static)}
        if shapes and tuple(shapes.values()) not in seen:
            seen.add(tuple(shapes.values()))
            yield rank, shapes


def _try(spec: CouplingSpec, worker: str, predictor: Predictor) -> None:
    """The network once on zeros: on the first box, cut to LARGEST_TRIAL unless sizes are fixed.

    A copy is asked, where it can be copied: what it keeps stays as it is.
    """
    channels = predictor.channels
    assert channels is not None
    predictor = replace(predictor, function=copied(predictor.function))
    first: ExchangeSpec = next(
        e
        for e in spec.incoming(worker)
        for f in (*e.fields, *e.static)
        if f.name == channels.names[0]
    )
    _, shapes = next(_boxes(spec, worker))
    if not predictor.shapes:
        shapes = {name: _cut(shape, first.halo) for name, shape in shapes.items()}
    wanted = {f.name: f.levels for e in spec.outgoing(worker) for f in e.fields}
    zeros: dict[str, Any] = {name: np.zeros(shape, first.wire) for name, shape in shapes.items()}
    try:
        answers = predictor(zeros, tuple(wanted))
    except PredictorError:
        raise
    except Exception as error:  # whatever a network raises
        raise PredictorError(
            f"predictor {predictor.name} fails on zeros of shape {channels.shape(shapes)}, (batch, "
            f"channel, y, x) of {', '.join(f.name for f in channels.inputs)}: "
            f"{brief(error)}"
        ) from error
    _, y, x = shapes[channels.inputs[0].name]
    padded, inner = (y, x), (y - 2 * first.halo, x - 2 * first.halo)
    for name, levels in wanted.items():
        shape = tuple(answers[name].shape)
        if shape not in ((levels, *padded), (levels, *inner)):
            raise PredictorError(
                f"predictor {predictor.name}: answer '{name}' has shape {shape}, expected "
                f"{(levels, *padded)} as its inputs, or {(levels, *inner)} without the halo "
                f"{first.halo}"
            )


def _cut(shape: tuple[int, ...], halo: int) -> tuple[int, ...]:
    levels, *sizes = shape
    more = (max(size - LARGEST_TRIAL - 2 * halo, 0) for size in sizes)
    return levels, *(size - CUT * -(-n // CUT) for size, n in zip(sizes, more, strict=True))
