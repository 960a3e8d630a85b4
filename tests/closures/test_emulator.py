# SPDX-License-Identifier: MIT
"""The network that the project trained: its file, its skill, and that training makes it again."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from closures.case import run_tile, uniform_case
from ml_server.closures import ZannaBolton2020, ZannaBoltonEmulator
from ml_server.closures.emulator import CELL, WEIGHTS
from ml_server.closures.train_emulator import SIZE, random_flows, skill, train


def test_the_shipped_file_has_the_skill_that_the_page_states() -> None:
    assert WEIGHTS.stat().st_size < 20_000
    assert skill(ZannaBoltonEmulator().network) > 0.98


def test_training_learns_and_is_reproducible() -> None:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)  # as the command does
    first, again, other = train(steps=5), train(steps=5), train(steps=5, seed=1)
    longer = train(steps=60)
    torch.set_num_threads(threads)
    for a, b in zip(first.parameters(), again.parameters(), strict=True):
        assert torch.equal(a, b)
    assert not torch.equal(next(first.parameters()), next(other.parameters()))
    assert skill(first) < 0.2
    assert skill(longer) > 0.7


@pytest.mark.parametrize("cell", [CELL, 2 * CELL])
def test_it_is_near_what_it_imitates_also_in_other_cells(cell: float) -> None:
    flows = random_flows(3, torch.Generator().manual_seed(77)).double().numpy()
    u, v = flows[:, 0], flows[:, 1]
    case = uniform_case(u, v, np.full((3, SIZE, SIZE), 100.0), cell, cell)
    emulator = ZannaBoltonEmulator(cell_size=cell)
    padded = {name: case.padded(emulator.halo)[name] for name in ("u", "v", "mask_u", "mask_v")}
    got = run_tile(emulator, padded, emulator.halo, torch.float32)
    closure = ZannaBolton2020("raw")
    expected = run_tile(closure, case.padded(closure.halo), closure.halo)
    for name in ("su", "sv"):
        correlation = np.corrcoef(got[name].ravel(), expected[name].ravel())[0, 1]
        assert correlation > 0.98
        assert got[name].std() == pytest.approx(expected[name].std(), rel=0.1)


def test_closed_faces_have_no_forcing() -> None:
    emulator = ZannaBoltonEmulator()
    u = torch.rand(1, 12, 12)
    mask = torch.ones(12, 12)
    mask[5] = 0
    with torch.no_grad():
        answer = emulator(u, u, mask_u=mask)
    assert (answer["su"][:, 5] == 0).all()
    assert (answer["sv"][:, 5, 4:8] != 0).all()
