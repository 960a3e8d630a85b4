# SPDX-License-Identifier: MIT
"""The spec's predictor: what is read, and every mistake with its place. No predictor is loaded."""

from __future__ import annotations

from pathlib import Path

import netCDF4
import numpy as np
import pytest

from coupler.spec import MappedField, PredictorSpec
from coupler.spec.document import SpecError
from coupler.spec.load import load_spec

SPEC = """\
run: {{dt: 60}}
components:
  ocean: {{command: ocean_model}}
  closure:
    worker: true
    predictor: {predictor}
grids:
  basin: {{size: {{x: 8, y: 6, z: 3}}}}
  other: {{size: {{x: 8, y: 6, z: 3}}}}
exchanges:
  - {{from: ocean, to: closure, grid: basin, halo: 2,
     fields: {{u: {{}}, v: {{}}, surface: {{levels: 1}}, soil: {{levels: 5}}}},
     static: {{mask: {{}}, layers: {{levels: 5}}}}}}
  - {{from: ocean, to: closure, grid: other, fields: {{t: {{}}}}}}
  - {{from: closure, to: ocean, grid: basin, fields: {{su: {{}}, sv: {{}}}}}}
"""


def predictor(directory: Path, text: str) -> PredictorSpec:
    """`text` is the value of `predictor:`, on line 6."""
    for name in ("net.pt2", "net.pth", "net.safetensors", "broken.npz"):
        (directory / name).write_text("not what its name says")
    (directory / "empty.pt2").touch()
    (directory / "pointer.pt2").write_text("version https://git-lfs.github.com/spec/v1\noid 1\n")
    if not (directory / "folder.pt2").exists():
        (directory / "folder.pt2").mkdir()
        (directory / "link.pt2").symlink_to("away.pt2")
    np.savez(
        directory / "norm.npz",
        u_mean=0.25,
        u_std=np.array([1.0, 2.0, 3.0]),
        plane=np.ones((3, 2)),
        spread=np.array([1.0, 0.0, 2.0]),
        gaps=np.array([1.0, np.nan, 1.0]),
        names=np.array(["a"]),
    )
    with netCDF4.Dataset(directory / "norm.nc", "w") as file:
        file.createDimension("z", 3)
        file.createVariable("u_mean", "f4", ())[...] = 0.5
        file.createVariable("spread", "f8", ("z",))[:] = [4.0, 5.0, 6.0]
        file.createVariable("gaps", "f8", ("z",), fill_value=-9.0)[:2] = [4.0, 5.0]
    path = directory / "basin.yaml"
    path.write_text(SPEC.format(predictor=text))
    found = load_spec(path).component("closure").predictor
    assert found is not None
    return found


def test_the_short_form(tmp_path: Path) -> None:
    found = predictor(tmp_path, "{file: net.pt2, inputs: [u, v], outputs: [sv, su]}")
    assert found.file == tmp_path / "net.pt2"
    assert [field.name for field in found.inputs] == ["u", "v"]
    assert [field.name for field in found.outputs] == ["sv", "su"]
    assert (found.layout, found.dtype, found.trust, found.arguments) == ("batch", None, False, {})
    assert str(found) == "net.pt2"
    plain = found.inputs[0]
    assert (plain.mean, plain.std, plain.scale, plain.mask, plain.fill) == ((), (), (), None, 0.0)


def test_outputs_are_the_answers(tmp_path: Path) -> None:
    found = predictor(tmp_path, "{file: net.pt2, inputs: [u, v]}")
    assert [field.name for field in found.outputs] == ["su", "sv"]
    assert predictor(tmp_path, "{file: net.pt2}").outputs == ()


