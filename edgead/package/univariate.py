"""Packages of models of one variable (kind ``univariate``): what is in them beside the common parts."""

from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import ModelPackageError
from edgead.package.graph import BATCH, Graph, Value
from edgead.package.manifest import UnivariateManifest

#: Most histories of a self-test.
MAX_HISTORIES = 32
_NAMES = ("histories", "scores", "embeddings")


class HistoryTest(msgspec.Struct, frozen=True):
    """Histories with known answers.

    Attributes
    ----------
    histories : ndarray of float32, shape (count, channels, window)
        Made, not measured; oldest row first.
    scores : ndarray of float32, shape (count,)
    embeddings : ndarray of float32, shape (count, embedding)
    """

    histories: NDArray[np.float32]
    scores: NDArray[np.float32]
    embeddings: NDArray[np.float32]


class UnivariatePackage(msgspec.Struct, frozen=True):
    """A verified package of a model of one variable.

    Attributes
    ----------
    manifest : UnivariateManifest
    model : bytes
        ONNX.
    graph : Graph
        What its bytes say.
    self_test : HistoryTest
    sha256 : str
        Of the whole package.
    size : int
        Bytes of the whole package.
    """

    manifest: UnivariateManifest
    model: bytes
    graph: Graph
    self_test: HistoryTest
    sha256: str
    size: int


def check_history_shapes(spec: UnivariateManifest, graph: Graph) -> None:
    """Refuse a network whose input and outputs are not those of the manifest.

    Raises
    ------
    ModelPackageError
    """
    expected = [Value("history", (BATCH, len(spec.channels), spec.window))]
    if graph.inputs != expected:
        raise ModelPackageError(f"model.onnx reads {graph.inputs}, expected {expected}")
    outputs = [Value("score", (BATCH,)), Value("embedding", (BATCH, spec.embedding))]
    if graph.outputs != outputs:
        raise ModelPackageError(f"model.onnx gives {graph.outputs}, expected {outputs}")


def read_history_test(spec: UnivariateManifest, arrays: dict[str, NDArray[Any]]) -> HistoryTest:
    """The self-test in these arrays.

    Raises
    ------
    ModelPackageError
        If arrays are missing, or of other shapes or kinds than the manifest asks for.
    """
    if set(arrays) != set(_NAMES):
        raise ModelPackageError(f"selftest.npz holds {sorted(arrays)}")
    test = HistoryTest(**arrays)
    count = len(np.atleast_1d(test.scores))
    shapes = (test.histories.shape, test.scores.shape, test.embeddings.shape)
    if shapes != ((count, len(spec.channels), spec.window), (count,), (count, spec.embedding)):
        raise ModelPackageError(f"selftest.npz: shapes {shapes} do not fit the manifest")
    if any(arrays[name].dtype != np.float32 for name in _NAMES):
        raise ModelPackageError("selftest.npz: numbers of another kind than float32")
    if not 1 <= count <= MAX_HISTORIES:
        raise ModelPackageError(f"selftest.npz: {count} histories, expected 1 to {MAX_HISTORIES}")
    return test
