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


class Net(torch.nn.Module):  # type: ignore[misc]  # torch has types only where it is installed
    """Causal convolutions of three rows, a hidden layer on the last of them and the newest row, and one number.

    Fitted on whole stretches, where layer l looks 2^l rows back and forth between its three; on a device on one
    history, where each layer keeps every second row: the same sums.  The score is log-odds; the device's own score
    (channel ``score``) goes straight into it, so that the network starts from what is known without it.

    Parameters
    ----------
    shape : Shape
        Of the recipe.
    channels : tuple of str
        Numbers of a row; one is ``score``.
    dropout : float, optional
        Share of the hidden layer left out while fitting.
    """

    def __init__(self, shape: Shape, channels: tuple[str, ...], *, dropout: float = 0.0) -> None:
        super().__init__()
        self.score_at = channels.index("score")
        count, filters = len(channels), shape.filters
        self.convolutions = torch.nn.ModuleList(
            torch.nn.Conv1d(filters if layer else count, filters, 3, dilation=2**layer)
            for layer in range(shape.layers)
        )
        self.hidden = torch.nn.Conv1d(filters + count, shape.hidden, 1)
        self.drop = torch.nn.Dropout(dropout)
        self.last = torch.nn.Conv1d(shape.hidden, 1, 1)
        self.straight = torch.nn.Parameter(torch.tensor([8.0, -9.0]))
        self.rows = shape.window
        with torch.no_grad():
            self.last.weight.mul_(0.1)
            self.last.bias.zero_()

    def forward(self, rows: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Scores (count, n) and embeddings (count, filters, n) of stretches (count, channels, n), row by row."""
        seen = torch.nn.functional.pad(rows, (self.rows - 1, 0))
        for convolution in self.convolutions:
            seen = torch.relu(convolution(seen))
        hidden = self.drop(torch.relu(self.hidden(torch.cat([seen, rows], 1))))
        straight = self.straight[0] * rows[:, self.score_at] + self.straight[1]
        return self.last(hidden)[:, 0] + straight, seen

    def judge(self, histories: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        """Score (count,) and embedding (count, filters) of histories (count, channels, window)."""
        score, embedding = self(histories)
        return score[:, -1], embedding[:, :, -1]

    @property
    def numbers(self) -> int:
        """Trained numbers."""
        return sum(weight.numel() for weight in self.parameters())


class _Graph:
    """Nodes and weights of an ONNX graph."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.weights: list[onnx.TensorProto] = []

    def constant(self, name: str, value: NDArray[np.generic]) -> str:
        self.weights.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], name: str, **attributes: object) -> str:
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def convolution(
        self, name: str, given: str, weight: torch.Tensor, bias: torch.Tensor, stride: int
    ) -> str:
        values = [
            self.constant(f"{name}_{at}", x.detach().numpy().copy()) for at, x in enumerate((weight, bias))
        ]
        return self.node("Conv", [given, *values], name, strides=[stride])


def to_onnx(net: Net, channels: int) -> bytes:
    """The network as an ONNX model with an open first dimension; the same weights give the same bytes."""
    graph, seen = _Graph(), "history"
    for layer, each in enumerate(net.convolutions):
        assert isinstance(each, torch.nn.Conv1d)
        assert each.bias is not None
        seen = graph.convolution(f"conv{layer}", seen, each.weight, each.bias, 2)
        seen = graph.node("Relu", [seen], f"seen{layer}")
    ends = [
        graph.constant(name, np.array([at], np.int64))
        for name, at in (("from", net.rows - 1), ("to", net.rows))
    ]
    newest = graph.node(
        "Slice", ["history", *ends, graph.constant("axis", np.array([2], np.int64))], "newest"
    )
    both = graph.node("Concat", [seen, newest], "both", axis=1)
    assert net.hidden.bias is not None
    assert net.last.bias is not None
    hidden = graph.convolution("hidden", both, net.hidden.weight, net.hidden.bias, 1)
    hidden = graph.node("Relu", [hidden], "hidden_seen")
    straight = torch.zeros(1, channels, 1)
    straight[0, net.score_at, 0] = net.straight[0].detach()
    weight = torch.cat([net.last.weight, straight], 1)
    joined = graph.node("Concat", [hidden, newest], "joined", axis=1)
    score = graph.convolution("odds", joined, weight, net.last.bias + net.straight[1], 1)
    filters = net.hidden.weight.shape[1] - channels
    for name, value, size in (("score", score, [-1]), ("embedding", seen, [-1, filters])):
        graph.node("Reshape", [value, graph.constant(f"{name}_shape", np.array(size, np.int64))], name)
    return _model(graph, channels, net.rows, filters)


def _model(graph: _Graph, channels: int, rows: int, filters: int) -> bytes:
    given = helper.make_tensor_value_info("history", TensorProto.FLOAT, [BATCH_NAME, channels, rows])
    told = [
        helper.make_tensor_value_info("score", TensorProto.FLOAT, [BATCH_NAME]),
        helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [BATCH_NAME, filters]),
    ]
    whole = helper.make_graph(graph.nodes, "srcnn", [given], told, initializer=graph.weights)
    model = helper.make_model(
        whole, opset_imports=[helper.make_opsetid("", OPSET)], producer_name="edgead", ir_version=8
    )
    onnx.checker.check_model(model)
    data: bytes = model.SerializeToString()
    return data


def check_parity(model: bytes, net: Net, histories: Array) -> float:
    """Judge histories with torch and with onnxruntime.

    Parameters
    ----------
    model : bytes
        ONNX.
    net : Net
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
        score, embedding = net.judge(torch.as_tensor(histories))
    got, worst = Session(model).run(histories), 0.0
    for name, told in (("score", score.numpy()), ("embedding", embedding.numpy())):
        gap = np.abs(got[name] - told) / (1.0 + np.abs(told))
        worst = max(worst, float(gap.max()))
    if not worst <= PARITY:
        raise ModelPackageError(f"the exported graph differs from torch by {worst:.2g}, allowed {PARITY:g}")
    return worst
