"""Change points, derived from recorded answers of the service."""

from dataclasses import dataclass

import numpy as np

from edgead.native import svc_change_points
from edgead.univariate.arrays import BoolArray, FloatArray
from edgead.univariate.detect import prepare
from edgead.univariate.request import STABLE_WINDOWS, Request, refuse
from edgead.univariate.seasonal import stl

#: Range of a trend, relative to the values, that is nothing but rounding.
ROUNDING = 1e-12


@dataclass(frozen=True)
class ChangePointResult:
    """Change points; arrays of shape (n,), aligned with the request.

    Attributes
    ----------
    period : int
        Points in one season, 0 if there is none.
    is_change_point : ndarray of bool
    confidence : ndarray of float64
        Miss of the trend so far, as a share of the range, 0..1.
    """

    period: int
    is_change_point: BoolArray
    confidence: FloatArray


def detect_change_points(request: Request) -> ChangePointResult:
    """Find where a straight trend breaks and a new one lasts.

    Parameters
    ----------
    request : Request
        `threshold` and `stable_trend_window` are used, the fields about anomalies are not.

    Returns
    -------
    ChangePointResult

    Raises
    ------
    InvalidInput
        As `detect_entire`.
    """
    with np.errstate(all="ignore"):
        series = prepare(request)
        y = stl(series.y, series.period).trend if series.period > 1 else series.y
        if np.ptp(y) <= ROUNDING * np.abs(series.y).max():
            y = np.zeros(len(y))  # a level trend: its changes are rounding
        threshold = request.threshold
        if threshold is None:
            threshold = 0.91 if request.granularity == "hourly" else 0.9
        window = request.stable_trend_window or STABLE_WINDOWS.get(request.granularity, 100)
        flags, scores = svc_change_points(y, 1 - threshold, window)
    if not np.isfinite(scores).all():
        raise refuse("InvalidSeries", "The values of 'series' are too large or too far apart to be judged.")
    confidence = np.minimum(scores[series.places], 1.0)
    return ChangePointResult(series.period, flags[series.places], confidence)
