# SPDX-License-Identifier: MIT
"""Weights made by YAC: they agree with own ones, pass the gates, and its aborts are errors."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from coupler.grids.grid import Grid
from coupler.grids.make import grid_of, rectilinear_grid
from coupler.spec import GridSpec, Method, Normalisation, Pivot, TripolarGeometry
from coupler.weights import Weights, WeightsError, apply, checked
from coupler.weights import yac as weights_yac
from coupler.weights.own import conservative, filled, nearest
from coupler.weights.quality import FUNCTIONS, report, sampled
from coupler.weights.yac import yac_version, yac_weights

needs_yac = pytest.mark.skipif(
    yac_version() is None, reason="YAC is not installed: pip install 'halocline[regrid]'"
)


def world(nx: int, ny: int) -> Grid:
    return rectilinear_grid(
        f"world {nx}", np.linspace(0, 360, nx + 1), np.linspace(-90, 90, ny + 1)
    )


def tripolar(nx: int, ny: int, pivot: Pivot) -> Grid:
    shape = TripolarGeometry(-80.0, 40.0)
    return grid_of(GridSpec("tripolar", nx, ny, 1, "periodic", "closed", pivot, shape))


def with_land(grid: Grid) -> Grid:
    """A continent, and a sea of one cell in it."""
    ny, nx = grid.shape
    mask = grid.mask.copy()
    mask[ny // 3 : 2 * ny // 3, nx // 4 : nx // 2] = False
    mask[ny // 2, nx // 3] = True
    return replace(grid, mask=mask)


@needs_yac
@pytest.mark.parametrize("normalisation", ["fraction", "destination"])
def test_own_and_yac_agree(normalisation: Normalisation) -> None:
    source, target = with_land(world(18, 10)), world(12, 8)
    own = conservative(source, target, normalisation)
    yac = checked(yac_weights(source, target, "conservative", normalisation))
    assert yac.target.tolist() == own.target.tolist()
    assert yac.source.tolist() == own.source.tolist()
    np.testing.assert_allclose(yac.value, own.value, atol=1e-13)
    np.testing.assert_allclose(yac.fraction, own.fraction, atol=1e-13)
    assert yac.source_area is not None
    assert own.source_area is not None
    np.testing.assert_allclose(yac.source_area, own.source_area, rtol=1e-12)


@needs_yac
def test_the_nearest_are_the_same() -> None:
    source, target = with_land(tripolar(24, 16, "F")), world(10, 7)
    own, yac = nearest(source, target), yac_weights(source, target, "nearest", "fraction")
    # of equally near ones either may be taken
    far = ((target.centres[own.target] - source.centres[own.source]) ** 2).sum(axis=-1)
    near = ((target.centres[yac.target] - source.centres[yac.source]) ** 2).sum(axis=-1)
    assert yac.target.tolist() == own.target.tolist()
    np.testing.assert_allclose(near, far, atol=1e-12)


@needs_yac
def test_barycentric_is_between_its_sources() -> None:
    source, target = tripolar(24, 16, "F"), world(10, 7)
    weights = checked(yac_weights(source, target, "barycentric", "fraction"))
    assert weights.value.min() >= -1e-12
    assert report(weights, source, target).functions["sinusoid"].mean < 0.01


PAIRS = ("there", "back")


@pytest.fixture(scope="module")
def made() -> dict[tuple[str, Method], tuple[Weights, Grid, Grid]]:
    ocean, globe = tripolar(90, 74, "T"), world(72, 72)
    ends = {"there": (ocean, globe), "back": (globe, ocean)}
    methods: tuple[Method, ...] = ("conservative", "conservative2")
    return {
        (pair, method): (yac_weights(*ends[pair], method, "fraction"), *ends[pair])
        for pair in PAIRS
        for method in methods
    }


@needs_yac
@pytest.mark.parametrize("pair", PAIRS)
def test_gates_on_the_tripolar_grid(
    pair: str, made: dict[tuple[str, Method], tuple[Weights, Grid, Grid]]
) -> None:
    """Second order is better than first by half; both conserve; first stays within bounds."""
    first, second = (report(*made[pair, m]) for m in ("conservative", "conservative2"))  # type: ignore[index]
    for name in FUNCTIONS:
        assert first.functions[name].mean > 1.5 * second.functions[name].mean
        for said in (first, second):
            kept = said.functions[name].source_conservation
            assert kept is not None
            assert kept <= 1e-12
    weights, source, target = made[pair, "conservative"]
    for function in FUNCTIONS.values():
        field = sampled(function, source)
        got = apply(weights, field)[weights.mapped.reshape(target.shape)]
        assert field[source.mask].min() - 1e-12 <= got.min()
        assert got.max() <= field[source.mask].max() + 1e-12
    # the world has four rows south of the ocean, whose great circles reach into the nearest
    assert first.empty == (3 * 72 if pair == "there" else 0)
    assert report(filled(weights, source, target), source, target).empty == 0


# mean misfit [%] between 1 and 2 degrees, second order, of YAC 3.21
SECOND = {
    (360, 180): {"sinusoid": 0.0073, "harmonic": 0.071, "vortex": 0.039, "gulfstream": 0.036},
    (180, 360): {"sinusoid": 0.0076, "harmonic": 0.103, "vortex": 0.051, "gulfstream": 0.062},
}


@needs_yac
@pytest.mark.parametrize("pair", SECOND)
def test_second_order_between_one_and_two_degrees(pair: tuple[int, int]) -> None:
    source, target = (world(nx, nx // 2) for nx in pair)
    said = report(yac_weights(source, target, "conservative2", "fraction"), source, target)
    assert said.empty == 0
    for name, expected in SECOND[pair].items():
        assert 100 * said.functions[name].mean == pytest.approx(expected, rel=0.02)
        kept = said.functions[name].source_conservation
        assert kept is not None
        assert kept <= 1e-12


@needs_yac
def test_land_and_the_fold_have_no_part(
    made: dict[tuple[str, Method], tuple[Weights, Grid, Grid]],
) -> None:
    source, target = with_land(tripolar(24, 16, "T")), world(20, 14)
    weights = yac_weights(source, target, "conservative2", "destination")
    checked(weights, source.mask, target.mask)
    field = np.where(source.mask, sampled(FUNCTIONS["vortex"], source), np.nan)
    got = apply(weights, field)
    assert np.isfinite(got[weights.mapped.reshape(target.shape)]).all()
    assert weights.normalisation == "destination"
    there = np.nansum(got.ravel() * target.area.ravel())
    # by the cells' corners, which are great circles here
    assert weights.source_area is not None
    here = np.nansum(field.ravel() * weights.source_area)
    assert abs(there - here) <= 1e-12 * here
    assert weights.source_area.sum() == pytest.approx(source.active_area.sum(), rel=1e-12)


@needs_yac
def test_an_abort_of_yac_is_an_error() -> None:
    """Cells that lie on each other, which a checked grid would have masked."""
    edges = np.concatenate((np.linspace(0, 360, 13), [390.0, 420.0]))
    overlap = rectilinear_grid("overlap", edges, np.linspace(-90, 90, 7))
    with pytest.raises(WeightsError, match=r"(?s)YAC failed with exit code .* and said:.*ERROR"):
        yac_weights(overlap, world(6, 4), "conservative", "fraction")


@needs_yac
def test_yac_is_ended_when_it_takes_too_long() -> None:
    with pytest.raises(WeightsError, match=r"YAC made no weights in 0\.01 s, and was ended"):
        yac_weights(world(6, 4), world(4, 3), "conservative", "fraction", time_limit=0.01)


def test_without_yac_the_message_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(weights_yac, "yac_version", lambda: None)
    with pytest.raises(WeightsError, match=r"not installed; pip install 'halocline\[regrid\]'"):
        yac_weights(world(6, 4), world(4, 3), "conservative2", "fraction")
