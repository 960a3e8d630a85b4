# SPDX-License-Identifier: MIT
"""The torch closure against hand-made numbers, a brute force, and what symmetry demands."""

from __future__ import annotations

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from closures.case import (  # noqa: E402
    METRICS,
    Array,
    Case,
    masks_of,
    random_case,
    run_tile,
    same_bits,
    uniform_case,
)
from ml_server.closures import ZannaBolton2020  # noqa: E402

PASSES = {"raw": (0.5, 0, 0), "smooth": (1.0, 0, 4), "reynolds": (2.0, 4, 4)}
HALO = {"raw": 2, "smooth": 6, "reynolds": 10}
every_preset = pytest.mark.parametrize("preset", PASSES)


def forcing_of(case: Case, preset: str, dtype: torch.dtype = torch.float64) -> dict[str, Array]:
    closure = ZannaBolton2020(preset)
    return run_tile(closure, case.padded(closure.halo), closure.halo, dtype)


# ---- numbers by hand -------------------------------------------------------------------------


def test_one_sheared_row_by_hand() -> None:
    """A jump of u between rows 3 and 4, unit cells: shear 1 and vorticity -1 at corners J = 3.

    Rows 3 and 4 see the means 1/2 and -1/2, so s = 1/4, and p = -1/2 of four products -1, 0.
    Tyy = -gamma (s + p) = gamma/4 there, 0 elsewhere; its difference is the force on v.
    """
    u = np.zeros((1, 9, 5))
    u[:, 4:] = 1.0
    case = uniform_case(u, np.zeros_like(u), np.full_like(u, 7.0))
    forcing = forcing_of(case, "raw")
    expected = np.zeros((9, 5))
    expected[2], expected[4] = 0.125, -0.125
    expected[7], expected[0] = 0.125, -0.125  # the jump back, where the last row meets the first
    assert np.array_equal(forcing["sv"][0], expected)
    assert not forcing["su"].any()


@every_preset
def test_presets(preset: str) -> None:
    closure = ZannaBolton2020(preset)
    assert closure.halo == HALO[preset]
    assert closure.gamma == PASSES[preset][0]
    assert ZannaBolton2020(preset, gamma=0.3).gamma == 0.3


@every_preset
def test_rest_and_uniform_flow_are_not_forced(preset: str) -> None:
    case = random_case()
    rest = {"u": 0 * case.fields["u"], "v": 0 * case.fields["v"], "h": case.fields["h"]}
    flow = np.full((2, 24, 25), 0.7)
    rough_h = random_case(25, 24, land=0.0).fields["h"]
    for still in (Case(rest, case.statics), uniform_case(flow, -2 * flow, rough_h, 2e4, 3e4)):
        forcing = forcing_of(still, preset)
        assert not forcing["su"].any()
        assert not forcing["sv"].any()


@pytest.mark.parametrize("rotation", [1.0, -1.0], ids=["rotation", "strain"])
def test_constant_gradients_are_not_forced(rotation: float) -> None:
    """Solid rotation and pure strain have a constant stress."""
    y, x = np.meshgrid(np.arange(12.0), np.arange(13.0), indexing="ij")
    u, v = -1e-2 * rotation * y[None], 1e-2 * x[None]
    case = uniform_case(u, v, np.full_like(u, 500.0))
    arrays = {**case.fields, **case.statics}  # the rim is real here: no wrap
    forcing = run_tile(ZannaBolton2020("raw"), arrays, 2)
    stress = 0.5 * 0.5 * (2e-2) ** 2
    assert max(np.abs(forcing[name]).max() for name in ("su", "sv")) < 1e-13 * stress


# ---- an independent version ------------------------------------------------------------------


