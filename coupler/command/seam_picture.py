# SPDX-License-Identifier: MIT
"""A picture of where a worker's ranks do not answer as one rank does."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from ml_server.halos.seams import Seams


def draw_seams(seams: Seams, path: Path) -> None:
    """Writes the picture, in the format that the ending of `path` names: the ranks' boxes, and of
    each answer the difference of every cell over the largest answer, white where it is 0."""
    matplotlib.use("Agg")
    split = seams.split
    count = len(seams.comparisons)
    tall = 1.2 + 5.0 * min(max(split.ny / split.nx, 0.3), 2.0)
    figure = Figure(figsize=(1.0 + 6.2 * count, tall), layout="constrained", dpi=130)
    axes = figure.subplots(1, count, squeeze=False)[0]
    for ax, comparison in zip(axes, seams.comparisons, strict=True):
        least = comparison.tolerance / 100
        shown = np.clip(comparison.relative, 0.0, 1.0)
        drawn = ax.imshow(
            np.ma.masked_equal(shown, 0.0),
            origin="lower",
            extent=(0, split.nx, 0, split.ny),
            norm=LogNorm(least, 1.0, clip=True),
            cmap="inferno_r",
            interpolation="nearest",
        )
        for rank in range(split.ranks):
            box = split.box(rank)
            if box.cells:
                x, y = (box.x0, box.x1, box.x1, box.x0, box.x0), (box.y0,) * 2 + (box.y1,) * 2
                ax.plot(x, (*y, box.y0), color="0.4", lw=0.8)
        word = "within" if comparison.passed else "beyond"
        ax.set_title(f"{comparison.name}: {word} {comparison.tolerance:g}")
        ax.set_xlabel("x [cells, from 0]")
        ax.set_ylabel("y [cells, from 0]")
        figure.colorbar(drawn, ax=ax, label="difference / largest answer")
    figure.suptitle(
        f"{seams.predictor} on {split.ranks} ranks of {seams.worker}, halo {seams.halo}, "
        "against the whole grid",
        fontweight="bold",
    )
    figure.savefig(path)
