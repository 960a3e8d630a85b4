# SPDX-License-Identifier: MIT
"""The spec's `predictor` -> a torch.nn.Module or a function: one loader a format."""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from coupler.spec import PredictorSpec
from coupler.spec.document import hint
from ml_server.errors import PredictorError
from ml_server.networks.mapping import ChannelMap, MappedArrays
from ml_server.networks.shapes import Shape


@dataclass(frozen=True)
class Loaded:
    """What can be called, and what is known of its arguments."""

    target: Callable[..., Any]  # a torch.nn.Module gets tensors, all else NumPy arrays
    names: tuple[str, ...]  # of its arguments, in order
    required: tuple[str, ...]  # of the names, those without a default
    takes_any: bool = False  # besides these, any other keyword
    shapes: Mapping[str, Shape] | None = None  # of the arguments, where the file fixes them

    @property
    def uses_torch(self) -> bool:
        return is_module(self.target)


def load(config: PredictorSpec, directory: Path, channels: ChannelMap | None) -> Loaded:
    """What `config` names; with `channels` a network of one tensor, made one of named fields.

    Torch modules are in evaluation mode. Python modules are found in `directory` too, the spec's.
    Raises PredictorError.
    """
    by_name = channels is None
    if config.file is None:
        loaded = _load_python(config, directory, by_name)
    else:
        loaded = LOADERS[config.file.suffix](config, config.file, by_name)
    return loaded if channels is None else _mapped(config, loaded, channels)


def is_module(target: Any) -> bool:
    """Whether `target` is a torch.nn.Module; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(target, torch.nn.Module)


def _mapped(config: PredictorSpec, loaded: Loaded, channels: ChannelMap) -> Loaded:
    """The network `loaded` of one tensor, called with the fields of its channels."""
    if len(loaded.required) > 1 or (not loaded.names and not loaded.takes_any):
        got = ", ".join(loaded.required) or "none"
        raise PredictorError(
            f"predictor {config}: got a network with the arguments {got}; expected one tensor, "
            "as 'inputs' says; without 'inputs' fields are given by name"
        )
    network: Any = loaded.target
    target: Callable[..., Any]
    if loaded.uses_torch:
        import torch

        from ml_server.networks.mapped import Mapped

        dtype: torch.dtype | None = getattr(torch, config.dtype) if config.dtype else None
        if dtype is not None:
            network.to(dtype)
        target = Mapped(network, channels, dtype).eval()
    else:
        target = MappedArrays(network, channels, config.dtype)
    return Loaded(target, channels.names, channels.names, shapes=loaded.shapes)


def _load_python(config: PredictorSpec, directory: Path, by_name: bool) -> Loaded:
    """`module:Class` with its arguments and perhaps its state, or `module:function`."""
    assert config.python is not None
    target = _find(config.python, directory)
    if inspect.isclass(target):
        target = _instance(config, target, directory)
    elif config.arguments:
        raise PredictorError(
            f"predictor {config}: got {', '.join(config.arguments)}, but a function takes no "
            "settings"
        )
    if is_module(target):
        target.eval()
    if config.state is not None:
        from ml_server.networks.state import load_state

        load_state(config, target)
    return _with_signature(config, target, by_name)


def _instance(config: PredictorSpec, kind: Callable[..., Any], directory: Path) -> Any:
    arguments = {key: _beside(value, directory) for key, value in config.arguments.items()}
    try:
        made = kind(**arguments)
    except TypeError as error:
        raise PredictorError(f"predictor {config}: {error}") from error
    except FileNotFoundError as error:
        raise PredictorError(
            f"predictor {config}: {error}; a setting that names a file beside the spec becomes its "
            "path"
        ) from error
    except (Exception, SystemExit) as error:  # whatever a user's class raises
        raise PredictorError(f"predictor {config}: {type(error).__name__}: {error}") from error
    if not callable(made):
        raise PredictorError(
            f"predictor {config}: its objects cannot be called; expected a torch.nn.Module, or a "
            "class with __call__"
        )
    return made


def _beside(value: object, directory: Path) -> object:
    """The job runs elsewhere: what names a file in `directory`, or starts with ./, is a path."""
    if isinstance(value, str) and ((directory / value).is_file() or value.startswith("./")):
        return str((directory / value).absolute())
    return value


def _find(name: str, directory: Path) -> Any:
    module_name, _, attribute = name.partition(":")
    if not attribute:
        raise PredictorError(f"predictor '{name}': expected 'module:Class' or 'module:function'")
    if str(directory) not in sys.path:
        sys.path.append(str(directory))
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise PredictorError(
            f"predictor '{name}': {error}; is it beside the spec, on PYTHONPATH or installed?"
        ) from error
    except (Exception, SystemExit) as error:  # whatever the import of a user's module raises
        raise PredictorError(f"predictor '{name}': {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise PredictorError(
            f"predictor '{name}': {module_name} has no '{attribute}'{hint(attribute, dir(module))}"
        )
    if not callable(found):
        raise PredictorError(f"predictor '{name}' is not a class or function")
    return found


def _with_signature(config: PredictorSpec, target: Any, by_name: bool) -> Loaded:
    """The arguments as Python knows them. `by_name`: every one must allow that."""
    names, required, takes_any = [], [], False
    try:
        signature = inspect.signature(target.forward if is_module(target) else target)
    except (TypeError, ValueError) as error:  # of a function in C
        raise PredictorError(
            f"predictor {config}: the names of its arguments are not known; wrap it in a function "
            "of Python that has them"
        ) from error
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD:
            takes_any = True
            continue
        if parameter.kind in (parameter.VAR_POSITIONAL, parameter.POSITIONAL_ONLY) and by_name:
            raise PredictorError(f"predictor {config}: '{parameter.name}' cannot be given by name")
        names.append(parameter.name)
        if parameter.default is parameter.empty and parameter.kind is not parameter.VAR_POSITIONAL:
            required.append(parameter.name)
    return Loaded(target, tuple(names), tuple(required), takes_any)


def _load_torchscript(config: PredictorSpec, path: Path, by_name: bool) -> Loaded:
    import torch

    from ml_server.networks.programs import load_torchscript, script_arguments

    module = load_torchscript(path, config.trust)
    if isinstance(module, torch.jit.ScriptModule):
        return Loaded(module, *script_arguments(module))
    return _with_signature(config, module, by_name)


def _load_exported(config: PredictorSpec, path: Path, by_name: bool) -> Loaded:
    from ml_server.networks.programs import load_exported

    program = load_exported(path, config.trust)
    return Loaded(program, program.names, program.names, shapes=program.shapes)


def _load_onnx(config: PredictorSpec, path: Path, by_name: bool) -> Loaded:
    from ml_server.networks.onnx_network import OnnxNetwork

    network = OnnxNetwork(path)
    if config.dtype not in (None, network.dtype):
        raise PredictorError(
            f"predictor {config}: dtype: got {config.dtype}, but the ONNX graph is of "
            f"{network.dtype}; leave it out"
        )
    return Loaded(network, network.names, network.names, shapes=network.shapes)


LOADERS = {
    ".pt": _load_torchscript,
    ".pth": _load_torchscript,
    ".ts": _load_torchscript,
    ".pt2": _load_exported,
    ".onnx": _load_onnx,
}
