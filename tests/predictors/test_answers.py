# SPDX-License-Identifier: MIT
"""What predictors answer, and do, that no run accepts: found by `halocline check`, as mistakes of
the predictor, not of the halo."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from coupler.command.cli import main
from coupler.errors import CouplingError
from coupler.step import as_array
from ml_server.errors import PredictorError
from ml_server.inference.tuning import Seat
from predictors.case import HALO, NX, NY, NZ, fields, loaded, write_spec

CHANNELS = {"inputs": ["u", "v"], "outputs": ["su", "sv"]}
WRITTEN = '''
import sys
import numpy as np
import torch


class Network(torch.nn.Module):
    """Two channels to two, by what `how` says."""

    def __init__(self, how="fine"):
        super().__init__()
        self.how = how

    def forward(self, x):
        return {
            "fine": lambda: x,
            "channels": lambda: torch.cat((x, x), 1),
            "nothing": lambda: None,
            "pair": lambda: (x, x),
            "whole numbers": lambda: x.int(),
            "complex": lambda: x.to(torch.complex64),
            "numpy": lambda: x.numpy() * 2,
            "raises": lambda: x[:, 5],
            "exit": lambda: sys.exit(0),
        }[self.how]()


class Scaling(torch.nn.Module):
    """Changes what the model sends once."""

    def forward(self, u, v, mask):
        mask *= 0.5
        return u * mask, v * mask


class Uncallable:
    pass


class Leaves:
    def __init__(self):
        sys.exit(0)


def nothing(u, v):
    pass


def three(u, v):
    return u, v, v


def lacking(u, v):
    return {"su": u, "sw": v}


def text(u, v):
    return {"su": "text", "sv": v}


def whole(u, v):
    return np.zeros(u.shape, int), v


def masked(u, v):
    return np.ma.masked_greater(u, 0.0), v


def leaves(u, v):
    sys.exit(0)
'''
ANSWERS: dict[str, tuple[dict[str, Any], str]] = {
    how: ({"python": "written:Network", "how": how, **CHANNELS}, message)
    for how, message in {
        "channels": "the network returned shape (3, 4, 48, 48), expected (batch, 2, y, x)",
        "nothing": "the network returned NoneType, expected (batch, channel, y, x)",
        "pair": "the network returned tuple, expected (batch, channel, y, x)",
        "whole numbers": "the network returned torch.int32 values, expected floating-point",
        "complex": "the network returned torch.complex64 values, expected floating-point",
        "raises": "it refuses random fields: IndexError: index 5 is out of bounds for dimension 1",
        "exit": "it refuses random fields: RuntimeError: it called sys.exit(0)",
    }.items()
} | {
    name: ({"python": f"written:{name}"}, message)
    for name, message in {
        "nothing": "written:nothing returned NoneType, expected a mapping or a tuple of su, sv",
        "three": "written:three returned 3 arrays, expected 2: su, sv",
        "lacking": "the answer of written:lacking lacks 'sv'; did you mean 'sw'?",
        "text": "answer 'su' of written:text is <U4 of shape (), expected floats (level, y, x)",
        "whole": "answer 'su' of written:whole is int64 of shape (3, 48, 48), expected floats",
        "masked": "answer 'su': got an array with masked values, expected all; say .filled(0)",
        "leaves": "it refuses random fields: RuntimeError: it called sys.exit(0)",
        "Leaves": "predictor written:Leaves: SystemExit: 0",
        "Uncallable": "predictor written:Uncallable: its objects cannot be called; expected a",
    }.items()
}


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(__import__("sys").modules, "written", raising=False)
    (tmp_path / "written.py").write_text(WRITTEN)
    return tmp_path


@pytest.mark.parametrize(("predictor", "message"), ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize("halo", ["auto", HALO])
def test_check(
    written: Path,
    capsys: pytest.CaptureFixture[str],
    predictor: dict[str, Any],
    message: str,
    halo: int | str,
) -> None:
    """On line 11, where the predictor is; but what it raises for random fields is said with the
    halo, as a network may be right to raise it."""
    by_name = "inputs" not in predictor
    if "refuses random fields" in message and halo != "auto":
        if by_name:
            return  # it may answer to the model's
        message = message.removeprefix("it refuses random fields: ")
    assert main(["check", str(write_spec(written, predictor, halo=halo))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert message in lines[0], lines
    assert lines[0].startswith("case.yaml:11: " if "refuses" not in message else "case.yaml:")
    assert "write the number of cells" not in lines[0] or "mend that, or" in lines[0]


def test_numpy_of_a_module(written: Path) -> None:
    _, network = loaded(written, {"python": "written:Network", "how": "numpy", **CHANNELS})
    given = fields()
    np.testing.assert_allclose(network(given, ("su", "sv"))["su"], 2 * given["u"], rtol=1e-6)


def test_masked_values_do_not_travel() -> None:
    assert as_array("su", np.ma.array([1.0, 2.0])).tolist() == [1.0, 2.0]
    with pytest.raises(CouplingError, match=r"'su': got an array with masked values"):
        as_array("su", np.ma.array([1.0, 2.0], mask=[0, 1]))


def test_what_comes_once_is_not_changed(written: Path) -> None:
    """A network that halves a mask in place would halve it at every step."""
    _, network = loaded(written, {"python": "written:Scaling"})
    shape = (NZ, NY + 2 * HALO, NX + 2 * HALO)
    shapes = {
        "u": (shape, "float64"),
        "v": (shape, "float64"),
        "mask": ((1, *shape[1:]), "float64"),
    }
    with pytest.raises(PredictorError, match=r"written:Scaling changes its argument 'mask', which"):
        network.warm_up(shapes, ("su", "sv"), Seat(), ["mask"])
