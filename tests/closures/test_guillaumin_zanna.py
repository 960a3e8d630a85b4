# SPDX-License-Identifier: MIT
"""GZ21 against its equations in NumPy, against itself in tiles, and how far it reads."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from numpy.lib.stride_tricks import sliding_window_view

from closures.case import same_bits
from closures.files import NARROW, gz21_file
from ml_server.closures import GuillauminZanna2021
from ml_server.closures.noise import normal
from ml_server.closures.weights import read_state

NY, NX, LEVELS = 9, 12, 2
DATE, SEED = 7200, 5


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> str:
    return str(gz21_file(tmp_path_factory.mktemp("weights") / "gz21.pt"))


def closure(file: str, **options: object) -> GuillauminZanna2021:
    settings = {"hidden": NARROW, "cast": "float64", "seed": SEED} | options
    return GuillauminZanna2021(file, **settings)  # type: ignore[arg-type]


def padded_case(width: int, land: float = 0.2) -> dict[str, torch.Tensor]:
    """Velocities, mask and cell numbers of a periodic box with scattered land."""
    random = np.random.default_rng(3)
    wet = random.random((NY, NX)) >= land
    u, v = random.normal(0, 0.3, (2, LEVELS, NY, NX))
    u *= wet & np.roll(wet, -1, 1)
    v *= wet & np.roll(wet, -1, 0)
    rows, columns = np.arange(-width, NY + width) % NY, np.arange(-width, NX + width) % NX
    numbers = np.arange(NY * NX).reshape(NY, NX)
    arrays = {"u": u, "v": v, "mask_t": wet.astype(float), "cell": numbers}
    where = (..., rows[:, None], columns[None, :])
    return {name: torch.from_numpy(array[where].copy()) for name, array in arrays.items()}


def answer(module: torch.nn.Module, case: dict[str, torch.Tensor], halo: int) -> np.ndarray:
    """(su and sv, level, y, x) of the interior."""
    with torch.inference_mode():
        found = module(**case, date=DATE)
    return np.stack([found[name].numpy()[:, halo:-halo, halo:-halo] for name in ("su", "sv")])


def layer(x: np.ndarray, weight: np.ndarray, bias: np.ndarray) -> np.ndarray:
    windows = sliding_window_view(x, weight.shape[-2:], axis=(-2, -1))
    return np.einsum("liyxba,oiba->loyx", windows, weight) + bias[:, None, None]


def softplus(x: np.ndarray | float) -> np.ndarray:
    return np.log1p(np.exp(x))


def test_the_forcing_is_what_the_equations_say(file: str) -> None:
    """Zeros at coasts; velocities x 10; mean + noise / precision; x 1e-7; back on faces."""
    module = closure(file)
    assert module.halo == 11
    case = padded_case(module.halo)
    u, v, mask = (case[name].numpy() for name in ("u", "v", "mask_t"))
    wet = mask[1:, 1:] > 0
    x = 10 * np.stack(
        [(u[:, 1:, :-1] + u[:, 1:, 1:]) / 2, (v[:, :-1, 1:] + v[:, 1:, 1:]) / 2], axis=1
    )
    state = {name: tensor.double().numpy() for name, tensor in read_state(file).items()}
    for n in range(8):
        weight = state[f"{2 * n}.weight"]
        x = layer(np.where(wet, x, 0), weight, state[f"{2 * n}.bias"])
        r = weight.shape[-1] // 2
        wet = wet[r:-r, r:-r]
        x = np.maximum(x, 0) if n < 7 else x
    precision = softplus(x[:, 2:]) + softplus(np.float64(np.float32(0.2)))
    inner = case["cell"][11:-10, 11:-10]
    noise = np.stack([z.numpy() for z in normal(SEED, DATE, inner, LEVELS)], axis=1)
    s = 1e-7 * (x[:, :2] + noise / precision)
    su = np.where(wet[:-1, :-1] & wet[:-1, 1:], (s[:, 0, :-1, :-1] + s[:, 0, :-1, 1:]) / 2, 0)
    sv = np.where(wet[:-1, :-1] & wet[1:, :-1], (s[:, 1, :-1, :-1] + s[:, 1, 1:, :-1]) / 2, 0)
    expected = np.stack([su, sv])
    got = answer(module, case, module.halo)
    np.testing.assert_allclose(got, expected, rtol=1e-9, atol=1e-12 * np.abs(expected).max())
    mean = answer(closure(file, stochastic=False), case, module.halo)
    assert np.abs(mean - got).max() > 0.1 * np.abs(got).max()


@pytest.mark.parametrize("coast", ["zeros", "replicate"])
def test_the_halo_is_what_it_reads_and_no_less(file: str, coast: str) -> None:
    """One cell in the middle: what changes it lies up to `halo` cells away on both sides."""
    module = closure(file, coast=coast, stochastic=False)
    halo, size = module.halo, 2 * module.halo + 3  # one cell more than it should read
    middle = halo + 1
    wet = torch.ones(size, size)
    if coast == "replicate":
        # gaps as wide as a layer can bridge, along x: layers seen from the answer, then upstream
        steps = np.cumsum([1, *[2] * 6, 4, 4])
        away = {*steps.tolist(), *(1 - steps).tolist()}
        wet[:] = 0
        wet[:, [middle + step for step in away]] = 1
        assert max(away) == halo
        assert module.network.radius == 20
    random = torch.Generator().manual_seed(1)

    def velocities() -> torch.Tensor:
        return torch.randn(2, 1, size, size, generator=random, dtype=torch.float64)

    def at_middle(u: torch.Tensor, v: torch.Tensor) -> torch.Tensor:
        with torch.inference_mode():
            found = module(u, v, wet)
        return torch.stack([found["su"], found["sv"]])[..., middle, middle]

    u, v = velocities()
    before = at_middle(u, v)
    assert before[0] != 0

    def changed(columns: int, part: int) -> bool:
        """Whether anything changes that column's velocity may do to su (0) or sv (1)."""
        there = [u.clone(), v.clone()]
        for field, new in zip(there, velocities(), strict=True):
            field[..., columns] = new[..., columns]
        return not torch.equal(at_middle(*there)[part], before[part])

    assert changed(middle - halo, 0)
    assert changed(middle + halo, 0)
    assert not changed(0, 0)
    assert not changed(size - 1, 0)
    if coast == "zeros":  # the same along y
        u, v, wet = v.mT.contiguous(), u.mT.contiguous(), wet.mT.contiguous()
        before = at_middle(u, v)
        rows = [(0, False), (1, True), (size - 2, True), (size - 1, False)]
        for row, expected in rows:
            there = [u.clone(), v.clone()]
            for field, new in zip(there, velocities(), strict=True):
                field[..., row, :] = new[..., row, :]
            assert torch.equal(at_middle(*there)[1], before[1]) != expected


