# SPDX-License-Identifier: MIT
"""One coupling step as a worker sees it: padded inputs, answers of the interior, checks of both."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, MutableMapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from coupler.errors import CouplingError
from coupler.spec.document import hint

Array = NDArray[np.floating]


class Step(MutableMapping[str, Any]):
    """`step["u"]` is the padded input (level, y, x); `step["su"] = ...` is an answer.

    A step comes with its first complete field; looking up another waits for all of it.

    An answer has the padded shape (its interior is sent) or that of the interior; NumPy arrays
    and torch tensors both do. `step.out["su"]` is the array that leaves: an answer computed into
    it (`np.add(a, b, out=step.out["su"])`, then `step["su"] = step.out["su"]`) is not copied.
    """

    def __init__(
        self,
        number: int,
        date: int,
        inputs: Mapping[str, Array],
        out: Mapping[str, Array],
        halos: Mapping[str, int],
    ) -> None:
        """`halos`: of each answer's padded shape."""
        self.number = number  # from 0, in this run
        self.date = date  # [s]
        self.inputs = inputs
        self.out = dict(out)  # (level, y, x) without halo, in the wire's precision
        self.answers: dict[str, Any] = {}
        self._halos = halos

    @property
    def due(self) -> tuple[str, ...]:
        """The answers that the model waits for at this date."""
        return tuple(self.out)

    def targets(self) -> dict[str, tuple[Array, int]]:
        """By name where an answer may be written at once, and the halo that it may have beside."""
        return {name: (array, self._halos[name]) for name, array in self.out.items()}

    def __getitem__(self, name: str) -> Any:
        if name in self.inputs:
            return self.inputs[name]
        if name in self.answers:
            return self.answers[name]
        raise CouplingError(f"no input '{name}' in this step{hint(name, self.inputs)}")

    def __setitem__(self, name: str, value: Any) -> None:
        if name not in self.out:
            raise CouplingError(f"answer '{name}' is not in the spec{hint(name, self.out)}")
        self.answers[name] = value

    def __delitem__(self, name: str) -> None:
        del self.answers[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.inputs)

    def __len__(self) -> int:
        return len(self.inputs)

    def answer(self, name: str) -> Array:
        """The own cells (level, y, x) of an answer. Raises CouplingError, see `interior`."""
        if name not in self.answers:
            raise CouplingError(f"the answer lacks '{name}'{hint(name, self.answers)}")
        return interior(name, as_array(name, self.answers[name]), self.out[name], self._halos[name])


def interior(name: str, answer: NDArray[Any], target: Array, halo: int) -> Array:
    """The own cells of `answer`, which may be padded by `halo`, shaped as `target` (level, y, x).

    Raises CouplingError for another shape, or values that are no floats.
    """
    levels, ny, nx = target.shape
    padded = (levels, ny + 2 * halo, nx + 2 * halo)
    if answer.dtype.kind != "f":
        raise CouplingError(f"answer '{name}': got {answer.dtype} values, expected {target.dtype}")
    if answer.shape == target.shape:
        return answer
    if answer.shape == padded:
        return answer[:, halo : halo + ny, halo : halo + nx]
    turned = answer.shape in ((levels, nx, ny), (levels, padded[2], padded[1]))
    raise CouplingError(
        f"answer '{name}': got shape {answer.shape}, expected (level, y, x) = {padded} with the "
        f"halo or {target.shape} without{'; x and y are exchanged' if turned else ''}"
    )


def masked_text(name: str) -> str:
    """A mask would be lost, and whatever lies below it go to the model."""
    return f"answer '{name}': got an array with masked values, expected all; say .filled(0)"


def as_array(name: str, value: Any) -> NDArray[Any]:
    """NumPy view of answer `name`, a NumPy array or a torch tensor on any device."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
    if np.ma.is_masked(value):
        raise CouplingError(masked_text(name))
    return np.asarray(value)


def require_finite(arrays: Mapping[str, Array], what: str) -> None:
    """Raises CouplingError that names the first cell which is NaN or infinite."""
    for name, array in arrays.items():
        with np.errstate(over="ignore", invalid="ignore"):
            if np.isfinite(array.sum()):
                continue
        wrong = np.argwhere(~np.isfinite(array))
        if len(wrong):
            level, y, x = (int(i) for i in wrong[0])
            raise CouplingError(
                f"{what}: field '{name}' has {len(wrong)} values that are not finite, the first is "
                f"{array[level, y, x]} at level {level}, y {y}, x {x} of this rank's array"
            )
