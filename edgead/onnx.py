"""The one owner of onnxruntime: bytes in, arrays out.

A session runs on one thread without the memory arena, so a model costs its own size, and the same window gives
the same answer on the same machine.
"""

import os

import numpy as np
from numpy.typing import NDArray

from edgead.errors import ModelPackageError

# Wheels of onnxruntime (seen in 1.32) report to their maker and keep an id in the temporary folder, from the import
# on.  What a device does is nobody's business; the variable is read when onnxruntime is loaded.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import onnxruntime

Array = NDArray[np.float32]


class Session:
    """A loaded model.

    Parameters
    ----------
    model : bytes
        ONNX with one input; its first dimension may be open.  Read it with `edgead.package` first when it comes
        from outside.

    Raises
    ------
    ModelPackageError
        If onnxruntime refuses the model.
    """

    def __init__(self, model: bytes) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False
        options.enable_mem_pattern = False  # one pattern would be kept for every number of windows ever seen
        options.log_severity_level = 4
        try:
            self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # onnxruntime's exceptions share no narrower base
            raise ModelPackageError(f"onnxruntime refuses the model: {error}") from error
        entry = self._session.get_inputs()[0]
        self._input = entry.name
        self.shape = tuple(size if isinstance(size, int) else 0 for size in entry.shape)
        self._outputs = [value.name for value in self._session.get_outputs()]

    def run(self, window: Array) -> dict[str, Array]:
        """Judge one window.

        Parameters
        ----------
        window : ndarray of float32, shape `shape`
            What the input wants; any number of windows where its first dimension is open (0).

        Returns
        -------
        dict of str to ndarray
            By name of the output.

        Raises
        ------
        ModelPackageError
            If the model fails on the window.
        """
        try:
            values = self._session.run(self._outputs, {self._input: window})
        except Exception as error:  # as above
            raise ModelPackageError(f"onnxruntime failed: {error}") from error
        return dict(zip(self._outputs, values, strict=True))
