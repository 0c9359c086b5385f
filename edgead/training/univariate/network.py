"""The network of ``srcnn`` in torch, and the same as an ONNX graph.

Convolutions alone, also where a dense layer would do: onnxruntime computes a convolution window by window, so a window
gets the same answer, bit for bit, whoever else is in the batch.
"""

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgead.errors import ModelPackageError
from edgead.onnx import Session
from edgead.package.graph import BATCH_NAME
from edgead.training.backends import OPSET
from edgead.training.univariate.recipe import Shape

Array = NDArray[np.float32]

#: Greatest difference between torch and onnxruntime, relative to 1 + the value.
PARITY = 1e-4


def build(shape: Shape, channels: int) -> torch.nn.Sequential:
    """The layers: strided convolutions, one over all that is left (the embedding), one number of it (the score).

    Parameters
    ----------
    shape : Shape
        Of the recipe.
    channels : int
        Numbers of a row.

    Raises
    ------
    ModelPackageError
        If the window is too short for so many convolutions.
    """
    layers: list[torch.nn.Module] = []
    length, width = shape.window, channels
    for filters in shape.filters:
        if length < shape.kernel:
            raise ModelPackageError(
                f"network.window {shape.window}: too short for {len(shape.filters)} convolutions"
            )
        layers += [torch.nn.Conv1d(width, filters, shape.kernel, stride=2), torch.nn.ReLU()]
        length, width = (length - shape.kernel) // 2 + 1, filters
    layers += [torch.nn.Conv1d(width, shape.embedding, length), torch.nn.ReLU()]
    layers += [torch.nn.Conv1d(shape.embedding, 1, 1)]
    return torch.nn.Sequential(*layers)


def forward(layers: torch.nn.Sequential, histories: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Score (count,) and embedding (count, E) of histories (count, channels, rows)."""
    embedding = layers[:-1](histories)
    return layers[-1](embedding).reshape(-1), embedding.reshape(len(histories), -1)


def parameters(layers: torch.nn.Sequential) -> int:
    """Trained numbers."""
    return sum(weight.numel() for weight in layers.parameters())


def to_onnx(layers: torch.nn.Sequential, shape: Shape, channels: int) -> bytes:
    """The layers as an ONNX model with an open first dimension; the same weights give the same bytes."""
    nodes: list[onnx.NodeProto] = []
    weights: list[onnx.TensorProto] = []
    at, outputs = "history", {}
    convolutions = [layer for layer in layers if isinstance(layer, torch.nn.Conv1d)]
    for number, layer in enumerate(convolutions):
        names = [f"weight{number}", f"bias{number}"]
        assert layer.bias is not None
        for name, value in zip(names, (layer.weight, layer.bias), strict=True):
            weights.append(numpy_helper.from_array(value.detach().numpy().copy(), name))
        last = number == len(convolutions) - 1
        nodes.append(helper.make_node("Conv", [at, *names], [f"conv{number}"], strides=list(layer.stride)))
        at = f"conv{number}"
        if not last:
            nodes.append(helper.make_node("Relu", [at], [f"relu{number}"]))
            at = f"relu{number}"
        if number >= len(convolutions) - 2:
            outputs["score" if last else "embedding"] = at
    sizes = {"score": [-1], "embedding": [-1, shape.embedding]}
    for name, size in sizes.items():
        weights.append(numpy_helper.from_array(np.array(size, np.int64), f"shape_of_{name}"))
        nodes.append(helper.make_node("Reshape", [outputs[name], f"shape_of_{name}"], [name]))
    given = helper.make_tensor_value_info("history", TensorProto.FLOAT, [BATCH_NAME, channels, shape.window])
    told = [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, [BATCH_NAME]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [BATCH_NAME, shape.embedding]),
    ]
    graph = helper.make_graph(nodes, "srcnn", [given], told, initializer=weights)
    model = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgead", ir_version=8
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def check_parity(model: bytes, layers: torch.nn.Sequential, histories: Array) -> float:
    """Judge histories with torch and with onnxruntime.

    Parameters
    ----------
    model : bytes
        ONNX.
    layers : Sequential
        What it was exported from.
    histories : ndarray of float32, shape (count, channels, rows)
        What to judge.

    Returns
    -------
    float
        Greatest difference, relative to 1 + the value.

    Raises
    ------
    ModelPackageError
        If it is above `PARITY`.
    """
    with torch.no_grad():
        score, embedding = forward(layers, torch.as_tensor(histories))
    got, worst = Session(model).run(histories), 0.0
    for name, told in (("score", score.numpy()), ("embedding", embedding.numpy())):
        gap = np.abs(got[name] - told) / (1.0 + np.abs(told))
        worst = max(worst, float(gap.max()))
    if not worst <= PARITY:
        raise ModelPackageError(f"the exported graph differs from torch by {worst:.2g}, allowed {PARITY:g}")
    return worst
