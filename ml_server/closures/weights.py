# SPDX-License-Identifier: MIT
"""Weights that a user brings: files read without running any code, names fitted by order and shape.

Published files of one architecture name the same layers differently (`0.weight`, `0.0.weight`,
`conv1.weight`, `conv.0.weight`), but list them in the order in which data flows. So layers are
fitted by name if all names agree, else by order, and by shape in any case.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from ml_server.errors import PredictorError
from ml_server.networks import state

State = dict[str, Tensor]
REMEDY = "where it is trusted, load it once with its own code and save net.state_dict()"
COUNTER = "num_batches_tracked"  # of batch normalisation in training; means nothing here


def read_state(path: str | Path) -> State:
    """The named tensors of a safetensors file, or of what torch.save wrote, on the CPU.

    A state dict may be the whole file or lie under `state_dict`, as in a Lightning checkpoint.
    Files are read with weights only, so that none can run code. Raises FileNotFoundError;
    PredictorError for anything else that such a file may be, with what to do.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"weights: no file {path}")
    found = state.read_state(path, remedy=REMEDY)
    if isinstance(found, Mapping) and isinstance(found.get("state_dict"), Mapping):
        found = found["state_dict"]
    if not isinstance(found, Mapping) or not all(isinstance(v, Tensor) for v in found.values()):
        raise PredictorError(
            f"{path.name} holds {type(found).__name__}, expected a state dict: named "
            "tensors, as torch.save(network.state_dict(), file) writes them"
        )
    return {str(name): tensor.detach() for name, tensor in found.items()}


def number_type(cast: str | None, weights: State) -> torch.dtype:
    """float32 or float64: `cast` if given, else that of the weights, else float32."""
    found = [tensor.dtype for tensor in weights.values() if tensor.is_floating_point()]
    name = cast or (str(found[0]).removeprefix("torch.") if found else "float32")
    if name not in ("float32", "float64"):
        raise ValueError(f"weights: got {name}, expected cast: float32 or float64")
    return torch.float32 if name == "float32" else torch.float64


def fit_state(module: torch.nn.Module, weights: State, source: str) -> list[str]:
    """Load `weights` into `module`; returns a line for each tensor, saying which became which.

    Raises ValueError with both lists side by side where numbers or shapes of tensors differ.
    """
    theirs = {name: tensor for name, tensor in weights.items() if not name.endswith(COUNTER)}
    ours = {name: t for name, t in module.state_dict().items() if not name.endswith(COUNTER)}
    if theirs.keys() == ours.keys():
        pairs = [(name, name) for name in ours]
    else:
        pairs = list(zip(theirs, ours, strict=False))
    same = len(theirs) == len(ours) and all(theirs[t].shape == ours[o].shape for t, o in pairs)
    if not same:
        raise ValueError(
            f"weights: {source} is of another architecture: {len(theirs)} tensors, expected "
            f"{len(ours)}\n{_side_by_side(theirs, ours)}"
        )
    module.load_state_dict({o: theirs[t] for t, o in pairs}, strict=False)
    return [f"{t} {tuple(theirs[t].shape)} is {o}" for t, o in pairs]


def _side_by_side(theirs: State, ours: State) -> str:
    left = [f"{name} {tuple(tensor.shape)}" for name, tensor in theirs.items()]
    right = [f"{name} {tuple(tensor.shape)}" for name, tensor in ours.items()]
    rows = max(len(left), len(right))
    left += ["-"] * (rows - len(left))
    right += ["-"] * (rows - len(right))
    width = max(map(len, left), default=0)
    shapes = [
        [*(tuple(tensor.shape) for tensor in state.values()), *[None] * (rows - len(state))]
        for state in (theirs, ours)
    ]
    lines = [f"  {'got':<{width}}   expected"]
    for l_, r, a, b in zip(left, right, *shapes, strict=True):
        lines.append(f"{' ' if a == b else '>'} {l_:<{width}}   {r}")
    return "\n".join(lines)
