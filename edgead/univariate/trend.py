"""Trend of a series without a season, and the rough period that sets its smoothness."""

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edgead.native import rfft, svc_running_median, svc_spline, svc_straight_ends
from edgead.univariate.arrays import EPS, FloatArray

#: Half of the widest window, in points.
WIDEST = 512

#: Shortest rough period that a spectrum can show, in points.
SHORTEST = 4

#: Bins with at least this share of the largest power make the rough period.
STRONG = 0.9


def trend(v: FloatArray, period: int | None = None) -> FloatArray:
    """A least-squares cubic spline with straight ends.

    Parameters
    ----------
    v : ndarray of float64, shape (n,)
        Finite.
    period : int >= 0, optional
        Sets the window of the ends and the number of knots; by default `rough_period` of `v`.

    Returns
    -------
    ndarray of float64, shape (n,)
        Unit of `v`; the mean when there are fewer than six points.
    """
    n = len(v)
    if n < 6:
        return np.full(n, v.mean())
    if period is None:
        period = rough_period(v)
    width = min(n // 3, WIDEST) if period <= 1 else min(2 * period - 1, n)
    return svc_straight_ends(svc_spline(v, n // (2 * width) + 1), width)


def rough_period(v: FloatArray) -> int:
    """Length, in points, of the slowest strong oscillation about the broad trend."""
    n = len(v)
    middle = min(n // 3, WIDEST)
    broad = svc_running_median(v, middle - 1)
    broad[: middle - 1], broad[n - middle + 1 :] = v[: middle - 1], v[n - middle + 1 :]
    if middle > 1:
        broad = svc_straight_ends(broad, 2 * middle - 1)
    segment = min(2 * middle, n // 2)
    bins = _bins(segment, middle)
    power = np.maximum.reduceat(_welch(v - broad, segment)[1:], bins.starts)
    power[bins.whole] = 0.0
    periods, power = bins.periods, power[bins.inside]
    if not len(power) or not power.max() > EPS:
        return middle
    strong = power >= STRONG * power.max()
    return round(float(np.dot(periods[strong], power[strong]) / power[strong].sum()))


def _welch(v: FloatArray, segment: int) -> FloatArray:
    """Mean power of overlapping Hann-windowed segments (Welch 1967), one-sided, bins 0..segment // 2."""
    window, scale = _hann(segment)
    power, pieces = np.zeros(segment // 2 + 1), 0
    for start in range(0, len(v) - segment + 1, segment - segment // 2):
        piece = v[start : start + segment]
        spectrum = rfft((piece - piece.sum() / segment) * window)
        power += spectrum.real**2 + spectrum.imag**2
        pieces += 1
    power *= scale / pieces
    power[0] /= 2
    if segment % 2 == 0:
        power[-1] /= 2
    return power


@lru_cache(maxsize=16)
def _hann(segment: int) -> tuple[FloatArray, float]:
    """Periodic Hann window, and the factor from its squared magnitudes to one-sided power."""
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(segment) / segment)
    return window, float(2 / window.sum() ** 2)


class _Bins(NamedTuple):
    """Which bins of a spectrum have the same whole period, in order of falling periods.

    Attributes
    ----------
    starts : ndarray of int64
        The first bin of each period, counted from bin 1.
    whole : ndarray of bool
        Periods of the whole segment, which count as none.
    inside : slice
        Periods from `SHORTEST` to the broad trend's.
    periods : ndarray of float64
        Those inside, in points.
    """

    starts: NDArray[np.int64]
    whole: NDArray[np.bool_]
    inside: slice
    periods: FloatArray


@lru_cache(maxsize=16)
def _bins(segment: int, middle: int) -> _Bins:
    """The bins 1..segment // 2 of a segment, for a broad trend over `middle` points."""
    period = np.rint(1 / (np.arange(1, segment // 2 + 1) * (1 / segment)))
    starts = np.flatnonzero(np.concatenate(([True], period[1:] != period[:-1])))
    period = period[starts]
    first = np.flatnonzero(period >= middle)
    last = np.flatnonzero(period >= SHORTEST)
    inside = slice(first[-1] if len(first) else 0, last[-1] + 1 if len(last) else 0)
    return _Bins(starts, period == segment, inside, period[inside])
