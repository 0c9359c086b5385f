"""Streaming detectors: one reading in, one judgement out, state that can be dumped and loaded at any point.

``make_detector`` is the only way to one; the engine knows the Protocol, not the class behind it.
"""

from collections.abc import Callable
from typing import Literal, Protocol

import msgspec

from edgead.errors import InvalidInput
from edgead.native import SpectralResidual

Direction = Literal["both", "above", "below"]

#: (score, severity, expected, lower, upper, is_anomaly)
Judgement = tuple[float, float, float, float, float, bool]

MIN_WINDOW, MAX_WINDOW = 12, 8640


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

    def __post_init__(self) -> None:
        _expect("window", self.window, MIN_WINDOW <= self.window <= MAX_WINDOW, f"{MIN_WINDOW}..{MAX_WINDOW}")
        _expect("sensitivity", self.sensitivity, 0 <= self.sensitivity <= 100, "0..100")
        _expect("min_abs", self.min_abs, 0 <= self.min_abs < float("inf"), "a finite number >= 0")
        _expect("min_rel", self.min_rel, 0 <= self.min_rel < float("inf"), "a finite number >= 0")
        known = self.direction in ("both", "above", "below")
        _expect("direction", self.direction, known, "one of both, above, below")


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


_MAKERS: dict[str, Callable[[DetectorSettings], StreamingDetector]] = {
    "spectral-residual": _spectral_residual,
    "service": _service,
}

#: Names that `make_detector` takes.
DETECTORS = tuple(_MAKERS)


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
    """
    maker = _MAKERS.get(name)
    if maker is None:
        raise InvalidInput(f"detector: {name!r} is unknown, expected one of {', '.join(DETECTORS)}")
    return maker(settings)
