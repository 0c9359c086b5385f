"""From a window to a judgement.

``s = max(joined / threshold, local / threshold)``: 1.0 is the edge of normal.  `joined` is what all parts of the
network say together, `local` what stands out from the last few minutes.  The wire score of the cloud's REST API
and the severity follow from s.
"""

import math
from collections.abc import Iterator
from typing import Protocol

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate.interpret import Contributor, interpretation
from edgead.multivariate.spec import ModelSpec

FloatArray = NDArray[np.float64]
Scaled = NDArray[np.float32]

#: The service's severity is its score over e - 1; with this constant s = 1 gives the wire score 0.5.
WIRE_TOP = math.e - 1.0
WIRE_HALF = 2.43656
_OUTPUTS = ("joined", "local", "contributions", "correlation_change")
#: Contributors told when the caller does not say how many (default of the service).
TOP_CONTRIBUTORS = 10


class Network(Protocol):
    """What scoring asks of a loaded model; `edgead.onnx.Session` is one."""

    def run(self, window: NDArray[np.float32], /) -> dict[str, NDArray[np.float32]]:
        """Outputs ``joined``, ``local``, ``contributions`` and ``correlation_change`` of one window."""
        ...


class Judgement(msgspec.Struct, frozen=True):
    """About the last row of one window.

    Attributes
    ----------
    score : float, >= 0
        1.0 is the edge of normal.
    contributions : tuple of float
        Shares of the variables in the score, in the model's order; their sum is 1.
    correlation_change : tuple of float
        How far each variable's correlations are from normal; 1.0 is the edge of normal.
    """

    score: float
    contributions: tuple[float, ...]
    correlation_change: tuple[float, ...]

    @property
    def is_anomaly(self) -> bool:
        """Whether the score passes the edge of normal."""
        return self.score >= 1.0

    @property
    def wire_score(self) -> float:
        """The score on the cloud service's scale, 0..1.72."""
        return wire_score(self.score)

    @property
    def severity(self) -> float:
        """0..1; 0 when normal."""
        return severity(self.score)

    def interpretation(self, names: tuple[str, ...], top: int = TOP_CONTRIBUTORS) -> tuple[Contributor, ...]:
        """Who caused it; empty when normal."""
        if not self.is_anomaly:
            return ()
        return interpretation(names, self.contributions, self.correlation_change, top)


def wire_score(score: float) -> float:
    """Score of the REST API, 0..e-1: ``(e - 1) * s / (s + 2.43656)``, so that s = 1 gives 0.5."""
    return WIRE_TOP * score / (score + WIRE_HALF)


def severity(score: float) -> float:
    """Severity 0..1: the wire score over e - 1 when abnormal, else 0."""
    return wire_score(score) / WIRE_TOP if score >= 1.0 else 0.0


class Scorer:
    """Judges windows with a network.

    Parameters
    ----------
    spec : ModelSpec
    network : Network
    """

    def __init__(self, spec: ModelSpec, network: Network) -> None:
        self.spec = spec
        self.network = network
        self._center = np.array(spec.scaler.center, np.float64)
        self._scale = np.array(spec.scaler.scale, np.float64)
        count = len(spec.variables)
        self._shapes = ((1,), (1,), (count,), (count,))

    def judge(self, window: FloatArray) -> Judgement:
        """Judge the last row of a window.

        Parameters
        ----------
        window : ndarray of float64, shape (spec.window, variables)
            Aligned and filled, oldest row first, units of the variables.

        Returns
        -------
        Judgement

        Raises
        ------
        InvalidInput
            If the shape is another or a value is not finite.
        ModelPackageError
            If the network fails, or answers with other shapes, numbers that are not finite or negative shares.
        """
        expected = (self.spec.window, len(self.spec.variables))
        if window.shape != expected:
            raise InvalidInput(f"window of shape {window.shape}: expected {expected}", code="NotEnoughInput")
        return self.judge_scaled(self.scale(window))

    def scale(self, rows: FloatArray) -> Scaled:
        """Rows as the network reads them; a row may be scaled once and judged in many windows.

        Parameters
        ----------
        rows : ndarray of float64, shape (variables,) or (n, variables)
            Units of the variables.

        Returns
        -------
        ndarray of float32, same shape
            NaN where a value is not finite.
        """
        limit, finite = self.spec.scaler.limit, np.isfinite(rows)
        ratios = (rows - self._center) / self._scale
        scaled: Scaled = np.minimum(np.maximum(ratios, -limit), limit).astype(np.float32)
        if not finite.all():
            scaled[~finite] = np.nan
        return scaled

    def judge_scaled(self, window: Scaled) -> Judgement:
        """As `judge`, of rows that `scale` gave; the shape is the caller's promise."""
        if not np.isfinite(window).all():
            raise InvalidInput("window: expected finite values; fill holes first")
        out = self.network.run(window)
        shapes = tuple(out[name].shape for name in _OUTPUTS)
        if shapes != self._shapes:  # what a graph declares of its outputs binds nobody
            raise ModelPackageError(f"the network gave numbers of shapes {shapes}, expected {self._shapes}")
        thresholds = self.spec.thresholds
        joined, local = float(out["joined"][0]) / thresholds.joined, float(out["local"][0]) / thresholds.local
        shares = out["contributions"].astype(np.float64)
        changes = out["correlation_change"].astype(np.float64) / thresholds.correlation
        finite = math.isfinite(joined) and math.isfinite(local) and np.isfinite(shares).all()
        if not finite or not np.isfinite(changes).all():
            raise ModelPackageError("the network gave a number that is not finite")
        total = float(shares.sum())
        if total <= 0.0 or shares.min() < 0.0:
            raise ModelPackageError("the network gave shares that are negative or all zero")
        return Judgement(max(joined, local), tuple((shares / total).tolist()), tuple(changes.tolist()))

    def judge_table(self, rows: FloatArray) -> Iterator[Judgement]:
        """Judge every row of a table that ends a whole window, oldest first.

        Parameters
        ----------
        rows : ndarray of float64, shape (n, variables)
            Aligned and filled.

        Yields
        ------
        Judgement
            ``n - window + 1`` of them, equal to those `judge` gives row by row.
        """
        window, scaled = self.spec.window, self.scale(rows)
        for end in range(window, len(rows) + 1):
            yield self.judge_scaled(scaled[end - window : end])
