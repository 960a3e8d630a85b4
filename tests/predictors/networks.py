# SPDX-License-Identifier: MIT
"""Small networks, and every format that they can be written in; tests put this file beside their
spec, which imports it as `networks`."""

from __future__ import annotations

import contextlib
import logging
import shutil
from pathlib import Path

import torch
from torch.export import Dim

DOCS = Path(__file__).parents[2] / "docs" / "predictors.md"
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

    logging.getLogger("torch.onnx._internal.exporter._registration").setLevel(logging.ERROR)
    shutil.copy(__file__, directory)
    network, named = Convolutions().eval(), Named().eval()
    save_file(network.state_dict(), directory / "net.safetensors")
    torch.jit.script(named).save(str(directory / "named.pt"))
    levels = {0: Dim.DYNAMIC, 1: Dim.DYNAMIC, 2: Dim.DYNAMIC}
    fields = (SAMPLE[:, 0], SAMPLE[:, 1])
    program = torch.export.export(named, fields, dynamic_shapes=(levels, levels))
    with contextlib.chdir(directory):
        torch.save(network.state_dict(), "net.pth")
        torch.save({"epoch": 3, "model": network.state_dict()}, "checkpoint.pth")
        torch.jit.script(network).save("net.pt")
        torch.export.save(torch.export.export(network, (SAMPLE,)), "fixed.pt2")
        torch.export.save(program, "named.pt2")
        outputs = ["su", "sv"]  # and named.onnx.data, its weights
        torch.onnx.export(program, (), "named.onnx", output_names=outputs, verbose=False)
        # net.pt2 and net.onnx as the docs tell users to write them
        exec(
            DOCS.read_text().split("```python\n")[1].split("```")[0],
            {"network": network, "torch": torch},
        )
