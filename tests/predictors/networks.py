# SPDX-License-Identifier: MIT
"""Small networks, and every format that they can be written in; tests put this file beside their
spec, which imports it as `networks`."""

from __future__ import annotations

import logging
import shutil
from pathlib import Path

import torch
from torch.export import Dim

DYNAMIC = {0: Dim.DYNAMIC, 2: Dim.DYNAMIC, 3: Dim.DYNAMIC}
SAMPLE = torch.zeros(3, 2, 16, 17)


class Convolutions(torch.nn.Module):
    """(batch, 2, y, x) -> (batch, 2, y, x); the weights are the same in every process."""

    halo = 2

    def __init__(self, width: int = 4, seed: int = 7) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.first = torch.nn.Conv2d(2, width, 3, padding=1)
        self.last = torch.nn.Conv2d(width, 2, 3, padding=1)
        for weight in self.parameters():
            weight.data = torch.randn(weight.shape, generator=generator) * 0.1

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.last(torch.tanh(self.first(x)))


class Named(Convolutions):
    """The same with fields by name, (level, y, x)."""

    def forward(self, u: torch.Tensor, v: torch.Tensor) -> dict[str, torch.Tensor]:  # type: ignore[override]
        s = self.last(torch.tanh(self.first(torch.stack((u, v), dim=1))))
        return {"su": s[:, 0], "sv": s[:, 1]}


def write_all(directory: Path) -> None:
    """Convolutions as net.pt, .pt2, .onnx, .pth and .safetensors, and as checkpoint.pth:model;
    Named as named.pt, named.pt2 and named.onnx; of fixed sizes as fixed.pt2."""
    from safetensors.torch import save_file

    directory.mkdir(parents=True, exist_ok=True)
    shutil.copy(__file__, directory)
    network = Convolutions().eval()
    torch.save(network.state_dict(), directory / "net.pth")
    torch.save({"epoch": 3, "model": network.state_dict()}, directory / "checkpoint.pth")
    save_file(network.state_dict(), directory / "net.safetensors")
    torch.export.save(torch.export.export(network, (SAMPLE,)), directory / "fixed.pt2")
    fields = (SAMPLE[:, 0], SAMPLE[:, 1])
    levels = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC}
    both: tuple[
        tuple[str, torch.nn.Module, tuple[torch.Tensor, ...], tuple[dict[int, Dim], ...]], ...
    ]
    both = (
        ("net", network, (SAMPLE,), (DYNAMIC,)),
        ("named", Named().eval(), fields, (levels, levels)),
    )
    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    for name, module, sample, dynamic in both:
        torch.jit.script(module).save(str(directory / f"{name}.pt"))
        program = torch.export.export(module, sample, dynamic_shapes=dynamic)
        torch.export.save(program, directory / f"{name}.pt2")
        torch.onnx.export(
            program,
            (),
            str(directory / f"{name}.onnx"),
            output_names=["su", "sv"] if name == "named" else None,
            external_data=False,
            verbose=False,
        )
