"""Model packages as bytes: what is inside, and why a bad one is refused.  Format: docs/model-package.md.

`read_package` verifies everything that can be verified without running the network; `self_test` runs it on the
vectors that came with it.  Nothing here touches a file.
"""

import hashlib
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead._version import VERSION
from edgead.errors import ModelPackageError
from edgead.multivariate import ModelSpec, Network, Scorer
from edgead.package.archive import unzip, zipped
from edgead.package.arrays import decode_arrays, encode_arrays
from edgead.package.graph import Graph, Value, read_graph
from edgead.package.manifest import (
    FORMAT_VERSION,
    FileEntry,
    Manifest,
    Training,
    decode_manifest,
    encode_manifest,
    identity,
)

__all__ = [
    "FORMAT_VERSION",
    "FileEntry",
    "Manifest",
    "ModelPackage",
    "SelfTest",
    "Training",
    "read_package",
    "self_test",
    "write_package",
]

MODEL, SELF_TEST, MANIFEST = "model.onnx", "selftest.npz", "manifest.json"
#: Names of the network's outputs; ``{d}`` numbers each for the last two, one for the others.
OUTPUTS = ("joined", "local", "contributions", "correlation_change")
#: Most windows of a self-test.
MAX_TEST_WINDOWS = 16
#: How far a score of the self-test may be off, as a share of 1 + the score: another processor rounds otherwise.
TEST_TOLERANCE = 1e-3


class SelfTest(msgspec.Struct, frozen=True):
    """Windows with known answers.

    Attributes
    ----------
    rows : ndarray of float64, shape (rows, variables)
        A stretch of rows, made and not measured.
    ends : ndarray of int64, shape (count,)
        Each window ends before this row.
    scores : ndarray of float64, shape (count,)
    contributions : ndarray of float64, shape (count, variables)
    """

    rows: NDArray[np.float64]
    ends: NDArray[np.int64]
    scores: NDArray[np.float64]
    contributions: NDArray[np.float64]


class ModelPackage(msgspec.Struct, frozen=True):
    """A verified package.

    Attributes
    ----------
    manifest : Manifest
    model : bytes
        ONNX.
    graph : Graph
        What its bytes say.
    self_test : SelfTest
    sha256 : str
        Of the whole package.
    size : int
        Bytes of the whole package.
    """

    manifest: Manifest
    model: bytes
    graph: Graph
    self_test: SelfTest
    sha256: str
    size: int


def _digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def read_package(data: bytes, *, edgead_version: str = VERSION) -> ModelPackage:
    """Read and verify a package.

    Parameters
    ----------
    data : bytes
        The zip.
    edgead_version : str, optional
        Of the device.

    Returns
    -------
    ModelPackage

    Raises
    ------
    ModelPackageError
        One line with the first reason found: damaged zip, wrong hash, newer format, operator outside the list,
        shapes that do not fit, numbers that are not finite ...
    """
    files = unzip(data)
    if MANIFEST not in files:
        raise ModelPackageError(f"no {MANIFEST} in it")
    manifest = decode_manifest(files.pop(MANIFEST), edgead_version=edgead_version)
    _check_files(manifest, files)
    graph = read_graph(files[MODEL])
    _check_shapes(manifest, graph)
    test = _read_test(manifest, decode_arrays(files[SELF_TEST]))
    return ModelPackage(manifest, files[MODEL], graph, test, _digest(data), len(data))


def _check_files(manifest: Manifest, files: dict[str, bytes]) -> None:
    if set(files) != set(manifest.files):
        odd = sorted(set(files) ^ set(manifest.files))
        raise ModelPackageError(f"files and manifest disagree about {', '.join(odd)}")
    for name in (MODEL, SELF_TEST):
        if name not in files:
            raise ModelPackageError(f"no {name} in it")
    for name, content in files.items():
        told = manifest.files[name]
        if len(content) != told.size:
            raise ModelPackageError(f"{name}: {len(content)} bytes, the manifest says {told.size}")
        if _digest(content) != told.sha256:
            raise ModelPackageError(f"{name}: its SHA-256 is not the manifest's")


