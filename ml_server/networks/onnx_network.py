# SPDX-License-Identifier: MIT
"""An ONNX graph as a function of NumPy arrays, on the CPU, by onnxruntime (the extra `onnx`)."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ml_server.errors import PredictorError, brief
from ml_server.inference.tuning import Seat, choose_threads
from ml_server.networks.shapes import require_shape

TYPES = {
    "tensor(float)": "float32",
    "tensor(double)": "float64",
    "tensor(float16)": "float16",
    "tensor(int64)": "int64",
}


class OnnxNetwork:
    """Called with arrays in the graph's order or by name; arrays are converted to its types.

    Answers with one array, or a mapping by name where the graph has several outputs.
    """

    def __init__(self, path: Path) -> None:
        """Raises PredictorError when onnxruntime is missing or refuses the file."""
        try:
            import onnxruntime
        except ImportError as error:
            raise PredictorError(
                f"{path.name}: ONNX needs onnxruntime: pip install 'halocline[onnx]' ({error})"
            ) from error
        self.file = path.name
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = choose_threads("auto", Seat.of_environment())
        options.inter_op_num_threads = 1
        options.log_severity_level = 3  # errors alone
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # onnxruntime's exceptions share no other base
            raise PredictorError(
                f"{path.name} is no ONNX graph that runs here: {brief(error)}"
            ) from error
        inputs = self._session.get_inputs()
        self.names = tuple(item.name for item in inputs)
        self.outputs = tuple(item.name for item in self._session.get_outputs())
        unknown = [f"'{item.name}' of {item.type}" for item in inputs if item.type not in TYPES]
        if unknown:
            raise PredictorError(
                f"{path.name}: got the input {unknown[0]}, expected one of {', '.join(TYPES)}"
            )
        self._types = {item.name: TYPES[item.type] for item in inputs}
        self.dtype = self._types[self.names[0]] if self.names else "float32"
        self.shapes = {
            item.name: tuple(n if isinstance(n, int) else None for n in item.shape)
            for item in inputs
        }

    def __call__(self, *arrays: NDArray[Any], **named: NDArray[Any]) -> Any:
        given = dict(zip(self.names, arrays, strict=False)) | named
        for name, array in given.items():
            require_shape(self.file, name, self.shapes[name], array.shape)
        feed = {name: np.asarray(a, self._types[name]) for name, a in given.items()}
        answers = self._session.run(None, feed)
        if len(answers) == 1:
            return answers[0]
        return dict(zip(self.outputs, answers, strict=True))
