# SPDX-License-Identifier: MIT
"""A picture of one replayed answer: recorded, replayed, and their difference."""

from __future__ import annotations

from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from coupler.command.replay import Kept


def draw_replay(kept: Kept, path: Path) -> None:
    """The level that differs most (else the first). ValueError: an ending unknown to matplotlib."""
    matplotlib.use("Agg")
    difference = kept.replayed.astype(float) - kept.recorded.astype(float)
    level = int(np.nan_to_num(np.abs(difference)).max(axis=(1, 2)).argmax())
    figure = Figure(figsize=(13.0, 4.2), layout="constrained", dpi=120)
    axes = figure.subplots(1, 3, sharex=True, sharey=True)
    recorded, replayed, between = (
        values[level] for values in (kept.recorded, kept.replayed, difference)
    )
    limit = float(np.nanmax(np.abs([recorded, replayed]))) or 1.0
    limits = (limit, limit, float(np.nanmax(np.abs(between))) or limit)
    titles = ("recorded", "replayed", "replayed − recorded")
    panels = zip(axes, titles, (recorded, replayed, between), limits, strict=True)
    for axis, title, values, largest in panels:
        image = axis.pcolormesh(values, cmap="RdBu_r", vmin=-largest, vmax=largest)
        axis.set_aspect("equal")
        axis.set_title(title)
        axis.set_xlabel("x [cells]")
        figure.colorbar(image, ax=axis, shrink=0.8)
    axes[0].set_ylabel("y [cells]")
    figure.suptitle(f"{kept.name}, level {level + 1}, date {kept.date} s", fontweight="bold")
    figure.savefig(path)
