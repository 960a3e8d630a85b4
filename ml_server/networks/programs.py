# SPDX-License-Identifier: MIT
"""Networks that are files: TorchScript and torch.export."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import torch

from ml_server.errors import PredictorError, brief
from ml_server.networks.inspection import inspect_exported, inspect_torchscript, open_archive
from ml_server.networks.shapes import require_shape


class Program(torch.nn.Module):
    """What torch.export saved, called with arguments in order or by name, however it was exported.

    `shapes`: of each argument, None where a size is dynamic.
    """

    def __init__(self, exported: Any, file: str) -> None:
        super().__init__()
        self.file = file
        # guards are Python source in the file, and would be compiled; sizes are compared elsewhere
        guarded = "check_guards" in inspect.signature(exported.module).parameters
        self.program = exported.module(**({"check_guards": False} if guarded else {}))
        signature = exported.module_call_graph[0].signature
        self._positional = len(signature.in_spec.child(0).children())
        user_inputs = exported.graph_signature.user_inputs
        given = {n.name: n.meta["val"] for n in exported.graph.nodes if n.op == "placeholder"}
        self.names = tuple(signature.forward_arg_names or user_inputs)
        self.shapes = {
            name: tuple(size if isinstance(size, int) else None for size in given[node].shape)
            for name, node in zip(self.names, user_inputs, strict=True)
            if isinstance(given.get(node), torch.Tensor)
        }

    def forward(self, *arguments: Any, **named: Any) -> Any:
        given = dict(zip(self.names, arguments, strict=False)) | named
        for name, fixed in self.shapes.items():
            require_shape(self.file, name, fixed, tuple(given[name].shape))
        first, others = self.names[: self._positional], self.names[self._positional :]
        return self.program(*(given[n] for n in first), **{n: given[n] for n in others})

    def train(self, mode: bool = True) -> Program:
        """Nothing: an exported program is in the mode that it was exported in."""
        return self


def load_exported(path: Path, trust: bool) -> Program:
    """Raises PredictorError, also for a file that could run code and is not trusted."""
    if not trust:
        inspect_exported(path)
    try:
        return Program(torch.export.load(path), path.name)
    except Exception as error:  # torch's many
        raise PredictorError(f"{path.name} is no torch.export program: {brief(error)}") from error


def load_torchscript(path: Path, trust: bool) -> Any:
    """A TorchScript module, or the pickled module of a trusted file.

    Raises PredictorError, also for a file that could run code and is not trusted.
    """
    records = open_archive(path, "TorchScript").get_all_records()
    if any(name.startswith("models/") for name in records):
        raise PredictorError(
            f"{path.name} holds a program of torch.export, not TorchScript; name it *.pt2"
        )
    if not any(name.startswith("code/") for name in records):
        return _load_pickled(path, trust)
    if not trust:
        inspect_torchscript(path)
    try:
        return torch.jit.load(str(path), map_location="cpu").eval()  # type: ignore[no-untyped-call]
    except Exception as error:  # torch's many
        raise PredictorError(f"{path.name} is no TorchScript program: {brief(error)}") from error


def _load_pickled(path: Path, trust: bool) -> torch.nn.Module:
    """A whole module as torch.save writes it: a pickle, whose loading can run anything."""
    fix = (
        f"of a state dict write python: 'module:Class', state: {path.name}; save a network with "
        "torch.export.save or torch.jit.save"
    )
    if not trust:
        raise PredictorError(
            f"{path.name} is a pickle, which can run code when it is loaded, not TorchScript; {fix}"
            "; trust: true loads the pickle of a network"
        )
    try:
        module = torch.load(path, map_location="cpu", weights_only=False)
    except Exception as error:  # whatever the pickle runs
        raise PredictorError(f"{path.name}: {brief(error)}") from error
    if not isinstance(module, torch.nn.Module):
        raise PredictorError(f"{path.name} holds a {type(module).__name__}, no network; {fix}")
    return module.eval()


def script_arguments(module: Any) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Of a TorchScript module: names of its arguments, and of those without a default."""
    arguments = module.forward.schema.arguments[1:]  # without self
    required = tuple(a.name for a in arguments if not a.has_default_value())
    return tuple(a.name for a in arguments), required
