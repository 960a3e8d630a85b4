# SPDX-License-Identifier: MIT
"""The same network in every format; and files that are not what the spec says they are."""

from __future__ import annotations

import shutil
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from coupler.command.cli import main
from coupler.spec import predictor as spec_predictor
from ml_server.networks import formats
from ml_server.trial import check_shapes
from predictors.case import HALO, NX, NY, NZ, direct, fields, loaded, write_spec
from predictors.networks import Convolutions, Named

CLASS = "networks:Convolutions"
CHANNELS = {"inputs": ["u", "v"]}
FORMATS: dict[str, dict[str, Any]] = {
    "class": {"python": CLASS, **CHANNELS},
    "safetensors": {"python": CLASS, "seed": 1, "state": "net.safetensors", **CHANNELS},
    "state dict": {"python": CLASS, "seed": 1, "state": "net.pth", **CHANNELS},
    "checkpoint": {"python": CLASS, "seed": 1, "state": "checkpoint.pth:model", **CHANNELS},
    "TorchScript": {"file": "net.pt", **CHANNELS},
    "torch.export": {"file": "net.pt2", **CHANNELS},
    "ONNX": {"file": "net.onnx", **CHANNELS},
    "class by name": {"python": "networks:Named"},
    "TorchScript by name": {"file": "named.pt"},
    "torch.export by name": {"file": "named.pt2"},
    "ONNX by name": {"file": "named.onnx"},
}


@pytest.mark.parametrize("predictor", FORMATS.values(), ids=FORMATS)
def test_the_same_answer(files: Path, predictor: dict[str, Any]) -> None:
    """Two boxes of different size; ONNX sums in another order: some units of float32."""
    spec, network = loaded(files, predictor)
    check_shapes(spec, "closure", network)
    assert network.parameters == ("u", "v")
    for given in (fields(), {name: a[:, 1:-1, 2:] for name, a in fields(1).items()}):
        answers, expected = network(given, ("su", "sv")), direct(given)
        for number, name in enumerate(("su", "sv")):
            got = np.asarray(answers[name])
            tolerance = 1e-6 if network.name.endswith(".onnx") else 0
            np.testing.assert_allclose(got, expected[:, number], atol=tolerance, rtol=0)


def test_the_spec_takes_what_can_be_loaded() -> None:
    assert set(spec_predictor.FORMATS) == set(formats.LOADERS)


def test_levels_as_channels(tmp_path: Path) -> None:
    """One member of the batch; all levels of u, then of v, then the one of the mask."""
    shutil.copy(Path(__file__).with_name("networks.py"), tmp_path)
    (tmp_path / "columns.py").write_text(
        "import torch\n"
        "class Sum(torch.nn.Module):\n"
        "    def forward(self, x):\n"
        f"        assert x.shape[:2] == (1, {2 * NZ + 1}), x.shape\n"
        f"        return torch.cat((x[:, :{NZ}] + x[:, {NZ}:-1] * x[:, -1:], x[:, :{NZ}]), 1)\n"
    )
    columns = {"python": "columns:Sum", "inputs": ["u", "v", "mask"], "layout": "channels"}
    given = fields()
    _, network = loaded(tmp_path, columns)
    answers = network(given, ("su", "sv"))
    np.testing.assert_array_equal(answers["su"], given["u"] + given["v"] * given["mask"])
    np.testing.assert_array_equal(answers["sv"], given["u"])


def test_functions_of_arrays(tmp_path: Path) -> None:
    """NumPy in and out, in the wire's precision, or in the spec's."""
    (tmp_path / "sums.py").write_text("def both(x):\n    return x + x[:, ::-1] * 2\n")
    given = fields()
    for dtype, kind in (({}, np.float64), ({"dtype": "float32"}, np.float32)):
        _, network = loaded(tmp_path, {"python": "sums:both", **CHANNELS, **dtype})
        answers = network(given, ("su", "sv"))
        u, v = (given[name].astype(kind) for name in "uv")
        assert not network.uses_torch
        assert answers["su"].dtype == np.float64
        np.testing.assert_array_equal(answers["su"], u + v * 2)
        np.testing.assert_array_equal(answers["sv"], v + u * 2)


