# SPDX-License-Identifier: MIT
"""The model's own closure against the torch module: the same bits from the same state."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from jobs import run_ocean

pytest.importorskip("torch")

from closures.case import STATICS, Array, Case, run_tile, same_bits
from ml_server.closures import ZannaBolton2020

NX, NY, NZ, STEPS = 24, 22, 2, 3
GEOMETRY = {
    "cartesian": {"length_x": 2.4e5, "length_y": 3.3e5, "f0": 1.0e-4},
    "spherical": {"west": 0.0, "south": 40.0, "width": 6.0, "height": 5.5},
}


def rough_state(path: Path) -> Path:
    """Grid-scale noise: every cell differs from its neighbours, so no wrong index can hide."""
    random = np.random.default_rng(20)
    fields = {
        "u": 0.2 * random.normal(size=(NZ, NY, NX)),
        "v": 0.2 * random.normal(size=(NZ, NY, NX)),
        "h": random.uniform(450.0, 550.0, (NZ, NY, NX)),
    }
    with netCDF4.Dataset(path, "w") as file:
        for name, size in zip("kji", (NZ, NY, NX), strict=True):
            file.createDimension(name, size)
        for name, values in fields.items():
            file.createVariable(name, "f8", ("k", "j", "i"))[:] = values
    return path


def run_model(
    directory: Path,
    preset: str,
    geometry: str,
    land: str,
    periodic: str,
    boxes: tuple[int, int],
) -> Path:
    """Run a few steps with the in-model closure; every step is written."""
    directory.mkdir(parents=True, exist_ok=True)
    px, py = boxes
    grid = {"nx": NX, "ny": NY, "nz": NZ, "geometry": geometry, "land": land, **GEOMETRY[geometry]}
    groups = {
        "experiment": {"name": "zb"},
        "grid": grid | {"periodic_x": "x" in periodic, "periodic_y": "y" in periodic},
        "domain": {"px": px, "py": py},
        "time": {"dt": 60, "steps": STEPS, "write_restart": False},
        "layers": {"thickness": [500.0, 500.0], "reduced_gravity": [0.98, 0.0098]},
        "initial": {"kind": "file", "file": str(rough_state(directory / "state.nc"))},
        "closure": {"kind": "zb20", "preset": preset},
        "output": {
            "stream_name": ["every"],
            "stream_every": [1],
            "stream_operation": ["instant"],
        },
    }
    run_ocean(directory, groups, ranks=px * py, timeout=60)
    return directory


def read(directory: Path) -> tuple[dict[str, Array], dict[str, Array]]:
    """Return the stream (record, level, y, x) and the statics (y, x)."""
    with netCDF4.Dataset(directory / "zb_grid.nc") as file:
        file.set_auto_mask(False)
        statics = {name: np.asarray(file[name][:]) for name in STATICS}
    with netCDF4.Dataset(directory / "zb_every.nc") as file:
        file.set_auto_mask(False)
        names = {"u": "uo", "v": "vo", "h": "thickness", "su": "su", "sv": "sv"}
        stream = {name: np.asarray(file[variable][:]) for name, variable in names.items()}
    return stream, statics


CASES = [
    ("raw", "cartesian", "island", "", (2, 2)),
    ("raw", "spherical", "peninsula", "x", (3, 1)),
    ("smooth", "cartesian", "peninsula", "xy", (2, 2)),
    ("smooth", "spherical", "island", "", (1, 3)),
    ("reynolds", "cartesian", "island", "", (1, 1)),
    ("reynolds", "cartesian", "island", "xy", (1, 2)),
    ("reynolds", "spherical", "peninsula", "x", (2, 2)),
    ("reynolds", "spherical", "island", "", (4, 2)),
]


@pytest.mark.parametrize(("preset", "geometry", "land", "periodic", "boxes"), CASES)
def test_model_and_module_give_the_same_bits(
    tmp_path: Path, preset: str, geometry: str, land: str, periodic: str, boxes: tuple[int, int]
) -> None:
    stream, statics = read(run_model(tmp_path, preset, geometry, land, periodic, boxes))
    assert len(stream["u"]) == STEPS + 1
    closure = ZannaBolton2020(preset)
    for step in range(STEPS):
        case = Case(
            {name: stream[name][step] for name in "uvh"}, statics, "x" in periodic, "y" in periodic
        )
        forcing = run_tile(closure, case.padded(closure.halo), closure.halo)
        for name in ("su", "sv"):
            model, module = stream[name][step + 1], forcing[name].copy()
            assert np.abs(model).max() > 0
            assert same_bits(model, module), f"{name}, step {step}: {difference(model, module)}"


def difference(model: Array, module: Array) -> str:
    wrong = np.argwhere(model != module)
    where = "the sign of zeros" if not len(wrong) else f"{len(wrong)} values, first {wrong[0]}"
    return f"{where}; largest {np.abs(model - module).max():.3g} of {np.abs(model).max():.3g}"