def brute_force(case: Case, preset: str) -> dict[str, Array]:
    """docs/closures.md for a closed domain, cell by cell: indices (i, j), 0 outside."""
    gamma, sharpening, smoothing = PASSES[preset]
    levels, ny, nx = case.fields["u"].shape
    forcing = {"su": np.zeros((levels, ny, nx)), "sv": np.zeros((levels, ny, nx))}
    cells = [(i, j) for j in range(ny) for i in range(nx)]
    weight = {-1: 1, 0: 2, 1: 1}
    block = [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1)]

    def at(array: Array, i: int, j: int) -> float:
        return float(array[j, i]) if 0 <= i < nx and 0 <= j < ny else 0.0

    def smoothed(values: Array, mask: Array, passes: int) -> Array:
        for _ in range(passes):
            new = np.zeros_like(values)
            for i, j in cells:
                total = sum(weight[a] * weight[b] * at(values, i + a, j + b) for a, b in block)
                new[j, i] = mask[j, i] * total / 16
            values = new
        return values

    m = case.statics
    for level in range(levels):
        u, v, h = (case.fields[name][level] for name in "uvh")
        tension, shear, vorticity = np.zeros((3, ny, nx))
        u_dy, u_dx, v_dx, v_dy = u / m["dy_u"], u / m["dx_u"], v / m["dx_v"], v / m["dy_v"]
        for i, j in cells:
            ratio = m["dy_t"][j, i] / m["dx_t"][j, i]
            tension[j, i] = ratio * (u_dy[j, i] - at(u_dy, i - 1, j))
            tension[j, i] -= (v_dx[j, i] - at(v_dx, i, j - 1)) / ratio
            if m["mask_f"][j, i]:
                ratio = m["dy_f"][j, i] / m["dx_f"][j, i]
                shear[j, i] = (u_dx[j + 1, i] - u_dx[j, i]) / ratio
                shear[j, i] += ratio * (v_dy[j, i + 1] - v_dy[j, i])
                north_south = m["dy_v"][j, i + 1] * v[j, i + 1] - m["dy_v"][j, i] * v[j, i]
                east_west = m["dx_u"][j + 1, i] * u[j + 1, i] - m["dx_u"][j, i] * u[j, i]
                vorticity[j, i] = (north_south - east_west) / m["area_f"][j, i]
        if sharpening:
            tension = tension - smoothed(tension, m["mask_t"], sharpening)
            shear = shear - smoothed(shear, m["mask_f"], sharpening)
            vorticity = vorticity - smoothed(vorticity, m["mask_f"], sharpening)

        txx, tyy, txy, h_f = np.zeros((4, ny, nx))
        for i, j in cells:
            corners = [(i - 1, j - 1), (i, j - 1), (i - 1, j), (i, j)]
            mean_shear = sum(at(shear, *c) for c in corners) / 4
            mean_vorticity = sum(at(vorticity, *c) for c in corners) / 4
            s = 0.5 * (mean_vorticity**2 + mean_shear**2 + tension[j, i] ** 2)
            p = sum(at(m["area_f"], *c) * at(vorticity, *c) * at(shear, *c) for c in corners)
            p /= 4 * m["area_t"][j, i]
            kappa = -gamma * m["area_t"][j, i] * m["mask_t"][j, i]
            txx[j, i], tyy[j, i] = kappa * (s - p), kappa * (s + p)
            around = [(i, j), (i + 1, j), (i, j + 1), (i + 1, j + 1)]
            kappa = -gamma * m["area_f"][j, i] * m["mask_f"][j, i]
            txy[j, i] = kappa * vorticity[j, i] * sum(at(tension, *c) for c in around) / 4
            h_f[j, i] = sum(at(h, *c) for c in around) / 4
        txx, tyy = (smoothed(t, m["mask_t"], smoothing) for t in (txx, tyy))
        txy = smoothed(txy, m["mask_f"], smoothing)

        fxx, fyy = h * txx * m["dy_t"] ** 2, h * tyy * m["dx_t"] ** 2
        fxy_u, fxy_v = h_f * txy * m["dx_f"] ** 2, h_f * txy * m["dy_f"] ** 2
        for i, j in cells:
            if m["mask_u"][j, i]:
                force = (fxx[j, i + 1] - fxx[j, i]) / m["dy_u"][j, i]
                force += (fxy_u[j, i] - at(fxy_u, i, j - 1)) / m["dx_u"][j, i]
                mass = m["area_u"][j, i] * (h[j, i] + h[j, i + 1]) / 2
                forcing["su"][level, j, i] = force / mass
            if m["mask_v"][j, i]:
                force = (fyy[j + 1, i] - fyy[j, i]) / m["dx_v"][j, i]
                force += (fxy_v[j, i] - at(fxy_v, i - 1, j)) / m["dy_v"][j, i]
                mass = m["area_v"][j, i] * (h[j, i] + h[j + 1, i]) / 2
                forcing["sv"][level, j, i] = force / mass
    return forcing


