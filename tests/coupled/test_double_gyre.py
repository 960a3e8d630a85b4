# SPDX-License-Identifier: MIT
"""The main job, for real: the coupled torch closure against the same closure inside the model."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from coupled.gyre import coupled, final_state, in_model, namelist, run_coupled, spec
from jobs import run_ocean

STEPS = 200
PRESETS = ("raw", "smooth", "reynolds")


@pytest.fixture(scope="module")
def references(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, np.ndarray]]:
    """The final state of the model with its own Fortran closure, for each preset."""
    found = {}
    for preset in PRESETS:
        directory = tmp_path_factory.mktemp(preset)
        run_ocean(directory, namelist(in_model(preset), STEPS))
        found[preset] = final_state(directory, STEPS)
    directory = tmp_path_factory.mktemp("none")
    run_ocean(directory, namelist({"closure": {"kind": "none"}}, STEPS))
    found["none"] = final_state(directory, STEPS)
    return found


def assert_same(got: dict[str, np.ndarray], expected: dict[str, np.ndarray]) -> None:
    for name, values in expected.items():
        np.testing.assert_array_equal(got[name], values, name)


@pytest.mark.parametrize(
    ("preset", "ranks", "workers"),
    [
        *(("reynolds", *sizes) for sizes in ((1, 1), (4, 1), (1, 2), (4, 2), (3, 3))),
        *(pytest.param(preset, 2, 1, marks=pytest.mark.mpich) for preset in PRESETS),
        *((preset, 4, 2) for preset in ("raw", "smooth")),  # of halos of other widths
    ],
)
def test_coupled_is_in_model_bit_for_bit(
    tmp_path: Path,
    references: dict[str, dict[str, np.ndarray]],
    preset: str,
    ranks: int,
    workers: int,
) -> None:
    groups = namelist(coupled(preset), STEPS)
    run_coupled(tmp_path, groups, spec(preset), ranks, workers)
    got = final_state(tmp_path, STEPS)
    assert_same(got, references[preset])
    assert not np.array_equal(got["u"], references["none"]["u"])  # the closure does something


@pytest.mark.parametrize("steps", [1, STEPS])
def test_float32_wire_differs_by_what_float32_explains(tmp_path: Path, steps: int) -> None:
    """Measured: 4.4e-7 of what the closure does to u in one step, 1.5e-7 of it after 200.

    A rounding to float32 errs by 6e-8; the closure takes differences of what was rounded.
    """
    run_ocean(tmp_path / "exact", namelist(in_model("reynolds"), steps))
    run_ocean(tmp_path / "none", namelist({"closure": {"kind": "none"}}, steps))
    loaded = spec("reynolds")
    loaded["exchanges"][0]["wire"] = "float32"  # the answer inherits it
    run_coupled(tmp_path / "single", namelist(coupled("reynolds"), steps), loaded, 2, 1)
    single, exact, none = (
        final_state(tmp_path / run, steps)["u"] for run in ("single", "exact", "none")
    )
    difference = np.abs(single - exact).max()
    assert 0 < difference < 1e-6 * np.abs(exact - none).max()


def test_lag_is_delayed_forcing_bit_for_bit_also_across_a_restart(tmp_path: Path) -> None:
    """lag 1 in two halves == one run of the model that delays its own closure by a step."""
    half = STEPS // 2
    run_ocean(tmp_path / "reference", namelist(in_model("smooth", delay=1), STEPS))
    loaded = spec("smooth", lag=1)
    run_coupled(tmp_path / "first", namelist(coupled("smooth"), half), loaded, 2, 1)
    groups = namelist(coupled("smooth"), half)
    groups["time"]["restart_from"] = str(tmp_path / "first" / f"gyre_{half:08d}_restart.nc")
    run_coupled(tmp_path / "second", groups, loaded, 1, 2)
    assert_same(final_state(tmp_path / "second", STEPS), final_state(tmp_path / "reference", STEPS))


@pytest.mark.mpich
@pytest.mark.parametrize(("every", "lag"), [("1 step", 0), ("2 steps", 0), ("3 steps", 2)])
def test_two_halves_are_the_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, every: str, lag: int
) -> None:
    """N + N steps == 2 N steps, also where the cut falls between two coupling dates."""
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]), prepend=os.pathsep)
    half, loaded = 25, spec(lag=lag)
    loaded["components"]["closure"]["predictor"] = {"python": "coupled.halo_predictors:friction"}
    loaded["exchanges"][0] |= {"every": every, "halo": 1}
    run_coupled(tmp_path / "whole", namelist(coupled(), 2 * half), loaded, 1, 1)
    run_coupled(tmp_path / "first", namelist(coupled(), half), loaded, 2, 1)
    groups = namelist(coupled(), half)
    groups["time"]["restart_from"] = str(tmp_path / "first" / f"gyre_{half:08d}_restart.nc")
    run_coupled(tmp_path / "second", groups, loaded, 1, 2)
    whole = final_state(tmp_path / "whole", 2 * half)
    assert_same(final_state(tmp_path / "second", 2 * half), whole)
    run_ocean(tmp_path / "none", namelist({"closure": {"kind": "none"}}, 2 * half))
    assert not np.array_equal(final_state(tmp_path / "none", 2 * half)["u"], whole["u"])
