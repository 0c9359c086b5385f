"""Export to ONNX, and the proof that the graph says what torch says."""

import numpy as np
import torch

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.training import network as net
from edgead.training.backends import Node, OnnxOps, TorchOps

#: Greatest difference between torch and onnxruntime, relative to values of the order of one.
PARITY = 1e-4


def to_onnx(constants: net.Constants, window: int) -> bytes:
    """The network as an ONNX model of static shapes: a window of `window` rows in, one judgement out."""
    layout = constants.layout
    ops = OnnxOps()
    given = Node("window", (window, layout.variables))
    seen = given if window == layout.window else ops.rows(given, window - layout.window, window)
    out = net.judge(ops, constants, seen)
    change = net.correlation_change(ops, constants, seen)
    return ops.model(
        given,
        {
            "joined": out.joined,
            "local": out.local,
            "contributions": out.contributions,
            "correlation_change": change,
        },
    )


def check_parity(model: bytes, constants: net.Constants, windows: net.Array) -> float:
    """Judge some windows with torch and with onnxruntime.

    Parameters
    ----------
    model : bytes
        ONNX.
    constants : Constants
        What it was exported from.
    windows : ndarray of float32, shape (count, window, variables)
        Scaled rows.

    Returns
    -------
    float
        Greatest difference, relative to 1 + the value.

    Raises
    ------
    ModelPackageError
        If it is above `PARITY`.
    """
    session, worst = Session(model), 0.0
    for window in windows:
        with torch.no_grad():
            z = torch.as_tensor(window[-constants.layout.window :])
            out = net.judge(TorchOps(), constants, z)
            change = net.correlation_change(TorchOps(), constants, z)
        told = [out.joined, out.local, out.contributions.reshape(-1), change]
        got = session.run(window)
        for name, value in zip(("joined", "local", "contributions", "correlation_change"), told, strict=True):
            expected = value.numpy().reshape(-1)
            gap = np.abs(got[name] - expected) / (1.0 + np.abs(expected))
            worst = max(worst, float(gap.max()))
    if not worst <= PARITY:
        raise ModelPackageError(f"the exported graph differs from torch by {worst:.2g}, allowed {PARITY:g}")
    return worst
