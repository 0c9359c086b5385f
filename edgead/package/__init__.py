"""Model packages as bytes: what is inside, and why a bad one is refused.  Format: docs/model-package.md.

`open_package` verifies everything that can be verified without running the network; `self_test` runs it on the
vectors that came with it.  `read_package` is the same for models of many variables alone.  Nothing here touches a
file.
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
    AnyManifest,
    FileEntry,
    Manifest,
    Origin,
    Training,
    UnivariateManifest,
    decode_manifest,
    encode_manifest,
    identity,
)
from edgead.package.univariate import (
    HistoryTest,
    UnivariatePackage,
    check_history_shapes,
    read_history_test,
)

__all__ = [
    "FORMAT_VERSION",
    "AnyManifest",
    "FileEntry",
    "HistoryTest",
    "Manifest",
    "ModelPackage",
    "Origin",
    "Package",
    "SelfTest",
    "Training",
    "UnivariateManifest",
    "UnivariatePackage",
    "open_package",
    "read_package",
    "self_test",
    "write_package",
    "write_univariate",
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


#: A verified package of any kind.
Package = ModelPackage | UnivariatePackage


def open_package(data: bytes, *, edgead_version: str = VERSION) -> Package:
    """Read and verify a package of any kind.

    Parameters
    ----------
    data : bytes
        The zip.
    edgead_version : str, optional
        Of the device.

    Returns
    -------
    ModelPackage or UnivariatePackage
        By the ``kind`` of its manifest.

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
    model, arrays = files[MODEL], decode_arrays(files[SELF_TEST])
    if isinstance(manifest, UnivariateManifest):
        graph = read_graph(model, batched=True)
        check_history_shapes(manifest, graph)
        histories = read_history_test(manifest, arrays)
        return UnivariatePackage(manifest, model, graph, histories, _digest(data), len(data))
    graph = read_graph(model)
    _check_shapes(manifest, graph)
    test = _read_test(manifest, arrays)
    return ModelPackage(manifest, model, graph, test, _digest(data), len(data))


def read_package(data: bytes, *, edgead_version: str = VERSION) -> ModelPackage:
    """Read and verify a package of a model of many variables; see `open_package`.

    Raises
    ------
    ModelPackageError
        As `open_package`, and for a model of one variable.
    """
    package = open_package(data, edgead_version=edgead_version)
    if isinstance(package, UnivariatePackage):
        raise ModelPackageError(
            f"{package.manifest.name} is a model of one variable, expected one of many variables"
        )
    return package


def _check_files(manifest: AnyManifest, files: dict[str, bytes]) -> None:
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


def self_test(package: Package, network: Network) -> None:
    """Judge the package's own windows and compare.

    Parameters
    ----------
    package : ModelPackage or UnivariatePackage
        As read.
    network : Network
        Its loaded model.

    Raises
    ------
    ModelPackageError
        If a number differs by more than `TEST_TOLERANCE`, or is none.
    """
    if isinstance(package, UnivariatePackage):
        _test_histories(package, network)
        return
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


def _test_histories(package: UnivariatePackage, network: Network) -> None:
    """All histories in one call, as a device has them."""
    test = package.self_test
    got = network.run(test.histories)
    for name, expected in (("score", test.scores), ("embedding", test.embeddings)):
        if got[name].shape != expected.shape:
            raise ModelPackageError(
                f"self-test: {name} of shape {got[name].shape}, expected {expected.shape}"
            )
        gaps = np.abs(got[name] - expected) / (1.0 + np.abs(expected))
        if not gaps.max() <= TEST_TOLERANCE:  # NaN neither
            raise ModelPackageError(
                f"self-test: {name} differs by {gaps.max():.2g}, allowed {TEST_TOLERANCE:g}"
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
    files = _with_test(model, test)
    told = {key: getattr(spec, key) for key in ModelSpec.__struct_fields__}
    manifest = Manifest(
        format_version=FORMAT_VERSION,
        id="",
        name=name,
        version=version,
        kind="multivariate",
        minimum_edgead=VERSION,
        training=training,
        files=_entries(files),
        **told,
    )
    return _packed(manifest, files)


def write_univariate(manifest: UnivariateManifest, *, model: bytes, test: HistoryTest) -> bytes:
    """Build a package of a model of one variable and verify it; the same arguments give the same bytes.

    Parameters
    ----------
    manifest : UnivariateManifest
        Its `id`, `files`, `minimum_edgead` and `format_version` are filled in here.
    model : bytes
        ONNX with input ``history`` and outputs ``score`` and ``embedding``.
    test : HistoryTest
        Histories with known answers.

    Returns
    -------
    bytes
        The zip.

    Raises
    ------
    ModelPackageError
        If a device would refuse it.
    """
    files = _with_test(model, test)
    filled = msgspec.structs.replace(
        manifest, id="", files=_entries(files), minimum_edgead=VERSION, format_version=FORMAT_VERSION
    )
    return _packed(filled, files)


def _with_test(model: bytes, test: SelfTest | HistoryTest) -> dict[str, bytes]:
    arrays = {key: getattr(test, key) for key in test.__struct_fields__}
    return {MODEL: model, SELF_TEST: encode_arrays(arrays)}


def _entries(files: dict[str, bytes]) -> dict[str, FileEntry]:
    return {key: FileEntry(_digest(content), len(content)) for key, content in files.items()}


def _packed(manifest: AnyManifest, files: dict[str, bytes]) -> bytes:
    """The zip, its manifest under its own id, verified."""
    manifest = msgspec.structs.replace(manifest, id=identity(encode_manifest(manifest)))
    data = zipped({MANIFEST: encode_manifest(manifest), **files})
    open_package(data)
    return data
