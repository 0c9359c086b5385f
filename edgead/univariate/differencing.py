"""Second look at a series that drifts: the same detector on its differences."""

from collections.abc import Callable

import numpy as np

from edgead.native import svc_adf, svc_kpss
from edgead.univariate.arrays import FloatArray
from edgead.univariate.found import Found

#: ADF t below which, or KPSS statistic up to which, a series counts as stationary: both at 5 %.
#: (MacKinnon 1994; Hobijn, Franses and Ooms 2004.)
ADF_LIMIT, KPSS_LIMIT = -2.861593, 0.4614

#: Highest order of differences.
MOST = 2

#: A detector of a series for a share of flagged points.
Detector = Callable[[FloatArray, float], Found]


def stationary(v: FloatArray) -> bool:
    """Whether `v` keeps its level.  A test that cannot be made says yes."""
    if v.max() == v.min():
        return True
    statistic = svc_adf(v)
    if not statistic >= ADF_LIMIT:
        return True
    return not svc_kpss(v) > KPSS_LIMIT


def differenced(v: FloatArray) -> tuple[int, FloatArray]:
    """The order 0..2 at which `v` is stationary, and its differences of that order; 0 if none is."""
    series = v
    for order in range(MOST + 1):
        if stationary(series):
            return order, series
        d = np.diff(series)
        series = np.concatenate(([d[order]] * (order + 1), d[order:]))
    return 0, v


def judge_differences(v: FloatArray, found: Found, ratio: float, detector: Detector) -> None:
    """Add to `found` what `detector` finds in the differences of `v`, as far as `ratio` leaves room."""
    n = len(v)
    room = max(int(n * ratio), 1) - int(np.count_nonzero(found.flags))
    if room <= 0:
        return
    order, series = differenced(v)
    if order == 0:
        return
    more = detector(series, room / n)
    new = np.flatnonzero(more.flags & ~found.flags)
    later = new[new > 0]
    first = float(v[1] - v[0])
    for own, change in ((found.expected, more.expected), (found.trend, more.trend)):
        if own is not None and change is not None:
            own[later] = own[later - 1] + _steps(change, first, order)[later]
    found.flags[new] = True
    found.negative[new] = ~(found.expected[new] < v[new])
    if found.score is not None and more.score is not None:
        found.score[new] = more.score[new]


def _steps(change: FloatArray, first: float, order: int) -> FloatArray:
    """Expected steps from point to point; second differences are summed up, from the first step on."""
    if order == 1:
        return change
    return np.concatenate(([first, first], first + np.cumsum(change[2:])))