def _check_shapes(spec: ModelSpec, graph: Graph) -> None:
    count = len(spec.variables)
    expected = [Value("window", (spec.window, count))]
    if graph.inputs != expected:
        raise ModelPackageError(f"model.onnx reads {graph.inputs}, expected {expected}")
    sizes = (1, 1, count, count)
    outputs = [Value(name, (size,)) for name, size in zip(OUTPUTS, sizes, strict=True)]
    if graph.outputs != outputs:
        raise ModelPackageError(f"model.onnx gives {graph.outputs}, expected {outputs}")


def _read_test(spec: ModelSpec, arrays: dict[str, NDArray[Any]]) -> SelfTest:
    if set(arrays) != {"rows", "ends", "scores", "contributions"}:
        raise ModelPackageError(f"{SELF_TEST} holds {sorted(arrays)}")
    test = SelfTest(**arrays)
    count, variables = len(np.atleast_1d(test.ends)), len(spec.variables)
    shapes = (test.rows.shape[1:], test.ends.shape, test.scores.shape, test.contributions.shape)
    if shapes != ((variables,), (count,), (count,), (count, variables)):
        raise ModelPackageError(f"{SELF_TEST}: shapes {shapes} do not fit {variables} variables")
    kinds = [test.rows.dtype, test.scores.dtype, test.contributions.dtype, test.ends.dtype]
    if kinds != [np.float64] * 3 + [np.int64]:
        raise ModelPackageError(f"{SELF_TEST}: numbers of another kind than float64 and int64")
    inside = (test.ends >= spec.window) & (test.ends <= len(test.rows))
    if not 1 <= count <= MAX_TEST_WINDOWS or not inside.all():
        raise ModelPackageError(f"{SELF_TEST}: expected 1 to {MAX_TEST_WINDOWS} windows inside its rows")
    return test


def self_test(package: ModelPackage, network: Network) -> None:
    """Judge the package's own windows and compare.

    Parameters
    ----------
    package : ModelPackage
        As read.
    network : Network
        Its loaded model.

    Raises
    ------
    ModelPackageError
        If a score or a contribution differs by more than `TEST_TOLERANCE`, or is not a number.
    """
    test, scorer = package.self_test, Scorer(package.manifest, network)
    for place, end in enumerate(test.ends.tolist()):
        judged = scorer.judge(test.rows[end - package.manifest.window : end])
        gaps = [abs(judged.score - test.scores[place]) / (1.0 + abs(test.scores[place]))]
        gaps += np.abs(np.array(judged.contributions) - test.contributions[place]).tolist()
        if not max(gaps) <= TEST_TOLERANCE:
            raise ModelPackageError(
                f"self-test {place + 1} of {len(test.ends)}: score {judged.score:.6g}, "
                f"expected {test.scores[place]:.6g}"
            )


def write_package(
    spec: ModelSpec, *, name: str, version: str, training: Training, model: bytes, test: SelfTest
) -> bytes:
    """Build a package and verify it; the same arguments give the same bytes.

    Parameters
    ----------
    spec : ModelSpec
        What the device must know.
    name, version : str
        Plain name; three numbers, as ``1.0.0``.
    training : Training
        Where the model comes from.
    model : bytes
        ONNX with input ``window`` and the outputs of `OUTPUTS`.
    test : SelfTest
        Windows with known answers.

    Returns
    -------
    bytes
        The zip.

    Raises
    ------
    ModelPackageError
        If a device would refuse it.
    """
    arrays = {key: getattr(test, key) for key in SelfTest.__struct_fields__}
    files = {MODEL: model, SELF_TEST: encode_arrays(arrays)}
    entries = {key: FileEntry(_digest(content), len(content)) for key, content in files.items()}
    told = {key: getattr(spec, key) for key in ModelSpec.__struct_fields__}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        id="",
        name=name,
        version=version,
        kind="multivariate",
        minimum_edgead=VERSION,
        training=training,
        files=entries,
        **told,
    )
    manifest = msgspec.structs.replace(manifest, id=identity(encode_manifest(manifest)))
    data = zipped({MANIFEST: encode_manifest(manifest), **files})
    read_package(data)
    return data
