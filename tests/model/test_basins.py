# SPDX-License-Identifier: MIT
"""Closed, re-entrant and doubly periodic basins: what must be the same in all of them."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from jobs import run_ocean
from model.configurations import restart, tiny

PLANE = {"geometry": "cartesian", "length_x": 2.2e6, "length_y": 2.0e6, "f0": 1.0e-4}


@pytest.mark.parametrize("land", ["island", "peninsula"])
@pytest.mark.parametrize(
    ("periodic_x", "periodic_y"), [(False, False), (True, False), (True, True)]
)
def test_rest_stays_at_rest(tmp_path: Path, land: str, periodic_x: bool, periodic_y: bool) -> None:
    basin = PLANE | {"periodic_x": periodic_x, "periodic_y": periodic_y, "land": land}
    groups = tiny(
        grid=basin, initial={"kind": "rest"}, forcing={"wind": "none"}, time={"steps": 20}
    )
    run_ocean(tmp_path, groups, ranks=2)
    state = restart(tmp_path, 20)
    assert np.all(state["u"] == 0.0)
    assert np.all(state["v"] == 0.0)
    assert np.all(state["h"] == 1000.0)


def write_bump(path: Path, shift: tuple[int, int] = (0, 0)) -> None:
    """A bump of the surface and a flow, both moved by `shift` cells."""
    y, x = np.mgrid[0:20, 0:22]
    bump = np.exp(-((x - 9.0) ** 2 + (y - 11.0) ** 2) / 8.0)
    h = np.stack([1000.0 + 5.0 * bump, 1000.0 - 3.0 * bump])
    u = np.stack([0.3 * bump, 0.1 * bump**2])
    with netCDF4.Dataset(path, "w") as file:
        for name, size in (("layer", 2), ("y", 20), ("x", 22)):
            file.createDimension(name, size)
        for name, values in (("h", h), ("u", u)):
            moved = np.roll(values, shift, axis=(-2, -1))
            file.createVariable(name, "f8", ("layer", "y", "x"))[:] = moved


def test_a_doubly_periodic_plane_has_no_edges(tmp_path: Path) -> None:
    """A state moved across both seams evolves as the unmoved one, to the last bit."""
    final = []
    for name, shift in (("still", (0, 0)), ("moved", (9, 13))):
        write_bump(tmp_path / f"{name}.nc", shift)
        groups = tiny(
            grid=PLANE | {"periodic_x": True, "periodic_y": True},
            initial={"kind": "file", "file": f"../{name}.nc"},
            forcing={"wind": "none"},
            time={"steps": 20},
        )
        run_ocean(tmp_path / name, groups, ranks=2)
        state = restart(tmp_path / name, 20)
        final.append({key: np.roll(state[key], (-shift[0], -shift[1]), (-2, -1)) for key in "uvh"})
    for key in "uvh":
        np.testing.assert_array_equal(final[0][key], final[1][key], key)
    assert np.abs(final[0]["v"]).max() > 1e-3


def test_walls_of_a_channel(tmp_path: Path) -> None:
    write_bump(tmp_path / "bump.nc")
    groups = tiny(
        grid=PLANE | {"periodic_x": True, "beta": 2.0e-11},
        initial={"kind": "file", "file": "bump.nc"},
        time={"steps": 20},
    )
    job = run_ocean(tmp_path, groups, ranks=4)
    state = restart(tmp_path, 20)
    assert np.all(state["v"][:, -1, :] == 0.0)  # the north wall
    assert np.abs(state["u"][:, :, -1]).max() > 0.0  # the seam is open
    volume = state["h"].sum(axis=(1, 2)) * 1.0e10
    np.testing.assert_allclose(volume, state["volume"], rtol=1e-13)
    assert "volume drift" in job.stdout


def test_linear_dynamics_add_up(tmp_path: Path) -> None:
    """Twice the anomaly gives twice the answer; with advection it does not."""
    answers = []
    for factor in (1.0, 2.0):
        y, x = np.mgrid[0:20, 0:22]
        bump = factor * np.exp(-((x - 9.0) ** 2 + (y - 11.0) ** 2) / 8.0)
        with netCDF4.Dataset(tmp_path / "state.nc", "w") as file:
            for name, size in (("layer", 2), ("y", 20), ("x", 22)):
                file.createDimension(name, size)
            h = file.createVariable("h", "f8", ("layer", "y", "x"))
            h[:] = np.stack([1000.0 + 4.0 * bump, 1000.0 - 3.0 * bump])
        for linear in (True, False):
            groups = tiny(
                grid=PLANE,
                initial={"kind": "file", "file": "state.nc"},
                dynamics={"linear": linear},
                viscosity={"laplacian": 100.0, "smagorinsky_biharmonic": 0.0},
                forcing={"wind": "none"},
            )
            run_ocean(tmp_path, groups)
            answers.append(restart(tmp_path, 12)["u"])
    once, once_advected, twice, twice_advected = answers
    scale = np.abs(once).max()
    np.testing.assert_allclose(twice, 2 * once, atol=1e-9 * scale)
    assert np.abs(twice_advected - 2 * once_advected).max() > 1e-4 * scale


def test_no_slip_slows_the_flow_along_walls(tmp_path: Path) -> None:
    speeds = []
    for free_slip in (True, False):
        groups = tiny(
            grid=PLANE | {"periodic_x": True, "free_slip": free_slip},
            initial={"kind": "rest"},
            forcing={"wind_stress": 0.0},
            viscosity={"laplacian": 2000.0},
        )
        write = tmp_path / "flow.nc"
        with netCDF4.Dataset(write, "w") as file:
            for name, size in (("layer", 2), ("y", 20), ("x", 22)):
                file.createDimension(name, size)
            file.createVariable("u", "f8", ("layer", "y", "x"))[:] = 0.1
        groups["initial"] = {"kind": "file", "file": "flow.nc"}
        groups["grid"]["f0"] = 0.0
        groups["dynamics"] = {"linear": True}
        groups["viscosity"] = {"laplacian": 2000.0}
        run_ocean(tmp_path, groups)
        speeds.append(restart(tmp_path, 12)["u"][0, :, 0])
    free, no_slip = speeds
    np.testing.assert_array_equal(free, 0.1)
    # a wall half a cell away: du/dt = -2 nu u/dy2, 12 forward steps of 600 s, dy = 100 km
    decay = 2 * 2000.0 / 1.0e5**2 * 600.0
    np.testing.assert_allclose(no_slip[0], 0.1 * (1 - decay) ** 12, rtol=1e-4)
    assert no_slip[0] == no_slip[-1] < no_slip[1]


def test_land_and_wind_from_files(tmp_path: Path) -> None:
    """Files with the shapes the namelist also knows by name give the same bits."""
    run_ocean(tmp_path / "named", tiny(grid={"land": "island"}, initial={"kind": "rest"}))
    with (
        netCDF4.Dataset(tmp_path / "named" / "tiny_grid.nc") as grid,
        netCDF4.Dataset(tmp_path / "files.nc", "w") as file,
    ):
        file.createDimension("y", 20)
        file.createDimension("x", 22)
        phase = 2 * np.pi * (grid["y_u"][:] - 30.0) / 20.0
        for name, values in (
            ("mask", grid["mask_t"][:]),
            ("taux", 0.1 * (1 - np.cos(phase))),
            ("tauy", np.zeros((20, 22))),
        ):
            file.createVariable(name, "f8", ("y", "x"))[:] = values
    groups = tiny(
        grid={"land": "file", "land_file": "../files.nc"},
        initial={"kind": "rest"},
        forcing={"wind": "file", "wind_file": "../files.nc"},
    )
    run_ocean(tmp_path / "files", groups, ranks=2)
    got, expected = restart(tmp_path / "files", 12), restart(tmp_path / "named", 12)
    assert np.abs(expected["u"]).max() > 1e-4
    for key in "uvh":  # numpy's cosine may round otherwise
        np.testing.assert_allclose(got[key], expected[key], rtol=1e-9, atol=1e-12)
