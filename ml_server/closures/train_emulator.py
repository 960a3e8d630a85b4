# SPDX-License-Identifier: MIT
"""Train the network of emulator.py on Zanna-Bolton's forcing of random flows, in seconds.

`python -m ml_server.closures.train_emulator` writes the weights that are shipped: flows, first
weights and their order come from the seed, so two runs on one machine give the same file.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional

from ml_server.closures.convolution import ConvolutionStack
from ml_server.closures.emulator import CELL, FORCING, VELOCITY, WEIGHTS, network
from ml_server.closures.zanna_bolton import ZannaBolton2020

SIZE = 48  # cells of a doubly periodic square
FLOWS = 8  # in a batch
STEPS = 600
RATE = 0.01  # the highest learning rate of the one cycle
THICKNESS = 500.0  # [m], uniform: the forcing does not depend on it then


def random_flows(count: int, random: torch.Generator) -> Tensor:
    """(flow, u and v, y, x), [m s-1]: eddies of 8 to 24 cells, 0.1 to 0.4 m s-1 in the mean.

    From a streamfunction at corners, so that no cell gains water.
    """
    wave = torch.fft.fftfreq(SIZE) * SIZE
    length = torch.hypot(wave[:, None], wave[None, :])
    peak = 2.0 + 4.0 * torch.rand(count, 1, 1, generator=random)
    spectrum = torch.exp(-(((length - peak) / (0.5 * peak)) ** 2)) * (length <= SIZE / 4)
    noise = torch.randn(count, SIZE, SIZE, generator=random)
    psi = torch.fft.ifft2(torch.fft.fft2(noise) * spectrum).real
    flow = torch.stack((torch.roll(psi, 1, -2) - psi, psi - torch.roll(psi, 1, -1)), dim=1)
    speed = 0.1 + 0.3 * torch.rand(count, 1, 1, 1, generator=random)
    return flow * (speed / flow.square().sum(1, keepdim=True).mean((2, 3), keepdim=True).sqrt())


def forcing_of(flows: Tensor) -> Tensor:
    """(flow, su and sv, y, x), [m s-2]: what the preset `raw` answers."""
    closure = ZannaBolton2020("raw")
    u, v = wrapped(flows, closure.halo).unbind(1)
    ones = torch.ones(u.shape[-2:])
    lengths = {"dx": CELL, "dy": CELL, "area": CELL * CELL, "mask": 1.0}
    statics = {f"{name}_{p}": value * ones for name, value in lengths.items() for p in "tuvf"}
    answer = closure(u, v, torch.full_like(u, THICKNESS), **statics)
    inner = slice(closure.halo, -closure.halo)
    return torch.stack((answer["su"], answer["sv"]), dim=1)[..., inner, inner]


def wrapped(fields: Tensor, width: int) -> Tensor:
    return functional.pad(fields, (width,) * 4, mode="circular")


def train(steps: int = STEPS, seed: int = 0) -> ConvolutionStack:
    """A trained network; flows never come twice."""
    random = torch.Generator().manual_seed(seed)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        layers = network()
    optimiser = torch.optim.Adam(layers.parameters())
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, total_steps=steps)
    for _ in range(steps):
        flows = random_flows(FLOWS, random)
        answer = layers(wrapped(flows, layers.radius) / VELOCITY)
        loss = functional.mse_loss(answer, forcing_of(flows) / FORCING)
        optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimiser.step()
        schedule.step()
    return layers.eval()


@torch.no_grad()
def skill(layers: ConvolutionStack, seed: int = 1000, count: int = 32) -> float:
    """1 - squared error / variance of the forcing, of flows that `seed` makes."""
    flows = random_flows(count, torch.Generator().manual_seed(seed))
    expected = forcing_of(flows)
    got = layers(wrapped(flows, layers.radius) / VELOCITY) * FORCING
    return float(1.0 - (got - expected).square().sum() / expected.square().sum())


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="ml_server.closures.train_emulator", description="Train the Zanna-Bolton emulator."
    )
    parser.add_argument("--output", type=Path, default=WEIGHTS, help="file of safetensors")
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    from safetensors.torch import save_file

    torch.set_num_threads(1)  # two threads are slower on fields so small
    layers = train(arguments.steps, arguments.seed)
    save_file(layers.state_dict(), arguments.output)
    weights = sum(p.numel() for p in layers.parameters())
    print(f"{arguments.output}: {weights} weights, skill {skill(layers):.3f} on flows not seen")


if __name__ == "__main__":
    main()
