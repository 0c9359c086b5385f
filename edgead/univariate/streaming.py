"""Streaming detectors: one reading in, one judgement out, state that can be dumped and loaded at any point.

``make_detector`` is the only way to one; the engine knows the Protocol, not the class behind it.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

import msgspec

from edgead.errors import InvalidInput, ModelPackageError
from edgead.native import SpectralResidual

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgead.univariate.networks import Network

Direction = Literal["both", "above", "below"]

#: (score, severity, expected, lower, upper, is_anomaly)
Judgement = tuple[float, float, float, float, float, bool]

MIN_WINDOW, MAX_WINDOW = 12, 8640
#: Of a grid; a day of more rows has no profile anyway.
MAX_ROWS_PER_DAY = 2**31 - 1


class DetectorSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a user can say about how one series is judged.

    Attributes
    ----------
    window : int, 12..8640
        Readings the detector looks back on.
    sensitivity : int, 0..100
        Higher means a narrower band, never a wider one.
    min_abs : float, >= 0
        Gate, unit of the series: deviations from the expected value below this are never anomalies.
    min_rel : float, >= 0
        Gate, share of ``abs(expected)``: deviations below this are never anomalies.
    direction : {"both", "above", "below"}
        Gate: the side of the band on which a value can be an anomaly.
    rows_per_day : int, >= 0
        Rows of the grid that make a day, for detectors that keep a profile of it; 0 = not known.

    Raises
    ------
    InvalidInput
        Names the field, the value and what was expected.
    """

    window: int = 1440
    sensitivity: int = 90
    min_abs: float = 0.0
    min_rel: float = 0.0
    direction: Direction = "both"
    rows_per_day: int = 0

    def __post_init__(self) -> None:
        _expect("window", self.window, MIN_WINDOW <= self.window <= MAX_WINDOW, f"{MIN_WINDOW}..{MAX_WINDOW}")
        _expect("sensitivity", self.sensitivity, 0 <= self.sensitivity <= 100, "0..100")
        _expect("min_abs", self.min_abs, 0 <= self.min_abs < float("inf"), "a finite number >= 0")
        _expect("min_rel", self.min_rel, 0 <= self.min_rel < float("inf"), "a finite number >= 0")
        known = self.direction in ("both", "above", "below")
        _expect("direction", self.direction, known, "one of both, above, below")
        _expect("rows_per_day", self.rows_per_day, 0 <= self.rows_per_day <= MAX_ROWS_PER_DAY, "0..2**31 - 1")


def _expect(field: str, value: object, ok: bool, expected: str) -> None:
    if not ok:
        raise InvalidInput(f"{field}: {value!r} is out of range, expected {expected}")


class StreamingDetector(Protocol):
    """Judges the readings of one series, one at a time, on the grid of its interval.

    Attributes
    ----------
    model : str
        Name and version of what judges, e.g. ``"spectral-residual@1"``.
    needed : int
        Readings still missing until judgements count; 0 = ready, more = learning.
    nbytes : int
        Memory of the state.
    """

    @property
    def model(self) -> str: ...  # noqa: D102
    @property
    def needed(self) -> int: ...  # noqa: D102
    @property
    def nbytes(self) -> int: ...  # noqa: D102

    def judge(self, value: float, missing: int) -> Judgement:
        """Judge the newest reading and learn from it.

        Parameters
        ----------
        value : float
            Finite.
        missing : int, >= 0
            Rows of the grid without a reading between the last reading and this one.

        Returns
        -------
        tuple
            score (>= 0; 1.0 is the edge of normal, before gates), severity (0..1; 0 unless anomalous),
            expected, lower, upper (unit of the series; NaN while learning), is_anomaly (after gates; False
            while learning).
        """
        ...

    def revise(self, age: int, value: float) -> None:
        """Replace the value of an earlier row (0 = newest) in what was learned; no judgement is taken back.

        An `age` outside the window is ignored.
        """
        ...

    def explain(self) -> dict[str, float | str]:
        """What the last judgement was made of, by names that docs/algorithms.md explains."""
        ...

    def dump(self) -> bytes:
        """All state; loading it into a detector of the same name and settings continues bit for bit."""
        ...

    def load(self, data: bytes) -> None:
        """Continue from a dump.

        Raises
        ------
        InvalidInput
            If the bytes are no dump of this detector with this window.
        """
        ...