@pytest.mark.parametrize("coast", ["zeros", "replicate"])
@pytest.mark.parametrize(
    ("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)], ids=["float64", "float32"]
)
def test_tiles_make_the_whole(file: str, coast: str, dtype: str, tolerance: float) -> None:
    module = closure(file, coast=coast, cast=dtype)
    halo = module.halo
    case = padded_case(halo)
    whole = answer(module, case, halo)
    for y0, y1, x0, x1 in [(0, 4, 0, 12), (4, 9, 0, 5), (4, 9, 5, 12), (8, 9, 11, 12)]:
        rows, columns = slice(y0, y1 + 2 * halo), slice(x0, x1 + 2 * halo)
        tile = {name: array[..., rows, columns] for name, array in case.items()}
        part = whole[..., y0:y1, x0:x1]
        difference = np.abs(answer(module, tile, halo) - part).max()
        assert difference <= tolerance * np.abs(whole).max()


def test_noise_has_the_standard_deviation_1_over_precision(tmp_path: Path) -> None:
    """A network without weights answers its biases: mean 3, precision softplus(9) + least."""
    path = gz21_file(tmp_path / "gz21.pt")
    state = {name: torch.zeros_like(tensor) for name, tensor in read_state(path).items()}
    state["14.bias"] = torch.tensor([3.0, 3.0, 9.0, 9.0])
    torch.save(state, path)
    module = closure(str(path))
    u = torch.zeros(2, 240, 240, dtype=torch.float64)
    cell = torch.arange(240 * 240).reshape(240, 240)
    s = module(u, u, date=0, cell=cell)["su"][:, 11:-11, 11:-11] / 1e-7
    sigma = 1 / (softplus(9.0) + softplus(0.0))  # sqrt(1/p) would be three times as much
    assert s.mean().item() == pytest.approx(3, abs=4 * sigma / 300)
    assert s.std().item() == pytest.approx(sigma / 2**0.5, rel=0.02)  # the mean of two cells


def test_float32_has_the_noise_of_float64_rounded(file: str) -> None:
    """Both draw the same numbers, of which float32 keeps the leading bits."""
    double, single = closure(file), closure(file, cast="float32")
    cell = torch.arange(30 * 30).reshape(30, 30)
    fine, coarse = (
        module._noise(DATE, cell, torch.zeros(LEVELS, 2, 9, 9, dtype=dtype)).numpy()
        for module, dtype in ((double, torch.float64), (single, torch.float32))
    )
    assert same_bits(fine.astype(np.float32), coarse)


def test_a_stochastic_forcing_needs_to_know_when_and_where(file: str) -> None:
    u = torch.zeros(1, 23, 23, dtype=torch.float64)
    with pytest.raises(ValueError, match="needs `date` and `cell`"):
        closure(file)(u, u)
    with pytest.raises(ValueError, match="pad each side by halo = 11"):
        closure(file)(u[:, 1:], u[:, 1:])
    with pytest.raises(ValueError, match="hidden: got 2 layers, expected 7"):
        GuillauminZanna2021(file, hidden=(128, 64))


def test_the_published_size() -> None:
    module = GuillauminZanna2021("random")
    assert sum(p.numel() for p in module.network.parameters()) == 268_004
    assert sum(p.numel() for p in module.parameters()) == 268_005
    assert module.min_value.dtype == torch.float32
    assert not module.levels_independent  # a chunk of levels would have other noise
    assert GuillauminZanna2021("random", stochastic=False).levels_independent