@every_preset
def test_equals_brute_force(preset: str) -> None:
    case = random_case(13, 11)
    forcing, expected = forcing_of(case, preset), brute_force(case, preset)
    for name in ("su", "sv"):
        scale = np.abs(expected[name]).max()
        assert scale > 0
        np.testing.assert_allclose(forcing[name], expected[name], rtol=0, atol=1e-13 * scale)


# ---- symmetry and conservation ---------------------------------------------------------------


def mirrored_x(array: Array, on_east_face: bool) -> Array:
    """Cell i goes to n-1-i; east face i, which is the west face of i+1, to n-2-i."""
    flipped = array[..., ::-1]
    return (np.roll(flipped, -1, axis=-1) if on_east_face else flipped).copy()


def transposed(array: Array) -> Array:
    return np.swapaxes(array, -1, -2).copy()


@every_preset
def test_mirrored_flow_gives_mirrored_bits(preset: str) -> None:
    case = random_case(periodic_x=True, periodic_y=True)
    image = Case(
        {
            "u": -mirrored_x(case.fields["u"], True),
            "v": mirrored_x(case.fields["v"], False),
            "h": mirrored_x(case.fields["h"], False),
        },
        {name: mirrored_x(a, name[-1] in "uf") for name, a in case.statics.items()},
        True,
        True,
    )
    forcing, reflection = forcing_of(case, preset), forcing_of(image, preset)
    assert np.array_equal(reflection["su"], -mirrored_x(forcing["su"], True))
    assert np.array_equal(reflection["sv"], mirrored_x(forcing["sv"], False))


@every_preset
def test_swapped_axes_swap_the_forcing(preset: str) -> None:
    """With the mirror this covers quarter turns. Not bit for bit: the filter takes x first."""
    case = random_case(periodic_x=True, periodic_y=True)
    other = str.maketrans("uv", "vu")

    def swapped(name: str) -> str:
        kind, point = name.split("_")
        return {"dx": "dy", "dy": "dx"}.get(kind, kind) + "_" + point.translate(other)

    image = Case(
        {name.translate(other): transposed(array) for name, array in case.fields.items()},
        {swapped(name): transposed(array) for name, array in case.statics.items()},
        True,
        True,
    )
    forcing, reflection = forcing_of(case, preset), forcing_of(image, preset)
    for name, twin in (("su", "sv"), ("sv", "su")):
        scale = np.abs(forcing[name]).max()
        difference = np.abs(reflection[twin] - transposed(forcing[name])).max()
        assert difference < 1e-13 * scale


@every_preset
def test_momentum_is_conserved_without_walls(preset: str) -> None:
    rough = random_case(land=0.0).fields
    case = uniform_case(rough["u"], rough["v"], rough["h"], 2e4, 3e4)
    forcing = forcing_of(case, preset)
    h = case.fields["h"]
    for name, axis in (("su", -1), ("sv", -2)):
        force = 0.5 * (h + np.roll(h, -1, axis=axis)) * forcing[name]
        assert np.abs(force.sum((-1, -2))).max() < 1e-14 * np.abs(force).sum()


