# SPDX-License-Identifier: MIT
"""Synthetic fields: the same in any boxes, plausible, smooth where boundaries are periodic."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coupler.model.synthetic import SPEED, Synthetic, parse_limits
from coupler.routing.decomposition import Box
from coupler.spec import FieldSpec, GridSpec
from coupling_cases import examples, partitions

NX, NY = 24, 20
NAMES = st.sampled_from(["u", "h", "mask_u", "dx_t", "temperature"])


def synthetic(name: str, point: str = "T", kind: str = "scalar", **sides: str) -> Synthetic:
    grid = GridSpec("grid", NX, NY, 2, sides.get("x", "closed"), sides.get("y", "closed"))
    return Synthetic(FieldSpec(name, point, kind, "zero", 2, ""), grid, 10, 1)


@settings(max_examples=examples(40))
@given(st.data(), NAMES, st.sampled_from("TUVF"), st.integers(0, 1000))
def test_boxes_put_together_are_the_whole(
    data: st.DataObject, name: str, point: str, date: int
) -> None:
    field = synthetic(name, point, "vector_i" if name == "u" else "scalar")
    whole = field.values(Box(0, NX, 0, NY), date)
    for box in data.draw(partitions(NX, NY)):
        part = field.values(box, date)
        np.testing.assert_array_equal(part, whole[:, box.y0 : box.y1, box.x0 : box.x1])


def test_masks_have_walls_and_an_island() -> None:
    box = Box(0, NX, 0, NY)
    t, u, v, f = (synthetic("mask", point).values(box, 0)[0] for point in "TUVF")
    assert set(np.unique(t)) == {0.0, 1.0}
    assert t[NY // 2, NX // 2] == 0
    assert t[0].all()
    np.testing.assert_array_equal(u[:, :-1], t[:, :-1] * t[:, 1:])
    np.testing.assert_array_equal(v[:-1], t[:-1] * t[1:])
    assert not u[:, -1].any()
    assert not v[-1].any()
    np.testing.assert_array_equal(f[:-1, :-1], u[:-1, :-1] * u[1:, :-1])
    assert synthetic("mask", "U", x="periodic").values(box, 0)[0, 0, -1] == 1


@pytest.mark.parametrize(("name", "mean"), [("h", 500.0), ("dx_t", 1e4), ("area_f", 1e8)])
def test_what_is_positive_stays_so(name: str, mean: float) -> None:
    values = synthetic(name).values(Box(0, NX, 0, NY), 70)
    assert (values > 0.5 * mean).all()
    assert (values < 1.5 * mean).all()
    assert values.std() > 0.01 * mean


def test_fields_move_and_are_smooth_over_periodic_sides() -> None:
    field = synthetic("temperature", x="periodic", y="periodic")
    now, later = (field.values(Box(0, NX, 0, NY), date) for date in (0, 10))
    assert 0 < np.abs(later - now).max() < 1
    steps = np.abs(np.diff(now, axis=2, append=now[:, :, :1]))
    assert steps[:, :, -1].max() <= 1.5 * steps[:, :, :-1].max()


def test_velocities_stop_at_land() -> None:
    values = synthetic("u", "U", "vector_i").values(Box(0, NX, 0, NY), 0)
    assert np.abs(values).max() <= SPEED
    mask = synthetic("mask", "U").values(Box(0, NX, 0, NY), 0)
    assert not values[mask == 0].any()


def test_limits() -> None:
    assert parse_limits("h=1:2,t=-3:4e1") == {"h": (1.0, 2.0), "t": (-3.0, 40.0)}
    with pytest.raises(ValueError, match="could not convert"):
        parse_limits("h=1")
    for text in ("h=2:1", "h=nan:1", "h=0:inf"):
        with pytest.raises(ValueError, match="got h="):
            parse_limits(text)
