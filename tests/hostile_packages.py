"""Packages that must be refused, by what is wrong with them: how to build each, and words of the reason."""

import io
import struct
import zipfile
from typing import Any

import numpy as np
import pytest

from tests import packages as make
from tests.packages import Message


def _manifest(**changed: Any) -> bytes:
    return make.with_manifest(lambda manifest: manifest.update(changed))


def _unknown(value: bytes) -> bytes:
    manifest = make.files_of()["manifest.json"].replace(b"{", b'{"later": ' + value + b",", 1)
    return make.zip_of({**make.files_of(), "manifest.json": manifest})


def _array(shape: str, body: bytes) -> bytes:
    """The self-test with rows of this shape in the header of its array."""
    header = f"{{'descr': '<f8', 'fortran_order': False, 'shape': {shape}}}".ljust(117).encode() + b"\n"
    content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header + body
    test = {**make.files_of(make.files_of()["selftest.npz"]), "rows.npy": content}
    return make.with_file("selftest.npz", make.zip_of(test))


def _without_end(number: int, content: Any) -> bytes:
    """A model of this one field, stored and not packed: packed it would be a zip bomb."""
    model = make.encode([(number, 2, content)])
    files = make.files_of(make.with_file("model.onnx", model))
    return make.zip_of(files, zipfile.ZIP_STORED)


def _node(kind: bytes | None = None, domain: bytes | None = None, attribute: Message | None = None) -> bytes:
    def edit(graph: Message) -> None:
        place, node = make.first(graph, 1)
        if kind is not None:
            node = [(n, k, kind if n == 4 else v) for n, k, v in node]
        if domain is not None:
            node.append((7, 2, domain))
        if attribute is not None:
            node.append((5, 2, attribute))
        graph[place] = (1, 2, node)

    return make.with_graph(edit)


def _weight(edit: Any) -> bytes:
    def change(graph: Message) -> None:
        tensors = [(i, make.decode(value)) for i, (number, _, value) in enumerate(graph) if number == 5]
        place, tensor = next((i, t) for i, t in tensors if (2, 0, 1) in t)  # of element type float
        graph[place] = (5, 2, edit(tensor))

    return make.with_graph(change)


def _dimension(value: int | None, name: bytes = b"") -> bytes:
    def change(graph: Message) -> None:
        dims = [(1, 2, [(1, 0, value)] if value is not None else [(2, 2, name)]), (1, 2, [(1, 0, 5)])]
        graph[make.first(graph, 11)[0]] = (
            11,
            2,
            [(1, 2, b"window"), (2, 2, [(1, 2, [(1, 0, 1), (2, 2, dims)])])],
        )

    return make.with_graph(change)


def _nan(tensor: Message) -> Message:
    def poison(number: int, value: Any) -> Any:
        return struct.pack("<f", float("nan")) + value[4:] if number == 9 else value

    return [(number, kind, poison(number, value)) for number, kind, value in tensor]


def _opset(domain: bytes, version: int) -> bytes:
    model = [f for f in make.decode(make.files_of()["model.onnx"]) if f[0] != 8]
    entry: Message = [(2, 0, version)] + ([(1, 2, domain)] if domain else [])
    return make.with_file("model.onnx", make.encode([*model, (8, 2, entry)]))


def _stretched(name: str, size: int) -> bytes:
    """The local header's and the directory's size field of a file, changed in place."""
    data = bytearray(make.zip_of(make.files_of(), zipfile.ZIP_STORED))
    for signature, offset in ((b"PK\x03\x04", 30), (b"PK\x01\x02", 46)):
        at = -1
        while (at := data.find(signature, at + 1)) >= 0:
            if data[at + offset : at + offset + len(name)] == name.encode():
                place = at + offset - (8 if offset == 30 else 22)
                data[place : place + 4] = struct.pack("<I", size)
    return bytes(data)


def _doubled() -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in make.files_of().items():
            archive.writestr(name, content)
        with pytest.warns(UserWarning, match="Duplicate"):
            archive.writestr("model.onnx", b"other")
    return out.getvalue()


def _pickle() -> bytes:
    out = io.BytesIO()
    np.save(out, np.array([{"a": 1}], dtype=object), allow_pickle=True)
    return make.zip_of({**make.files_of(make.files_of()["selftest.npz"]), "scores.npy": out.getvalue()})


