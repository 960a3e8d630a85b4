# SPDX-License-Identifier: MIT
"""Files whose loading would run code. Each payload creates a file; the file must not be there.

Every one of them does create it when torch loads the file by itself, which is tested, too: a
payload that does nothing would prove nothing. Known of torch 2.13.
"""

from __future__ import annotations

import contextlib
import io
import json
import logging
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.export import Dim

from ml_server.errors import PredictorError
from ml_server.networks.programs import load_exported
from predictors.case import fields, loaded

Json = dict[str, Any]


class Payload:
    """A pickle of it opens a file for writing."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.target), "w")


def pickled(target: Path) -> bytes:
    buffer = io.BytesIO()
    torch.save(({}, Payload(target)), buffer)
    return buffer.getvalue()


CHANNELS = {"inputs": ["u", "v"]}
CLASS = {"python": "networks:Convolutions"}


@pytest.mark.parametrize(
    ("file", "predictor"),
    [
        ("evil.pth", CLASS | {"state": "evil.pth"}),
        ("evil.pth", {"file": "evil.pth"}),
        ("evil.pt", {"file": "evil.pt"}),
    ],
    ids=["state", "file", "torchscript"],
)
def test_pickle(files: Path, tmp_path: Path, file: str, predictor: Json) -> None:
    target = tmp_path / "created"
    (files / file).write_bytes(pickled(target))
    with pytest.raises(PredictorError, match=r"case.yaml:1\d: evil.* can run code when it is load"):
        loaded(files, predictor | CHANNELS)
    assert not target.exists()
    with pytest.raises(PredictorError):  # the user's word for it, and no network all the same
        loaded(files, predictor | CHANNELS | {"trust": True})
    assert target.exists()


class Restored(torch.nn.Module):
    """TorchScript that is called when it is loaded."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    @torch.jit.export
    def __getstate__(self) -> tuple[str, bool]:
        return self.target, self.training

    @torch.jit.export
    def __setstate__(self, state: tuple[str, bool]) -> None:
        self.target = state[0]
        self.training = state[1]
        torch.save(torch.ones(1), self.target)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x


class Saving(torch.nn.Module):
    """TorchScript that writes a file when it is called."""

    def __init__(self, target: str) -> None:
        super().__init__()
        self.target = target

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        torch.save(x, self.target)
        return x


@pytest.mark.parametrize(("kind", "word"), [(Restored, "__setstate__"), (Saving, "save")])
def test_torchscript(
    files: Path, tmp_path: Path, kind: Callable[[str], torch.nn.Module], word: str
) -> None:
    target = tmp_path / "created"
    torch.jit.script(kind(str(target))).save(str(files / "evil.ts"))
    with pytest.raises(PredictorError, match=f"evil.ts: its program has '{word}'"):
        loaded(files, {"file": "evil.ts"} | CHANNELS)
    assert not target.exists()
    _, network = loaded(files, {"file": "evil.ts", "trust": True} | CHANNELS)
    network.function.network(torch.ones(1))  # type: ignore[attr-defined]
    assert target.exists()


@pytest.mark.parametrize(
    "line",
    [
        "t = torch\n    t.save(x, 'f')",
        "ops.aten.save(x, 'f')",
        "ops.c10d.barrier(x)",
        "c = __torch__.torch.classes.c10d.FileStore('f', 1)",
        'getattr(torch, "\\x73ave")(x)',
    ],
)
def test_torchscript_by_other_names(files: Path, tmp_path: Path, line: str) -> None:
    """What nobody's export writes, but a text editor does."""
    path = files / "edited.ts"

    def edit(text: bytes) -> bytes:
        return text.replace(b"    return", f"    {line}\n    return".encode(), 1)

    rewrite(files / "net.pt", path, "__torch__/predictors/networks.py", edit)
    with pytest.raises(PredictorError, match="could run on loading, or reach files"):
        loaded(files, {"file": "edited.ts"} | CHANNELS)


