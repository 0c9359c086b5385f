"""The order of steps of the service's ``entire`` and ``last`` calls."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from edgead.native import svc_median
from edgead.univariate.arrays import EPS, BoolArray, FloatArray, IndexArray
from edgead.univariate.differencing import judge_differences
from edgead.univariate.found import Found, ModelName
from edgead.univariate.grid import grid_places
from edgead.univariate.impute import LONGEST_GRID, fill
from edgead.univariate.margins import Band, band
from edgead.univariate.period import find_period
from edgead.univariate.request import Request, refuse
from edgead.univariate.residual import detect_residual
from edgead.univariate.seasonal import detect_seasonal
from edgead.univariate.threshold import detect_threshold
from edgead.univariate.trend import trend

Mode = Literal["entire", "last"]

#: Share of equal values from which fewer points may be flagged in mode ``"last"``, and the bins it is counted in.
MAJORITY, MAJORITY_BINS, MAJORITY_RATIO = 0.6, 20, 0.05

#: Intervals below which a step counts as fast, which is what the spectral residual is for.
FAST = {"minutely": 60, "secondly": 3600}

#: `suggested_window` - 1 where no period is known; 1440 for no granularity.
WINDOWS = {"daily": 28, "minutely": 1440, "hourly": 168, "weekly": 12, "monthly": 12, "yearly": 12}
WINDOWS |= {"secondly": 1440, "microsecond": 1000}


@dataclass(frozen=True)
class EntireResult:
    """Judgement of every point; arrays of shape (n,), aligned with the request.

    Attributes
    ----------
    period : int
        Points in one season, 0 if there is none.
    model : str
        Which detector judged.
    expected, upper_margin, lower_margin : ndarray of float64
        Unit of the series; the normal band is expected - lower_margin .. expected + upper_margin.
    is_anomaly, is_negative, is_positive : ndarray of bool
    severity : ndarray of float64
        0..1; 0 for normal points.
    """

    period: int
    model: ModelName
    expected: FloatArray
    upper_margin: FloatArray
    lower_margin: FloatArray
    is_anomaly: BoolArray
    is_negative: BoolArray
    is_positive: BoolArray
    severity: FloatArray


@dataclass(frozen=True)
class LastResult:
    """Judgement of the last point; fields as in `EntireResult`.

    Attributes
    ----------
    suggested_window : int
        Points that a request should have: four seasons and one point.
    """

    period: int
    model: ModelName
    suggested_window: int
    expected: float
    upper_margin: float
    lower_margin: float
    is_anomaly: bool
    is_negative: bool
    is_positive: bool
    severity: float


def detect_entire(request: Request) -> EntireResult:
    """Judge every point with one model of the whole series.

    Parameters
    ----------
    request : Request
        A series and how it is to be judged.

    Returns
    -------
    EntireResult

    Raises
    ------
    InvalidInput
        InvalidSeries or InvalidModelArgument: the points do not fit the grid, the period or each other.
    """
    done = run(request, "entire")
    found, b = done.found, done.band
    flags, negative = b.flags, b.flags & found.negative
    arrays = (found.expected, b.upper, b.lower, flags, negative, flags & ~negative, b.severity)
    return EntireResult(done.period, found.model, *arrays)


def detect_last(request: Request) -> LastResult:
    """Judge the last point from those before it; see `detect_entire`."""
    done = run(request, "last")
    found, b, period = done.found, done.band, done.period
    flag, negative = bool(b.flags[-1]), bool(found.negative[-1])
    window = 1 + (4 * period or WINDOWS.get(request.granularity, 1440))
    numbers = (float(found.expected[-1]), float(b.upper[-1]), float(b.lower[-1]))
    flags = (flag, flag and negative, flag and not negative)
    return LastResult(period, found.model, window, *numbers, *flags, float(b.severity[-1]))


@dataclass(frozen=True)
class Outcome:
    """Everything that a detection found at the request's points, before it is told.

    Attributes
    ----------
    period : int
        Points in one season, 0 if there is none.
    found : Found
    band : Band
    """

    period: int
    found: Found
    band: Band


def run(request: Request, mode: Mode) -> Outcome:
    """Detect; see `detect_entire` for what it raises."""
    # values of 1e100 and 1e-300 are allowed: overflow and division by zero decide comparisons, as in the service
    with np.errstate(all="ignore"):
        series = prepare(request)
        found = _judge(series, request, mode).at(series.places)
        b = band(request.values, found, request.sensitivity, request.boundary)
    if not all(np.isfinite(x).all() for x in (found.expected, b.upper, b.lower, b.severity)):
        raise refuse("InvalidSeries", "The values of 'series' are too large or too far apart to be judged.")
    return Outcome(series.period, found, b)


# ---------------------------------------------------------------- which series, which period


@dataclass(frozen=True)
class Series:
    """What is judged: the points as they came, or the filled grid.

    Attributes
    ----------
    y : ndarray of float64, shape (m,)
    places : ndarray of int64, shape (n,)
        Where the request's points are in `y`.
    period : int
    """

    y: FloatArray
    places: IndexArray
    period: int


def prepare(request: Request) -> Series:
    """Find the period of a request, and fill its gaps where that is asked for.

    Raises
    ------
    InvalidInput
        InvalidSeries (off the grid, too many gaps), InvalidModelArgument (period too long).
    """
    places, values = grid_places(request), request.values
    n, size = len(values), int(places[-1]) + 1
    sparse = size - n > size / 2 and request.impute_mode != "notFill"
    fillable = n < size <= LONGEST_GRID and request.impute_mode != "notFill"
    period = request.period
    if period is None:
        period = 0 if sparse else _found_period(request, places, fillable)
    else:
        _check_period(request, period, n, size, sparse)
    mode = request.impute_mode
    if not fillable or (mode == "auto" and period <= 1):
        return Series(values, np.arange(n), period)
    return Series(fill(places, values, mode, request.impute_fixed_value, period), places, period)


def _found_period(request: Request, places: IndexArray, fillable: bool) -> int:
    v = request.values
    if fillable:
        mode = "previous" if request.impute_mode == "auto" else request.impute_mode
        v = fill(places, v, mode, request.impute_fixed_value, 0)
    return find_period(v, request.granularity, request.custom_interval)


def _check_period(request: Request, period: int, n: int, size: int, sparse: bool) -> None:
    judged = n if request.impute_mode == "notFill" or size > LONGEST_GRID else size
    if judged < 2 * period + 1:
        raise refuse(
            "InvalidModelArgument",
            f"The 'period' field must leave more than two periods in the series: {period} needs {2 * period + 1} "
            f"points, the series spans {judged}.",
        )
    if sparse and period > 1:
        raise refuse(
            "InvalidSeries",
            f"The ratio of missing points in 'series' must be at most 50 % for a seasonal series: "
            f"{size - n} of {size} are missing.",
        )


# ---------------------------------------------------------------- which detector


def _judge(series: Series, request: Request, mode: Mode) -> Found:
    y, period, alpha = series.y, series.period, request.alpha
    ratio = _ratio(request, mode)
    if period > 1:
        found = detect_seasonal(y, period, ratio, alpha, mode)
        found.point_down(y)
        return found
    fast = request.custom_interval < FAST.get(request.granularity, 0) and svc_median(y)[1] >= EPS
    passed = np.empty(0) if fast else trend(y, period)

    def detector(v: FloatArray, share: float) -> Found:
        if fast:
            return detect_residual(v, share, mode, request.boundary == "v2")
        return detect_threshold(v, passed, share, alpha, mode)

    found = detector(y, ratio)
    found.point_down(y)
    judge_differences(y, found, ratio, detector)
    return found


def _ratio(request: Request, mode: Mode) -> float:
    """Largest share of anomalies; in mode ``"last"`` smaller if most values are alike."""
    ratio = request.max_anomaly_ratio
    if mode == "entire":
        return ratio
    majority = _largest_bin(request.values) / len(request.values)
    if majority <= MAJORITY:
        return ratio
    return max((1 - majority) * ratio, min(MAJORITY_RATIO, ratio))


def _largest_bin(v: FloatArray) -> int:
    """Most values in one of twenty equal bins."""
    low, high = float(v.min()), float(v.max())
    if not high > low:
        return len(v)
    place = ((v - low) / (high - low) * MAJORITY_BINS).astype(np.int64)
    place[place == MAJORITY_BINS] -= 1
    edges = np.linspace(low, high, MAJORITY_BINS + 1)
    place[v < edges[place]] -= 1
    place[(v >= edges[place + 1]) & (place != MAJORITY_BINS - 1)] += 1
    return int(np.bincount(place).max())
