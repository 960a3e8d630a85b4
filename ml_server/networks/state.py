# SPDX-License-Identifier: MIT
"""Weights from a file into a class of the user's: safetensors, or a state dict of torch."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch.nn.parameter import is_lazy

from coupler.spec import PredictorSpec
from coupler.spec.document import hint
from ml_server.errors import PredictorError

SHOWN = 3  # names of a kind in a message


def load_state(config: PredictorSpec, module: Any) -> None:
    """Every weight of `module` from `config.state`. Raises PredictorError for any that differs."""
    assert config.state is not None
    if not isinstance(module, torch.nn.Module):
        raise PredictorError(f"predictor {config}: 'state' needs a torch.nn.Module")
    state = _entry(config, read_state(config.state, config.trust))
    mistakes = _differences(module.state_dict(), state)
    if mistakes:
        raise PredictorError(f"state {config.state.name} is not of {config}: {'; '.join(mistakes)}")
    module.load_state_dict(state)


def read_state(
    path: Path, trust: bool = False, remedy: str = "save net.state_dict(), or say trust: true"
) -> Any:
    """What the file holds. Without `trust` it can run no code; `remedy`: what to do if it could.

    Raises PredictorError.
    """
    if path.suffix == ".safetensors":
        try:
            from safetensors.torch import load_file
        except ImportError as error:
            raise PredictorError(
                f"{path.name} needs safetensors: pip install 'halocline[torch]' ({error})"
            ) from error
        try:
            return load_file(path)
        except Exception as error:  # safetensors' error is no subclass of a usual one
            raise PredictorError(f"{path.name} is no safetensors file: {error}") from error
    try:
        return torch.load(path, map_location="cpu", weights_only=not trust)
    except pickle.UnpicklingError as error:
        reason = _reason(error)
        if reason.startswith("Unsupported operand"):  # text, another format, or another pickle
            text = f"{path.name} is no state dict as torch.save writes it: {reason}; {remedy}"
            raise PredictorError(text) from error
        raise PredictorError(
            f"{path.name} holds more than weights, and can run code when it is loaded: "
            f"{reason}; {remedy}"
        ) from error
    except Exception as error:  # zip, pickle, runtime: whatever a file that is none raises
        kind = "" if isinstance(error, RuntimeError) else f"{type(error).__name__}: "
        raise PredictorError(f"{path.name} is no state dict: {kind}{_reason(error)}") from error


def _reason(error: Exception) -> str:
    """The sentence of torch's long text that says why."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip() or type(error).__name__
    first = text.splitlines()[0]
    for padding in (" This is an internal ", " In PyTorch 2.6"):
        first = first.partition(padding)[0]
    return first.strip().rstrip(".")


def _entry(config: PredictorSpec, state: Any) -> Mapping[str, torch.Tensor]:
    """The weights, or the entry of a checkpoint that `net.pth:key` names."""
    assert config.state is not None
    name = config.state.name
    if isinstance(state, torch.nn.Module):  # a trusted pickle of the whole module
        state = state.state_dict()
    if config.state_key is not None:
        if not isinstance(state, Mapping) or config.state_key not in state:
            known = list(state) if isinstance(state, Mapping) else []
            raise PredictorError(
                f"{name} has no entry '{config.state_key}'{hint(config.state_key, map(str, known))}"
            )
        state = state[config.state_key]
    if not isinstance(state, Mapping) or not all(map(torch.is_tensor, state.values())):
        held = type(state).__name__
        if isinstance(state, Mapping):
            held = f"entries {', '.join(str(key) for key in list(state)[:6])}"
        raise PredictorError(
            f"{name}: got {held}, expected weights by name; name the entry that holds them: "
            f"state: {name}:ENTRY"
        )
    return state


def _differences(
    expected: Mapping[str, torch.Tensor], got: Mapping[str, torch.Tensor]
) -> list[str]:
    """What the class lacks, does not know, or has in another shape."""
    lacking = [f"'{name}'" for name in expected if name not in got]
    unknown = [f"'{name}'" for name in got if name not in expected]
    shapes = [
        f"'{name}': got {tuple(got[name].shape)}, expected {tuple(weight.shape)}"
        for name, weight in expected.items()
        # a lazy module's have no shape before they are loaded
        if name in got and not is_lazy(weight) and got[name].shape != weight.shape
    ]
    kinds = (("it lacks", lacking), ("the class has no", unknown), ("shape of", shapes))
    return [f"{text} {_shorten(names)}" for text, names in kinds if names]


def _shorten(names: list[str]) -> str:
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