@every_preset
def test_angular_momentum_is_conserved_in_a_channel(preset: str) -> None:
    """On a sphere; walls in y only, and these bear no shear stress."""
    nx, ny = 30, 26
    case = random_case(nx, ny, land=0.0, periodic_x=True)
    statics = dict(case.statics)
    for point in "tuvf":
        latitude = np.radians(30.0 + 0.25 * (np.arange(ny) + (0.5 if point in "vf" else 0.0)))
        dy = statics[f"dy_{point}"] = np.full((ny, nx), 2.8e4)
        dx = statics[f"dx_{point}"] = 2.8e4 * np.cos(latitude)[:, None] * np.ones(nx)
        statics[f"area_{point}"] = dx * dy
    case = Case(case.fields, statics, periodic_x=True)
    su = forcing_of(case, preset)["su"]
    h = case.fields["h"]
    h_u = 0.5 * (h + np.roll(h, -1, axis=-1))
    torque = statics["area_u"] * h_u * su * statics["dx_u"]
    assert np.abs(torque.sum((-1, -2))).max() < 1e-14 * np.abs(torque).sum()


# ---- tiles, land, precision ------------------------------------------------------------------


def cut(padded: dict[str, Array], box: tuple[int, int, int, int], width: int) -> dict[str, Array]:
    """Cells [j0, j1) x [i0, i1) of the domain with `width` cells around."""
    j0, j1, i0, i1 = box
    return {
        name: array[..., j0 : j1 + 2 * width, i0 : i1 + 2 * width].copy()
        for name, array in padded.items()
    }


BOXES = [(0, 9, 0, 17), (9, 26, 0, 17), (0, 9, 17, 30), (9, 26, 17, 29), (9, 26, 29, 30)]


@every_preset
@pytest.mark.parametrize("periodic", [False, True], ids=["closed", "channel"])
def test_tiles_give_the_bits_of_the_whole(preset: str, periodic: bool) -> None:
    case = random_case(periodic_x=periodic)
    closure = ZannaBolton2020(preset)
    halo = HALO[preset]
    padded = case.padded(halo)
    whole = run_tile(closure, padded, halo)
    for box in BOXES:
        tile = run_tile(closure, cut(padded, box, halo), halo)
        j0, j1, i0, i1 = box
        for name in ("su", "sv"):
            assert same_bits(tile[name], whole[name][:, j0:j1, i0:i1].copy()), (box, name)


RIM = {"west": (-1, 0), "east": (-1, -1), "south": (-2, 0), "north": (-2, -1)}


@every_preset
@pytest.mark.parametrize("side", RIM)
def test_the_whole_halo_is_needed_and_no_more(preset: str, side: str) -> None:
    """Losing the outermost ring changes a tile in the middle; losing one further out does not."""
    halo = HALO[preset]
    case = random_case(periodic_x=True, periodic_y=True, land=0.05)
    closure = ZannaBolton2020(preset)

    def without_ring(width: int) -> dict[str, Array]:
        tile = cut(case.padded(width), (10, 17, 11, 19), width)
        axis, end = RIM[side]
        for name in ("u", "v", "h", "mask_t", "mask_u", "mask_v", "mask_f"):
            np.moveaxis(tile[name], axis, 0)[end] = 0.0
        return run_tile(closure, tile, width)

    def equal(left: dict[str, Array], right: dict[str, Array]) -> bool:
        return all(same_bits(left[name].copy(), right[name].copy()) for name in ("su", "sv"))

    whole = {name: s[:, 10:17, 11:19] for name, s in forcing_of(case, preset).items()}
    assert not equal(without_ring(halo), whole)
    assert equal(without_ring(halo + 1), whole)


