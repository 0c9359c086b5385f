"""The two backends of `network`: torch tensors, and nodes of an ONNX graph."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import onnx
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from edgead.errors import InvalidInput

#: Operator set of the exported graph; onnxruntime 1.19 and newer read it.
OPSET = 17


def choose_device(asked: str = "auto") -> str:
    """Where torch computes: ``"cuda"`` when there is a GPU, else ``"cpu"``.

    Parameters
    ----------
    asked : str
        ``"auto"``, ``"cpu"`` or ``"cuda"``.

    Raises
    ------
    InvalidInput
        If a GPU is asked for and torch sees none.
    """
    there = torch.cuda.is_available()
    if asked == "cuda" and not there:
        raise InvalidInput("device = 'cuda': torch sees no GPU here; 'cpu' and 'auto' need none")
    return "cuda" if there and asked != "cpu" else "cpu"


@contextmanager
def deterministic(device: str) -> Iterator[None]:
    """The same answers each time on one kind of GPU, in whole float32; the CPU gives them anyway.

    Notes
    -----
    What has to be switched is told in torch's notes on reproducibility; cuBLAS reads its variable when it is loaded.
    """
    if device == "cpu":
        yield
        return
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.allow_tf32
    torch.use_deterministic_algorithms(True)
    torch.backends.cudnn.allow_tf32 = False
    try:
        yield
    finally:
        torch.use_deterministic_algorithms(before[0])
        torch.backends.cudnn.allow_tf32 = before[1]


class TorchOps:
    """`network.Ops` on torch tensors.

    Parameters
    ----------
    device : str
        Where they lie: ``"cpu"``, ``"cuda"``.
    kind : torch.dtype, optional
        What numbers become; otherwise they stay what they are.
    """

    def __init__(self, device: str = "cpu", kind: torch.dtype | None = None) -> None:
        self.device, self._kind = device, kind

    def tensor(self, value: NDArray[Any]) -> torch.Tensor:
        """An array as a tensor on the device."""
        return torch.as_tensor(np.ascontiguousarray(value)).to(self.device, self._kind)

    def array(self, x: torch.Tensor) -> NDArray[Any]:
        """A tensor of the device as an array."""
        return np.asarray(x.detach().cpu().numpy())

    def constant(self, name: str, value: NDArray[Any]) -> torch.Tensor:
        return self.tensor(value)

    def rows(self, x: torch.Tensor, start: int, stop: int) -> torch.Tensor:
        return x[start:stop]

    def length(self, x: torch.Tensor) -> int:
        return int(x.shape[0])

    def add(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a + b

    def sub(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a - b

    def mul(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a * b

    def div(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a / b

    def maximum(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.maximum(a, b)

    def minimum(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return torch.minimum(a, b)

    def matmul(self, a: torch.Tensor, b: torch.Tensor) -> torch.Tensor:
        return a @ b

    def absolute(self, x: torch.Tensor) -> torch.Tensor:
        return x.abs()

    def relu(self, x: torch.Tensor) -> torch.Tensor:
        return x.relu()

    def sqrt(self, x: torch.Tensor) -> torch.Tensor:
        return x.sqrt()

    def log(self, x: torch.Tensor) -> torch.Tensor:
        return x.log()

    def power(self, x: torch.Tensor, exponent: float) -> torch.Tensor:
        return x.pow(exponent)

    def mean(self, x: torch.Tensor, axis: int, keep: bool = False) -> torch.Tensor:
        return x.mean(axis, keepdim=keep)

    def concat(self, xs: list[torch.Tensor], axis: int) -> torch.Tensor:
        return torch.cat(xs, axis)

    def reshape(self, x: torch.Tensor, shape: list[int]) -> torch.Tensor:
        return x.reshape(shape)

    def transpose(self, x: torch.Tensor, order: list[int]) -> torch.Tensor:
        return x.permute(order)

    def convolve(self, x: torch.Tensor, kernels: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.conv1d(x, kernels)

    def argmin(self, x: torch.Tensor) -> torch.Tensor:
        return x.argmin(1)

    def gather(self, table: torch.Tensor, index: torch.Tensor) -> torch.Tensor:
        return table[index]


class Node:
    """A value of the graph being written: its name and its static shape."""

    def __init__(self, name: str, shape: tuple[int, ...]) -> None:
        self.name = name
        self.shape = shape


class OnnxOps:
    """`network.Ops` that writes an ONNX graph of static shapes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.tensors: dict[str, onnx.TensorProto] = {}
        self._shapes: dict[str, tuple[int, ...]] = {}

    def constant(self, name: str, value: NDArray[Any]) -> Node:
        value = np.asarray(value)
        if name not in self.tensors:
            self.tensors[name] = numpy_helper.from_array(np.array(value, order="C"), name)
            self._shapes[name] = value.shape
        return Node(name, self._shapes[name])

    def _put(self, kind: str, inputs: Sequence[Node], shape: Sequence[int], **attributes: Any) -> Node:
        name = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, [x.name for x in inputs], [name], name=name, **attributes))
        return Node(name, tuple(int(n) for n in shape))

    def _index(self, values: Sequence[int]) -> Node:
        return self.constant("i" + "_".join(map(str, values)), np.array(values, np.int64))

    def rows(self, x: Node, start: int, stop: int) -> Node:
        inputs = [x, self._index([start]), self._index([stop]), self._index([0])]
        return self._put("Slice", inputs, (stop - start, *x.shape[1:]))

    def length(self, x: Node) -> int:
        return x.shape[0]

    def _pair(self, kind: str, a: Node, b: Node) -> Node:
        return self._put(kind, [a, b], np.broadcast_shapes(a.shape, b.shape))

    def add(self, a: Node, b: Node) -> Node:
        return self._pair("Add", a, b)

    def sub(self, a: Node, b: Node) -> Node:
        return self._pair("Sub", a, b)

    def mul(self, a: Node, b: Node) -> Node:
        return self._pair("Mul", a, b)

    def div(self, a: Node, b: Node) -> Node:
        return self._pair("Div", a, b)

    def maximum(self, a: Node, b: Node) -> Node:
        return self._pair("Max", a, b)

    def minimum(self, a: Node, b: Node) -> Node:
        return self._pair("Min", a, b)

    def matmul(self, a: Node, b: Node) -> Node:
        return self._put("MatMul", [a, b], (*a.shape[:-1], *b.shape[1:]))

    def absolute(self, x: Node) -> Node:
        return self._put("Abs", [x], x.shape)

    def relu(self, x: Node) -> Node:
        return self._put("Relu", [x], x.shape)

    def sqrt(self, x: Node) -> Node:
        return self._put("Sqrt", [x], x.shape)

    def log(self, x: Node) -> Node:
        return self._put("Log", [x], x.shape)

    def power(self, x: Node, exponent: float) -> Node:
        constant = self.constant(f"power{exponent:.4f}", np.array(exponent, np.float32))
        return self._put("Pow", [x, constant], x.shape)

    def mean(self, x: Node, axis: int, keep: bool = False) -> Node:
        rest = [1 if i == axis else n for i, n in enumerate(x.shape) if keep or i != axis]
        return self._put("ReduceMean", [x], rest, axes=[axis], keepdims=int(keep))

    def concat(self, xs: list[Node], axis: int) -> Node:
        shape = list(xs[0].shape)
        shape[axis] = sum(x.shape[axis] for x in xs)
        return self._put("Concat", xs, shape, axis=axis)

    def reshape(self, x: Node, shape: list[int]) -> Node:
        return self._put("Reshape", [x, self._index(shape)], shape)

    def transpose(self, x: Node, order: list[int]) -> Node:
        return self._put("Transpose", [x], [x.shape[i] for i in order], perm=order)

    def convolve(self, x: Node, kernels: Node) -> Node:
        shape = (x.shape[0], kernels.shape[0], x.shape[2] - kernels.shape[2] + 1)
        return self._put("Conv", [x, kernels], shape)

    def argmin(self, x: Node) -> Node:
        return self._put("ArgMin", [x], (x.shape[0],), axis=1, keepdims=0)

    def gather(self, table: Node, index: Node) -> Node:
        return self._put("Gather", [table, index], (index.shape[0], *table.shape[1:]), axis=0)

    def model(self, window: Node, outputs: dict[str, Node]) -> bytes:
        """The finished graph, checked, as bytes; the same graph gives the same bytes."""
        named = []
        for name, value in outputs.items():
            flat = self.reshape(value, [int(np.prod(value.shape, dtype=int))])
            self.nodes.append(helper.make_node("Identity", [flat.name], [name], name=name))
            named.append(helper.make_tensor_value_info(name, TensorProto.FLOAT, flat.shape))
        graph = helper.make_graph(
            self.nodes,
            "edgead",
            [helper.make_tensor_value_info(window.name, TensorProto.FLOAT, window.shape)],
            named,
            list(self.tensors.values()),
        )
        model = helper.make_model(
            graph, producer_name="edgead", ir_version=8, opset_imports=[helper.make_opsetid("", OPSET)]
        )
        onnx.checker.check_model(model, full_check=True)
        return bytes(model.SerializeToString(deterministic=True))
