"""Detector of seasonal series: robust decomposition, then outliers of level and rest."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from edgead.native import svc_stl
from edgead.univariate.arrays import SPIKE, BoolArray, FloatArray, interpolated, scaled
from edgead.univariate.found import Found
from edgead.univariate.outliers import Mode, outliers

#: Mean of |rest / value| above which a decomposition of logarithms is tried, and below which it is taken.
BAD_FIT, GOOD_FIT = 0.10, 0.05


@dataclass(frozen=True)
class Decomposition:
    """Trend, season and rest of a series, each of shape (n,)."""

    trend: FloatArray
    season: FloatArray
    rest: FloatArray

    def first(self, n: int) -> "Decomposition":
        """The first `n` points of it."""
        return Decomposition(self.trend[:n], self.season[:n], self.rest[:n])

    def misfit(self, y: FloatArray) -> float:
        """Mean of |rest / value|; infinite or NaN where values are 0."""
        return float(np.mean(np.abs(self.rest / y)))


Method = Callable[[FloatArray, int], Decomposition]


def stl(y: FloatArray, period: int) -> Decomposition:
    """Seasonal-trend decomposition with robustness passes (Cleveland et al. 1990)."""
    level, season = svc_stl(y, period)
    return Decomposition(level, season, y - level - season)


def stl_log(y: FloatArray, period: int) -> Decomposition:
    """The same of logarithms: seasons that grow with the level.  Series that reach below 1 are lifted first."""
    lowest = y.min()
    lift = lowest - 1 if lowest < 1 else 0.0
    d = y - lift
    level, season = svc_stl(np.log(d), period)
    trend = np.exp(level)
    swing = np.exp(level + season) - trend
    return Decomposition(trend + lift, swing, d - trend - swing)


def decompose(y: FloatArray, period: int, mode: Mode, method: Method) -> Decomposition:
    """`method`, in mode ``"last"`` also with one more season's value behind the last point if that fits it better."""
    d = method(y, period)
    if mode == "entire":
        return d
    n = len(y)
    longer = method(np.concatenate((y, [np.median(y[n - period :: -period])])), period)
    return longer.first(n) if abs(longer.rest[-2]) < abs(d.rest[-1]) else d


def robust_decompose(y: FloatArray, period: int, mode: Mode, method: Method) -> Decomposition:
    """`decompose`, again without outliers of season and rest if there are any that the season does not explain."""
    d = decompose(y, period, mode, method)
    r = d.rest + d.season
    gone = _lone_spikes(r, period)
    if not gone.any():
        return d
    keep = np.flatnonzero(~gone)
    before = np.searchsorted(keep, np.flatnonzero(gone)) - 1
    r[gone] = r[keep[np.maximum(before, 0)]]
    return decompose(r + d.trend, period, mode, method)


def _lone_spikes(r: FloatArray, period: int) -> BoolArray:
    """Points far from the mean whose phase has at most half of its members out there."""
    deviation = r.std()
    if not deviation > 0:
        return np.zeros(len(r), np.bool_)
    out = np.abs(r - r.mean()) / deviation >= SPIKE
    phase = np.arange(len(r)) % period
    members = np.bincount(phase[out], minlength=period)[phase]
    lone: BoolArray = out & (members <= int(len(r) / period / 2))
    return lone


def detect_seasonal(y: FloatArray, period: int, ratio: float, alpha: float, mode: Mode) -> Found:
    """Judge a series with a season of `period` points."""
    d, name = robust_decompose(y, period, mode, stl), "Seasonal"
    if d.misfit(y) > BAD_FIT:
        other = robust_decompose(y, period, mode, stl_log)
        if other.misfit(y) < GOOD_FIT:
            d, name = other, "SeasonalLog"
    level = y - d.season
    flags = outliers([scaled(level), scaled(level - d.trend)], max(ratio, 1 / len(y)), alpha, mode)
    trend = _bridged(d.trend, flags, period // 2)
    return Found("Seasonal" if name == "Seasonal" else "SeasonalLog", flags, trend + d.season, trend)


def _bridged(trend: FloatArray, flags: BoolArray, tail: int) -> FloatArray:
    """`trend` interpolated over flagged points, and held over a tail that is flagged for the most part."""
    if not flags.any():
        return trend
    gone = flags.copy()
    if tail and np.count_nonzero(flags[-tail:]) >= 0.5 * tail:
        gone[-tail:] = True
    return interpolated(trend, gone)
