# SPDX-License-Identifier: MIT
"""The spec's `predictor` -> a torch.nn.Module or a function: one loader a format."""

from __future__ import annotations

import importlib
import inspect
import sys
from pathlib import Path
from typing import Any

from coupler.spec import PredictorSpec
from coupler.spec_yaml import hint


class PredictorError(Exception):
    """The predictor cannot be loaded or called as the spec asks."""


def load(config: PredictorSpec, directory: Path) -> Any:
    """The module or function that `config` names; torch modules are in evaluation mode.

    Python modules are found in `directory` too, the spec's. Raises PredictorError.
    """
    target = _load_python(config, directory)
    if is_module(target):
        target.eval()
    return target


def is_module(target: Any) -> bool:
    """Whether `target` is a torch.nn.Module; torch is not imported to find out."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(target, torch.nn.Module)


def _load_python(config: PredictorSpec, directory: Path) -> Any:
    """`module:Class` with its arguments, or `module:function`."""
    target, arguments = _find(config.python, directory), config.arguments
    if not inspect.isclass(target):
        if arguments:
            raise PredictorError(
                f"predictor {config}: got {', '.join(arguments)}, but a function takes no settings"
            )
        return target
    try:
        return target(**arguments)
    except TypeError as error:
        raise PredictorError(f"predictor {config}: {error}") from error
    except Exception as error:  # whatever a user's class raises
        raise PredictorError(f"predictor {config}: {type(error).__name__}: {error}") from error


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
    except Exception as error:  # whatever the import of a user's module raises
        raise PredictorError(f"predictor '{name}': {type(error).__name__}: {error}") from error
    found = getattr(module, attribute, None)
    if found is None:
        raise PredictorError(
            f"predictor '{name}': {module_name} has no '{attribute}'{hint(attribute, dir(module))}"
        )
    if not callable(found):
        raise PredictorError(f"predictor '{name}' is not a class or function")
    return found
