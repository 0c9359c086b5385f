"""Export to ONNX, and the proof that the graph says what torch says."""

import numpy as np
import torch
from numpy.typing import NDArray

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.package import OUTPUTS
from edgead.training import network as net
from edgead.training.backends import Node, OnnxOps, TorchOps

#: Greatest difference between torch and onnxruntime, relative to values of the order of one.
PARITY = 1e-4
#: Or times what rounding costs torch, where that is more: the two round in other orders.
ROUNDINGS = 4.0


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
        If it is above `PARITY` and above what single precision itself costs torch.

    Notes
    -----
    Rows without noise (a simulation, a generator of sines) are forecast almost exactly, and their errors are rounding
    in their leading digits already: there torch in single precision is as far from torch in double precision.
    """
    session, worst, allowed = Session(model), dict.fromkeys(OUTPUTS, 0.0), dict.fromkeys(OUTPUTS, PARITY)
    for window in windows:
        told, exact = (
            _by_torch(ops, constants, window) for ops in (TorchOps(), TorchOps(kind=torch.float64))
        )
        got = session.run(window)
        for name in OUTPUTS:
            worst[name] = float(
                np.max([worst[name], _gap(got[name], told[name])])
            )  # what is no number stays so
            allowed[name] = max(allowed[name], ROUNDINGS * _gap(told[name], exact[name]))
    for name, gap in worst.items():
        if not gap <= allowed[name]:
            raise ModelPackageError(
                f"the exported graph differs from torch by {gap:.2g} in {name}, allowed {allowed[name]:.2g}"
            )
    return max(worst.values())


def _by_torch(ops: TorchOps, constants: net.Constants, window: net.Array) -> dict[str, NDArray[np.floating]]:
    with torch.no_grad():
        z = ops.tensor(window[-constants.layout.window :])
        out = net.judge(ops, constants, z)
        change = net.correlation_change(ops, constants, z)
    told = (out.joined, out.local, out.contributions, change)
    return {name: ops.array(value).reshape(-1) for name, value in zip(OUTPUTS, told, strict=True)}


def _gap(got: NDArray[np.floating], expected: NDArray[np.floating]) -> float:
    return float((np.abs(got - expected) / (1.0 + np.abs(expected))).max())
