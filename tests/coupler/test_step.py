# SPDX-License-Identifier: MIT
"""What a worker may hand back, and what is refused."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from coupler.fallback import Fallback
from coupler.step import Step, require_finite
from coupler.world import CouplingError

SHAPE, HALO = (2, 3, 4), 2
PADDED = (2, 7, 8)


def step() -> Step:
    out = {name: np.full(SHAPE, np.nan, np.float32) for name in ("su", "sv")}
    return Step(5, 300, {"u": np.zeros(PADDED, np.float32)}, out, dict.fromkeys(out, HALO))


def interior(answer: object) -> np.ndarray:
    new = step()
    new["su"] = answer
    return new.answer("su")


@given(
    st.tuples(st.integers(1, 3), st.integers(1, 5), st.integers(1, 5)),
    st.integers(0, 4),
    st.sampled_from([np.float16, np.float32, np.float64]),
    st.sampled_from([np.float32, np.float64]),
)
def test_padded_and_interior_answers_are_the_same(
    shape: tuple[int, int, int], halo: int, given_type: type, wire: type
) -> None:
    levels, ny, nx = shape
    padded = np.full((levels, ny + 2 * halo, nx + 2 * halo), np.nan, given_type)
    expected = np.arange(levels * ny * nx, dtype=given_type).reshape(shape)
    padded[:, halo : halo + ny, halo : halo + nx] = expected
    for answer in (padded, expected):
        new = Step(0, 0, {}, {"su": np.full(shape, np.nan, wire)}, {"su": halo})
        new["su"] = answer
        np.testing.assert_array_equal(new.answer("su"), expected)


@pytest.mark.parametrize(
    ("shape", "turned"),
    [
        ((2, 4, 3), True),
        ((2, 8, 7), True),
        ((2, 7, 4), False),
        ((3, 3, 4), False),
        ((3, 4), False),
        ((1, 3, 4), False),
        ((4, 3, 2), False),
        ((2, 5, 6), False),
    ],
)
def test_other_shapes_are_refused(shape: tuple[int, ...], turned: bool) -> None:
    with pytest.raises(CouplingError) as error:
        interior(np.zeros(shape))
    assert str(error.value).startswith(
        f"answer 'su': got shape {shape}, expected (level, y, x) = (2, 7, 8) with the halo "
        "or (2, 3, 4) without"
    )
    assert ("x and y are exchanged" in str(error.value)) == turned


@pytest.mark.parametrize("dtype", [np.int32, np.int64, bool, complex, object])
def test_other_values_than_floats_are_refused(dtype: type) -> None:
    with pytest.raises(CouplingError, match=r"answer 'su': got .* values, expected float32"):
        interior(np.zeros(SHAPE, dtype))


def test_numbers_and_lists_are_refused() -> None:
    with pytest.raises(CouplingError, match=r"got shape \(\), expected"):
        interior(1.0)
    with pytest.raises(CouplingError, match="values, expected float32"):
        interior("zero")


def test_a_missing_answer() -> None:
    new = step()
    new["su"] = np.zeros(SHAPE)
    with pytest.raises(CouplingError, match="the answer lacks 'sv'; did you mean 'su'"):
        new.answer("sv")
    with pytest.raises(CouplingError, match=r"the answer lacks 'su'$"):
        step().answer("su")


def test_names_that_the_spec_does_not_have() -> None:
    new = step()
    with pytest.raises(CouplingError, match=r"'sw' is not in the spec; did you mean 's[uv]'"):
        new["sw"] = np.zeros(SHAPE)
    with pytest.raises(CouplingError, match="no input 'v' in this step; known: u"):
        new["v"]


def test_step_is_a_mapping_of_its_inputs() -> None:
    new = step()
    assert list(new) == ["u"]
    assert len(new) == 1
    assert (new.number, new.date) == (5, 300)
    new["su"] = answer = np.zeros(SHAPE)
    assert new["su"] is answer
    del new["su"]
    with pytest.raises(CouplingError, match="no input 'su'"):
        new["su"]


def test_torch_tensors() -> None:
    torch = pytest.importorskip("torch")
    values = torch.arange(24.0).reshape(SHAPE).requires_grad_()
    np.testing.assert_array_equal(interior(values), values.detach().numpy())
    turned = torch.arange(24.0).reshape(2, 4, 3).transpose(1, 2)  # right shape, strided
    np.testing.assert_array_equal(interior(turned), turned.numpy())
    with pytest.raises(CouplingError, match="got int64 values"):
        interior(torch.zeros(SHAPE, dtype=torch.int64))


@given(
    st.tuples(st.integers(0, 1), st.integers(0, 2), st.integers(0, 3)),
    st.sampled_from([np.nan, np.inf, -np.inf]),
    st.booleans(),
)
def test_the_first_value_that_is_not_finite_is_named(
    where: tuple[int, int, int], value: float, another: bool
) -> None:
    last = (1, 2, 3)
    array = np.zeros(SHAPE)
    array[where] = value
    if another:
        array[last] = np.nan
    wrong = 2 if another and where != last else 1
    level, y, x = where
    shown = array[where]
    with pytest.raises(CouplingError) as error:
        require_finite({"h": np.zeros(SHAPE), "su": array}, "answer of step 5, date 300 s")
    assert str(error.value) == (
        f"answer of step 5, date 300 s: field 'su' has {wrong} values that are not finite, the "
        f"first is {shown} at level {level}, y {y}, x {x} of this rank's array"
    )


def test_large_finite_values_pass() -> None:
    """Their sum overflows; that alone is no error."""
    require_finite({"u": np.full(SHAPE, 3e38, np.float32)}, "input")
    require_finite({"u": np.array([[[1e308, 1e308, -1e308]]])}, "input")
    require_finite({"u": np.zeros((2, 0, 0))}, "input")


def test_an_answer_too_large_for_the_wire_is_a_failure(capsys: pytest.CaptureFixture[str]) -> None:
    """It is finite, but would arrive as infinite."""
    fallback = Fallback("hold", "closure")
    for number, largest in enumerate((2.0, 1e39, 3.0)):
        step = Step(number, 0, {}, {"s": np.zeros((1, 2, 2), np.float32)}, {"s": 0})
        answer = np.full((1, 2, 2), largest)
        fallback.answer(step, lambda answer=answer: {"s": answer})
        assert step.answer("s").max() == (2.0 if number == 1 else largest)
    fallback.close()
    assert "1 of 3 answers failed" in capsys.readouterr().err