def _flipped() -> bytes:
    data = bytearray(make.PUMP)
    data[len(data) // 2] ^= 0x40
    return bytes(data)


def _variables(*names: str) -> list[dict[str, str]]:
    return [{"name": name} for name in names]


FILES = make.files_of()
#: Packages whose bytes are right, and whose network answers what no device can use; the trial run finds it.
LYING = {
    "shares of other shape": (
        lambda: make.with_output(
            "contributions", make.node("Concat", "before before", "contributions", axis=0)
        ),
        r"shapes .*\(10,\).*expected",
    ),
    "changes of other shape": (
        lambda: make.with_output(
            "correlation_change", make.node("Concat", "before before", "correlation_change", axis=0)
        ),
        r"shapes .*\(10,\).*expected",
    ),
    "negative shares": (
        lambda: make.with_output("contributions", make.node("Neg", "before", "contributions")),
        "negative",
    ),
    **{
        f"no number in {name}": (lambda name=name: make.with_output(name, *make.nothing(name)), "not finite")
        for name in ("joined", "local", "contributions", "correlation_change")
    },
}
BAD = {
    "empty": (lambda: b"", "not a readable zip"),
    "text": (lambda: b"hello" * 100, "not a readable zip"),
    "truncated": (lambda: make.PUMP[: len(make.PUMP) // 2], "not a readable zip"),
    "last byte missing": (lambda: make.PUMP[:-1], "not a readable zip"),
    "a flipped bit": (_flipped, "not a readable zip|SHA-256"),
    "too large": (lambda: b"\0" * (2**24 + 1), "at most 16777216"),
    "path upwards": (lambda: make.zip_of({**FILES, "../evil": b"x"}), "file name '../evil'"),
    "absolute path": (lambda: make.zip_of({**FILES, "/etc/passwd": b"x"}), "file name '/etc/passwd'"),
    "folder": (lambda: make.zip_of({**FILES, "a/b": b"x"}), "file name 'a/b'"),
    "zip bomb": (lambda: make.zip_of({**FILES, "zeros": b"\0" * 2**23}), "zip bomb"),
    "unfolds too far": (lambda: _stretched("model.onnx", 2**31), "unfolds to 2147483648"),
    "unfolds too far in all": (
        lambda: make.zip_of(
            {**FILES, **{f"f{i}": np.random.default_rng(i).bytes(9000) * 1400 for i in range(2)}}
        ),
        "it unfolds to 25[0-9]{6} bytes, at most 25165824",
    ),
    "too many files": (lambda: make.zip_of({**FILES, **{f"f{i}": b"x" for i in range(9)}}), "files, at most"),
    "doubled name": (_doubled, "occurs twice"),
    "odd compression": (lambda: make.zip_of(FILES, zipfile.ZIP_BZIP2), "compression 12"),
    "extra file": (lambda: make.zip_of({**FILES, "extra": b"x"}), "disagree about extra"),
    "no manifest": (lambda: make.zip_of({k: v for k, v in FILES.items() if k[0] != "m"}), "no manifest"),
    "no model": (lambda: make.zip_of({k: v for k, v in FILES.items() if "onnx" not in k}), "disagree"),
    "manifest is no JSON": (lambda: make.zip_of({**FILES, "manifest.json": b"{"}), "manifest.json"),
    "manifest is no object": (lambda: make.zip_of({**FILES, "manifest.json": b"[1]"}), "manifest.json"),
    "deep JSON": (lambda: make.zip_of({**FILES, "manifest.json": b"[" * 99 + b"]" * 99}), "manifest.json"),
    "wrong hash": (
        lambda: make.with_manifest(lambda m: m["files"]["model.onnx"].update(sha256="0" * 64)),
        "SHA-256 is not",
    ),
    "wrong size": (
        lambda: make.with_manifest(lambda m: m["files"]["model.onnx"].update(size=1)),
        "the manifest says 1",
    ),
    "newer format": (lambda: _manifest(format_version=2), "format 2, this edgead reads 1"),
    "newer edgead": (lambda: _manifest(minimum_edgead="99.0.0"), "needs edgead 99.0.0"),
    "version without an end": (lambda: _manifest(version="1.2." + "9" * 5000), "at most 9 digits"),
    "version in other digits": (lambda: _manifest(version="\u0661.\u0662.\u0663"), "expected three numbers"),
    "needs an edgead without an end": (
        lambda: _manifest(minimum_edgead="1.2." + "9" * 5000),
        "at most 9 digits",
    ),
    "unknown key with a huge number": (lambda: _unknown(b"9" * 100_000), "manifest.json: .*out of range"),
    "unknown key beyond a double": (lambda: _unknown(b"1e999"), "manifest.json: .*out of range"),
    "unknown key that is no text": (lambda: _unknown(b'"\xff"'), "manifest.json: .*decode"),
    "no time between rows": (
        lambda: _manifest(step_s=1e-10),
        "step_s = 1e-10: expected a microsecond or more",
    ),
    "name without an end": (
        lambda: make.with_manifest(lambda m: m["variables"][0].update(name="a" * 257)),
        "at most 256 characters",
    ),
    "odd version": (lambda: _manifest(version="latest"), "expected three numbers"),
    "other kind": (
        lambda: _manifest(kind="bivariate"),
        "kind 'bivariate', expected multivariate or univariate",
    ),
    "kind of another content": (lambda: _manifest(kind="univariate"), "manifest.json: .*required field"),
    "odd name": (lambda: _manifest(name="../x"), "not a plain name"),
    "window too short": (lambda: _manifest(window=3), "window = 3: expected 28 to 2880"),
    "window of another model": (lambda: _manifest(window=200), "model.onnx reads"),
    "one variable less": (lambda: _manifest(variables=_variables("a", "b", "c", "d")), "expected 4 numbers"),
    "doubled variable": (lambda: _manifest(variables=_variables(*"aabcd")), "different names"),
    "wrong variable order, rightly signed": (
        lambda: make.with_manifest(lambda m: m["variables"].reverse()),
        "is not in its range .*: are the variables in order",
    ),
    "wrong variable order": (
        lambda: make.with_manifest(lambda m: (m["variables"].reverse(), m.update(id=m["id"][::-1]))),
        "are the variables in order|manifest.json was changed",
    ),
    "edited threshold": (
        lambda: make.zip_of(
            {**FILES, "manifest.json": FILES["manifest.json"].replace(b'"budget": 0.001', b'"budget": 0.002')}
        ),
        "manifest.json was changed",
    ),
    "scale of zero": (
        lambda: make.with_manifest(lambda m: m["scaler"]["scale"].__setitem__(0, 0.0)),
        "numbers above 0",
    ),
    "threshold of zero": (
        lambda: make.with_manifest(lambda m: m["thresholds"].update(joined=0.0)),
        "thresholds.joined",
    ),
    "model is text": (lambda: make.with_file("model.onnx", b"hello world"), "model.onnx"),
    "model truncated": (lambda: make.with_file("model.onnx", FILES["model.onnx"][:-9]), "ends too early"),
    "operator outside the list": (lambda: _node(b"Loop"), "operator 'Loop' is not on the list"),
    "custom domain": (lambda: _node(domain=b"com.evil"), "domain 'com.evil'"),
    "graph as attribute": (lambda: _node(attribute=[(1, 2, b"body"), (6, 2, b"")]), "carries a graph"),
    "huge attribute": (lambda: _node(attribute=[(1, 2, b"pads"), (8, 0, 2**40)]), "attribute above 4096"),
    "weights in another file": (
        lambda: _weight(lambda t: [*t, (13, 2, [(1, 2, b"location"), (2, 2, b"/etc/passwd")])]),
        "in another file",
    ),
    "huge weight": (lambda: _weight(lambda t: [(1, 0, 2**40), *t]), "too large"),
    "weight shorter than its shape": (lambda: _weight(lambda t: [(1, 0, 7), *t]), "do not fill"),
    "weight of strings": (
        lambda: _weight(lambda t: [(n, k, 8 if n == 2 else v) for n, k, v in t]),
        "element type 8",
    ),
    "NaN weight": (lambda: _weight(_nan), "not finite"),
    "dimension without a number": (lambda: _dimension(None, b"batch"), "not static"),
    "huge dimension": (lambda: _dimension(2**40), "too large"),
    "another input shape": (lambda: _dimension(301), "model.onnx reads"),
    "element type that is no number": (
        lambda: _weight(lambda t: [*t, (2, 2, b"")]),
        "where a number should be",
    ),
    "dimension that is no number": (lambda: _dimension(None, b""), "not static"),
    "operator set that is no number": (
        lambda: make.with_file("model.onnx", FILES["model.onnx"] + make.encode([(8, 2, [(2, 2, b"")])])),
        "where a number should be",
    ),
    "a million operators": (lambda: _without_end(7, b"\x0a\x00" * 10**6), "fields in one message"),
    "a million dimensions": (
        lambda: _without_end(7, [(5, 2, [(1, 2, b"\x01" * 10**6)])]),
        "more than 1024 numbers",
    ),
    "model function": (
        lambda: make.with_file("model.onnx", FILES["model.onnx"] + make.encode([(25, 2, b"")])),
        "field 25",
    ),
    "old operator set": (lambda: _opset(b"", 7), "operator set ai.onnx 7"),
    "operator set of a stranger": (lambda: _opset(b"com.evil", 17), "operator set com.evil"),
    "self-test is no npz": (lambda: make.with_file("selftest.npz", b"x"), "not a readable zip"),
    "self-test with pickle": (lambda: make.with_file("selftest.npz", _pickle()), "kind|not an array"),
    "self-test of negative shape": (lambda: _array("(-1, -8)", bytes(64)), r"rows.npy: shape \(-1, -8\)"),
    "self-test of endless shape": (lambda: _array("(0, 1000000000000000000000)", b""), "rows.npy: shape"),
    "self-test of many dimensions": (
        lambda: _array("(" + "1," * 70 + ")", bytes(8)),
        "not an array|rows.npy: shape",
    ),
    "self-test of boolean shape": (lambda: _array("(True, 5)", bytes(40)), "rows.npy: shape"),
    "self-test lacks scores": (
        lambda: make.with_file("selftest.npz", make.arrays_with(scores=None)),
        "holds",
    ),
    "self-test of other shape": (
        lambda: make.with_file("selftest.npz", make.arrays_with(rows=np.zeros((400, 4)))),
        "do not fit 5 variables",
    ),
    "self-test outside its rows": (
        lambda: make.with_file("selftest.npz", make.arrays_with(ends=np.array([3, 4, 5, 6, 7, 8]))),
        "inside its rows",
    ),
    "self-test not finite": (
        lambda: make.with_file("selftest.npz", make.arrays_with(scores=np.full(6, np.nan))),
        "not finite",
    ),
}
