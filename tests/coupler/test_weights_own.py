# SPDX-License-Identifier: MIT
"""Own weights against brute force, and what they must keep: bounds, integrals, masks."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.grids.axis import between, overlaps
from coupler.grids.grid import Grid, checked_grid
from coupler.grids.make import coarsened, rectilinear_grid, refined
from coupler.weights import Weights, WeightsError, apply, checked
from coupler.weights.own import bilinear, conservative, filled, identity, nearest, nested


def world(nx: int, ny: int, west: float = 0.0) -> Grid:
    edges = np.linspace(west, west + 360.0, nx + 1), np.linspace(-90.0, 90.0, ny + 1)
    return rectilinear_grid(f"world {nx}", *edges)


def with_land(grid: Grid, seed: int) -> Grid:
    mask = np.random.default_rng(seed).random(grid.shape) < 0.6
    mask.flat[seed % mask.size] = True
    return replace(grid, mask=mask)


@given(
    st.lists(st.integers(0, 24), min_size=2, max_size=6, unique=True),
    st.lists(st.integers(0, 24), min_size=2, max_size=6, unique=True),
    st.booleans(),
    st.sampled_from([None, 24.0]),
)
def test_overlaps_along_an_axis(
    first: list[int], second: list[int], falling: bool, wrap: float | None
) -> None:
    source = np.sort(np.array(first, float))[:: -1 if falling else 1]
    target = np.sort(np.array(second, float)) + (wrap or 0.0)
    expected = np.zeros((target.size - 1, source.size - 1))
    shifts = (0.0,) if wrap is None else (-2 * wrap, -wrap, 0.0, wrap)
    for t in range(target.size - 1):
        for s in range(source.size - 1):
            low, high = sorted(source[s : s + 2])
            for shift in shifts:
                common = min(high, target[t + 1] + shift) - max(low, target[t] + shift)
                expected[t, s] += max(common, 0.0)
    got = np.zeros_like(expected)
    links = overlaps(source, target, wrap)
    got[links.target, links.source] = links.value
    np.testing.assert_allclose(got, expected, atol=1e-12)
    assert (links.value > 0).all()


def test_between_centres() -> None:
    edges = np.array([0.0, 2.0, 4.0, 8.0])  # centres 1, 3, 6
    places = np.array([0.5, 1.0, 2.0, 4.5, 7.0, 9.0])
    got = between(edges, places, None, False)
    assert got.low.tolist()[:5] == [0, 0, 0, 1, 1]
    assert got.high.tolist()[:5] == [1, 1, 1, 2, 2]
    np.testing.assert_allclose(got.part, [0.0, 0.0, 0.5, 0.5, 1.0, np.nan])
    got = between(edges, np.array([8.0, 7.5]), 8.0, True)  # from 6 on to 9, the image of 1
    assert got.low.tolist() == [2, 2] or got.low.tolist()[1] == 2
    np.testing.assert_allclose(got.part[1], 0.5)


@given(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6), st.integers(0, 50), st.booleans())
def test_conservative_between_worlds(
    scale: int, nx: int, ny: int, seed: int, shifted: bool
) -> None:
    source, target = with_land(world(nx * scale, ny + 1), seed), world(nx + 1, ny * scale, -180.0)
    weights = checked(conservative(source, target, "fraction"), source.mask, target.mask)
    field = np.random.default_rng(seed).normal(size=source.shape)
    got = apply(weights, np.where(source.mask, field, np.nan if shifted else 0.0))
    mapped = weights.mapped.reshape(target.shape)
    active = field[source.mask]
    assert got[mapped].min() >= active.min() - 1e-12
    assert got[mapped].max() <= active.max() + 1e-12
    # the grids' own areas, not those in the weights
    there = (np.nan_to_num(got).ravel() * weights.fraction * target.area.ravel()).sum()
    here = (field * source.area)[source.mask].sum()
    scale_of = (np.abs(field) * source.area)[source.mask].sum()
    assert abs(there - here) <= 1e-12 * scale_of
    by_destination = conservative(source, target, "destination")
    flux = np.nan_to_num(apply(by_destination, np.where(source.mask, field, 0.0))).ravel()
    assert abs((flux * target.area.ravel()).sum() - here) <= 1e-12 * scale_of


@pytest.mark.parametrize("turns", [-4, -1, 0, 2, 5])
def test_longitudes_may_be_any_number_of_turns_apart(turns: int) -> None:
    source = rectilinear_grid("source", np.linspace(-180, 180, 9), np.linspace(-90, 90, 3))
    lon, lat = np.linspace(170, 260, 4), np.array([-30.0, 20.0])
    known = conservative(source, rectilinear_grid("target", lon, lat), "destination")
    far = rectilinear_grid("far", lon + 360.0 * turns, lat)
    weights = conservative(source, far, "destination")
    assert (weights.source == known.source).all()
    np.testing.assert_allclose(weights.value, known.value, atol=1e-12)
    np.testing.assert_allclose(weights.fraction, 1.0)


def test_analytic_cell_means_stay_cell_means() -> None:
    """The mean of sin(lat) over a cell is the mean of sin at its edges."""
    source, target = world(12, 18), world(5, 6)

    def means(grid: Grid) -> np.ndarray:
        edge = np.sin(np.radians(np.linspace(-90, 90, grid.shape[0] + 1)))
        return np.repeat((edge[1:] + edge[:-1])[:, None] / 2, grid.shape[1], axis=1)

    got = apply(conservative(source, target, "fraction"), means(source))
    np.testing.assert_allclose(got, means(target), atol=1e-14)


@given(st.integers(2, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 50), st.booleans())
def test_nested_equals_conservative(by: int, nx: int, ny: int, seed: int, plane: bool) -> None:
    fine = world(nx * by, ny * by)
    if plane:
        fine = Grid("plane", np.ones(fine.shape), fine.mask, boundary_x="periodic")
    fine = with_land(fine, seed)
    coarse = coarsened(fine, by)
    for ends in ((fine, coarse), (coarse, fine)):
        general, special = conservative(*ends, "fraction"), nested(*ends, "fraction")
        assert general.target.tolist() == special.target.tolist()
        assert general.source.tolist() == special.source.tolist()
        np.testing.assert_allclose(general.value, special.value, atol=1e-13)
        np.testing.assert_allclose(general.fraction, special.fraction, atol=1e-13)
        np.testing.assert_allclose(general.source_area, special.source_area, rtol=1e-12)


@given(st.integers(2, 3), st.integers(1, 3), st.integers(1, 3), st.integers(0, 50))
def test_there_and_back_on_nested_grids_keeps_the_integral(
    by: int, nx: int, ny: int, seed: int
) -> None:
    random = np.random.default_rng(seed)
    fine = with_land(world(nx * by, ny * by), seed)
    fine = replace(fine, area=random.uniform(0.5, 2.0, fine.shape))
    field = random.normal(size=fine.shape)
    coarse = coarsened(fine, by)
    there = apply(nested(fine, coarse, "fraction"), field)
    back = apply(nested(coarse, fine, "fraction"), np.nan_to_num(there))
    wet = fine.area * fine.mask
    assert (
        abs((wet * np.nan_to_num(back)).sum() - (wet * field).sum())
        <= 1e-12 * (wet * np.abs(field)).sum()
    )


def test_refined_cells_share_their_parents_area() -> None:
    parent = world(6, 4)
    fine = refined(parent, 3)
    blocks = fine.area.reshape(4, 3, 6, 3).sum(axis=(1, 3))
    np.testing.assert_allclose(blocks, parent.area, rtol=1e-14)
    np.testing.assert_allclose(fine.area, world(18, 12).area, rtol=1e-12)


@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 50))
def test_nearest(nx: int, ny: int, seed: int) -> None:
    source, target = with_land(world(nx, ny), seed), with_land(world(4, 3, 10.0), seed + 1)
    weights = checked(nearest(source, target), source.mask, target.mask)
    active = np.flatnonzero(source.mask)
    far = ((target.centres[:, None] - source.centres[active]) ** 2).sum(axis=-1)
    chosen = np.searchsorted(active, weights.source)
    np.testing.assert_allclose(
        far[weights.target, chosen], far[weights.target].min(axis=1), atol=1e-10
    )
    assert weights.target.tolist() == np.flatnonzero(target.mask).tolist()


def test_bilinear_is_exact_for_what_is_linear() -> None:
    source = rectilinear_grid("region", np.linspace(10, 50, 9), np.linspace(50, 10, 11))
    target = rectilinear_grid("inner", np.linspace(375, 405, 8), np.linspace(15, 45, 8))
    assert source.lon is not None
    assert source.lat is not None
    assert target.lon is not None
    assert target.lat is not None
    weights = checked(bilinear(source, target, "fraction"), source.mask, target.mask)
    got = apply(weights, 2 * source.lon - source.lat + 0.1 * source.lon * source.lat)
    lon = target.lon - 360.0
    np.testing.assert_allclose(got, 2 * lon - target.lat + 0.1 * lon * target.lat)


def test_bilinear_closes_around_the_world_and_stays_in_the_grid() -> None:
    source, target = world(8, 4), world(16, 4, -180.0)
    got = apply(bilinear(source, target, "fraction"), np.tile(np.arange(8.0), (4, 1)))
    # 11.25 degrees: a quarter of the way from the last centre of the circle to the first
    assert np.isclose(got[0, 8], 0.75 * 0 + 0.25 * 7)
    region = rectilinear_grid("region", np.linspace(0, 90, 5), np.linspace(-90, 90, 5))
    assert bilinear(region, target, "fraction").mapped.sum() == 4 * 4


@pytest.mark.parametrize("step", [1, -1])
def test_bilinear_with_columns_that_are_there_twice(step: int) -> None:
    """The seam lies between the last column and the first, which a file holds again at its end."""
    once = rectilinear_grid("once", np.linspace(-5, 355, 37)[::step], np.linspace(-90, 90, 3))
    assert once.corner_lon is not None
    more = once.corner_lon[0, :2, 1] + 360.0 * step
    edges = np.concatenate((np.linspace(-5, 355, 37)[::step], more))
    twice = checked_grid(rectilinear_grid("twice", edges, np.linspace(-90, 90, 3)))
    assert (~twice.mask).sum(axis=0).tolist() == [0] * 36 + [2] * 2
    target = rectilinear_grid("target", np.linspace(340, 380, 21), np.linspace(-90, 90, 3))
    assert once.lon is not None
    field = np.cos(np.radians(once.lon))
    wanted = apply(bilinear(once, target, "fraction"), field)
    got = apply(bilinear(twice, target, "fraction"), np.hstack((field, field[:, :2])))
    np.testing.assert_allclose(got, wanted, atol=1e-12)


def test_a_place_on_the_western_edge_but_for_rounding_is_in_the_grid() -> None:
    edges = np.linspace(10, 20, 11)
    places = np.array([np.nextafter(10.0, 0.0), 10.0, 20.0, np.nextafter(20.0, 30.0)])
    for turns in (0.0, 360.0):
        got = between(edges, places + turns, 360.0, False)
        assert got.part.tolist() == [0.0, 0.0, 1.0, 1.0]


def test_bilinear_closes_around_a_world_in_single_precision() -> None:
    """Its edges, a third of a degree apart, are 360.000015 degrees from each other."""
    edges = (np.arange(1081) / 3 + 1 / 6).astype(np.float32).astype(np.float64)
    edges[-1] += 1.5e-5
    source = rectilinear_grid("single", edges, np.linspace(-90, 90, 3))
    target = rectilinear_grid("seam", edges[-1] + np.array([-0.1, 0.1]), np.linspace(-90, 90, 3))
    got = apply(bilinear(source, target, "fraction"), np.tile(np.arange(1080.0), (2, 1)))
    np.testing.assert_allclose(got, 1079 / 2, rtol=1e-3)


def test_identity_wants_the_same_cells() -> None:
    source = with_land(world(4, 3), 1)
    weights = identity(source, source)
    field = np.arange(12.0).reshape(3, 4)
    np.testing.assert_array_equal(apply(weights, field)[source.mask], field[source.mask])
    with pytest.raises(WeightsError, match=r"identity: got .*4 x 3.*5 x 3"):
        identity(source, world(5, 3))


def test_the_nearest_fills_what_is_empty_and_conserves_nothing() -> None:
    source = world(8, 4)
    west = np.zeros(source.shape, bool)
    west[:, :4] = True
    source, target = replace(source, mask=west), world(8, 4)
    empty = conservative(source, target, "fraction")
    whole = checked(filled(empty, source, target), source.mask, target.mask)
    assert empty.mapped.sum() == 16
    assert whole.mapped.all()
    assert (whole.fraction == empty.fraction).all()
    assert (whole.counted_area() == empty.counted_area()).all()
    got: Weights = whole
    np.testing.assert_array_equal(
        apply(got, np.tile(np.arange(8.0), (4, 1)))[1], [0, 1, 2, 3, 3, 3, 0, 0]
    )


def test_what_own_weights_cannot_do() -> None:
    sphere = world(4, 2)
    plane = Grid("plane", np.ones((2, 4)), np.ones((2, 4), bool))
    with pytest.raises(WeightsError, match="conservative: grid 'plane' has no geometry"):
        conservative(sphere, plane, "fraction")
    assert sphere.corner_lat is not None
    bent = replace(sphere, name="bent", corner_lat=sphere.corner_lat * 0.9)
    bent.corner_lat[0, 0, 0] += 1.0  # type: ignore[index]
    with pytest.raises(WeightsError, match="grid 'bent' is not rectilinear; take generator: yac"):
        conservative(bent, sphere, "fraction")
    with pytest.raises(WeightsError, match=r"bilinear: grid 'bent' .* take method: barycentric"):
        bilinear(bent, sphere, "fraction")
