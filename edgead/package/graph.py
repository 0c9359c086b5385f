"""Reading an ONNX graph before anything runs it (wire format of protocol buffers, onnx.proto of ONNX 1.12+).

Only what is on the list of `OPERATORS` passes: no control flow, no functions, no external files, no custom
domains, static shapes (but for the number of windows judged together, where a kind of model has one), finite
weights, and a bound on numbers, nodes and attributes.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from edgead.errors import ModelPackageError

#: What the networks of `edgead.training` are made of, and the network layers next to them.
OPERATORS = frozenset(
    [
        "Abs",
        "Add",
        "ArgMin",
        "AveragePool",
        "Concat",
        "Conv",
        "Div",
        "Exp",
        "Gather",
        "Identity",
        "Log",
        "MatMul",
        "Max",
        "Min",
        "Mul",
        "Neg",
        "Pow",
        "ReduceMean",
        "ReduceSum",
        "Relu",
        "Reshape",
        "Sigmoid",
        "Slice",
        "Sqrt",
        "Sub",
        "Tanh",
        "Transpose",
    ]
)
OPSETS = range(13, 22)
MAX_NODES = 512
MAX_NUMBERS = 2_000_000
#: Numbers of a shape or an attribute, and fields of one message: more of them would cost a device memory and time
#: before they are refused.
MAX_LISTED, MAX_FIELDS = 1024, 16_384
MAX_WINDOW_NUMBERS = 2880 * 300
#: Nodes that can make values larger than their inputs without a weight that says so.
MAX_GROWING = 16
#: The first dimension of a model that judges any number of windows together, and its name in the graph.
BATCH, BATCH_NAME = 0, "batch"
_FLOAT, _INT64 = 1, 7
_KINDS: dict[int, np.dtype[Any]] = {_FLOAT: np.dtype("<f4"), _INT64: np.dtype("<i8")}


@dataclass
class Tensor:
    """A weight."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Value:
    """An input or output: its name and its shape; `BATCH` stands for the number of windows."""

    name: str
    shape: tuple[int, ...]


@dataclass
class Graph:
    """What the bytes of a model say."""

    opset: int = 0
    operators: list[str] = field(default_factory=list)
    weights: dict[str, Tensor] = field(default_factory=dict)
    inputs: list[Value] = field(default_factory=list)
    outputs: list[Value] = field(default_factory=list)
    growing: int = 0

    @property
    def numbers(self) -> int:
        """Numbers in all weights."""
        return sum(math.prod(weight.shape) for weight in self.weights.values())


Field = tuple[int, int | bytes]


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data) or shift > 63:
            raise ModelPackageError("model.onnx: damaged (a number has no end)")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def _fields(data: bytes) -> Iterator[Field]:
    """Field numbers and values of one message."""
    at = count = 0
    while at < len(data):
        count += 1
        if count > MAX_FIELDS:
            raise ModelPackageError(f"model.onnx: more than {MAX_FIELDS} fields in one message")
        key, at = _varint(data, at)
        number, kind = key >> 3, key & 7
        if kind == 0:
            value, at = _varint(data, at)
            yield number, value
            continue
        if kind == 2:
            size, at = _varint(data, at)
        elif kind in (1, 5):
            size = 8 if kind == 1 else 4
        else:
            raise ModelPackageError(f"model.onnx: damaged (wire type {kind})")
        if at + size > len(data):
            raise ModelPackageError("model.onnx: damaged (ends too early)")
        yield number, data[at : at + size]
        at += size


def _text(value: int | bytes) -> str:
    if isinstance(value, int):
        raise ModelPackageError("model.onnx: damaged (a number where a text should be)")
    try:
        return value.decode()
    except UnicodeDecodeError as error:
        raise ModelPackageError("model.onnx: damaged (a name is no text)") from error


def _bytes(value: int | bytes) -> bytes:
    if isinstance(value, int):
        raise ModelPackageError("model.onnx: damaged (a number where a message should be)")
    return value


def _one(value: int | bytes) -> int:
    """A whole number, signed."""
    if not isinstance(value, int):
        raise ModelPackageError("model.onnx: damaged (a text where a number should be)")
    return value - (1 << 64) if value >> 63 else value


def _whole(value: int | bytes) -> list[int]:
    """One or many packed whole numbers, signed."""
    if isinstance(value, int):
        return [_one(value)]
    out, at = [], 0
    while at < len(value):
        number, at = _varint(value, at)
        out.append(_one(number))
        if len(out) > MAX_LISTED:
            raise ModelPackageError(f"model.onnx: a shape or attribute of more than {MAX_LISTED} numbers")
    return out


def _tensor(data: bytes) -> Tensor:
    name, kind, raw = "", 0, b""
    shape: list[int] = []
    for number, value in _fields(data):
        if number == 1:
            shape += _whole(value)
        elif number == 2:
            kind = _one(value)
        elif number == 8:
            name = _text(value)
        elif number == 9:
            raw = _bytes(value)
        elif number in (13, 14):
            raise ModelPackageError("model.onnx keeps weights in another file")
        elif number != 12:
            raise ModelPackageError(f"model.onnx: weight field {number}, expected raw data alone")
    if kind not in _KINDS:
        raise ModelPackageError(
            f"model.onnx: weight {name!r} of element type {kind}, expected float or int64"
        )
    if any(n < 0 for n in shape) or math.prod(shape) > MAX_NUMBERS:
        raise ModelPackageError(f"model.onnx: weight {name!r} has shape {tuple(shape)}, too large")
    if math.prod(shape) * _KINDS[kind].itemsize != len(raw):
        raise ModelPackageError(f"model.onnx: weight {name!r}: {len(raw)} bytes do not fill {tuple(shape)}")
    if not np.isfinite(np.frombuffer(raw, _KINDS[kind])).all():
        raise ModelPackageError(f"model.onnx: weight {name!r} holds a number that is not finite")
    return Tensor(name, tuple(shape))


