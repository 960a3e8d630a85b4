# SPDX-License-Identifier: MIT
"""The ANN against a loop over cells and neurons, and against itself in tiles, bit for bit."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import netCDF4
import numpy as np
import pytest
import torch

from closures.case import Array, Case, random_case, run_tile, same_bits
from closures.files import ann_file
from ml_server.closures import PerezhoginANN

HALO = 3
FORCING = ("su", "sv")


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return ann_file(tmp_path_factory.mktemp("weights") / "Tall.nc")


def by_cells(file: Path, case: Case) -> dict[str, np.ndarray]:
    """Written from docs/closures.md for a doubly periodic box, one cell at a time."""
    with netCDF4.Dataset(file) as data:
        data.set_auto_mask(False)
        w = {name: data[name][:].astype(float) for name in data.variables}
    fields = zip(*(case.fields[name] for name in "uvh"), strict=True)
    levels = [level_by_cells(w, case.statics, *level) for level in fields]
    return {name: np.stack([level[n] for level in levels]) for n, name in enumerate(FORCING)}


def level_by_cells(
    w: Mapping[str, np.ndarray], m: Mapping[str, np.ndarray], u: Array, v: Array, h: Array
) -> tuple[Array, Array]:
    ny, nx = u.shape
    su, sv = np.zeros((2, ny, nx))

    def at(a: Array, j: int, i: int) -> float:
        return float(a[j % ny, i % nx])

    def tension(j: int, i: int) -> float:
        ratio = at(m["dy_t"], j, i) / at(m["dx_t"], j, i)
        du = at(u / m["dy_u"], j, i) - at(u / m["dy_u"], j, i - 1)
        dv = at(v / m["dx_v"], j, i) - at(v / m["dx_v"], j - 1, i)
        return ratio * du - dv / ratio

    def shear(j: int, i: int) -> float:
        ratio = at(m["dy_f"], j, i) / at(m["dx_f"], j, i)
        du = at(u / m["dx_u"], j + 1, i) - at(u / m["dx_u"], j, i)
        dv = at(v / m["dy_v"], j, i + 1) - at(v / m["dy_v"], j, i)
        return (du / ratio + ratio * dv) * at(m["mask_f"], j, i)

    def vorticity(j: int, i: int) -> float:
        dv = at(v * m["dy_v"], j, i + 1) - at(v * m["dy_v"], j, i)
        du = at(u * m["dx_u"], j + 1, i) - at(u * m["dx_u"], j, i)
        return (dv - du) / at(m["area_f"], j, i) * at(m["mask_f"], j, i)

    f = np.zeros((3, ny, nx))
    for j, i in np.ndindex(ny, nx):
        corners = [(j - 1, i - 1), (j - 1, i), (j, i - 1), (j, i)]
        f[0, j, i] = sum(shear(*c) for c in corners) / 4
        f[1, j, i] = tension(j, i)
        f[2, j, i] = sum(vorticity(*c) for c in corners) / 4
    stress = np.zeros((3, ny, nx))
    for j, i in np.ndindex(ny, nx):
        near = [(j + b, i + a) for b in (-1, 0, 1) for a in (-1, 0, 1)]
        x = np.array([at(f[n], *c) for n in range(3) for c in near])
        sea = np.array([at(m["mask_t"], *c) for c in near] * 3)
        norm = np.sqrt(np.sum(x * x * sea))
        if norm > 0:
            x = x / norm / w["input_norms"]
            y = np.maximum(x @ w["A0"] + w["b0"], 0) @ w["A1"] + w["b1"]
            kappa = -at(m["area_t"], j, i) * at(m["mask_t"], j, i)
            stress[:, j, i] = y * w["output_norms"] * norm**2 * kappa
    corner, thick = np.zeros((2, ny, nx))
    for j, i in np.ndindex(ny, nx):
        around = [(j, i), (j + 1, i), (j, i + 1), (j + 1, i + 1)]
        thick[j, i] = sum(at(h, *c) for c in around) / 4
        corner[j, i] = sum(at(stress[0], *c) for c in around) / 4 * m["mask_f"][j, i]
    fxx, fyy = stress[1] * h * m["dy_t"] ** 2, stress[2] * h * m["dx_t"] ** 2
    fxy_u, fxy_v = corner * thick * m["dx_f"] ** 2, corner * thick * m["dy_f"] ** 2
    for j, i in np.ndindex(ny, nx):
        if m["mask_u"][j, i]:
            force = (at(fxx, j, i + 1) - at(fxx, j, i)) / m["dy_u"][j, i]
            force += (at(fxy_u, j, i) - at(fxy_u, j - 1, i)) / m["dx_u"][j, i]
            mean = (at(h, j, i) + at(h, j, i + 1)) / 2
            su[j, i] = force / (m["area_u"][j, i] * mean)
        if m["mask_v"][j, i]:
            force = (at(fyy, j + 1, i) - at(fyy, j, i)) / m["dx_v"][j, i]
            force += (at(fxy_v, j, i) - at(fxy_v, j, i - 1)) / m["dy_v"][j, i]
            mean = (at(h, j, i) + at(h, j + 1, i)) / 2
            sv[j, i] = force / (m["area_v"][j, i] * mean)
    return su, sv


def test_the_forcing_is_what_the_page_says(file: Path) -> None:
    case = random_case(nx=9, ny=8, nz=2, land=0.15, periodic_x=True, periodic_y=True)
    module = PerezhoginANN(str(file))
    assert sum(buffer.numel() for buffer in module.buffers()) == 623
    got, expected = run_tile(module, case.padded(HALO), HALO), by_cells(file, case)
    for name in FORCING:
        scale = np.abs(expected[name]).max()
        assert scale > 0
        np.testing.assert_allclose(got[name], expected[name], rtol=0, atol=1e-12 * scale)


@pytest.mark.parametrize("periodic", [(False, False), (True, False), (True, True)])
def test_tiles_have_the_bits_of_the_whole(file: Path, periodic: tuple[bool, bool]) -> None:
    case = random_case(nx=17, ny=13, periodic_x=periodic[0], periodic_y=periodic[1])
    module, padded = PerezhoginANN(str(file)), case.padded(HALO)
    whole = run_tile(module, padded, HALO)
    for y0, y1, x0, x1 in [(0, 6, 0, 17), (6, 13, 0, 8), (6, 13, 8, 17), (12, 13, 16, 17)]:
        rows, columns = slice(y0, y1 + 2 * HALO), slice(x0, x1 + 2 * HALO)
        tile = {name: array[..., rows, columns].copy() for name, array in padded.items()}
        for name, part in run_tile(module, tile, HALO).items():
            assert same_bits(part, np.ascontiguousarray(whole[name][..., y0:y1, x0:x1]))


def test_the_halo_is_what_it_reads_and_no_less(file: Path) -> None:
    module, size = PerezhoginANN(str(file)), 2 * HALO + 3
    random = np.random.default_rng(4)
    case = random_case(nx=size, ny=size, nz=1, land=0.0, periodic_x=True, periodic_y=True)
    arrays = {**case.fields, **case.statics}
    before = run_tile(module, arrays, HALO + 1)

    def changed(distance: int) -> bool:
        ring = np.ones((size, size), bool)
        inner = slice(HALO + 2 - distance, size - (HALO + 2 - distance))
        ring[inner, inner] = False
        there = dict(arrays)
        for name in "uv":
            there[name] = np.where(ring, random.normal(size=(1, size, size)), arrays[name])
        after = run_tile(module, there, HALO + 1)
        return any(not same_bits(after[name], before[name]) for name in FORCING)

    assert changed(HALO)
    assert not changed(HALO + 1)


def test_rest_stays_at_rest_and_strength_is_a_factor(file: Path) -> None:
    case = random_case(nx=9, ny=8, periodic_x=True, periodic_y=True)
    padded = case.padded(HALO)
    still = padded | {name: np.zeros_like(padded[name]) for name in "uv"}
    for answer in run_tile(PerezhoginANN(str(file)), still, HALO).values():
        assert (answer == 0).all()
    one, half = (
        run_tile(PerezhoginANN(str(file), strength), padded, HALO)["su"] for strength in (1.0, 0.5)
    )
    np.testing.assert_array_equal(half, 0.5 * one)


def test_the_stress_goes_with_the_square_of_the_flow(file: Path) -> None:
    """Scaled by norm: a power of two leaves every quotient as it is, and every digit."""
    case = random_case(nx=9, ny=8, periodic_x=True, periodic_y=True)
    module, padded = PerezhoginANN(str(file)), case.padded(HALO)
    faster = padded | {name: 4 * padded[name] for name in "uv"}
    one, four = (run_tile(module, arrays, HALO)["sv"] for arrays in (padded, faster))
    np.testing.assert_array_equal(four, 16 * one)
    with pytest.raises(ValueError, match="pad each side by halo = 3"):
        module(**{name: torch.zeros(1, 6, 6) for name in padded})