@pytest.mark.parametrize("format", ["class", "TorchScript", "torch.export"])
def test_dtype(files: Path, format: str) -> None:
    """In float64 the network is another one: the conversion of its weights is exact."""
    _, network = loaded(files, FORMATS[format] | {"dtype": "float64"})
    given = fields()
    channels = torch.from_numpy(np.stack([given["u"], given["v"]], 1))
    with torch.inference_mode():
        expected = Convolutions().double()(channels).numpy()
    got = np.asarray(network(given, ("su", "sv"))["su"])
    assert got.dtype == np.float64
    np.testing.assert_allclose(got, expected[:, 0], rtol=1e-13)
    assert np.abs(got - direct(given)[:, 0]).max() > 1e-9


def test_integers_pass_untouched(tmp_path: Path) -> None:
    """What is no floating-point array is not converted to the type of the weights."""
    (tmp_path / "dated.py").write_text(
        "import torch\n"
        "class Dated(torch.nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.weight = torch.nn.Parameter(torch.ones(1))\n"
        "    def forward(self, u, cell, date):\n"
        "        assert u.dtype == torch.float32 and cell.dtype == torch.int64\n"
        "        assert date == 2**40 + 1\n"
        "        return u + cell, u\n"
    )
    _, network = loaded(tmp_path, {"python": "dated:Dated"})
    assert network.parameters == ("u", "cell", "date")
    cell = np.full((NY + 2 * HALO, NX + 2 * HALO), 2**40, np.int64)
    given: dict[str, Any] = fields() | {"date": 2**40 + 1, "cell": cell}
    assert float(network(given, ("su", "sv"))["su"][0, 0, 0]) == 2.0**40


WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "missing file": (
        {"file": "nett.pt2", **CHANNELS},
        "file: no file 'nett.pt2' beside case.yaml; did you mean 'net.pt2'?",
    ),
    "missing state": (
        {"python": CLASS, "state": "next.pth", **CHANNELS},
        "state: no file 'next.pth' beside case.yaml; did you mean 'net.pth'?",
    ),
    "unknown format": (
        {"file": "net.h5", **CHANNELS},
        "file: got 'net.h5', expected a file *.pt2, *.pt, *.pth, *.ts, *.onnx",
    ),
    "junk": ({"file": "junk.pt2", **CHANNELS}, "junk.pt2 is no torch.export archive"),
    "no program": ({"file": "junk.pt", **CHANNELS}, "junk.pt is no TorchScript archive"),
    "no graph": ({"file": "junk.onnx", **CHANNELS}, "junk.onnx is no ONNX graph that runs here"),
    "no weights": (
        {"python": CLASS, "state": "junk.pth", **CHANNELS},
        "junk.pth is no state dict as torch.save writes it: Unsupported operand 110; save",
    ),
    "no tensors": (
        {"python": CLASS, "state": "junk.safetensors", **CHANNELS},
        "junk.safetensors is no safetensors file",
    ),
    "program in the wrong place": (
        {"file": "net.pth", **CHANNELS},
        "net.pth is a pickle, which can run code when it is loaded, not TorchScript; of a state "
        "dict write python: 'module:Class', state: net.pth",
    ),
    "state in the wrong place": (
        {"python": CLASS, "state": "net.pt", **CHANNELS},
        "net.pt is no state dict: Cannot use ``weights_only=True`` with TorchScript archives",
    ),
    "a program by another name": (
        {"file": "script.pt2", **CHANNELS},
        "script.pt2 holds no program of torch.export but TorchScript, which is a file *.pt",
    ),
    "a script by another name": (
        {"file": "exported.pt", **CHANNELS},
        "exported.pt holds a program of torch.export, not TorchScript; name it *.pt2",
    ),
    "another format": ({"file": "onnx.pt2", **CHANNELS}, "onnx.pt2 is no torch.export archive"),
    "other shapes": (
        {"python": CLASS, "width": 5, "state": "net.safetensors", **CHANNELS},
        "state net.safetensors is not of networks:Convolutions: shape of 'first.weight': got "
        "(4, 2, 3, 3), expected (5, 2, 3, 3), 'first.bias': got (4,), expected (5,)",
    ),
    "other names": (
        {"python": "networks:Deeper", "state": "net.pth", **CHANNELS},
        "state net.pth is not of networks:Deeper: it lacks 'network.first.weight', "
        "'network.first.bias', 'network.last.weight' and 1 more; the class has no 'first.weight'",
    ),
    "entry of a checkpoint": (
        {"python": CLASS, "state": "checkpoint.pth", **CHANNELS},
        "checkpoint.pth: got entries epoch, model, expected weights by name; name the entry that "
        "holds them: state: checkpoint.pth:ENTRY",
    ),
    "no such entry": (
        {"python": CLASS, "state": "checkpoint.pth:mode", **CHANNELS},
        "checkpoint.pth has no entry 'mode'; did you mean 'model'?",
    ),
    "state of a function": (
        {"python": "networks:write_all", "state": "net.pth"},
        "predictor networks:write_all: 'state' needs a torch.nn.Module",
    ),
    "unknown input": (
        {"file": "net.pt2", "inputs": ["u", "maks"]},
        "input 'maks': no exchange brings it; did you mean 'mask'?",
    ),
    "unknown argument": (
        {"file": "named.pt2", "inputs": ["u", "v"]},
        "got a network with the arguments u, v; expected one tensor, as 'inputs' says",
    ),
    "fields for a tensor": (
        {"file": "net.pt2"},
        "predictor net.pt2: needs 'x', which the exchange does not bring; known: u, v, mask",
    ),
    "channels of a program": (
        {"file": "net.pt2", "inputs": ["u", "v", "mask"]},
        "net.pt2 was exported for 'x' of shape (any, 2, any, any), got (3, 3, 13, 10) on rank 0 of "
        "closure: it has 2 channels, the inputs make 3",
    ),
    "channels of a script": (
        {"file": "net.pt", "inputs": ["u", "v", "mask"]},
        "predictor net.pt fails on zeros of shape (3, 3, 13, 10), (batch, channel, y, x) of u, v, "
        "mask: RuntimeError: Given groups=1, weight of size [4, 2, 3, 3], expected input[3, 3, 13, "
        "10] to have 2 channels, but got 3 channels instead",
    ),
    "channels of an answer": (
        {"python": "networks:Single", **CHANNELS},
        "the network returned shape (3, 1, 48, 48), expected (batch, 2, y, x): the channels are "
        "su, sv",
    ),
    "shrinking answer": (
        {"python": "networks:Shrinking", **CHANNELS},
        "halo: got 2, expected 1: answer 'su' of networks:Shrinking is narrower than its inputs by "
        "1 on each side",
    ),
    "fixed sizes": (
        {"file": "fixed.pt2", **CHANNELS},
        "fixed.pt2 was exported for 'x' of shape (3, 2, 16, 17), got (3, 2, 13, 10) on rank 0 of "
        "closure; boxes differ from rank to rank, so export it with dynamic sizes: "
        "torch.export.export(..., dynamic_shapes=({0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: "
        "Dim.DYNAMIC},)), with Dim of torch.export",
    ),
    "type of a graph": (
        {"file": "net.onnx", "dtype": "float64", **CHANNELS},
        "predictor net.onnx: dtype: got float64, but the ONNX graph is of float32; leave it out",
    ),
}
MORE = """

class Deeper(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.network = Convolutions()


class Single(torch.nn.Module):
    def forward(self, x):
        return x[:, :1]


class Shrinking(torch.nn.Module):
    def forward(self, x):
        return x[:, :, 1:-1, 1:-1]
"""