def _value(data: bytes, batched: bool) -> Value:
    """An input or output of element type float; of static shape, but for the first dimension where `batched`."""
    name, kind = "", 0
    shape: list[int] = []
    for number, value in _fields(data):
        if number == 1:
            name = _text(value)
        elif number == 2:
            for choice, message in _fields(_bytes(value)):
                if choice != 1:
                    raise ModelPackageError(f"model.onnx: {name!r} is no tensor")
                for place, part in _fields(_bytes(message)):
                    if place == 1:
                        kind = _one(part)
                    elif place == 2:
                        dims = [d for n, d in _fields(_bytes(part)) if n == 1]
                        shape = [_dimension(name, d, batched and at == 0) for at, d in enumerate(dims)]
    if kind != _FLOAT:
        raise ModelPackageError(f"model.onnx: {name!r} has element type {kind}, expected float")
    return Value(name, tuple(shape))


def _dimension(name: str, data: int | bytes, batched: bool) -> int:
    if batched and [(n, v) for n, v in _fields(_bytes(data)) if n != 3] == [(2, BATCH_NAME.encode())]:
        return BATCH
    found = [_one(value) for number, value in _fields(_bytes(data)) if number == 1]
    if len(found) != 1 or not 1 <= found[0] <= MAX_WINDOW_NUMBERS:
        raise ModelPackageError(f"model.onnx: {name!r} has a dimension that is not static or too large")
    return found[0]


def _attribute(kind: str, data: bytes) -> None:
    for number, value in _fields(data):
        if number in (5, 6, 10, 11, 14, 15, 22, 23):
            raise ModelPackageError(f"model.onnx: {kind} carries a graph, tensor or type as attribute")
        if number in (3, 8) and any(abs(n) > 4096 for n in _whole(value)):
            raise ModelPackageError(f"model.onnx: {kind} has an attribute above 4096")


def _node(graph: Graph, data: bytes) -> None:
    inputs: list[str] = []
    kind = domain = ""
    attributes = []
    for number, value in _fields(data):
        if number == 1:
            inputs.append(_text(value))
        elif number == 4:
            kind = _text(value)
        elif number == 5:
            attributes.append(_bytes(value))
        elif number == 7:
            domain = _text(value)
    if domain not in ("", "ai.onnx"):
        raise ModelPackageError(f"model.onnx: operator of domain {domain!r}, expected ONNX's own")
    if kind not in OPERATORS:
        raise ModelPackageError(f"model.onnx: operator {kind!r} is not on the list")
    for attribute in attributes:
        _attribute(kind, attribute)
    graph.operators.append(kind)
    known = any(name in graph.weights for name in inputs)
    if kind == "Concat" or (kind in ("MatMul", "Conv", "Gather") and not known):
        graph.growing += 1


def _graph(graph: Graph, data: bytes, batched: bool) -> None:
    nodes = []
    for number, value in _fields(data):
        if number == 1:
            nodes.append(_bytes(value))
        elif number == 5:
            weight = _tensor(_bytes(value))
            if weight.name in graph.weights:
                raise ModelPackageError(f"model.onnx: weight {weight.name!r} occurs twice")
            graph.weights[weight.name] = weight
        elif number == 11:
            graph.inputs.append(_value(_bytes(value), batched))
        elif number == 12:
            graph.outputs.append(_value(_bytes(value), batched))
        elif number not in (2, 10, 13):
            raise ModelPackageError(f"model.onnx: graph field {number} is not allowed")
    if len(nodes) > MAX_NODES:
        raise ModelPackageError(f"model.onnx: {len(nodes)} operators, at most {MAX_NODES}")
    for node in nodes:
        _node(graph, node)


def _opset(graph: Graph, data: bytes) -> None:
    domain, version = "", 0
    for number, value in _fields(data):
        if number == 1:
            domain = _text(value)
        elif number == 2:
            version = _one(value)
    if domain not in ("", "ai.onnx") or version not in OPSETS:
        raise ModelPackageError(
            f"model.onnx: operator set {domain or 'ai.onnx'} {version}, "
            f"expected ai.onnx {OPSETS.start} to {OPSETS.stop - 1}"
        )
    graph.opset = version


def read_graph(model: bytes, *, batched: bool = False) -> Graph:
    """Read a model and refuse what a device must not run.

    Parameters
    ----------
    model : bytes
        An ONNX file.
    batched : bool, optional
        Whether the first dimension of inputs and outputs may be the number of windows, named `BATCH_NAME`.

    Returns
    -------
    Graph

    Raises
    ------
    ModelPackageError
        With the first reason found.
    """
    graph = Graph()
    for number, value in _fields(model):
        if number == 7:
            _graph(graph, _bytes(value), batched)
        elif number == 8:
            _opset(graph, _bytes(value))
        elif number not in (1, 2, 3, 4, 5, 6, 14):
            raise ModelPackageError(f"model.onnx: model field {number} is not allowed")
    if not graph.opset:
        raise ModelPackageError("model.onnx names no operator set")
    if graph.numbers > MAX_NUMBERS:
        raise ModelPackageError(f"model.onnx: {graph.numbers} numbers, at most {MAX_NUMBERS}")
    if graph.growing > MAX_GROWING:
        raise ModelPackageError(f"model.onnx: {graph.growing} operators that enlarge, at most {MAX_GROWING}")
    return graph
