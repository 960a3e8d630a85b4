# SPDX-License-Identifier: MIT
"""Coarser and finer grids at T, U, V and F points: numbers by hand, and what is conserved."""

from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.spec import FieldSpec, GridSpec
from coupler.weights import Weights, apply, checked
from coupler.weights.staggered import coarsening, refinement

factors = st.integers(1, 4)
sides = st.sampled_from(["closed", "periodic"])


def field(point: str = "T", kind: str = "scalar") -> FieldSpec:
    return FieldSpec("a", point, kind, "zero", 1, "")


@st.composite
def pairs(draw: st.DrawFn) -> tuple[GridSpec, GridSpec, int]:
    """Coarse, fine, and cells of the finer along one of the coarser."""
    nx, ny, by = draw(st.integers(1, 6)), draw(st.integers(1, 6)), draw(factors)
    boundary = draw(sides), draw(sides)
    coarse = GridSpec("coarse", nx, ny, 1, *boundary)
    return coarse, GridSpec("fine", by * nx, by * ny, 1, *boundary), by


def table(weights: Weights) -> list[list[tuple[int, float]]]:
    rows: list[list[tuple[int, float]]] = [[] for _ in range(weights.target_cells)]
    for target, source, value in zip(weights.target, weights.source, weights.value, strict=True):
        rows[target].append((int(source), float(value)))
    return rows


def row_of(nx: int, boundary: str = "closed") -> GridSpec:
    return GridSpec("row", nx, 1, 1, boundary, "closed")


def test_by_hand_along_x() -> None:
    """4 cells and 2; faces count from the first cell's east face, the west wall is none."""
    fine, coarse = GridSpec("fine", 4, 2, 1, "closed", "closed"), row_of(2)
    mean = [[(c, 0.25) for c in (0, 1, 4, 5)], [(c, 0.25) for c in (2, 3, 6, 7)]]
    assert table(coarsening(fine, coarse, field())) == mean
    assert table(coarsening(fine, coarse, field("U"))) == [
        [(1, 0.5), (5, 0.5)],
        [(3, 0.5), (7, 0.5)],
    ]
    assert table(coarsening(fine, coarse, field("V"))) == [
        [(4, 0.5), (5, 0.5)],
        [(6, 0.5), (7, 0.5)],
    ]
    assert table(coarsening(fine, coarse, field("F"))) == [[(5, 1.0)], [(7, 1.0)]]
    assert table(refinement(coarse, fine, field()))[:4] == [[(0, 1.0)]] * 2 + [[(1, 1.0)]] * 2
    wall = [[(0, 0.5)], [(0, 1.0)], [(0, 0.5), (1, 0.5)], [(1, 1.0)]]
    assert table(refinement(coarse, fine, field("U", "vector_i")))[:4] == wall
    assert table(refinement(coarse, fine, field("U")))[:4] == [[(0, 1.0)], *wall[1:]]


def test_by_hand_around_a_periodic_axis() -> None:
    coarse, fine = row_of(2, "periodic"), GridSpec("fine", 6, 3, 1, "periodic", "closed")
    found = apply(refinement(coarse, fine, field("U", "vector_i")), np.array([[[3.0, 30.0]]]))
    np.testing.assert_allclose(found[0, 0], [1 * 1 + 2 * 10, 2 + 10, 3, 2 + 10, 1 + 20, 30])


@given(pairs(), st.sampled_from("TUVF"))
def test_rows_are_means_and_the_way_back_restores_what_is_constant(
    pair: tuple[GridSpec, GridSpec, int], point: str
) -> None:
    coarse, fine, _ = pair
    down = checked(coarsening(fine, coarse, field(point)))
    up = checked(refinement(coarse, fine, field(point)))
    for weights in (down, up):
        np.testing.assert_allclose(weights.row_sums(), 1.0, rtol=1e-15)
        assert (weights.value > 0).all()
    values = np.random.default_rng(coarse.nx).normal(size=(1, coarse.ny, coarse.nx))
    np.testing.assert_allclose(apply(down, apply(up, values)), values, rtol=1e-14, atol=1e-15)


@given(pairs(), st.integers(0, 99))
def test_integrals_over_cells_and_transports_through_faces_are_conserved(
    pair: tuple[GridSpec, GridSpec, int], seed: int
) -> None:
    coarse, fine, by = pair
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(1, fine.ny, fine.nx))
    area = rng.uniform(0.5, 2.0, (fine.ny, fine.nx))
    area[rng.random(area.shape) < 0.2] = 0.0  # masked
    weights = checked(coarsening(fine, coarse, field(), area))
    assert weights.target_area is not None
    means = apply(weights, values).ravel()
    whole = np.nansum(means * weights.target_area)
    scale = (np.abs(values) * area).sum()
    assert whole == pytest.approx((values * area).sum(), abs=1e-14 * scale)
    assert (weights.fraction > 0).tolist() == (~np.isnan(means)).tolist()
    back = apply(refinement(coarse, fine, field()), values[:, : coarse.ny, : coarse.nx])
    assert back.sum() == pytest.approx(by**2 * values[:, : coarse.ny, : coarse.nx].sum(), abs=1e-11)
    through = apply(coarsening(fine, coarse, field("U", "vector_i")), values)[0] * by
    faces = values[0, :, by - 1 :: by].reshape(coarse.ny, by, coarse.nx).sum(axis=1)
    np.testing.assert_allclose(through, faces, rtol=1e-13, atol=1e-14)


@given(st.integers(2, 5), st.integers(1, 4))
def test_between_coarse_faces_is_linear(by: int, nx: int) -> None:
    """u that grows from a wall at -1 stays a straight line through 0 there."""
    coarse, fine = row_of(nx), GridSpec("fine", by * nx, by, 1, "closed", "closed")
    u = np.arange(1.0, nx + 1).reshape(1, 1, nx)
    found = apply(refinement(coarse, fine, field("U", "vector_i")), u)[0, 0]
    line = [float(Fraction(i + 1, by)) for i in range(by * nx)]
    np.testing.assert_allclose(found, line, rtol=1e-14)