@pytest.fixture(scope="module")
def spoilt(files: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The files, others that hold nothing, and more classes."""
    directory = shutil.copytree(files, tmp_path_factory.mktemp("spoilt") / "files")
    for suffix in ("pt2", "pt", "onnx", "pth", "safetensors"):
        (directory / f"junk.{suffix}").write_bytes(b"no network")
    for source, name in (
        ("net.onnx", "onnx.pt2"),
        ("net.pt", "script.pt2"),
        ("net.pt2", "exported.pt"),
    ):
        shutil.copy(directory / source, directory / name)
    with (directory / "networks.py").open("a") as file:
        file.write(MORE)
    return directory


@pytest.mark.parametrize(("predictor", "message"), WRONG.values(), ids=WRONG)
def test_check_says_what_is_wrong(
    spoilt: Path, capsys: pytest.CaptureFixture[str], predictor: dict[str, Any], message: str
) -> None:
    assert main(["check", str(write_spec(spoilt, predictor))]) == 2
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1] == "halocline: 1 mistake"
    assert len(lines) == 2
    assert lines[0].startswith("case.yaml:")
    assert message in lines[0]


def test_check_tells_what_it_loaded(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(write_spec(files, FORMATS["torch.export"]))]) == 0
    assert "closure: 2 ranks of net.pt2, which takes u, v" in capsys.readouterr().out


def test_fixed_sizes_that_fit(files: Path) -> None:
    """A rank whose box is the one that the program was exported for: 13 + 4 columns, 9 + 4 rows."""
    program = torch.export.export(Named().eval(), (torch.zeros(NZ, NY + 4, NX + 4),) * 2)
    torch.export.save(program, files / "fitting.pt2")
    spec, network = loaded(files, {"file": "fitting.pt2"}, ranks=1)
    check_shapes(spec, "closure", network)
    assert np.asarray(network(fields(), ("su", "sv"))["su"]).shape == (NZ, NY + 4, NX + 4)


def test_the_state_of_a_lazy_module(tmp_path: Path) -> None:
    """Its weights have no shape before they are loaded."""
    (tmp_path / "lazy.py").write_text(
        "from torch import nn\n"
        "class Lazy(nn.Module):\n"
        "    def __init__(self):\n"
        "        super().__init__()\n"
        "        self.convolution = nn.LazyConv2d(2, 3, padding=1)\n"
        "    def forward(self, x):\n"
        "        return self.convolution(x)\n"
    )
    convolution = torch.nn.Conv2d(2, 2, 3, padding=1)
    state = {f"convolution.{name}": w for name, w in convolution.state_dict().items()}
    torch.save(state, tmp_path / "lazy.pth")
    _, network = loaded(tmp_path, {"python": "lazy:Lazy", "state": "lazy.pth", **CHANNELS})
    given = fields()
    with torch.inference_mode():
        x = torch.from_numpy(np.stack([given["u"], given["v"]], 1)).float()
        expected = convolution(x)[:, 1].double().numpy()
    np.testing.assert_array_equal(np.asarray(network(given, ("su", "sv"))["sv"]), expected)


BLOCKS = """
import torch
class Blocks(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.calls = 0
    def forward(self, x):
        self.calls += 1
        assert x.shape[2] % 16 == 0 == x.shape[3] % 16, x.shape
        return x
"""


@pytest.mark.parametrize("size", [28, 60, 92, 124, 188, 316])
def test_a_network_is_tried_on_a_size_that_it_takes(tmp_path: Path, size: int) -> None:
    """A network that pools takes multiples of 16 alone, as its box with its halo is; and what it
    keeps is not of the trial."""
    (tmp_path / "blocks.py").write_text(BLOCKS)
    spec, network = loaded(tmp_path, {"python": "blocks:Blocks", **CHANNELS}, ranks=1)
    grid = replace(spec.exchanges[0].worker_grid, nx=size, ny=size)
    exchanges = tuple(replace(e, grid=grid) for e in spec.exchanges)
    check_shapes(replace(spec, exchanges=exchanges), "closure", network)
    assert network.function.network.calls == 0


def test_threads_of_onnxruntime(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """OpenMP allows a list of numbers, and users write words."""
    for said in ("2,1", "auto", ""):
        monkeypatch.setenv("OMP_NUM_THREADS", said)
        _, network = loaded(files, FORMATS["ONNX"])
        given = fields()
        answers = network(given, ("su", "sv"))
        np.testing.assert_allclose(answers["su"], direct(given)[:, 0], atol=1e-6, rtol=0)


def test_onnxruntime_is_asked_for(files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(Exception, match=r"ONNX needs onnxruntime: pip install 'halocline\[onnx\]'"):
        loaded(files, FORMATS["ONNX"])
