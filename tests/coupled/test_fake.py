# SPDX-License-Identifier: MIT
"""`halocline fake`: real workers, synthetic fields, no model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml

from coupled.gyre import coupled, namelist, spec
from coupler.command.cli import main
from coupler.model.synthetic import Synthetic
from coupler.record import open_record
from coupler.routing.decomposition import Box
from coupler.spec import CouplingSpec
from coupler.spec.load import load_spec
from jobs import write_namelist


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_namelist(tmp_path / "ocean.nml", namelist(coupled("raw"), 50))
    return tmp_path


def written(directory: Path, name: str, predictor: str | None = None, **keys: Any) -> Path:
    loaded = spec("raw")
    loaded["run"]["directory"] = name
    loaded["exchanges"][0] |= {"halo": 2} | keys
    loaded["components"]["closure"]["record"] = True
    if predictor is not None:
        loaded["components"]["closure"]["predictor"] = {"python": f"networks:{predictor}"}
    path = directory / f"{name}.yaml"
    path.write_text(yaml.safe_dump(loaded))
    return path


def assert_is_synthetic(directory: Path, loaded: CouplingSpec, steps: int) -> dict[str, np.ndarray]:
    """What the workers recorded is what the fields are, bit for bit. The answers."""
    exchange = loaded.incoming("closure")[0]
    grid = exchange.grid
    whole = Box(0, grid.nx, 0, grid.ny)
    with open_record(directory) as record:
        assert record.dates.tolist() == list(range(0, steps * loaded.time_step, loaded.time_step))
        for field in (*exchange.fields, *exchange.static):
            limits = (10.0, 20.0) if field.name == "h" else None
            synthetic = Synthetic(field, grid, loaded.time_step, 3, limits)
            for number in range(len(record[field.name])):
                expected = synthetic.values(whole, int(record.dates[number]))
                np.testing.assert_array_equal(record[field.name][number], expected, field.name)
        return {name: np.asarray(record[name]) for name in ("su", "sv")}


def test_a_closure_end_to_end(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = []
    for name, ranks, keys in (
        ("windows", "ocean=2,closure=1", {}),
        ("messages", "ocean=3,closure=2", {"transport": "messages"}),
    ):
        path = written(here, name, **keys)
        more = ["--steps", "4", "--seed", "3", "--range", "h=10:20", "--ranks", ranks]
        assert main(["fake", str(path), *more]) == 0
        said = capfd.readouterr().out
        assert "halocline: ocean: got su" in said
        assert "closure: recorded 4 dates" in said
        found.append(assert_is_synthetic(here / name / "fake", load_spec(path), 4))
        assert main(["replay", str(path), str(here / name / "fake")]) == 0
    for name, answer in found[0].items():
        assert answer.any()
        np.testing.assert_array_equal(answer, found[1][name])


NETWORKS = """
import numpy as np
def transposed(u, v):
    return {"su": u.transpose(0, 2, 1), "sv": v}
def nan(u, v):
    su = 0 * u
    su[1, 7, 9] = np.nan
    return {"su": su, "sv": 0 * v}
"""


def test_two_exchanges_with_masks_in_one_line(here: Path) -> None:
    """Both are at one place of the spec, and each has its own mask."""

    def there(name: str) -> dict[str, Any]:
        mask = f"mask_{name}"
        return {
            **{"from": "model", "to": "worker", "grid": "g", "regrid": {"to": "other"}},
            **{"fields": {name: {"mask": mask}}, "static": {mask: {}}},
        }

    back = {"from": "worker", "to": "model", "grid": "g", "regrid": {"from": "other"}}
    edges = {"lon": list(range(9)), "lat": list(range(7))}
    loaded = {
        "run": {"dt": 60, "time_limit": 60},
        "components": {
            "model": {"command": "model"},
            "worker": {"worker": True, "predictor": {"python": "sums:total"}},
        },
        "grids": {
            "g": {"size": {"x": 8, "y": 6, "z": 1}, "geometry": edges},
            "other": {"coarsen": "g", "by": 2},
        },
        "exchanges": [there("a"), there("b"), back | {"fields": ["c"]}],
    }
    (here / "sums.py").write_text("def total(a, b):\n    return {'c': a + b}\n")
    path = here / "line.yaml"
    path.write_text(yaml.safe_dump(loaded, default_flow_style=True, width=10_000))
    assert main(["fake", str(path), "--steps", "2"]) == 0


@pytest.mark.parametrize(
    ("predictor", "keys", "message"),
    [
        ("transposed", {}, "answer 'su': got shape (2, 26, 24), expected (level, y, x)"),
        (
            "nan",
            {"check_finite": False},
            "answer 'su' of date 0 s has 1 values that are not finite, the first at level 1, y 5, "
            "x 7 of the grid, from 0",
        ),
    ],
)
def test_a_wrong_answer(
    here: Path,
    capfd: pytest.CaptureFixture[str],
    predictor: str,
    keys: dict[str, Any],
    message: str,
) -> None:
    (here / "networks.py").write_text(NETWORKS)
    assert main(["fake", str(written(here, "wrong", predictor, **keys))]) == 1
    assert message in capfd.readouterr().out


def test_mistakes(here: Path, capfd: pytest.CaptureFixture[str]) -> None:
    path = str(written(here, "mistaken"))

    def said(*arguments: str) -> str:
        assert main(["fake", path, *arguments]) == 2
        return capfd.readouterr().err

    assert "--as: got 'ocaen', expected a model; did you mean 'ocean'?" in said("--as", "ocaen")
    assert "--range: got 'h=1', expected NAME=LOW:HIGH,..." in said("--range", "h=1")
    assert "--range: ocean puts no 'hh'; did you mean 'h'?" in said("--range", "hh=1:2")
    with pytest.raises(SystemExit):
        main(["fake", path, "--seed", "-1"])
    assert "--seed: got '-1', expected a whole number, 0 or more" in capfd.readouterr().err
    assert main(["fake", path, "--dry-run"]) == 0
    command = capfd.readouterr().out
    assert "-m coupler.model.fake" in command
    assert "--as ocean --steps 10 --seed 0" in command
