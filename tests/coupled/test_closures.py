# SPDX-License-Identifier: MIT
"""Closures with weights in the real ocean: bits that neither workers nor restarts change. The basin
is a channel with an island, so that images of cells have noise too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest
import torch

from closures.files import NARROW, ann_file, gz21_file
from coupled.gyre import final_state, namelist, run_coupled, spec
from ml_server.closures.noise import normal
from ml_server.closures.weights import read_state

STEPS, DT, SEED = 12, 600, 11


def groups(steps: int = STEPS) -> dict[str, dict[str, Any]]:
    changes = {
        "closure": {"kind": "coupled"},
        "coupling": {"enabled": True},
        "grid": {"periodic_x": True},
    }
    return namelist(changes, steps)


def with_closure(name: str, halo: int, **settings: Any) -> dict[str, Any]:
    """The shipped spec with another closure."""
    loaded = spec()
    predictor = {"python": f"ml_server.closures:{name}", **settings}
    loaded["components"]["closure"]["predictor"] = predictor
    loaded["grids"]["ocean"]["boundary"]["x"] = "periodic"
    loaded["exchanges"][0]["halo"] = halo
    return loaded


def stochastic(weights: Path) -> dict[str, Any]:
    settings = {"weights": str(weights), "hidden": [*NARROW], "seed": SEED, "cast": "float64"}
    loaded = with_closure("GuillauminZanna2021", 11, **settings)
    statics = loaded["exchanges"][0]["static"]
    loaded["exchanges"][0]["static"] = {"mask_t": statics["mask_t"]}
    return loaded


def halves(
    directory: Path, loaded: dict[str, Any], first: tuple[int, int], second: tuple[int, int]
) -> dict[str, np.ndarray]:
    """The state after a run of half the steps and another that goes on; (ranks, workers)."""
    half = STEPS // 2
    run_coupled(directory / "first", groups(half), loaded, *first)
    again = groups(half)
    again["time"]["restart_from"] = str(directory / "first" / f"gyre_{half:08d}_restart.nc")
    run_coupled(directory / "second", again, loaded, *second)
    return final_state(directory / "second", STEPS)


def same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> bool:
    return all(got[name].tobytes() == expected[name].tobytes() for name in expected)


@pytest.fixture(scope="module")
def noise_alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Weights of a network that answers its biases, exactly: of the forcing only noise is left."""
    path = gz21_file(tmp_path_factory.mktemp("weights") / "noise.pt")
    state = {name: torch.zeros_like(tensor) for name, tensor in read_state(path).items()}
    torch.save(state, path)
    return path


def expected_forcing(date: int, mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """su, sv (level, y, x) of noise alone: the mean of two cells' eps / precision x 1e-7."""
    cell = torch.arange(mask.size).reshape(mask.shape)
    half = torch.nn.functional.softplus(torch.zeros((), dtype=torch.float64))
    s_x, s_y = (z / (half + half) * 1e-7 for z in normal(SEED, date, cell, 2))
    east, north = np.roll(mask, -1, 1), np.roll(mask, -1, 0)
    north[-1] = 0  # a wall; east and west meet
    su = np.where(mask * east > 0, (0.5 * (s_x + s_x.roll(-1, 2))).numpy(), 0)
    sv = np.where(mask * north > 0, (0.5 * (s_y + s_y.roll(-1, 1))).numpy(), 0)
    return su, sv


def check_forcing(directory: Path, start: int) -> int:
    """Every forcing in a run's stream has the expected bits; returns their number. `start` [s]"""
    with netCDF4.Dataset(directory / "gyre_steps.nc") as file:
        file.set_auto_mask(False)
        mask, dates, su, sv = (file[name][:] for name in ("mask_t", "time", "su", "sv"))
    used = [(n, round(date) - DT) for n, date in enumerate(dates) if date > start]
    for n, date in used:
        for got, expected in zip((su[n], sv[n]), expected_forcing(date, mask), strict=True):
            np.testing.assert_array_equal(got, expected, f"{directory.name}, {date} s")
            assert got.std() > 1e-8
    return len(used)


def test_noise_has_the_same_bits_for_any_number_of_workers_and_across_a_restart(
    tmp_path: Path, noise_alone: Path
) -> None:
    loaded = stochastic(noise_alone)
    run_coupled(tmp_path / "whole", groups(), loaded, 2, 3)
    assert check_forcing(tmp_path / "whole", 0) == STEPS
    two_halves = halves(tmp_path, loaded, (1, 1), (3, 2))
    assert same(two_halves, final_state(tmp_path / "whole", STEPS))
    assert check_forcing(tmp_path / "first", 0) == STEPS // 2
    assert check_forcing(tmp_path / "second", STEPS // 2 * DT) == STEPS // 2


def test_two_halves_with_a_network_are_the_whole(tmp_path: Path) -> None:
    loaded = stochastic(gz21_file(tmp_path / "gz21.pt"))
    run_coupled(tmp_path / "whole", groups(), loaded, 1, 1)
    two_halves = halves(tmp_path, loaded, (2, 1), (1, 1))
    assert same(two_halves, final_state(tmp_path / "whole", STEPS))


def test_the_ann_has_the_same_bits_for_any_number_of_workers(tmp_path: Path) -> None:
    weights = str(ann_file(tmp_path / "Tall.nc"))
    states = []
    for ranks, workers in ((1, 1), (2, 3)):
        directory, loaded = (
            tmp_path / f"{workers}",
            with_closure("PerezhoginANN", 3, weights=weights),
        )
        run_coupled(directory, groups(), loaded, ranks, workers)
        states.append(final_state(directory, STEPS))
        with netCDF4.Dataset(directory / "gyre_steps.nc") as file:
            assert file["su"][-1].std() > 1e-12
    assert same(*states)
