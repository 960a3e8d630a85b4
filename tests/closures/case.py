# SPDX-License-Identifier: MIT
"""Global C-grid cases for closures, and the padded tiles a worker would get of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

METRICS = tuple(f"{name}_{point}" for point in "tuvf" for name in ("dx", "dy", "area"))
MASKS = tuple(f"mask_{point}" for point in "tuvf")
STATICS = METRICS + MASKS

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Case:
    """Fields u, v, h (level, y, x) and statics (y, x) of a whole domain."""

    fields: Mapping[str, Array]
    statics: Mapping[str, Array]
    periodic_x: bool = False
    periodic_y: bool = False

    def padded(self, width: int) -> dict[str, Array]:
        """Every array with `width` cells around it: wrapped if periodic, 0 beyond closed walls."""
        arrays = {**self.fields, **self.statics}
        return {
            name: pad(array, width, self.periodic_x, self.periodic_y)
            for name, array in arrays.items()
        }


def pad(array: Array, width: int, periodic_x: bool, periodic_y: bool) -> Array:
    still = [(0, 0)] * (array.ndim - 2)
    array = np.pad(
        array, [*still, (0, 0), (width, width)], mode="wrap" if periodic_x else "constant"
    )
    return np.pad(
        array, [*still, (width, width), (0, 0)], mode="wrap" if periodic_y else "constant"
    )


def masks_of(sea: Array, periodic_x: bool, periodic_y: bool) -> dict[str, Array]:
    """Faces are open between two sea cells, corners among four."""
    t = pad(sea, 1, periodic_x, periodic_y)
    centre, east, north, north_east = t[1:-1, 1:-1], t[1:-1, 2:], t[2:, 1:-1], t[2:, 2:]
    return {
        "mask_t": centre,
        "mask_u": centre * east,
        "mask_v": centre * north,
        "mask_f": centre * east * north * north_east,
    }


def random_case(
    nx: int = 30,
    ny: int = 26,
    nz: int = 2,
    land: float = 0.1,
    periodic_x: bool = False,
    periodic_y: bool = False,
    seed: int = 0,
) -> Case:
    """Rough flow, uneven metrics and scattered land; 0 on closed faces and on land."""
    random = np.random.default_rng(seed)
    sea = (random.random((ny, nx)) >= land).astype(float)
    masks = masks_of(sea, periodic_x, periodic_y)
    metrics = {}
    for point in "tuvf":
        dx = metrics[f"dx_{point}"] = 2.0e4 * random.uniform(0.8, 1.2, (ny, nx))
        dy = metrics[f"dy_{point}"] = 2.5e4 * random.uniform(0.8, 1.2, (ny, nx))
        metrics[f"area_{point}"] = dx * dy
    fields = {
        "u": random.normal(size=(nz, ny, nx)) * masks["mask_u"],
        "v": random.normal(size=(nz, ny, nx)) * masks["mask_v"],
        "h": random.uniform(200.0, 900.0, (nz, ny, nx)) * masks["mask_t"],
    }
    return Case(fields, metrics | masks, periodic_x, periodic_y)


def uniform_case(u: Array, v: Array, h: Array, dx: float = 1.0, dy: float = 1.0) -> Case:
    """Doubly periodic, no land, equal rectangular cells."""
    ones = np.ones(u.shape[-2:])
    lengths = {"dx": dx, "dy": dy, "area": dx * dy, "mask": 1.0}
    statics = {name: lengths[name.split("_")[0]] * ones for name in STATICS}
    return Case({"u": u, "v": v, "h": h}, statics, True, True)


def run_tile(
    closure: torch.nn.Module,
    padded: Mapping[str, Array],
    width: int,
    dtype: torch.dtype = torch.float64,
) -> dict[str, Array]:
    """Apply the closure to padded arrays and cut `width` cells off each side of the answer."""
    tensors = {name: torch.from_numpy(array).to(dtype) for name, array in padded.items()}
    with torch.inference_mode():
        forcing = closure(**tensors)
    return {name: s.numpy()[..., width:-width, width:-width] for name, s in forcing.items()}


def same_bits(left: Array, right: Array) -> bool:
    """Equal down to the sign of zero."""
    return left.shape == right.shape and left.tobytes() == right.tobytes()