@every_preset
def test_junk_at_dry_points_never_enters(preset: str) -> None:
    case = random_case()
    clean = forcing_of(case, preset)
    point = {"u": "u", "v": "v", "h": "t"} | {name: name[-1] for name in METRICS}
    for junk in (np.nan, np.inf, 0.0, -3.0):
        dirty = {
            name: np.where(case.statics[f"mask_{point[name]}"] > 0, array, junk)
            for name, array in {**case.fields, **case.statics}.items()
            if name in point
        }
        fields = {name: dirty.pop(name) for name in "uvh"}
        forcing = forcing_of(Case(fields, {**case.statics, **dirty}), preset)
        assert same_bits(forcing["su"].copy(), clean["su"].copy())
        assert same_bits(forcing["sv"].copy(), clean["sv"].copy())


@every_preset
def test_closed_faces_get_plus_zero(preset: str) -> None:
    case = random_case(land=0.3)
    forcing = forcing_of(case, preset)
    for name, mask in (("su", "mask_u"), ("sv", "mask_v")):
        closed = forcing[name][:, case.statics[mask] == 0]
        assert not closed.any()
        assert not np.signbit(closed).any()
        assert np.isfinite(forcing[name]).all()


def test_massless_faces_get_zero() -> None:
    case = random_case(land=0.0)
    h = case.fields["h"].copy()
    h[:, 8:14, 9:15] = 0.0
    forcing = forcing_of(Case({**case.fields, "h": h}, case.statics), "raw")
    assert np.isfinite(forcing["su"]).all()
    assert not forcing["su"][:, 8:14, 9:14].any()
    assert forcing["su"][:, 8:14, 14].all()


@every_preset
def test_gradients_are_finite_beyond_walls(preset: str) -> None:
    """Zero metrics outside must not make NaN on the way back either."""
    closure = ZannaBolton2020(preset)
    tensors = {n: torch.from_numpy(a) for n, a in random_case().padded(closure.halo).items()}
    for name in "uvh":
        tensors[name].requires_grad_()
    forcing = closure(**tensors)
    (forcing["su"].abs().sum() + forcing["sv"].abs().sum()).backward()
    assert all(torch.isfinite(tensors[name].grad).all() for name in "uvh")


@every_preset
def test_float32_is_close_to_float64(preset: str) -> None:
    """Within 1e-5 of the largest forcing, from float32 statics or float64 ones."""
    case = random_case()
    exact = forcing_of(case, preset)
    closure = ZannaBolton2020(preset)
    tensors = {n: torch.from_numpy(a) for n, a in case.padded(closure.halo).items()}
    fields = {name: tensors.pop(name).float() for name in "uvh"}
    mixed = closure(**fields, **tensors)
    rounded = forcing_of(case, preset, torch.float32)
    for name in ("su", "sv"):
        assert mixed[name].dtype == torch.float32
        scale = np.abs(exact[name]).max()
        np.testing.assert_allclose(rounded[name], exact[name], rtol=0, atol=1e-5 * scale)
        assert np.isfinite(mixed[name].numpy()).all()


def test_statics_may_carry_a_level_axis() -> None:
    case = random_case()
    flat = case.padded(2)
    stacked = {n: a if n in "uvh" else a[None] for n, a in flat.items()}
    closure = ZannaBolton2020("raw")
    assert same_bits(run_tile(closure, flat, 2)["su"], run_tile(closure, stacked, 2)["su"])


def test_errors_say_what_was_expected() -> None:
    with pytest.raises(ValueError, match="got preset 'renolds', expected one of raw, smooth, rey"):
        ZannaBolton2020("renolds")
    small = random_case(8, 8).padded(6)
    with pytest.raises(ValueError, match=r"got shape \(2, 20, 20\).*at least 21.*halo = 10"):
        run_tile(ZannaBolton2020("reynolds"), small, 6)


def test_masks_of_a_corner() -> None:
    sea = np.array([[1.0, 1.0], [1.0, 0.0]])
    masks = masks_of(sea, False, False)
    assert masks["mask_u"].tolist() == [[1, 0], [0, 0]]
    assert masks["mask_v"].tolist() == [[1, 0], [0, 0]]
    assert not masks["mask_f"].any()
