# SPDX-License-Identifier: MIT
"""The process in which YAC makes weights: python -m coupler.weights.yac_job FOLDER METHOD.

It reads source.npz and target.npz there, and writes weights.nc, and for second order conservative
weights first.nc, those of first order.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import numpy as np
import yac.core as yac


def main(folder: Path, method: str) -> None:
    source, target = (_grid(folder / f"{name}.npz", name) for name in ("source", "target"))
    _write(_stack(method), source, target, folder / "weights.nc")
    if method == "conservative2":
        _write(_stack("conservative"), source, target, folder / "first.nc")


def _grid(path: Path, name: str) -> tuple[Any, int]:
    """The coordinates of a grid's cells, and their number."""
    with np.load(path) as file:
        data = {key: file[key] for key in file.files}
    grid = yac.BasicGrid.unstruct_new(
        name,
        data["corners_of_cell"],
        data["vertex_lon"],
        data["vertex_lat"],
        data["vertices"],
        bool(data["on_parallels"]),
    )
    grid.set_global_index(yac.yac_location.YAC_LOC_CELL, data["cells"])
    places = grid.add_coordinates(yac.yac_location.YAC_LOC_CELL, data["lon"], data["lat"])
    return places, int(data["size"])


def _stack(method: str) -> Any:
    stack = yac.InterpolationStack()
    by_destination = yac.yac_interp_method_conserv_normalisation.YAC_INTERP_CONSERV_DESTAREA
    if method.startswith("conservative"):
        stack.add_conservative(2 if method.endswith("2") else 1, False, True, by_destination)
    elif method == "nearest":
        stack.add_nnn(yac.yac_interp_nnn_weight_type.YAC_INTERP_NNN_AVG, 1)
    elif method == "barycentric":
        stack.add_average(yac.yac_interp_avg_weight_type.YAC_INTERP_AVG_BARY, True)
    else:
        raise ValueError(f"YAC makes no '{method}' weights")
    return stack


def _write(stack: Any, source: tuple[Any, int], target: tuple[Any, int], path: Path) -> None:
    weights = yac.compute_weights(stack, yac.InterpField(source[0]), yac.InterpField(target[0]))
    weights.write_to_file(str(path), "source", "target", source[1], target[1])


main(Path(sys.argv[1]), sys.argv[2])