class Ordinary(torch.nn.Module):
    """What networks are made of: numbered layers, statistics, constants, sizes that are computed,
    arguments that are text."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(torch.nn.Linear(2, 4), torch.nn.GELU())
        self.norm = torch.nn.BatchNorm2d(4)
        self.up = torch.nn.ConvTranspose2d(4, 2, 2, stride=2)
        self.constant = torch.tensor([1.0, 2.0]).reshape(1, 2, 1, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        wide = torch.nn.functional.pad(x, (0, -x.shape[-1] % 2, 0, -x.shape[-2] % 2))
        y = torch.einsum("bhwc->bchw", self.layers(wide.permute(0, 2, 3, 1)))
        y = self.up(torch.nn.functional.avg_pool2d(self.norm(y), 2)) * self.constant
        return y[..., : x.shape[-2], : x.shape[-1]]


@pytest.mark.parametrize("suffix", ["ts", "pt2"])
def test_ordinary_networks_pass(files: Path, suffix: str) -> None:
    network, sample = Ordinary().eval(), torch.randn(3, 2, 8, 10)
    path = files / f"ordinary.{suffix}"
    if suffix == "ts":
        torch.jit.script(network).save(str(path))
    else:
        sizes = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
        program = torch.export.export(network, (sample,), dynamic_shapes=(sizes,))
        torch.export.save(program, path)
    _, loaded_network = loaded(files, {"file": path.name} | CHANNELS)
    given = fields()
    answer = loaded_network(given, ("su", "sv"))["su"]
    channels = torch.from_numpy(np.stack([given["u"], given["v"]], 1)).float()
    with torch.inference_mode():
        np.testing.assert_array_equal(np.float32(answer), network(channels)[:, 0].numpy())


def rewrite(source: Path, path: Path, record: str, change: Callable[[bytes], bytes]) -> None:
    """A copy of an archive, one record of which is changed."""
    changed = 0
    with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
        for name in old.namelist():
            data = old.read(name)
            if name.endswith(record):
                data, changed = change(data), changed + 1
            new.writestr(name, data)
    assert changed == 1


def in_size(program: Json, code: str) -> None:
    program["graph_module"]["graph"]["tensor_values"]["x"]["sizes"][0]["as_expr"]["expr_str"] = code


def in_metadata(program: Json, code: str) -> None:
    """In an argument whose name is one that the inspection skips elsewhere."""
    text = json.dumps(program).replace('"x"', '"metadata"')
    program.clear()
    program.update(json.loads(text))
    sizes = program["graph_module"]["graph"]["tensor_values"]["metadata"]["sizes"]
    sizes[0]["as_expr"]["expr_str"] = code


def in_name(program: Json, code: str) -> None:
    text = json.dumps(program).replace('"x"', json.dumps(f"x={code}"))
    program.clear()
    program.update(json.loads(text))


PLACES = {"size": in_size, "metadata": in_metadata, "name": in_name}


@pytest.mark.parametrize("place", PLACES)
def test_text_of_an_exported_program(files: Path, tmp_path: Path, place: str) -> None:
    """torch 2.13 evaluates sizes and writes names into Python source when it loads them."""
    target, path = tmp_path / "created", files / "evil.pt2"

    def change(record: bytes) -> bytes:
        program = json.loads(record)
        PLACES[place](program, f"open('{target}','w')")
        return json.dumps(program).encode()

    rewrite(files / "net.pt2", path, "models/model.json", change)
    with pytest.raises(PredictorError, match=r"is not what torch\.export writes of a"):
        loaded(files, {"file": "evil.pt2"} | CHANNELS)
    assert not target.exists()
    with contextlib.suppress(PredictorError):  # too late
        load_exported(path, trust=True)
    assert target.exists()


def test_guards_of_an_exported_program_are_not_compiled(files: Path, tmp_path: Path) -> None:
    """They are Python source in the file, which module() compiles and a call runs."""
    target, path = tmp_path / "created", files / "guarded.pt2"

    def change(record: bytes) -> bytes:
        return json.dumps(json.loads(record) | {"guards_code": [f"open('{target}','w')"]}).encode()

    rewrite(files / "net.pt2", path, "models/model.json", change)
    load_exported(path, trust=False)(torch.zeros(3, 2, 8, 9))
    assert not target.exists()
    torch.export.load(path).module()(torch.zeros(3, 2, 8, 9))
    assert target.exists()


def test_operator_of_an_exported_program(files: Path) -> None:
    """Something that torch reaches, but that is no operator."""

    def change(record: bytes) -> bytes:
        return record.replace(b"torch.ops.aten.tanh.default", b"torch.os.system")

    rewrite(files / "net.pt2", files / "system.pt2", "models/model.json", change)
    with pytest.raises(PredictorError, match=r"target 'torch\.os\.system' is not what"):
        loaded(files, {"file": "system.pt2"} | CHANNELS)


def test_example_inputs_of_an_exported_program(
    files: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """torch falls back to a pickle that runs code when weights_only refuses it, and warns of it
    with a text that logging cannot format."""
    monkeypatch.setattr(logging.getLogger("torch._export.serde.serialize"), "disabled", True)
    target, path = tmp_path / "created", files / "sampled.pt2"
    rewrite(files / "net.pt2", path, "sample_inputs/model.pt", lambda _: pickled(target))
    with pytest.raises(PredictorError, match="its example inputs are a pickle of more than ten"):
        loaded(files, {"file": "sampled.pt2"} | CHANNELS)
    assert not target.exists()
    torch.export.load(path)
    assert target.exists()


def test_the_older_archive_inside_another(files: Path) -> None:
    """torch would try it, with its pickles, when the newer one fails."""
    path = shutil.copy(files / "net.pt2", files / "older.pt2")
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr("version", "8.8")
    with pytest.raises(PredictorError, match=r"older\.pt2 is of torch 2\.7 or older"):
        loaded(files, {"file": "older.pt2"} | CHANNELS)


def test_pickled_weight_of_an_exported_program(files: Path) -> None:
    def change(record: bytes) -> bytes:
        return record.replace(b'"use_pickle": false', b'"use_pickle": true', 1)

    rewrite(files / "net.pt2", files / "weights.pt2", "model_weights_config.json", change)
    with pytest.raises(PredictorError, match="is pickled"):
        loaded(files, {"file": "weights.pt2"} | CHANNELS)
