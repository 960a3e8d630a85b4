# SPDX-License-Identifier: MIT
"""The shapes of a network's arguments, and what a file fixes of them."""

from __future__ import annotations

from ml_server.errors import PredictorError

Shape = tuple[int | None, ...]  # None: any size


def require_shape(file: str, name: str, fixed: Shape, got: tuple[int, ...], who: str = "") -> None:
    """Raises PredictorError where a size that `file` fixes for its argument `name` differs."""
    if len(fixed) != len(got):
        raise PredictorError(
            f"{file}: argument '{name}' has {len(fixed)} dimensions, got {len(got)}: {got}{who}"
        )
    wrong = [a for a, (n, m) in enumerate(zip(fixed, got, strict=True)) if n not in (None, m)]
    if not wrong:
        return
    sizes = ", ".join("any" if n is None else str(n) for n in fixed)
    text = f"{file} was exported for '{name}' of shape ({sizes}), got {got}{who}"
    if len(fixed) == 4 and wrong == [1]:
        raise PredictorError(f"{text}: it has {fixed[1]} channels, the inputs make {got[1]}")
    axes = ", ".join(f"{a}: Dim.DYNAMIC" for a in range(len(fixed)) if (len(fixed), a) != (4, 1))
    export = "torch.onnx.export" if file.endswith(".onnx") else "torch.export.export"
    raise PredictorError(
        f"{text}; boxes differ from rank to rank, so export it with dynamic sizes: "
        f"{export}(..., dynamic_shapes=({{{axes}}},)), with Dim of torch.export"
    )
