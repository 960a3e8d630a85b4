# SPDX-License-Identifier: MIT
"""series_model.f90 in Python, in 64 bits and without a restart. Reads its case from case.nml."""

from __future__ import annotations

import f90nml
import numpy as np

from coupler import ModelComponent
from coupler.routing.decomposition import Box

NUMBERS = {"now": 1, "average": 2, "sum": 3, "low": 4, "high": 5, "other": 6, "flat": 7}
NUMBERS |= {"slow": 8, "quick": 9}


def main() -> None:
    case = f90nml.read("case.nml")["case"]
    nz, dt, start, origin = case["nz"], case["dt"], case["start"], case["origin"]
    boxes = np.reshape(case["boxes"], (-1, 4))
    with ModelComponent("model") as model:
        x0, x1, y0, y1 = boxes[model.local.rank].tolist()
        box = Box(x0 - 1, x1, y0 - 1, y1)

        def series(name: str, at: int, levels: int = nz) -> np.ndarray:
            k = np.arange(1, levels + 1)[:, None, None]
            j, i = np.arange(y0, y1 + 1)[:, None], np.arange(x0, x1 + 1)
            number = NUMBERS[name]
            whole = i + 10 * j + 100 * k + 1000 * number
            return 0.1 * whole + 0.3 * ((7 * (at // dt) + number) % 5)

        model.define_grid("grid", case["nx"], case["ny"], box, periodic=(True, True))
        outputs = [name for name, number in NUMBERS.items() if number <= 6]
        for name in outputs:
            model.define_field(name, "grid", "out", nz)
        model.define_field("flat", "grid", "static")
        answers = dict(zip(("slow", "quick"), range(2), strict=True))
        for name in answers:
            model.define_field(name, "grid", "in", nz)
        model.start(start)
        model.put("flat", start, series("flat", origin, 1))
        for date in range(start, start + case["steps"] * dt, dt):
            for name in outputs:
                model.put(name, date, series(name, date))
            for name, f in answers.items():
                got, period = model.get(name, date), case["period"][f]
                assert (got is None) == (date % period != 0)
                if got is None:
                    continue
                of, levels = date - case["lag"][f] * period, case["levels"] if f == 0 else [1, nz]
                received = series(name, of) if of >= origin else 0 * series(name, of)
                if case["wire"] == 32:
                    received = received.astype(np.float32).astype(float)
                here = slice(levels[0] - 1, levels[1])
                expected = np.zeros_like(received)
                expected[here] = received[here] * case["scale"][f] + case["offset"][f]
                np.testing.assert_array_equal(got, expected)
        rank = model.local.rank
    if rank == 0:
        print("series_model: every value as expected")


if __name__ == "__main__":
    main()
