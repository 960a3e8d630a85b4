# SPDX-License-Identifier: MIT
"""`halocline weights`: made once, read again, and how good they are."""

from __future__ import annotations

import json
import multiprocessing
import re
import resource
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import netCDF4
import numpy as np
import pytest

from coupler.command.check import check_spec
from coupler.command.cli import main
from coupler.grids.make import grid_of, rectilinear_grid
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec
from coupler.weights import Weights
from coupler.weights import make as weights_make
from coupler.weights.io import write_weights
from coupler.weights.make import make_weights
from coupler.weights.own import conservative

SPEC = """\
run: {dt: 60, steps: 3}
components:
  ocean: {command: model}
  closure: {worker: true, predictor: {python: "networks:Closure"}}
grids:
  ocean: {size: {x: 24, y: 12}, boundary: {x: periodic}, geometry: {kind: latlon}}
  coarse: {coarsen: ocean, by: 2}
  world: {size: {x: 10, y: 6}, geometry: {kind: latlon, west: -180}}
  patch: {geometry: {lon: [0, 20, 40, 60], lat: [-10, 0, 10]}}
exchanges:
  - {from: ocean, to: closure, grid: ocean, regrid: {to: world, method: conservative}, fields: [t]}
  - {from: closure, to: ocean, grid: ocean, regrid: {from: world, fallback: nearest}, fields: [s]}
"""


def written(folder: Path, *changes: tuple[str, str]) -> Path:
    text = SPEC
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    path = folder / "case.yaml"
    path.write_text(text)
    return path