class BatchedDetector(StreamingDetector, Protocol):
    """A detector with a network, whose readings can be judged together with those of other series.

    ``judge`` is `prepare`, one call of the network, and `conclude`; many readings, also several of one series, may be
    prepared before the network is called once for all of them and they are concluded in the same order.  The
    judgements are the same, bit for bit.  ``needed`` counts what was concluded.

    Attributes
    ----------
    network : Network
        Shared by all series that use the same package.
    heeded : bool
        Whether the network has a say yet: how loud it usually is must be known first.
    """

    @property
    def network(self) -> "Network": ...  # noqa: D102
    @property
    def heeded(self) -> bool: ...  # noqa: D102

    def prepare(self, value: float, missing: int, history: "NDArray[np.float32]") -> Any:
        """Take a reading in.

        Parameters
        ----------
        value, missing : float, int
            As of `judge`.
        history : ndarray of float32, shape ``network.shape``
            Filled with what the network shall see.

        Returns
        -------
        object
            What `conclude` needs to know of this reading.
        """
        ...

    def conclude(self, ticket: Any, score: float, embedding: "NDArray[np.float32]") -> Judgement:
        """Judge a reading by the network's answer; NaN where the network failed.

        Parameters
        ----------
        ticket : object
            Of its `prepare`.
        score : float
            Of the network.
        embedding : ndarray of float32, shape (network.embedding,)
            Of the network; only lent.

        Returns
        -------
        tuple
            As of `judge`.
        """
        ...

    def prepare_many(
        self, values: "NDArray[np.float64]", missing: "NDArray[np.int64]", histories: "NDArray[np.float32]"
    ) -> "NDArray[np.float64]":
        """Take readings in, one after another, as `prepare` would, bit for bit.

        Parameters
        ----------
        values, missing : ndarray of float64, of int64, shape (count,)
            As of `judge`.
        histories : ndarray of float32, shape (count, channels, rows)
            Filled with what the network shall see.

        Returns
        -------
        ndarray of float64, shape (count, numbers)
            What `conclude_many` needs to know of each; the last is ``needed`` after it.
        """
        ...

    def conclude_many(
        self, rows: "NDArray[np.float64]", scores: "NDArray[np.float32]", embeddings: "NDArray[np.float32]"
    ) -> "NDArray[np.float64]":
        """Judge readings by the network's answers, as `conclude` would, bit for bit.

        Parameters
        ----------
        rows : ndarray of float64, shape (count, numbers)
            Of their `prepare_many`, at least one.
        scores, embeddings : ndarray of float32, shapes (count,) and (count, network.embedding)
            Of the network.

        Returns
        -------
        ndarray of float64, shape (count, 6)
            As of `judge`.
        """
        ...

    def dump_told(self) -> bytes:
        """Of the state, what the network told; the rest is of the readings alone."""
        ...

    def load_told(self, data: bytes) -> None:
        """Continue from a `dump_told` of the same network, on whatever readings.

        Raises
        ------
        InvalidInput
            If it is none.
        """
        ...


class _SpectralResidual(SpectralResidual):
    """The C detector under its public name."""

    model = "spectral-residual@1"


def _spectral_residual(settings: DetectorSettings) -> StreamingDetector:
    return _SpectralResidual(
        settings.window,
        sensitivity=settings.sensitivity,
        min_abs=settings.min_abs,
        min_rel=settings.min_rel,
        direction=settings.direction,
    )


def _service(settings: DetectorSettings) -> StreamingDetector:
    """Loaded on first use: the service's detectors are many."""
    from edgead.univariate.service_stream import ServiceDetector

    return ServiceDetector(settings)


def _srcnn(settings: DetectorSettings) -> StreamingDetector:
    """Loaded on first use: it needs numpy and onnxruntime."""
    from edgead.univariate.networks import in_use
    from edgead.univariate.srcnn import SrcnnDetector

    return SrcnnDetector(settings, in_use())


_MAKERS: dict[str, Callable[[DetectorSettings], StreamingDetector]] = {
    "spectral-residual": _spectral_residual,
    "srcnn": _srcnn,
    "service": _service,
}

#: What ``default`` stands for, and what takes its place where that cannot be had.
BEST, FALLBACK = "srcnn", "spectral-residual"

#: Names that `make_detector` takes.
DETECTORS = ("default", *_MAKERS)


def lacking(name: str) -> str:
    """Why a detector cannot be had on this device, in words; "" where it can."""
    if name != "srcnn":
        return ""
    try:
        from edgead.univariate.networks import in_use, missing
    except ImportError as error:  # numpy
        return str(error)
    if missing():
        return missing()
    try:
        in_use()
    except ModelPackageError as error:
        return str(error)
    return ""


def resolve(name: str) -> str:
    """The detector that a name stands for on this device: itself, or for ``default`` the best that can be had."""
    if name != "default":
        return name
    return FALLBACK if lacking(BEST) else BEST


def fallen_back() -> str:
    """That ``default`` is not the best detector on this device, and why, in words; "" where it is."""
    reason = lacking(BEST)
    return f'detector "default" is {FALLBACK} here, not {BEST}: {reason}' if reason else ""


def make_detector(name: str, settings: DetectorSettings) -> StreamingDetector:
    """A fresh detector.

    Parameters
    ----------
    name : str
        One of ``DETECTORS``.
    settings : DetectorSettings
        Checked when they were made.

    Raises
    ------
    InvalidInput
        If the name is unknown.
    ModelPackageError
        If its model cannot be had on this device; never for ``default``.
    """
    maker = _MAKERS.get(resolve(name))
    if maker is None:
        raise InvalidInput(f"detector: {name!r} is unknown, expected one of {', '.join(DETECTORS)}")
    return maker(settings)
