# SPDX-License-Identifier: MIT
"""The weights that a spec asks for: made once, and kept by the hash of what they were made from."""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path

import numpy as np

from coupler.grids.grid import Grid, GridError, axes_of
from coupler.grids.make import grid_of
from coupler.spec import Derived, GridSpec, RegridSpec
from coupler.weights import Weights, WeightsError, checked
from coupler.weights.io import read_weights, write_weights
from coupler.weights.own import (
    MOST_PAIRS,
    bilinear,
    conservative,
    filled,
    identity,
    nearest,
    nested,
)
from coupler.weights.yac import yac_version, yac_weights

VERSION = 2  # of what is made here: another one makes all weights anew
ONLY_OWN = ("identity", "bilinear")
ONLY_YAC = ("barycentric", "conservative2")


def weights_between(source: GridSpec, target: GridSpec, regrid: RegridSpec) -> Weights:
    """Weights of `regrid` from `source` to `target`: from its file, from the cache beside the spec,
    or made and kept there. Several processes may ask at once: one makes them, the others wait.

    Raises WeightsError, with the place in the spec.
    """
    try:
        if regrid.weights is not None:
            shapes = (source.ny, source.nx), (target.ny, target.nx)
            return read_weights(regrid.weights, *shapes)
        grids = grid_of(source), grid_of(target)
        path = cached_path(*grids, regrid)
        if not path.is_file():  # what is there can be read where nothing can be written
            with _one_at_a_time(path):
                if not path.is_file():
                    _keep(path, make_weights(*grids, regrid, are_nested(source, target)), *grids)
        return read_weights(path, grids[0].shape, grids[1].shape)
    except (GridError, WeightsError) as error:
        raise WeightsError(f"{regrid.place}: {error}") from error
    except OSError as error:
        text = f"{error.filename}: {error.strerror}" if error.filename else f"{error}"
        raise WeightsError(f"{regrid.place}: {text}") from error


def _keep(path: Path, made: Weights, source: Grid, target: Grid) -> None:
    """At once: a reader finds a whole file, or none. Raises WeightsError."""
    part = path.with_suffix(f".{os.getpid()}")
    try:
        write_weights(part, made, "rmp", source, target)
        part.rename(path)
    except OSError as error:
        raise WeightsError(f"{path}: got no file of the weights made: {error.strerror}") from error
    finally:
        part.unlink(missing_ok=True)


def make_weights(source: Grid, target: Grid, regrid: RegridSpec, made_of_other: bool) -> Weights:
    """`made_of_other`: one grid is the other, coarsened or refined.

    Raises WeightsError, and GridError where a grid lacks what the method needs.
    """
    weights = _made(source, target, regrid, made_of_other)
    checked(weights, source.mask, target.mask)
    return filled(weights, source, target) if regrid.fallback == "nearest" else weights


def _made(source: Grid, target: Grid, regrid: RegridSpec, made_of_other: bool) -> Weights:
    method = regrid.method
    assert method is not None
    if _by_yac(source, target, regrid, made_of_other):
        return yac_weights(source, target, method, regrid.normalisation)
    if method == "identity":
        return identity(source, target)
    if method == "nearest":
        return nearest(source, target)
    if method == "bilinear":
        return bilinear(source, target, regrid.normalisation)
    if made_of_other:
        return nested(source, target, regrid.normalisation)
    return conservative(source, target, regrid.normalisation)


def _by_yac(source: Grid, target: Grid, regrid: RegridSpec, made_of_other: bool) -> bool:
    """Whether YAC makes the weights: where it is asked for, or there is no own code."""
    method, generator = regrid.method, regrid.generator
    for methods, other, instead in ((ONLY_OWN, "yac", "own"), (ONLY_YAC, "own", "yac")):
        if method in methods and generator == other:
            raise WeightsError(
                f"method {method}: got generator {other}, expected {instead} or auto"
            )
    if generator != "auto":
        return generator == "yac"
    if method == "nearest":
        return int(source.mask.sum()) * int(target.mask.sum()) > MOST_PAIRS
    if method == "conservative" and not made_of_other and source.lon is not None:
        return axes_of(source) is None or axes_of(target) is None
    return method in ONLY_YAC


def are_nested(source: GridSpec, target: GridSpec) -> bool:
    """Whether one grid is the other, coarsened or refined."""
    return any(
        isinstance(grid.geometry, Derived) and grid.geometry.parent == other
        for grid, other in ((source, target), (target, source))
    )


def cached_path(source: Grid, target: Grid, regrid: RegridSpec) -> Path:
    """Where weights are kept; the name ends with the hash of the grids and the method."""
    digest = hashlib.sha256(
        f"{VERSION} {regrid.method} {regrid.generator} {regrid.normalisation} "
        f"{regrid.fallback} {yac_version()}".encode()
    )
    for grid in (source, target):
        for item in fields(grid):
            value = getattr(grid, item.name)
            held = value.tobytes() if isinstance(value, np.ndarray) else str(value).encode()
            digest.update(f"{item.name} {np.shape(value)} ".encode() + held)
    name = f"{source.name}_{target.name}_{regrid.method}_{digest.hexdigest()[:16]}.nc"
    return regrid.cache / name.replace("/", "-").replace(" ", "-")


@contextmanager
def _one_at_a_time(path: Path) -> Iterator[None]:
    """Of the processes that want the same weights; a process that ends lets go."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
