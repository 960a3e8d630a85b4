# SPDX-License-Identifier: MIT
"""exchange_model.f90 in Python: every value is known, and compared.

Usage: exchange_model.py NX NY NZ HALO START STEPS DT PERIOD LAG KIND PIVOT HOLES, as there; its
arrays have no halo.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from coupler import ModelComponent
from coupler.routing.decomposition import Box


def field(box: Box, date: int, number: int, levels: int, turned: tuple[int, int] | None):
    """(level, y, x); `turned`: columns and rows of a grid whose last row meets itself."""
    k, j, i = np.meshgrid(
        np.arange(1, levels + 1),
        np.arange(box.y0 + 1, box.y1 + 1),
        np.arange(box.x0 + 1, box.x1 + 1),
        indexing="ij",
    )
    if turned is not None:
        nx, ny = turned
        i = np.where(j == ny, np.minimum(i, nx + 2 - i), i)
    return (date % 991 + 7 * number + 13 * i + 1009 * j + 3 * k).astype(float)


def main(arguments: list[str]) -> None:
    nx, ny, nz, _, start, steps, dt, period, lag, bits = map(int, arguments[:10])
    pivot, holes = arguments[10], arguments[11] == "1"
    kind = np.float32 if bits == 32 else np.float64
    restart = Path("restart.txt").read_text().strip() if Path("restart.txt").exists() else ""
    with ModelComponent("model") as model:
        x0, x1, y0, y1 = map(
            int, Path("boxes.txt").read_text().split("\n")[model.local.rank].split()
        )
        box = Box(x0 - 1, x1, y0 - 1, y1)
        model.define_grid("grid", nx, ny, box, holes=holes)
        for name in ("a", "b", "unused"):
            model.define_field(name, "grid", "out", nz)
        model.define_field("flat", "grid", "static")
        model.define_field("answer", "grid", "in", nz)
        model.start(start, restart)
        model.put("flat", start, field(box, 1, 3, 1, None))
        turned = (nx, ny) if pivot == "T" else None
        first = start + -start % period
        for date in range(start, start + steps * dt, dt):
            a = field(box, date, 1, nz, turned).astype(kind)
            model.put("a", date, a)
            model.put("unused", date, a)
            a[...] = -1  # a put that returned must not read the array again
            model.put("b", date, field(box, date, 2, nz, None).astype(kind))
            answer, due = model.get("answer", date), date - lag * period
            assert (answer is None) == (date % period != 0)
            if answer is not None:
                expected = 2 * field(box, due, 1, nz, turned) + 1
                owed = due < first and not restart
                np.testing.assert_array_equal(answer, 0 * expected if owed else expected)
        model.write_restart(start + steps * dt, "restart.nc")
        rank = model.local.rank
    if rank == 0:
        print("exchange_model: every value as expected")


if __name__ == "__main__":
    main(sys.argv[1:])
