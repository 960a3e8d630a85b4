# SPDX-License-Identifier: MIT
"""The measured receptive field against formulas, and what defies measuring."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from halos.networks import FIELDS, Closure, Padded, predictor
from ml_server.closures import ZannaBolton2020
from ml_server.errors import AnswerError
from ml_server.halos.plausible import Input
from ml_server.halos.probe import Unmeasurable
from ml_server.halos.reach import Reach, ReceptiveField
from ml_server.halos.receptive import FARTHEST, measure

NONLINEAR = {"relu": nn.ReLU, "tanh": nn.Tanh, "none": nn.Identity}


def field_of(function: Callable[..., Any], halo: int | None = None) -> ReceptiveField:
    return measure(predictor(function, halo), FIELDS, ("s",))


@st.composite
def convolutions(draw: st.DrawFn, inputs: int, outputs: int) -> Padded:
    kernel = draw(st.integers(1, 4)), draw(st.integers(1, 4))
    groups = draw(st.sampled_from([1, 2])) if inputs == outputs == 4 else 1
    return Padded(inputs, outputs, kernel, draw(st.integers(1, 2)), groups)


@st.composite
def stacks(draw: st.DrawFn) -> tuple[nn.Module, Reach, int]:
    """Convolutions, perhaps some of them at a coarser resolution; the reach; the block.

    Every reach adds up. Within a block of b cells, which are pooled and spread again, a cell reads
    up to b - 1 cells more to each side, and each coarse cell is b cells.
    """
    torch.manual_seed(draw(st.integers(0, 1000)))
    block = draw(st.sampled_from([1, 1, 1, 2, 3, 4]))
    pool = draw(st.sampled_from([nn.MaxPool2d, nn.AvgPool2d]))
    nonlinear = NONLINEAR[draw(st.sampled_from(sorted(NONLINEAR)))]
    layers: list[nn.Module] = [draw(convolutions(2, 4)), nonlinear()]
    sides = np.array(layers[0].pads)
    coarse = draw(st.lists(convolutions(4, 4), max_size=1 if block > 1 else 2))
    layers += [pool(block)] if block > 1 else []
    for layer in coarse:
        layers += [layer, nonlinear()]
        sides += block * np.array(layer.pads)
    layers += [nn.Upsample(scale_factor=block)] if block > 1 else []
    sides += block - 1
    last = draw(convolutions(4, 1))
    sides += np.array(last.pads)
    return nn.Sequential(*layers, last), Reach(*map(int, sides)), block


@settings(max_examples=40)
@given(stacks())
def test_convolutions(case: tuple[nn.Module, Reach, int]) -> None:
    network, reach, block = case
    found = field_of(Closure(network))
    assert found.reaches == {"u": reach, "v": reach}
    assert not found.is_global
    # cells of one phase can be alike by chance of the kernels, so the block may be a part of it
    assert found.block is not None
    assert block % found.block == 0
    assert found.halo == max(reach.sides)
    assert found.levels_alike


offsets = st.lists(st.tuples(st.integers(-5, 5), st.integers(-18, 18)), max_size=4)


@given(offsets, offsets)
def test_shifted_numpy_arrays(
    u_cells: list[tuple[int, int]], v_cells: list[tuple[int, int]]
) -> None:
    """Each cell (dy, dx) away that is read, by input; `roll` also reads around the array's edge."""

    def function(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        answer = np.zeros_like(u)
        for values, cells in ((u, u_cells), (v, v_cells)):
            for number, (dy, dx) in enumerate(cells):
                answer += (0.1 + number) * np.roll(values, (-dy, -dx), (1, 2)) ** 2
        return answer

    found = field_of(function)
    for name, cells in (("u", u_cells), ("v", v_cells)):
        ys, xs = [0, *(dy for dy, _ in cells)], [0, *(dx for _, dx in cells)]
        assert found.reaches[name] == Reach(-min(xs), max(xs), -min(ys), max(ys))
    assert found.block == 1


@pytest.mark.parametrize("preset", ["raw", "smooth", "reynolds"])
def test_zanna_bolton(preset: str) -> None:
    """docs/closures.md: 2 cells by the differences, 1 by every pass of the filter. The halo of an
    input is what the paths through its own formulas add up to."""
    closure = ZannaBolton2020(preset)
    inputs = []
    for name in inspect.signature(closure.forward).parameters:
        sort = "mask" if name.startswith("mask") else "metric"
        sort = {"u": "vector", "v": "vector", "h": "scalar"}.get(name, sort)
        inputs.append(Input(name, 2 if name in "uvh" else 1, sort, 0, "float64"))
    found = measure(predictor(closure, closure.halo), inputs, ("su", "sv"))
    halo = {"raw": 2, "smooth": 6, "reynolds": 10}[preset]
    assert found.reach == Reach(halo, halo, halo, halo)
    assert found.margin == found.halo == halo
    widest = {name: reach.widest for name, reach in found.reaches.items()}
    expected = {"u": halo, "v": halo, "h": 1, "mask_u": halo, "mask_t": halo - 1, "area_u": 0}
    assert {name: widest[name] for name in expected} == expected


def test_a_weight_near_zero_is_a_weight() -> None:
    torch.manual_seed(1)
    network = Padded(2, 1, (5, 5), 1)
    with torch.no_grad():
        weight = network.convolution.weight
        weight[..., [0, 4], :] = 1e-30
        weight[..., [0, 4]] = 1e-30
    assert field_of(Closure(network)).reach == Reach(2, 2, 2, 2)


def test_units_that_are_off_are_read() -> None:
    network = nn.Sequential(Padded(2, 4, (7, 3), 1), nn.ReLU(), nn.Conv2d(4, 1, 1))
    with torch.no_grad():
        network[0].convolution.bias[...] = -1e6
    assert field_of(Closure(network)).reach == Reach(1, 1, 3, 3)


def test_a_threshold_that_hides_nan() -> None:
    def function(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        return np.where(np.roll(v, 4, axis=2) > 0.0, u, 0.0)

    found = field_of(function)
    assert found.reaches == {"u": Reach(), "v": Reach(west=4)}


def test_what_single_cells_do_not_show() -> None:
    """Only many cells together move the answer: replacing all that is far away does show it."""

    def function(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        far = np.sign(np.stack([np.roll(v, n, axis=1) for n in range(3, 8)]))
        return np.where(np.abs(np.nan_to_num(far).sum(axis=0)) > 4, 2 * u, u)

    assert field_of(function).halo == 7


def test_answers_of_the_interior() -> None:
    network = nn.Sequential(nn.Conv2d(2, 4, 5), nn.ReLU(), nn.Conv2d(4, 1, 3))
    found = field_of(Closure(network))
    assert found.reach == Reach(3, 3, 3, 3)
    assert found.crops == {"s": 3}
    assert field_of(Closure(Padded(2, 1, (3, 3), 1), crop=4)).halo == 4


def test_a_wide_network() -> None:
    layers = [Padded(2 if n == 0 else 1, 1, (7, 1), 8) for n in range(2)]
    assert field_of(Closure(nn.Sequential(*layers))).reach == Reach(0, 0, 48, 48)


def by_fft(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    """0.3 of the cell 2 to the south, added to 2 times this one: exact only to rounding."""
    kernel = np.zeros(u.shape[-2:])
    kernel[0, 0], kernel[2, 0] = 2.0, 0.3
    return np.fft.irfft2(np.fft.rfft2(u + v) * np.fft.rfft2(kernel), s=u.shape[-2:])


def test_a_stencil_made_by_fft() -> None:
    found = field_of(by_fft)
    assert found.reach == Reach(south=2)
    assert any("by a rounding" in remark for remark in found.remarks)


def test_a_product_with_zero() -> None:
    found = field_of(lambda u, v: u + 0 * v.sum())
    assert found.reach == Reach()
    assert found.remarks == (
        "NaN in 'v' goes everywhere, finite values do not, and they are what counts",
    )


def test_constant_answers_read_nothing() -> None:
    found = field_of(lambda u, v: np.ones_like(u))
    assert (found.reach, found.halo, found.is_global) == (Reach(), 0, False)


class Attention(nn.Module):
    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        tokens = fields[..., ::2, ::2].flatten(2).transpose(1, 2)
        mixed = nn.functional.scaled_dot_product_attention(tokens, tokens, tokens)
        coarse = mixed.transpose(1, 2).unflatten(2, (fields.shape[2] // 2, -1))
        return nn.functional.interpolate(coarse, scale_factor=2)


class Excitation(nn.Module):
    def forward(self, fields: torch.Tensor) -> torch.Tensor:
        return fields * torch.sigmoid(fields.mean((2, 3), keepdim=True))


GLOBAL = {
    "pooling": Excitation(),
    "attention": Attention(),
    "instance": nn.InstanceNorm2d(2),
    "batch": nn.BatchNorm2d(2, track_running_stats=False),
}


@pytest.mark.parametrize("network", GLOBAL.values(), ids=GLOBAL)
def test_global_operations(network: nn.Module) -> None:
    found = field_of(Closure(network))
    assert found.is_global
    assert not found.reach.bounded


def test_a_spectral_filter_along_x() -> None:
    def function(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        wavenumber = np.fft.rfftfreq(u.shape[2])
        return np.fft.irfft(np.fft.rfft(u * v) * (wavenumber < 0.2), n=u.shape[2])

    found = field_of(function)
    assert found.is_global
    assert found.reach.sides[:2] == (None, None)


def test_answers_that_depend_on_the_place() -> None:
    found = field_of(lambda u, v: u * np.linspace(0, 1, u.shape[2]))
    assert found.reach == Reach()
    assert found.block is None
    assert found.is_global


def test_farther_than_is_tried() -> None:
    assert FARTHEST == 143
    assert field_of(lambda u, v: np.roll(u, 120, axis=2)).reach == Reach(west=120)


class Counts:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, u: np.ndarray, v: np.ndarray) -> np.ndarray:
        self.calls += 1
        return u * self.calls


def test_a_state() -> None:
    counts = Counts()
    with pytest.raises(Unmeasurable, match="asked the same again"):
        field_of(counts)
    assert counts.calls == 0  # a copy was asked


def refuses(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    raise ValueError("the mask of the domain has 90 x 80 cells")


def takes_small_ones(u: np.ndarray, v: np.ndarray) -> np.ndarray:
    if u.shape[2] > 200:
        raise ValueError("a table of 200 columns")
    return u


UNMEASURABLE = {
    "small": (takes_small_ones, "some random fields and not others: ValueError: a table of 200"),
    "random": (lambda u, v: u + np.random.default_rng().normal(size=u.shape), "random numbers"),
    "nan": (lambda u, v: u / 0, "not finite"),
    "refuses": (refuses, "refuses random fields: ValueError: the mask of the domain"),
    "turned": (lambda u, v: u.swapaxes(1, 2), "has 288 x 48 cells for inputs of 48 x 288"),
}


@pytest.mark.parametrize(("function", "reason"), UNMEASURABLE.values(), ids=UNMEASURABLE)
def test_unmeasurable(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(Unmeasurable, match=reason):
        field_of(function)


@pytest.mark.parametrize(
    ("function", "reason"),
    [
        (lambda u, v: u[0], "shape \\(48, 48\\), expected floats \\(level, y, x\\)"),
        (lambda u, v: {"t": u}, "the answer of .* lacks 's'"),
    ],
)
def test_answers_that_no_run_accepts(function: Callable[..., Any], reason: str) -> None:
    with pytest.raises(AnswerError, match=reason):
        field_of(function)


def test_a_predictor_that_hangs() -> None:
    def hangs(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        time.sleep(1000)
        return u

    with pytest.raises(Unmeasurable, match=r"has not answered for 0\.05 s"):
        measure(predictor(hangs), FIELDS, ("s",), limit=0.05)


def test_levels_as_channels() -> None:
    """A network that counts its channels gets all levels."""

    class Columns(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = Padded(4, 2, (1, 3), 1)

        def forward(self, u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
            return self.network(torch.cat((u, v)).unsqueeze(0))[0]

    found = field_of(Columns().eval())
    assert found.reach == Reach(1, 1, 0, 0)
    assert not found.levels_alike


@pytest.mark.parametrize("there", [0, 1, 2, 3])
def test_levels_that_read_another(there: int) -> None:
    """Above, below or between: all of them must be asked to find the one that does."""
    fields = [replace(item, levels=4) for item in FIELDS]

    def function(u: np.ndarray, v: np.ndarray) -> np.ndarray:
        answer = u.copy()
        if len(u) == 4:
            answer[there] += np.roll(v[(there + 1) % 4], 3, axis=1)
        return answer

    found = measure(predictor(function), fields, ("s",))
    assert not found.levels_alike
    assert found.reach == Reach(west=3)


def test_date_and_cell_are_given() -> None:
    """Noise that is made of cell numbers and dates moves with the cells."""

    def function(u: np.ndarray, v: np.ndarray, date: int, cell: np.ndarray) -> np.ndarray:
        assert isinstance(date, int)
        assert cell.dtype == np.int64
        return u + np.sin(cell * 0.37 + date) + np.roll(v, -1, axis=1)

    found = field_of(function)
    assert found.reaches == {"u": Reach(), "v": Reach(north=1)}
    assert found.block == 1
