# SPDX-License-Identifier: MIT
"""Fields <-> channels, value by value, for any mapping; NumPy and torch alike."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from coupler.spec import MappedField
from ml_server.errors import PredictorError
from ml_server.networks.mapped import Mapped
from ml_server.networks.mapping import ChannelMap, MappedArrays

LEVELS, NY, NX = 3, 6, 5
NUMBERS = st.floats(0.5, 2.0)


@st.composite
def mapped_fields(draw: st.DrawFn, name: str, levels: int) -> MappedField:
    def numbers() -> tuple[float, ...]:
        count = draw(st.sampled_from([0, 1, levels]))
        return tuple(draw(NUMBERS) for _ in range(count))

    mask = draw(st.sampled_from([None, "flat_mask", "deep_mask"]))
    if levels == 1 and mask == "deep_mask":
        mask = None
    if draw(st.booleans()):
        return MappedField(name, "", scale=numbers(), mask=mask, fill=draw(NUMBERS))
    mean = numbers()
    fill = draw(st.sampled_from([0.0, 7.0, *([None] if mean else [])]))
    return MappedField(name, "", mean=mean, std=numbers(), mask=mask, fill=fill)


@st.composite
def channel_maps(draw: st.DrawFn) -> tuple[ChannelMap, dict[str, int]]:
    """A mapping, and the levels of its inputs."""
    layout = draw(st.sampled_from(["batch", "channels"]))
    levels = {f"in{n}": draw(st.sampled_from([1, LEVELS])) for n in range(draw(st.integers(1, 3)))}
    most = max(levels.values())
    answers = {
        f"out{n}": most if layout == "batch" else draw(st.sampled_from([1, LEVELS]))
        for n in range(draw(st.integers(1, 3)))
    }
    inputs = tuple(draw(mapped_fields(name, n)) for name, n in levels.items())
    outputs = tuple(draw(mapped_fields(name, n)) for name, n in answers.items())
    return ChannelMap(inputs, outputs, answers, layout), levels


def at(numbers: tuple[float, ...], level: int, default: float) -> float:
    return (numbers * LEVELS)[level] if len(numbers) == 1 else (numbers or (default,) * 9)[level]


def given_fields(levels: dict[str, int]) -> dict[str, np.ndarray]:
    random = np.random.default_rng(3)
    fields = {name: random.normal(size=(n, NY, NX)) for name, n in levels.items()}
    for name, n in (("flat_mask", 1), ("deep_mask", LEVELS)):
        fields[name] = (random.random((n, NY, NX)) > 0.4).astype(float)
    for name in levels:  # what is on land never enters
        fields[name][:, 2, 2] = np.where(fields["flat_mask"][:, 2, 2] > 0, 1.0, 2.0)
    return fields


def wet(fields: dict[str, np.ndarray], mask: str | None, level: int, y: int, x: int) -> bool:
    if mask is None:
        return True
    values = fields[mask]
    return bool(values[level if len(values) > 1 else 0, y, x] > 0)


def encoded(field: MappedField, fields: dict[str, np.ndarray], level: int, y: int, x: int) -> float:
    """One value of a channel, from the definition in docs/predictors.md."""
    mean, std = at(field.mean, level, 0.0), at(field.std, level, 1.0)
    value = fields[field.name][level, y, x]
    if not wet(fields, field.mask, level, y, x):
        value = mean if field.fill is None else field.fill
    return (value * at(field.scale, level, 1.0) - mean) / std


def decoded(field: MappedField, value: float, level: int, is_wet: bool) -> float:
    mean, std = at(field.mean, level, 0.0), at(field.std, level, 1.0)
    return value * at(field.scale, level, 1.0) * std + mean if is_wet else 0.0


@given(channel_maps(), st.booleans())
def test_every_value(case: tuple[ChannelMap, dict[str, int]], interior: bool) -> None:
    """The network's input is what the definition says, and so are the answers to its output; with
    torch the bits are those of NumPy."""
    channels, levels = case
    fields = given_fields(levels)
    by_level = channels.layout == "channels"
    batch = 1 if by_level else max(levels.values())
    count = sum(channels.levels.values()) if by_level else len(channels.outputs)
    cut = 1 if interior else 0
    shape = (batch, count, NY - 2 * cut, NX - 2 * cut)
    output = np.random.default_rng(4).normal(size=shape)
    seen: list[np.ndarray] = []

    def network(x: np.ndarray) -> np.ndarray:
        seen.append(x)
        return output

    answers = MappedArrays(network, channels, None)(**fields)

    where = [(f, level) for f in channels.inputs for level in range(levels[f.name])]
    for b, c in np.ndindex(seen[0].shape[:2]):
        field = channels.inputs[c] if not by_level else where[c][0]
        level = where[c][1] if by_level else min(b, levels[field.name] - 1)
        for y, x in np.ndindex(NY, NX):
            expected = encoded(field, fields, level, y, x)
            np.testing.assert_allclose(seen[0][b, c, y, x], expected, rtol=1e-14, atol=1e-14)

    first = 0
    for number, field in enumerate(channels.outputs):
        assert answers[field.name].shape == (channels.levels[field.name], *shape[2:])
        for level, y, x in np.ndindex(answers[field.name].shape):
            value = output[0, first + level, y, x] if by_level else output[level, number, y, x]
            is_wet = wet(fields, field.mask, level, y + cut, x + cut)
            expected = decoded(field, value, level, is_wet)
            np.testing.assert_allclose(answers[field.name][level, y, x], expected, rtol=1e-14)
        first += channels.levels[field.name]

    class Same(torch.nn.Module):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            np.testing.assert_array_equal(x.numpy(), seen[0])
            return torch.from_numpy(output)

    tensors = {name: torch.from_numpy(values) for name, values in fields.items()}
    for name, answer in Mapped(Same(), channels, None)(**tensors).items():
        np.testing.assert_array_equal(answer.numpy(), answers[name])


def test_land_never_enters() -> None:
    """NaN under a mask is replaced, not multiplied, on the way in and out."""
    field = MappedField("a", "", mean=(2.0,), std=(4.0,), mask="m", fill=None)
    out = MappedField("b", "", mean=(2.0,), mask="m")
    channels = ChannelMap((field,), (out,), {"b": 1}, "batch")
    a, m = np.array([[[np.nan, 10.0]]]), np.array([[[0.0, 1.0]]])

    def network(x: np.ndarray) -> np.ndarray:
        np.testing.assert_array_equal(x, [[[[0.0, 2.0]]]])
        return np.array([[[[np.nan, 5.0]]]])

    answer = MappedArrays(network, channels, None)(a=a, m=m)
    np.testing.assert_array_equal(answer["b"], [[[0.0, 7.0]]])


def test_statistics_keep_their_precision_in_half() -> None:
    """A scale of 1e-9 is 0 in float16, and 300 - 299.99 is 0.25 or 0."""
    fields = (MappedField("a", "", mean=(299.99,)),), (MappedField("b", "", scale=(1e-9,)),)
    channels = ChannelMap(*fields, {"b": 1}, "batch")
    mapped = Mapped(torch.nn.Conv2d(1, 1, 1, bias=False), channels, None)
    torch.nn.init.ones_(mapped.network.weight)
    answer = mapped.half()(a=torch.full((1, 2, 2), 300.0))["b"]
    assert mapped.network.weight.dtype == torch.float16
    assert answer.dtype == torch.float32
    np.testing.assert_allclose(answer.detach(), 1e-11, rtol=2e-3)


@pytest.mark.parametrize("numbers", [(), (0.5,), (0.5, 0.6)])
def test_levels_may_be_cut_unless_each_has_its_number(numbers: tuple[float, ...]) -> None:
    fields = (MappedField("a", "", mean=numbers),)
    channels = ChannelMap(fields, (MappedField("b", ""),), {"b": 2}, "batch")
    mapped = Mapped(torch.nn.Identity(), channels, None)
    assert mapped.levels_independent == (len(numbers) < 2)
    network = torch.nn.Identity()
    network.levels_independent = False  # as one that keeps a state says
    assert not Mapped(network, channels, None).levels_independent
    whole = torch.arange(8.0).reshape(2, 2, 2)
    if mapped.levels_independent:
        parts = [mapped(a=whole[n : n + 1])["b"] for n in range(2)]
        np.testing.assert_array_equal(torch.cat(parts), mapped(a=whole)["b"])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (np.zeros((2, 3, 4, 4)), r"shape \(2, 3, 4, 4\), expected \(batch, 1, y, x\)"),
        (np.zeros((2, 4, 4)), r"shape \(2, 4, 4\), expected \(batch, 1, y, x\)"),
        ({"b": 1}, r"returned dict, expected \(batch, channel, y, x\)"),
    ],
)
def test_what_a_network_may_not_return(answer: object, message: str) -> None:
    channels = ChannelMap((MappedField("a", ""),), (MappedField("b", ""),), {"b": 2}, "batch")
    with pytest.raises(PredictorError, match=message):
        MappedArrays(lambda x: answer, channels, None)(a=np.zeros((2, 4, 4)))
