"""Finding the period of a series: by the calendar first, then in the spectrum."""

import numpy as np
from numpy.typing import NDArray

from edgead.native import irfft, rfft, svc_cut_phases, svc_phase_errors, svc_running_median
from edgead.univariate.arrays import EPS, FloatArray, despiked, scaled, variance
from edgead.univariate.trend import trend

#: Shortest period that the calendar can suggest, and longest lag looked at in the spectrum, in points.
SHORTEST, LONGEST_LAG = 4, 5760

#: Least share of variance that phase means must explain, by longest period: as it is, and detrended.
SHARES = ((24, 0.35, 0.35), (168, 0.15, 0.65), (np.inf, 0.10, 0.70))

#: Quantile of a normal distribution that bounds chance correlations (95 % one-sided), and the least correlation.
QUANTILE, LEAST_CORRELATION = 1.6448536, 0.1

#: Least share of variance that a lag found by correlation must explain.
LAG_SHARE = 0.2

# Seconds of a week, a day and two days; candidates are these over the step, in the order in which they are tried.
_WEEK, _DAY, _TWO_DAYS = 604800, 86400, 172800


def find_period(v: FloatArray, granularity: str, interval: int) -> int:
    """Points in one season of `v`, 0 if it has none.

    Parameters
    ----------
    v : ndarray of float64, shape (n,)
        Finite, without gaps.
    granularity : str
        Name of the grid's step.
    interval : int > 0
        Steps between points.
    """
    s = scaled(v)
    return calendar_period(s, granularity, interval) or spectrum_period(s)


# ---------------------------------------------------------------- by the calendar


def calendar_period(s: FloatArray, granularity: str, interval: int) -> int:
    """The first period that the calendar suggests and the scaled series `s` supports, or 0."""
    candidates, standard = _candidates(granularity, interval)
    for period in candidates:
        if period >= SHORTEST and len(s) > 2 * period and _accepted(s, period):
            return standard if standard % period == 0 and len(s) > 2 * standard else period
    return 0


def _candidates(granularity: str, interval: int) -> tuple[tuple[int, ...], int]:
    """Candidate periods in order, and the standard one, which wins if a candidate divides it."""
    if granularity in ("minutely", "secondly"):
        step = 60 if granularity == "minutely" else 1
        week, day, two_days = (span // step // interval for span in (_WEEK, _DAY, _TWO_DAYS))
        return (week, day, two_days), week
    if granularity == "hourly":
        return (168 // interval, 24 // interval), 168 // interval
    table = {
        "daily": ((7,), 7),
        "weekly": ((12, 4), 12),
        "monthly": ((12,), 12),
        "microsecond": ((1000,), 1000),
    }
    return table.get(granularity, ((), 0))


def _accepted(s: FloatArray, period: int) -> bool:
    """Whether phase means explain enough of `s`, or of `s` without its trend and upward excursions."""
    _, plain_share, flat_share = next(row for row in SHARES if period <= row[0])
    a = despiked(s)
    if variance(a) <= EPS:
        return False
    if _explained(a, period) > plain_share:
        return True
    flat = s - svc_running_median(s, period // 2, single=True)
    b = svc_cut_phases(despiked(flat), period)
    return variance(b) > EPS and _explained(b, period) > flat_share


def _explained(v: FloatArray, period: int) -> float:
    error = float(svc_phase_errors(v, [period])[0])
    return 1.0 if error <= EPS else 1 - error / variance(v)


# ---------------------------------------------------------------- by the spectrum


def spectrum_period(s: FloatArray) -> int:
    """The period that correlation shows in the scaled series `s`; seasons of seasons are multiplied out."""
    last = total = _best_lag(s)
    while last:
        s = s[::last]
        last = _best_lag(s)
        total *= last or 1
    return total


def _best_lag(s: FloatArray) -> int:
    """The correlated lag whose phase means explain most, 0 if none explains enough."""
    n = len(s)
    if n < 12:
        return 0
    d = despiked(s)
    d = d - trend(d)
    whole = variance(d)
    if whole <= EPS:
        return 0
    lags = _correlated_lags(d, min(n // 3, LONGEST_LAG))
    if not len(lags):
        return 0
    errors = svc_phase_errors(d, lags).astype(np.float32)
    lag = int(lags[np.argmin(errors)])
    error = float(svc_phase_errors(d, [lag])[0])
    enough = errors.min() == 0 or 1 - error / whole >= LAG_SHARE
    return lag if enough and n / lag > 2 else 0


def _correlated_lags(d: FloatArray, most: int) -> NDArray[np.uint32]:
    """Lags between 4 and `most` by falling correlation, down to the first that chance could explain (Bartlett)."""
    n = len(d)
    r = _autocorrelation(d, most)
    band = QUANTILE * np.sqrt(np.concatenate(([1.0], 1 + 2 * np.cumsum(r[1:most] ** 2))) / n)
    high = np.flatnonzero(r[1:] >= LEAST_CORRELATION)
    order = high[np.argsort(-r[1:][high], kind="stable")]
    chance = np.flatnonzero(r[1:][order] < band[order])
    lags = 1 + (order[: chance[0]] if len(chance) else order)
    return lags[(lags > SHORTEST) & (lags < most)].astype(np.uint32)


def _autocorrelation(d: FloatArray, most: int) -> FloatArray:
    """Autocorrelation at lags 0..most, each over all n points."""
    n = len(d)
    size = 1 << (n + most).bit_length()
    padded = np.zeros(size)
    padded[:n] = d - d.mean()
    spectrum = rfft(padded)
    products = irfft(spectrum.real**2 + spectrum.imag**2 + 0j, size)[: most + 1]
    correlation: FloatArray = products / products[0]
    return correlation
