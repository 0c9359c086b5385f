"""The network that the detector ``srcnn`` shares among all series of a process.

The package shipped with edgead is loaded when the first detector asks for it; `use` puts another in its place.
Without onnxruntime there is none, and `missing` says why.
"""

from functools import cache

import numpy as np
from numpy.typing import NDArray

from edgead.errors import ModelPackageError
from edgead.native import ROW_CHANNELS
from edgead.package import Package, UnivariatePackage, open_package, self_test
from edgead.shipped import shipped

Array = NDArray[np.float32]

#: Rows that the C core makes: name and version, and the names of their numbers.
FEATURES, CHANNELS = "edgead-rows@1", ROW_CHANNELS
#: Name of the model: that of the shipped package, and of an installed one that takes its place.
MODEL = "srcnn"


class Network:
    """A verified package with its one session.

    Parameters
    ----------
    package : UnivariatePackage
        As read.

    Attributes
    ----------
    name : str
        Name and version, as events tell it.
    sha256, identity : str
        Of the package: of its bytes, and the id of its manifest.
    shape : (int, int)
        Channels and rows of a history.
    constants : dict of str to float
        What the detector takes from training.
    failure : str
        Why the last call failed; "" when it did not.

    Raises
    ------
    ModelPackageError
        If onnxruntime refuses it, or its self-test fails here.
    """

    def __init__(self, package: UnivariatePackage) -> None:
        from edgead.onnx import Session

        manifest = package.manifest
        self._session = Session(package.model)
        self_test(package, self._session)
        self.name = f"{manifest.name}@{manifest.version}"
        self.sha256, self.identity = package.sha256, manifest.id
        self.features, self.channels = manifest.features, manifest.channels
        self.shape = len(manifest.channels), manifest.window
        self.embedding = manifest.embedding
        self.constants = manifest.constants
        self.failure = ""
        self._one_by_one = not self._alike(package.self_test.histories)

    def _alike(self, histories: Array) -> bool:
        """Whether an answer is the same, bit for bit, alone and among others."""
        together = self._session.run(histories)
        alone = [self._session.run(histories[at : at + 1]) for at in range(len(histories))]
        return all(
            np.array_equal(together[name], np.concatenate([one[name] for one in alone])) for name in together
        )

    def judge(self, histories: Array) -> tuple[list[float], Array]:
        """Judge any number of histories; each gets the same answer alone as among others.

        Parameters
        ----------
        histories : ndarray of float32, shape (count, channels, rows)
            Oldest row first.

        Returns
        -------
        (list of float, ndarray of float32)
            Scores, and embeddings of shape (count, embedding); NaN where the network failed.
        """
        if not len(histories):
            return [], np.empty((0, self.embedding), np.float32)
        try:
            if self._one_by_one:
                answers = [self._session.run(histories[at : at + 1]) for at in range(len(histories))]
                scores = np.concatenate([one["score"] for one in answers])
                embeddings = np.concatenate([one["embedding"] for one in answers])
            else:
                answer = self._session.run(histories)
                scores, embeddings = answer["score"], answer["embedding"]
            told = scores.shape, embeddings.shape
            if told != ((len(histories),), (len(histories), self.embedding)):
                raise ModelPackageError(
                    f"{self.name} gave numbers of shapes {told} for {len(histories)} histories"
                )
            self.failure = ""
            return scores.tolist(), embeddings
        except ModelPackageError as error:
            self.failure = str(error)
            count = len(histories)
            return [float("nan")] * count, np.full((count, self.embedding), np.nan, np.float32)


_in_use: list[Network] = []


@cache
def missing() -> str:
    """Why there can be no network here, in words; "" where there can."""
    try:
        import edgead.onnx  # noqa: F401
    except ImportError as error:
        return f"onnxruntime is not installed ({error})" if error.name == "onnxruntime" else str(error)
    return ""


def in_use() -> Network:
    """The network of this process; the shipped one where `use` was not called.

    Raises
    ------
    ModelPackageError
        If there can be none here.
    """
    if not _in_use:
        if missing():
            raise ModelPackageError(f"detector srcnn needs onnxruntime: {missing()}")
        use_shipped()
    return _in_use[0]


def use_shipped() -> Network:
    """Have detectors made from now on use the package that comes with edgead.

    Raises
    ------
    ModelPackageError
        If this installation has none.
    """
    return use(open_package(shipped(MODEL)))


def use(package: Package) -> Network:
    """Have detectors made from now on use this package; the network in use stays where it is the same one.

    Raises
    ------
    ModelPackageError
        If it is a package of another kind or of other rows, or does not run here; the network in use stays.
    """
    if not _in_use or _in_use[0].sha256 != package.sha256:
        put(load(package))
    return _in_use[0]


def put(network: Network) -> None:
    """Have detectors made from now on use this network."""
    _in_use[:] = [network]


def load(package: Package) -> Network:
    """A network that detectors of this edgead can use.

    Raises
    ------
    ModelPackageError
        If it is a package of another kind or of other rows, or does not run here.
    """
    if not isinstance(package, UnivariatePackage):
        raise ModelPackageError("a model of many variables, expected one of one variable")
    told, manifest = (FEATURES, CHANNELS), package.manifest
    if (manifest.features, manifest.channels) != told:
        raise ModelPackageError(
            f"{manifest.name} {manifest.version} reads {manifest.features}, this edgead makes {FEATURES}"
        )
    return Network(package)


def problem() -> str:
    """What is wrong with the network in use, in words; "" where nothing is, or none was asked for."""
    return _in_use[0].failure if _in_use else ""