def test_the_long_form(tmp_path: Path) -> None:
    found = predictor(
        tmp_path,
        """
      python: "networks:UNet"
      width: 32
      arguments: {dtype: half, width: 64}
      state: net.pth:model
      layout: channels
      dtype: float64
      trust: true
      inputs:
        u: {mean: norm.npz, std: norm.npz, mask: mask, fill: mean}
        v: {mean: norm.nc:u_mean, std: "norm.nc:spread", mask: mask, fill: -1}
        soil: {scale: [1, 2, 3, 4, 1e-3]}
        mask:
      outputs:
        su: {scale: 1e-7, mask: mask}
        sv: {mean: 0.1, std: [1, 2, 3]}
""",
    )
    assert found.python == "networks:UNet"
    assert found.arguments == {"width": 64, "dtype": "half"}
    assert (found.state, found.state_key) == (tmp_path / "net.pth", "model")
    assert (found.layout, found.dtype, found.trust) == ("channels", "float64", True)
    u, v, soil, mask = found.inputs
    place = "basin.yaml:"
    assert u == MappedField("u", f"{place}15", (0.25,), (1.0, 2.0, 3.0), (), "mask", None)
    assert v == MappedField("v", f"{place}16", (0.5,), (4.0, 5.0, 6.0), (), "mask", -1.0)
    assert soil.scale == (1.0, 2.0, 3.0, 4.0, 1e-3)
    assert mask == MappedField("mask", f"{place}18")
    su, sv = found.outputs
    assert (su.scale, su.mask) == ((1e-7,), "mask")
    assert (sv.mean, sv.std) == ((0.1,), (1.0, 2.0, 3.0))


