"""The shipped packages, and tools that damage it: zips with right hashes around wrong content, edited ONNX bytes."""

import hashlib
import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from edgead.onnx import Session
from edgead.package.manifest import identity

MODELS = Path(__file__).resolve().parents[1] / "models"
PUMP = (MODELS / "pump.zip").read_bytes()
SRCNN = (MODELS / "srcnn.zip").read_bytes()
Message = list[tuple[int, int, Any]]


def files_of(data: bytes = PUMP) -> dict[str, bytes]:
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def zip_of(files: dict[str, bytes], kind: int = zipfile.ZIP_DEFLATED) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return out.getvalue()


def with_manifest(edit: Callable[[dict[str, Any]], object], data: bytes = PUMP) -> bytes:
    """The package with an edited manifest."""
    files = files_of(data)
    manifest = msgspec.json.decode(files["manifest.json"])
    before = manifest["id"]
    edit(manifest)
    return zip_of({**files, "manifest.json": _signed(manifest, keep=manifest["id"] != before)})


def _signed(manifest: dict[str, Any], keep: bool = False) -> bytes:
    """As JSON, with the id its content has."""
    if not keep:
        manifest["id"] = identity(msgspec.json.encode(manifest))
    return msgspec.json.encode(manifest)


def variant(number: int) -> bytes:
    """The same model as version 1.0.number."""
    return with_manifest(lambda manifest: manifest.update(version=f"1.0.{number}"))


def nervous(number: int, factor: float = 1e4) -> bytes:
    """A model as version 1.0.number that finds everything abnormal, and whose self-test says so."""
    files = files_of()
    manifest = msgspec.json.decode(files["manifest.json"])
    with np.load(io.BytesIO(files["selftest.npz"])) as loaded:
        scores = loaded["scores"] * factor
    test = arrays_with(scores=scores)
    manifest["version"] = f"1.0.{number}"
    for name in ("joined", "local"):
        manifest["thresholds"][name] /= factor
    manifest["files"]["selftest.npz"] = {"sha256": hashlib.sha256(test).hexdigest(), "size": len(test)}
    return zip_of({**files, "selftest.npz": test, "manifest.json": _signed(manifest)})


def id_of(number: int) -> str:
    """Id of a `variant`."""
    return str(msgspec.json.decode(files_of(variant(number))["manifest.json"])["id"])


def network(number: int) -> bytes:
    """The shipped network of single series as version 1.0.number."""
    return with_manifest(lambda manifest: manifest.update(version=f"1.0.{number}"), SRCNN)


def twitchy(number: int) -> bytes:
    """A network as version 1.0.number that finds two equal readings in a row abnormal, and nothing else."""
    model = decode(files_of(SRCNN)["model.onnx"])
    odds = np.zeros((1, 30, 1), "<f4")
    odds[0, 16 + 8] = 30.0  # `run`, the ninth number of the newest row
    place = next(at for at, field in enumerate(model) if field[0] == 7)
    parts = decode(model[place][2])
    new = {b"odds_0": odds.tobytes(), b"odds_1": np.array([-8.0], "<f4").tobytes()}
    for at, (kind, wire, tensor) in enumerate(parts):
        fields = decode(tensor) if kind == 5 else []
        name = next((value for number, _, value in fields if number == 8), b"")
        if name in new:
            kept = [field for field in fields if field[0] not in (4, 9)]
            parts[at] = (kind, wire, encode([*kept, (9, 2, new[name])]))
    model[place] = (7, 2, encode(parts))
    graph_bytes = encode(model)
    with np.load(io.BytesIO(files_of(SRCNN)["selftest.npz"])) as loaded:
        scores = Session(graph_bytes).run(loaded["histories"])["score"]
    test = with_file("selftest.npz", arrays_with(SRCNN, scores=scores), SRCNN)
    return with_manifest(
        lambda manifest: manifest.update(version=f"1.0.{number}"), with_file("model.onnx", graph_bytes, test)
    )


def with_file(name: str, content: bytes, data: bytes = PUMP) -> bytes:
    """The package with another file, its hash and size told rightly."""
    files = {**files_of(data), name: content}
    manifest = msgspec.json.decode(files["manifest.json"])
    manifest["files"][name] = {"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)}
    return zip_of({**files, "manifest.json": _signed(manifest)})


def arrays_with(data: bytes = PUMP, **changed: np.ndarray[Any, Any] | None) -> bytes:
    """The self-test with arrays replaced (or, as None, left out)."""
    with np.load(io.BytesIO(files_of(data)["selftest.npz"])) as loaded:
        arrays = {**{name: loaded[name] for name in loaded.files}, **changed}
    out = io.BytesIO()
    np.savez(out, **{name: array for name, array in arrays.items() if array is not None})
    return out.getvalue()


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def encode(message: Message) -> bytes:
    """Fields as protocol buffer bytes; a nested message is a list."""
    out = b""
    for number, kind, value in message:
        out += varint(number << 3 | kind)
        if kind == 0:
            out += varint(value)
        elif kind == 2:
            body = encode(value) if isinstance(value, list) else value
            out += varint(len(body)) + body
        else:
            out += value
    return out


def decode(data: bytes) -> Message:
    out: Message = []
    at = 0

    def number() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while at < len(data):
        key = number()
        kind = key & 7
        if kind == 0:
            out.append((key >> 3, 0, number()))
            continue
        size = number() if kind == 2 else {1: 8, 5: 4}[kind]
        out.append((key >> 3, kind, data[at : at + size]))
        at += size
    return out


def with_graph(edit: Callable[[Message], object], data: bytes = PUMP) -> bytes:
    """The package with an edited ONNX graph (field 7 of the model)."""
    model = decode(files_of(data)["model.onnx"])
    place = next(i for i, (number, _, _) in enumerate(model) if number == 7)
    graph = decode(model[place][2])
    edit(graph)
    model[place] = (7, 2, graph)
    return with_file("model.onnx", encode(model), data)


def first(graph: Message, number: int) -> tuple[int, Message]:
    """Place and fields of the first message of that field number."""
    place = next(i for i, (field, _, _) in enumerate(graph) if field == number)
    return place, decode(graph[place][2])


def with_output(name: str, *nodes: Message, data: bytes = PUMP) -> bytes:
    """The package with an output that these nodes make of the one before, which is called ``before`` now."""

    def rewire(graph: Message) -> None:
        for place, (number, kind, value) in enumerate(graph):
            if number == 1:
                node = [(n, k, b"before" if (n, v) == (2, name.encode()) else v) for n, k, v in decode(value)]
                graph[place] = (number, kind, node)
        graph.extend((1, 2, node) for node in nodes)

    return with_graph(rewire, data)


def node(kind: str, inputs: str, output: str, **whole: int) -> Message:
    """An operator; attributes are whole numbers."""
    attributes: Message = [
        (5, 2, [(1, 2, key.encode()), (3, 0, value), (20, 0, 2)]) for key, value in whole.items()
    ]
    names: Message = [(1, 2, each.encode()) for each in inputs.split()]
    return [*names, (2, 2, output.encode()), (4, 2, kind.encode()), *attributes]


def nothing(name: str) -> tuple[Message, ...]:
    """Nodes that make an output of numbers that are none: 0 / 0."""
    return (
        node("Sub", "before before", "nought"),
        node("Div", "nought nought", "none"),
        node("Add", "before none", name),
    )


def wrong_scores() -> np.ndarray[Any, Any]:
    return np.full(6, 9.0)
