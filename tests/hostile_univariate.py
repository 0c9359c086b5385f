"""Packages of models of one variable that must be refused: how to build each, and words of the reason."""

from typing import Any

import numpy as np

from edgead.package import UnivariatePackage, open_package
from tests import packages as make
from tests.packages import SRCNN, Message

_opened = open_package(SRCNN)
assert isinstance(_opened, UnivariatePackage)
SPEC, TEST = _opened.manifest, _opened.self_test
FILES = make.files_of(SRCNN)


def _manifest(**changed: Any) -> bytes:
    return make.with_manifest(lambda manifest: manifest.update(changed), SRCNN)


def _arrays(**changed: Any) -> bytes:
    return make.with_file("selftest.npz", make.arrays_with(SRCNN, **changed), SRCNN)


def _dims(number: int, name: bytes, sizes: list[int | bytes]) -> bytes:
    """An input (field 11) or output (12) of another shape."""
    dims: Message = [(1, 2, [(1, 0, size)] if isinstance(size, int) else [(2, 2, size)]) for size in sizes]

    def change(graph: Message) -> None:
        tensor: Message = [(1, 2, name), (2, 2, [(1, 2, [(1, 0, 1), (2, 2, dims)])])]
        graph[make.first(graph, number)[0]] = (number, 2, tensor)

    return make.with_graph(change, SRCNN)


def _second_output(graph: Message) -> None:
    graph.append((12, 2, {n: v for n, _, v in graph}[12]))


def _named(kind: bytes) -> bytes:
    def edit(graph: Message) -> None:
        place, node = make.first(graph, 1)
        graph[place] = (1, 2, [(n, k, kind if n == 4 else v) for n, k, v in node])

    return make.with_graph(edit, SRCNN)


COUNT, WINDOW, CHANNELS = len(TEST.scores), SPEC.window, len(SPEC.channels)
BAD = {
    "kind of many variables": (lambda: _manifest(kind="multivariate"), "manifest.json: .*required field"),
    "odd features": (lambda: _manifest(features="Rows 1"), "features = .*expected a name and a version"),
    "no channels": (lambda: _manifest(channels=[]), "channels = .*expected 1 to 16 different names"),
    "too many channels": (
        lambda: _manifest(channels=[f"c{i}" for i in range(17)]),
        "channels = .*expected 1 to 16",
    ),
    "doubled channel": (lambda: _manifest(channels=["a", "a"]), "different names"),
    "channel with a path": (lambda: _manifest(channels=["../a"]), "not a plain name"),
    "one channel less": (lambda: _manifest(channels=list(SPEC.channels[:-1])), "model.onnx reads"),
    "window too short": (lambda: _manifest(window=7), "window = 7: expected 8 to 512"),
    "window of another model": (lambda: _manifest(window=WINDOW + 1), "model.onnx reads"),
    "embedding too long": (lambda: _manifest(embedding=65), "embedding = 65: expected 1 to 64"),
    "embedding of another model": (lambda: _manifest(embedding=SPEC.embedding + 1), "model.onnx gives"),
    "too many constants": (
        lambda: _manifest(constants={f"c{i}": 1.0 for i in range(65)}),
        "at most 64 finite",
    ),
    "constant with an odd name": (lambda: _manifest(constants={"a b": 1.0}), "not a plain name"),
    "constant that is no number": (lambda: _manifest(constants={"edge": "high"}), "manifest.json"),
    "no sources": (
        lambda: make.with_manifest(lambda m: m["training"].pop("sources"), SRCNN),
        "manifest.json",
    ),
    "newer edgead": (lambda: _manifest(minimum_edgead="99.0.0"), "needs edgead 99.0.0"),
    "edited manifest": (
        lambda: make.zip_of(
            {**FILES, "manifest.json": FILES["manifest.json"].replace(b'"seed": ', b'"seed": 1')}
        ),
        "manifest.json was changed",
    ),
    "batch that is not open": (
        lambda: _dims(11, b"history", [1, CHANNELS, WINDOW]),
        "model.onnx reads",
    ),
    "open dimension of another name": (
        lambda: _dims(11, b"history", [b"anything", CHANNELS, WINDOW]),
        "not static",
    ),
    "second open dimension": (lambda: _dims(11, b"history", [b"batch", CHANNELS, b"batch"]), "not static"),
    "huge dimension": (lambda: _dims(11, b"history", [b"batch", CHANNELS, 2**40]), "too large"),
    "output of other rank": (lambda: _dims(12, b"score", [b"batch", 1]), "model.onnx gives"),
    "doubled output": (lambda: make.with_graph(_second_output, SRCNN), "model.onnx gives"),
    "operator outside the list": (lambda: _named(b"Loop"), "operator 'Loop' is not on the list"),
    "model is text": (lambda: make.with_file("model.onnx", b"hello world", SRCNN), "model.onnx"),
    "wrong hash": (
        lambda: make.with_manifest(lambda m: m["files"]["model.onnx"].update(sha256="0" * 64), SRCNN),
        "SHA-256 is not",
    ),
    "self-test lacks scores": (lambda: _arrays(scores=None), "holds"),
    "self-test of other histories": (
        lambda: _arrays(histories=np.zeros((COUNT, CHANNELS, WINDOW - 1), np.float32)),
        "do not fit",
    ),
    "self-test in double precision": (
        lambda: _arrays(histories=np.zeros((COUNT, CHANNELS, WINDOW))),
        "another kind than float32",
    ),
    "self-test without histories": (
        lambda: _arrays(
            histories=np.zeros((0, CHANNELS, WINDOW), np.float32),
            scores=np.zeros(0, np.float32),
            embeddings=np.zeros((0, SPEC.embedding), np.float32),
        ),
        "0 histories, expected 1 to 32",
    ),
    "self-test not finite": (lambda: _arrays(scores=np.full(COUNT, np.nan, np.float32)), "not finite"),
}
