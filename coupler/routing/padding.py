# SPDX-License-Identifier: MIT
"""A worker's padded arrays from global ones, by the rules of a coupled run, without one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from coupler.routing.boundary import rectangles
from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec, GridSpec


@dataclass(frozen=True)
class Padding:
    """Where each cell of a padded box (y, x) takes its value from."""

    cell: NDArray[np.int64]  # number of the owner cell, x + y * nx; -1: nobody's, zero
    turned: NDArray[np.bool_]  # with the other sign

    @classmethod
    def of(
        cls,
        field: FieldSpec,
        grid: GridSpec,
        box: Box,
        halo: int,
        owned: NDArray[np.bool_] | None = None,
    ) -> Padding:
        """`owned` (y, x) of the grid: false where the model dropped land."""
        wide = box.padded(halo)
        cell = np.full((wide.ny, wide.nx), -1, np.int64)
        turned = np.zeros(cell.shape, np.bool_)
        for r in rectangles(field, grid, wide.y0, wide.y1, wide.x0, wide.x1):
            y = r.y.source + r.y.step * np.arange(r.y.length)
            x = r.x.source + r.x.step * np.arange(r.x.length)
            here = np.s_[r.y.target : r.y.target + len(y), r.x.target : r.x.target + len(x)]
            cell[here] = y[:, None] * grid.nx + x
            turned[here] = r.sign < 0
        if owned is not None:
            cell[~owned.ravel()[cell]] = -1
        return cls(cell, turned)

    def pad(self, values: NDArray[np.floating]) -> NDArray[np.floating]:
        """Global (level, y, x) -> the padded box (level, y, x), new memory."""
        found = values.reshape(len(values), -1)[:, self.cell]
        np.negative(found, out=found, where=self.turned)
        found[:, self.cell < 0] = 0
        return found