SHORT = "{{file: net.pt2, inputs: {}}}"
MISTAKES = {
    "no mapping": ("net.pt2", "predictor: got 'net.pt2', expected a mapping (key: value)"),
    "nothing to load": (
        "{inputs: [u]}",
        "predictor needs python: 'module:Class' or a function, or file: net.pt2; got neither",
    ),
    "two things to load": (
        "{python: 'a:b', file: net.pt2}",
        "predictor needs python: 'module:Class' or a function, or file: net.pt2; got both",
    ),
    "key of a file": (
        "{file: net.pt2, imputs: [u]}",
        "unknown key 'imputs' in predictor; did you mean 'inputs'?",
    ),
    "state of a file": (
        "{file: net.pt2, state: net.pth}",
        "'state' belongs to python: 'module:Class', a file has its own",
    ),
    "kind of state": (
        "{python: 'a:b', state: net.pt2}",
        "state: got 'net.pt2', expected a file *.safetensors, *.pt, *.pth, *.ckpt, *.bin",
    ),
    "outputs alone": (
        "{file: net.pt2, outputs: [su, sv]}",
        "'outputs' needs inputs: the fields that are the channels of the network",
    ),
    "layout": (
        "{file: net.pt2, inputs: [u, v], layout: levels}",
        "layout: got 'levels', expected 'batch' or 'channels'",
    ),
    "dtype": (
        "{file: net.pt2, inputs: [u, v], dtype: half}",
        "dtype: got 'half', expected 'float32' or 'float64'",
    ),
    "trust": ("{file: net.pt2, trust: 1}", "trust: got '1', expected true or false"),
    "no inputs": (SHORT.format("[]"), "inputs: got a list, expected at least one field"),
    "twice": (SHORT.format("[u, u]"), "'u' is listed twice in inputs"),
    "unknown input": (
        SHORT.format("[u, surfaces]"),
        "input 'surfaces': no exchange brings it; did you mean 'surface'?",
    ),
    "unknown output": (
        "{file: net.pt2, inputs: [u], outputs: [su, sv, sw]}",
        "output 'sw': no exchange asks for it; did you mean 'sv'?",
    ),
    "missing output": (
        "{file: net.pt2, inputs: [u], outputs: [su]}",
        "outputs lack 'sv', which closure -> ocean (su, sv) asks for",
    ),
    "unknown mask": (
        SHORT.format("{u: {mask: maks}}"),
        "mask 'maks' of 'u': no exchange brings it; did you mean 'mask'?",
    ),
    "unknown key of a field": (
        SHORT.format("{u: {meen: 1}}"),
        "unknown key 'meen' in u; did you mean 'mean'?",
    ),
    "fill of an output": (
        "{file: net.pt2, inputs: [u], outputs: {su: {mask: mask, fill: 1}, sv: }}",
        "unknown key 'fill' in su; known: mean, std, scale, mask",
    ),
    "fill without mask": (SHORT.format("{u: {fill: 1}}"), "u: 'fill' needs a mask that says where"),
    "fill of no mean": (
        SHORT.format("{u: {mask: mask, fill: mean}}"),
        "u: fill: mean, but it has no mean",
    ),
    "scale and std": (
        SHORT.format("{u: {scale: 1, std: 1}}"),
        "u: got scale and mean or std, expected one of the two",
    ),
    "std": (SHORT.format("{u: {std: 0}}"), "std: got 0, expected numbers above 0"),
    "scale": (SHORT.format("{u: {scale: 0}}"), "scale: got 0, expected numbers other than 0"),
    "no number": (
        SHORT.format("{u: {std: wide}}"),
        "std: got 'wide', expected a number, a list of numbers, or a file *.nc or *.npz",
    ),
    "not finite": (SHORT.format("{u: {mean: nan}}"), "mean: got 'nan', expected a number"),
    "levels of a statistic": (
        SHORT.format("{u: {mean: [1, 2]}}"),
        "u: mean: got 2 numbers, expected 1 or 3, its levels",
    ),
    "levels of a mask": (
        SHORT.format("{u: {mask: layers}}"),
        "mask 'layers' of 'u': got 5 levels, expected 1 or 3",
    ),
    "levels of a batch": (
        SHORT.format("[soil, surface]"),
        "'su': got 3 levels, expected 5 as the other fields; with layout: channels each field may "
        "have its own",
    ),
    "file of statistics": (
        SHORT.format("{u: {mean: nrm.nc}}"),
        "mean: no file 'nrm.nc' beside basin.yaml; did you mean 'norm.nc'?",
    ),
    "variable": (
        SHORT.format("{u: {mean: norm.npz:u_maen}}"),
        "mean: norm.npz has no 'u_maen'; did you mean 'u_mean'?",
    ),
    "usual variable": (
        SHORT.format("{v: {mean: norm.nc}}"),
        "mean: norm.nc has no 'v_mean'; did you mean 'u_mean'?",
    ),
    "plane of statistics": (
        SHORT.format("{u: {mean: norm.npz:plane}}"),
        "mean: got float64 values of shape (3, 2) in norm.npz, expected finite numbers, one or one "
        "a level",
    ),
    "gaps in statistics": (
        SHORT.format("{u: {mean: norm.nc:gaps}}"),
        "mean: got float64 values of shape (3,), 1 of which are missing, NaN or infinite, in "
        "norm.nc, expected finite numbers, one or one a level",
    ),
    "names as statistics": (
        SHORT.format("{u: {mean: norm.npz:names}}"),
        "mean: got <U1 values of shape () in norm.npz, expected finite numbers, one or one a level",
    ),
    "broken file": (
        SHORT.format("{u: {mean: broken.npz}}"),
        "mean: broken.npz cannot be read: no archive of",
    ),
    "empty file": ("{file: empty.pt2}", "file: 'empty.pt2' beside basin.yaml is empty"),
    "folder": (
        "{file: folder.pt2}",
        "file: 'folder.pt2' beside basin.yaml is a directory, expected a file",
    ),
    "link": (
        "{file: link.pt2}",
        "file: 'link.pt2' beside basin.yaml is a link to away.pt2, which is not there",
    ),
    "pointer": (
        "{file: pointer.pt2}",
        "file: 'pointer.pt2' beside basin.yaml is a pointer of Git LFS, not the file itself; fetch "
        "that with: git lfs pull",
    ),
    "no numbers": (SHORT.format("{u: {std: []}}"), "std: got a list, expected at least one number"),
    "numbers of a file": (
        SHORT.format("{u: {std: norm.npz:spread}}"),
        "std: got 1, 0, 2, expected numbers above 0",
    ),
    "too large for the wire": (
        SHORT.format("{u: {std: 1.0e+300}}"),
        "u: std: got 1e+300, which is inf in float32, the exchange's wire; expected wire: float64",
    ),
    "too small for the wire": (
        "{file: net.pt2, inputs: [u], outputs: {su: {scale: 1.0e-60}, sv: }}",
        "su: scale: got 1e-60, which is 0 in float32, the exchange's wire; expected wire: float64",
    ),
    "two grids": (
        SHORT.format("[u, t]"),
        "'t' comes on grid 'other' with halo 0, 'u' on 'basin' with 2; expected the same, as they "
        "are channels of one network",
    ),
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.values(), ids=MISTAKES)
def test_mistake(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SpecError) as error:
        predictor(tmp_path, text)
    line = 14 if "comes on grid" in message else 6  # where the second exchange is
    found = [m for m in error.value.messages if m.startswith(f"basin.yaml:{line}: {message}")]
    assert len(found) == 1, error.value.messages


def test_all_at_once(tmp_path: Path) -> None:
    with pytest.raises(SpecError) as error:
        predictor(tmp_path, "{file: nett.pt2, inputs: {w: {std: -1}, u: {mask: ice}}, dtype: half}")
    assert [message.split(": ")[1] for message in error.value.messages] == [
        "file",
        "dtype",
        "std",
        "input 'w'",
        "mask 'ice' of 'u'",
    ]
