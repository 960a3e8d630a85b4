# SPDX-License-Identifier: MIT
"""The benchmark's functions and metrics, against published numbers and by hand."""

from __future__ import annotations

import numpy as np
import pytest

from coupler.grids.grid import Grid
from coupler.grids.make import rectilinear_grid
from coupler.weights import weights_of
from coupler.weights.own import conservative
from coupler.weights.quality import FUNCTIONS, Report, quality, report, sampled

# mean misfit [%] of first order conservative weights between 1 and 2 degrees, made by YAC with
# great circles for parallels, as are all of that benchmark
MEASURED = {
    (360, 180): {"sinusoid": 0.0073, "harmonic": 0.071, "vortex": 0.039, "gulfstream": 0.036},
    (180, 360): {"sinusoid": 0.273, "harmonic": 1.02, "vortex": 0.558, "gulfstream": 0.345},
}


def world(nx: int) -> Grid:
    return rectilinear_grid("world", np.linspace(0, 360, nx + 1), np.linspace(-90, 90, nx // 2 + 1))


@pytest.fixture(scope="module")
def reports() -> dict[tuple[int, int], Report]:
    grids = {nx: world(nx) for nx in (180, 360)}
    return {
        pair: report(
            conservative(grids[pair[0]], grids[pair[1]], "fraction"), *map(grids.get, pair)
        )  # type: ignore[arg-type]
        for pair in MEASURED
    }


@pytest.mark.parametrize("pair", MEASURED)
def test_conservative_between_one_and_two_degrees(
    pair: tuple[int, int], reports: dict[tuple[int, int], Report]
) -> None:
    said = reports[pair]
    assert said.empty == said.filled == 0
    assert abs(said.row_sums[0] - 1) < 1e-14
    assert said.covered == pytest.approx(1.0, abs=1e-14)
    for name, expected in MEASURED[pair].items():
        assert 100 * said.functions[name].mean == pytest.approx(expected, rel=0.02)
        kept = said.functions[name].source_conservation
        assert kept is not None
        assert kept <= 1e-12


def test_the_functions_at_places_known_by_hand() -> None:
    origin = np.zeros(1)
    assert FUNCTIONS["sinusoid"](origin, origin)[0] == 1.0  # 2 - cos 0
    assert np.isclose(FUNCTIONS["sinusoid"](origin + 0.6 * np.pi, origin)[0], 2.0)  # 2 - cos(pi/2)
    assert FUNCTIONS["harmonic"](origin, origin)[0] == 2.0
    assert np.isclose(FUNCTIONS["harmonic"](origin + np.pi / 16, origin + np.pi / 4)[0], 1.0)
    assert np.isclose(FUNCTIONS["vortex"](origin + 5.5, origin + 0.2)[0], 2.0)  # rho = 0
    away = FUNCTIONS["gulfstream"](origin + 2.0, origin)
    assert away == FUNCTIONS["sinusoid"](origin + 2.0, origin)


def test_the_jet_is_where_north_america_ends() -> None:
    grid = world(360)
    jet = sampled(FUNCTIONS["gulfstream"], grid) - sampled(FUNCTIONS["sinusoid"], grid)
    assert grid.lon is not None
    assert grid.lat is not None
    assert 1.0 < jet.max() <= 1.3
    lon, lat = grid.lon[jet > 0], grid.lat[jet > 0]
    assert 270 < lon.min() < 290
    assert lon.max() < 360
    assert 20 < lat.min() < 30


def test_metrics_by_hand() -> None:
    """Two cells to three: the mean, a copy, nothing."""
    area = np.array([1.0, 1.0])
    weights = weights_of(
        (1, 2), (1, 3), [0, 0, 1], [0, 1, 1], [0.5, 0.5, 1.0], None, area, np.ones(3)
    )
    made = quality(weights, np.array([[2.0, 4.0]]), np.array([[2.0, 5.0, 7.0]]))
    assert made.mean == pytest.approx((0.5 + 0.2) / 2)  # 3 for 2, 4 for 5
    assert made.greatest == pytest.approx(0.5)
    assert made.rms == pytest.approx(np.sqrt((0.25 + 0.04) / 2))
    assert made.below == pytest.approx((2 - 3) / 5)
    assert made.above == pytest.approx((4 - 5) / 5)
    assert made.source_conservation == pytest.approx((7 - 6) / 6)
    assert made.target_conservation == 0.0
