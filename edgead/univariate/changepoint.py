"""Change points, derived from recorded answers of the service."""

from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from edgead.native import svc_change_points
from edgead.univariate.arrays import BoolArray, FloatArray, IndexArray
from edgead.univariate.detect import prepare
from edgead.univariate.request import STABLE_WINDOWS, Request, refuse
from edgead.univariate.seasonal import stl

#: Range of a trend, relative to the values, that is nothing but rounding.
ROUNDING = 1e-12

#: Thresholds whose change points a higher one keeps.
STEPS = tuple(tenth / 10 for tenth in range(1, 10))


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
        flags, scores = _changes(y, threshold, window)
    if not np.isfinite(scores).all():
        raise refuse("InvalidSeries", "The values of 'series' are too large or too far apart to be judged.")
    confidence = np.minimum(scores[series.places], 1.0)
    return ChangePointResult(series.period, flags[series.places], confidence)


def _changes(y: FloatArray, threshold: float, window: int) -> tuple[BoolArray, FloatArray]:
    """Flags and scores at a threshold, with the change points of lower thresholds that it would lose.

    A higher threshold must accept more (documents of the service), but a line that forgives little is broken by noise
    before it has lasted, and a large change is lost between the breaks.
    """
    flags, scores = np.zeros(len(y), bool), np.zeros(len(y))
    for step in [*(step for step in STEPS if step < threshold), threshold]:
        coarse, coarse_scores = flags, scores
        flags, scores = svc_change_points(y, 1 - step, window)
        lost = _unmatched(np.flatnonzero(coarse), np.flatnonzero(flags), window)
        flags[lost], scores[lost] = True, coarse_scores[lost]
    return flags, scores


def _unmatched(earlier: IndexArray, now: IndexArray, window: int) -> list[int]:
    """Those of `earlier` that none of `now` stands for: each stands for one at most, less than a window away."""
    places, taken, lost = now.tolist(), set(), []
    for place in earlier.tolist():
        right = bisect_left(places, place)
        near = [one for one in places[max(right - 1, 0) : right + 1] if abs(one - place) < window]
        free = [one for one in near if one not in taken]
        if free:
            taken.add(min(free, key=lambda one: abs(one - place)))
        else:
            lost.append(place)
    return lost