def test_made_once_and_kept_beside_the_spec(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = written(tmp_path)
    assert main(["weights", str(spec)]) == 0
    said = capsys.readouterr().out
    assert "ocean -> closure (t): grid ocean -> world, conservative" in said
    assert "0 of 60 target cells without one" in said
    assert "rows add up to 1 .. 1" in said.replace("0.999999999999999", "1")
    assert re.search(r"gulfstream +│ +\d+\.\d{4} ", said)
    files = sorted((tmp_path / "weights").glob("*.nc"))
    assert len(files) == 2
    made = [file.stat().st_mtime_ns for file in files]
    assert main(["weights", str(spec)]) == 0
    assert capsys.readouterr().out == said
    assert [file.stat().st_mtime_ns for file in files] == made


def test_other_grids_make_other_weights(tmp_path: Path) -> None:
    assert main(["weights", str(written(tmp_path))]) == 0
    assert main(["weights", str(written(tmp_path, ("west: -180", "west: -170")))]) == 0
    assert len(list((tmp_path / "weights").glob("*.nc"))) == 4


def test_json(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = written(tmp_path, ("to: world", "to: coarse"), ("from: world", "from: coarse"))
    assert main(["weights", str(spec), "--json"]) == 0
    there, back = json.loads(capsys.readouterr().out)
    assert (there["source"], there["target"], there["links"]) == ("ocean", "coarse", 288)
    assert (back["active"], back["empty"], back["filled"]) == (288, 0, 0)
    assert there["functions"]["sinusoid"]["source_conservation"] < 1e-14
    assert there["covered"] == pytest.approx(1.0)
    assert Path(there["file"]).is_file()


def test_cells_that_stay_empty_are_counted(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    change = ("to: world, method: conservative", "to: patch"), ("from: world", "from: patch")
    assert main(["weights", str(written(tmp_path, *change)), "--json"]) == 0
    there, back = json.loads(capsys.readouterr().out)
    assert (there["active"], there["empty"]) == (6, 0)
    # 60 by 20 degrees are 4 x 2 of 24 x 12 cells of 15 degrees, the others are filled
    assert (back["empty"], back["filled"]) == (0, 288 - 8)


def test_the_picture(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pytest.importorskip("matplotlib")
    path = tmp_path / "weights.png"
    assert main(["weights", str(written(tmp_path)), "--plot", str(path)]) == 0
    assert f"picture: {path}" in capsys.readouterr().out
    assert path.read_bytes().startswith(b"\x89PNG")
    assert main(["weights", str(written(tmp_path)), "--plot", str(tmp_path / "w.nothing")]) == 2
    assert "w.nothing" in capsys.readouterr().err


def test_weights_made_elsewhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    spec = written(tmp_path, ("method: conservative", "weights: rmp.nc"))
    source = rectilinear_grid("s", np.linspace(0, 360, 25), np.linspace(-90, 90, 13))
    target = rectilinear_grid("t", np.linspace(-180, 180, 11), np.linspace(-90, 90, 7))
    write_weights(tmp_path / "rmp.nc", conservative(source, target, "fraction"), "esmf")
    assert main(["weights", str(spec)]) == 0
    assert f"{tmp_path / 'rmp.nc'}" in capsys.readouterr().out
    write_weights(tmp_path / "rmp.nc", conservative(target, source, "fraction"), "esmf")
    assert main(["weights", str(spec)]) == 2
    error = capsys.readouterr().err
    assert "case.yaml:11: rmp.nc: got weights for 10 x 6 source cells, expected 24 x 12" in error
    (tmp_path / "rmp.nc").unlink()
    assert main(["weights", str(spec)]) == 2
    assert f"case.yaml:11: {tmp_path / 'rmp.nc'}: no such file" in capsys.readouterr().err


OF_FILE = (
    "size: {x: 24, y: 12}, boundary: {x: periodic}, geometry: {kind: latlon}",
    "geometry: {file: grid.nc, kind: cf}",
)


def grid_file(path: Path) -> None:
    """36 x 18 cells, of which 13 are active."""
    with netCDF4.Dataset(path, "w") as file:
        for name, size, units in (("lon", 36, "degrees_east"), ("lat", 18, "degrees_north")):
            file.createDimension(name, size)
            axis = file.createVariable(name, "f8", (name,))
            axis.units = units
            axis[:] = (np.arange(size) + 0.5) * 10.0 - (90.0 if name == "lat" else 0.0)
        mask = file.createVariable("mask", "i1", ("lat", "lon"))
        mask[:] = 0
        mask[9, :13] = 1


def test_a_small_ocean_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As where a mask of OASIS was written into a file that has the other convention."""
    grid_file(tmp_path / "grid.nc")
    spec = written(tmp_path, OF_FILE)
    assert main(["weights", str(spec)]) == 0
    said = capsys.readouterr().out
    assert "warning  grid 'ocean': 2.0% of the cells are active: that is a small ocean" in said
    assert "OASIS masks have 0 where a cell is active, SCRIP and NEMO 1" in said
    assert "2.0% of the cells are active" in " ".join(check_spec(load_spec(spec), False).warnings)


def test_weights_made_with_another_mask_are_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """All 36 x 18 cells were sources, and 13 are ocean."""
    grid_file(tmp_path / "grid.nc")
    source = rectilinear_grid("s", np.linspace(0, 360, 37), np.linspace(-90, 90, 19))
    target = rectilinear_grid("t", np.linspace(-180, 180, 11), np.linspace(-90, 90, 7))
    made = conservative(source, target, "fraction")
    write_weights(tmp_path / "rmp.nc", made)
    spec = written(tmp_path, OF_FILE, ("method: conservative", "weights: rmp.nc"))
    masked = int(
        (made.source // 36 != 9).sum() + (made.source % 36 >= 13)[made.source // 36 == 9].sum()
    )
    said = f"case.yaml:11: {masked} of {made.value.size} links of rmp.nc come from cells of"
    assert main(["weights", str(spec)]) == 0
    assert said in capsys.readouterr().out.replace(",", "")
    assert said in " ".join(check_spec(load_spec(spec), False).warnings).replace(",", "")


def test_a_fold_that_is_lost_is_said(tmp_path: Path) -> None:
    kept = ("boundary: {x: periodic}, geometry: {kind: latlon}", "boundary: {x: periodic}")
    pairs = ("to: world", "to: coarse"), ("from: world", "from: coarse")
    for pivot, lost in (("T", True), ("F", False)):
        fold = (kept[0], f"boundary: {{x: periodic, north: fold {pivot}}}")
        change = (*pairs, fold, ("fallback: nearest", "fallback: 0"))
        warnings = check_spec(load_spec(written(tmp_path, *change)), False).warnings
        assert lost == any("grid 'coarse' is closed in the north: the fold" in w for w in warnings)


def test_weights_that_are_there_need_no_room(tmp_path: Path) -> None:
    """Where nothing can be written; root can nearly anywhere, but not in a lock that is none."""
    spec = written(tmp_path)
    assert main(["weights", str(spec)]) == 0
    for lock in (tmp_path / "weights").glob("*.lock"):
        lock.unlink()
        lock.mkdir()
    assert main(["weights", str(spec)]) == 0


def test_a_full_disk(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Said with the place, and nothing is left that looks like weights."""
    spec = written(tmp_path)
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, hard))
    try:
        assert main(["weights", str(spec)]) == 2
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    said = capsys.readouterr().err
    assert re.search(r"case\.yaml:11: .*ocean_world_conservative_\w+\.nc.*: ", said), said
    assert [path.suffix for path in (tmp_path / "weights").iterdir()] == [".lock", ".lock"]


MISTAKES = {
    "nothing to do": (
        [
            (", regrid: {to: world, method: conservative}", ""),
            (", regrid: {from: world, fallback: nearest}", ""),
        ],
        "case.yaml: no exchange has the key 'regrid': nothing to make",
    ),
    "bilinear by YAC": (
        [("method: conservative", "method: bilinear, generator: yac")],
        "case.yaml:11: method bilinear: got generator yac, expected own or auto",
    ),
    "second order without YAC": (
        [("method: conservative", "method: conservative2, generator: own")],
        "case.yaml:11: method conservative2: got generator own, expected yac or auto",
    ),
    "no geometry": (
        [("boundary: {x: periodic}, geometry: {kind: latlon}", "boundary: {x: periodic}")],
        "case.yaml:11: conservative: grid 'ocean' has no geometry; say where its cells are",
    ),
}


@pytest.mark.parametrize("name", MISTAKES)
def test_mistakes(name: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    changes, message = MISTAKES[name]
    assert main(["weights", str(written(tmp_path, *changes))]) == 2
    assert message in capsys.readouterr().err


SPEC_MISTAKES = {
    "a grid of no grid": (
        ("coarsen: ocean", "coarsen: ocaen"),
        "case.yaml:7: coarsen: unknown grid 'ocaen'; did you mean 'ocean'? (list it ",
    ),
    "no divisor": (
        ("by: 2", "by: 5"),
        "case.yaml:7: by: got 5, expected a divisor of 24 and of 12",
    ),
    "a size of its own": (
        ("coarsen: ocean,", "coarsen: ocean, size: {x: 3},"),
        "case.yaml:7: 'size' does not go with 'coarsen'",
    ),
    "by of nothing": (("kind: latlon, west", "kind: latlon}, by: 2, boundary: {x"), "case.yaml:8"),
    "a kind of file": (
        ("{kind: latlon, west: -180}", "{file: none.nc, kind: nemo2}"),
        "case.yaml:8: kind: got 'nemo2', expected 'nemo' or 'cf' or 'oasis' or 'scrip'; ",
    ),
    "no file": (
        (
            "size: {x: 10, y: 6}, geometry: {kind: latlon, west: -180}",
            "geometry: {file: a.nc, kind: cf}",
        ),
        "a.nc: no such file",
    ),
    "a grid without a name": (
        ("{kind: latlon, west: -180}", "{file: a.nc, kind: oasis}"),
        "case.yaml:8: missing key 'grid' in geometry: the grid's name in the file",
    ),
    "edges that turn": (
        ("lon: [0, 20, 40, 60]", "lon: [0, 20, 10, 60]"),
        "case.yaml:9: lon: got 4 numbers",
    ),
    "an unknown method": (
        ("method: conservative", "method: conservativ"),
        "case.yaml:11: method: got 'conservativ', expected 'identity' or",
    ),
    "an unknown grid": (
        ("to: world", "to: wrld"),
        "case.yaml:11: unknown grid 'wrld'; did you mean",
    ),
    "two sources of weights": (
        ("method: conservative", "method: conservative, weights: a.nc"),
        "case.yaml:11: 'method' does not go with 'weights'",
    ),
    "a fallback": (
        ("fallback: nearest", "fallback: near"),
        "case.yaml:12: fallback: got 'near', expected 'nan', 'nearest' or a number",
    ),
    "the other end": (("from: world", "to: world"), "case.yaml:12: unknown key 'to' in regrid"),
}


@pytest.mark.parametrize("name", SPEC_MISTAKES)
def test_mistakes_in_the_keys(name: str, tmp_path: Path) -> None:
    change, message = SPEC_MISTAKES[name]
    with pytest.raises(SpecError) as caught:
        load_spec(written(tmp_path, change))
    assert any(message in text for text in caught.value.messages), caught.value.messages


def test_sizes_and_boundaries_that_follow(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, ("from: world", "from: coarse"), ("to: world", "to: patch")))
    patch, coarse = (e.regrid.grid for e in spec.exchanges if e.regrid)
    assert (patch.nx, patch.ny) == (3, 2)
    assert (coarse.nx, coarse.ny, coarse.boundary_x) == (12, 6, "periodic")


def test_who_asks_together_waits_for_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Processes, as ranks are: netCDF knows no threads."""
    spec = load_spec(written(tmp_path))
    regrid = spec.exchanges[0].regrid
    assert regrid is not None
    calls = tmp_path / "calls"

    def counted(*arguments: Any) -> Weights:
        with calls.open("a") as file:
            file.write("called\n")
        return make_weights(*arguments)

    monkeypatch.setattr(weights_make, "make_weights", counted)
    ask = partial(weights_make.weights_between, spec.exchanges[0].grid, regrid.grid, regrid)
    with ProcessPoolExecutor(4, multiprocessing.get_context("fork")) as pool:
        made = [future.result() for future in [pool.submit(ask) for _ in range(4)]]
    assert calls.read_text() == "called\n"
    assert len({weights.value.tobytes() for weights in made}) == 1
    # made anew, it has the same bits as read from its file
    fresh = make_weights(grid_of(spec.exchanges[0].grid), grid_of(regrid.grid), regrid, False)
    assert fresh.value.tobytes() == made[0].value.tobytes()
    assert fresh.fraction.tobytes() == made[0].fraction.tobytes()
