# SPDX-License-Identifier: MIT
"""The picture's numbers by hand, and a picture of two small runs."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

pytest.importorskip("matplotlib")

from coupler.command.cli import main
from coupler.command.picture import energy_unit
from coupler.command.run_output import OutputError, kinetic_energy, read_run, vorticity_over_f

NY, NX, NZ, D = 4, 6, 2, 1.0e4
F = 1.0e-4  # [s-1]


def metrics() -> dict[str, np.ndarray]:
    """A closed basin of squares: the last column and row of corners lie on walls."""
    one = np.ones((NY, NX))
    inner = one.copy()
    inner[:, -1] = inner[-1, :] = 0
    return {
        "dx_u": D * one,
        "dy_v": D * one,
        "area_t": D**2 * one,
        "area_f": D**2 * one,
        "coriolis_f": F * one,
        "mask_t": one,
        "mask_f": inner,
    }


def rotation(rate: float) -> tuple[np.ndarray, np.ndarray]:
    """u = -rate y on east faces, v = rate x on north faces, (y, x)."""
    y, x = np.meshgrid((np.arange(NY) + 0.5) * D, (np.arange(NX) + 0.5) * D, indexing="ij")
    return -rate * y, rate * x


def test_solid_rotation_has_twice_its_rate() -> None:
    vorticity = vorticity_over_f(*rotation(1e-5), metrics())
    np.testing.assert_allclose(vorticity[:-1, :-1], 2 * 1e-5 / F, rtol=1e-12)
    assert np.isnan(vorticity[-1]).all()
    assert np.isnan(vorticity[:, -1]).all()


def test_energy_of_a_uniform_flow() -> None:
    """5 of 6 east faces move with 2 m/s; each lends half its square to the two cells beside it."""
    u = np.full((NZ, NY, NX), 2.0)
    u[..., -1] = 0.0
    h = np.full((NZ, NY, NX), 500.0)
    faces = 5 * NY * NZ
    expected = 0.5 * 1035.0 * 500.0 * D**2 * 2.0**2 * faces
    assert kinetic_energy(u, 0 * u, h, metrics()) == pytest.approx(expected, rel=1e-12)


def test_energy_units() -> None:
    assert energy_unit(1.3e16) == (1e15, "PJ")
    assert energy_unit(2e13) == (1e12, "TJ")
    assert energy_unit(0.0) == (1.0, "J")


def write_run(directory: Path, name: str, rate: float, units: str = "m") -> None:
    directory.mkdir(parents=True, exist_ok=True)
    with netCDF4.Dataset(directory / f"{name}_grid.nc", "w") as file:
        file.createDimension("y", NY)
        file.createDimension("x", NX)
        x, y = np.meshgrid((np.arange(NX) + 1) * D, (np.arange(NY) + 1) * D)
        for key, values in {**metrics(), "x_f": x, "y_f": y}.items():
            file.createVariable(key, "f8", ("y", "x"))[:] = values
        file["x_f"].units = file["y_f"].units = units
    with netCDF4.Dataset(directory / f"{name}_state.nc", "w") as file:
        for key, size in {"time": None, "level": NZ, "y": NY, "x": NX}.items():
            file.createDimension(key, size)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "seconds since 0001-01-01 00:00:00"
        u, v = rotation(rate)
        shape = ("time", "level", "y", "x")
        variables = [file.createVariable(key, "f8", shape) for key in ("uo", "vo", "thickness")]
        for record in range(3):
            time[record] = record * 86400.0
            for variable, values in zip(variables, (u, v, np.full_like(u, 500.0)), strict=True):
                variable[record] = np.broadcast_to(record * values, (NZ, NY, NX))


def test_read_run(tmp_path: Path) -> None:
    write_run(tmp_path, "gyre", 1e-5)
    run = read_run(tmp_path)
    assert (run.name, run.x_label, run.y_label) == ("gyre", "x [km]", "y [km]")
    assert run.days.tolist() == [0.0, 1.0, 2.0]
    assert run.x.tolist() == [10.0, 20.0, 30.0, 40.0, 50.0, 60.0]
    assert run.energy[0] == 0.0
    np.testing.assert_allclose(run.vorticity[0, 0], 2 * 2e-5 / F)
    write_run(tmp_path / "sphere", "gyre", 1e-5, "degrees")
    assert read_run(tmp_path / "sphere").y_label == "latitude [°N]"


def test_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_run(tmp_path, "gyre", 1e-5)
    assert main(["plot", str(tmp_path)]) == 0
    alone = (tmp_path / "gyre.png").stat().st_size
    write_run(tmp_path / "reference", "gyre_reference", 5e-6)
    assert main(["plot", str(tmp_path)]) == 0
    assert f"picture: {tmp_path}/gyre.png" in capsys.readouterr().out
    assert (tmp_path / "gyre.png").stat().st_size > alone > 10_000


@pytest.mark.filterwarnings("error")
def test_one_record(tmp_path: Path) -> None:
    """Of a run that began at a restart: its time is not 0, and an axis needs a length."""
    write_run(tmp_path, "gyre", 1e-5)
    with netCDF4.Dataset(tmp_path / "gyre_state.nc") as file:
        names = ("uo", "vo", "thickness")
        last = {name: file[name][-1] for name in names}
    (tmp_path / "gyre_state.nc").unlink()
    with netCDF4.Dataset(tmp_path / "gyre_state.nc", "w") as file:
        for key, size in {"time": None, "level": NZ, "y": NY, "x": NX}.items():
            file.createDimension(key, size)
        time = file.createVariable("time", "f8", ("time",))
        time.units = "seconds since 0001-01-01 00:00:00"
        time[0] = 86400.0
        for name in names:
            file.createVariable(name, "f8", ("time", "level", "y", "x"))[0] = last[name]
    assert main(["plot", str(tmp_path)]) == 0


def test_nothing_to_draw(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plot", str(tmp_path)]) == 1
    assert f"no picture: no *_grid.nc in {tmp_path}" in capsys.readouterr().out
    write_run(tmp_path, "gyre", 1e-5)
    (tmp_path / "gyre_state.nc").unlink()
    with pytest.raises(OutputError, match="no output stream with uo, vo and thickness"):
        read_run(tmp_path)
    write_run(tmp_path, "other", 1e-5)
    with pytest.raises(OutputError, match=r"several runs: gyre_grid\.nc, other_grid\.nc"):
        read_run(tmp_path)
