# Univariate detection as the cloud service did it: the bindings of ead_svc_*.  Included by _kernel.pyx.
#
# Arrays are made contiguous float64 first; work memory is allocated here and filled by nobody.
from cpython.unicode cimport PyUnicode_AsUTF8AndSize
from libc.stdint cimport int64_t, uint32_t, uint64_t


def _series(v, least):
    """A contiguous float64 array of least..EAD_SVC_MAX_LEN points."""
    v = np.ascontiguousarray(v, np.float64)
    if v.ndim != 1 or not least <= len(v) <= csrc.EAD_SVC_MAX_LEN:
        raise InvalidInput(f"shape {v.shape} of a series: expected {least}..{csrc.EAD_SVC_MAX_LEN} points")
    return v


cdef _work(size_t count):
    """Work memory of `count` doubles, never of none."""
    return np.empty(count + 1)


def svc_parse_times(list texts):
    """Microseconds since 1970 UTC of ISO 8601 texts.

    Parameters
    ----------
    texts : list

    Returns
    -------
    micros : ndarray of int64, shape (n,)
        Right up to the first text that could not be read.
    bad : int
        Place of that text, -1 if all were read.  Anything but ``str`` counts as unreadable.
    """
    micros = np.zeros(len(texts), np.int64)
    cdef int64_t[::1] out = micros
    cdef const char *text
    cdef Py_ssize_t length, i
    for i in range(len(texts)):
        if type(texts[i]) is not str or not (<str> texts[i]).isascii():
            return micros, i
        text = PyUnicode_AsUTF8AndSize(texts[i], &length)
        if csrc.ead_svc_parse_time(text, length, &out[i]) != csrc.EAD_OK:
            return micros, i
    return micros, -1


def svc_read_points(list points, bint timed):
    """Values and times of points on the wire, if all are plain.

    Parameters
    ----------
    points : list
    timed : bool
        Whether times are wanted.

    Returns
    -------
    tuple of ndarray, or None
        float64 values and int64 microseconds since 1970 UTC (zeros unless `timed`).  None unless every point is a
        ``dict`` with a ``float`` as ``value`` and, if wanted, a common ISO 8601 time as ``timestamp``.
    """
    cdef Py_ssize_t i, length, n = len(points)
    values, micros = np.empty(n), np.zeros(n, np.int64)
    cdef double[::1] v = values
    cdef int64_t[::1] t = micros
    cdef const char *text
    cdef dict point
    for i in range(n):
        if type(points[i]) is not dict:
            return None
        point = <dict> points[i]
        value = point.get("value")
        if type(value) is not float:
            return None
        v[i] = value
        if timed:
            time = point.get("timestamp")
            if type(time) is not str or not (<str> time).isascii():
                return None
            text = PyUnicode_AsUTF8AndSize(time, &length)
            if csrc.ead_svc_parse_time(text, length, &t[i]) != csrc.EAD_OK:
                return None
    return values, micros


def svc_order(v):
    """Places of ascending values, equal values in order of place; uint32."""
    v = _series(v, 1)
    order, work = np.empty(len(v), np.uint32), np.empty(len(v), np.uint32)
    cdef const double[::1] x = v
    cdef uint32_t[::1] o = order, w = work
    cdef int status
    with nogil:
        status = csrc.ead_svc_order(&x[0], x.shape[0], &o[0], &w[0], w.shape[0])
    check_status(status)
    return order


def svc_median(v):
    """Median, and median distance from it in units of a normal distribution's standard deviation."""
    v = _series(v, 1)
    cdef const double[::1] x = v
    cdef double[::1] w = np.empty(len(v))
    cdef double median, mad
    cdef int status
    with nogil:
        status = csrc.ead_svc_median(&x[0], x.shape[0], &median, &mad, &w[0], w.shape[0])
    check_status(status)
    return median, mad


def svc_running_median(v, size_t half, bint single=False):
    """Centred running median over ``2 half + 1`` points, near the ends over those inside.

    `single` rounds the medians to single precision, as the service's period test did.
    """
    v = _series(v, 1)
    out = np.empty(len(v))
    cdef const double[::1] x = v
    cdef double[::1] o = out
    cdef uint64_t[::1] w = np.empty(csrc.ead_svc_running_median_work_len(len(v)), np.uint64)
    cdef int status
    with nogil:
        status = csrc.ead_svc_running_median(&x[0], x.shape[0], half, single, &o[0], &w[0], w.shape[0])
    check_status(status)
    return out


def svc_theil_sen(v):
    """Median of all pairwise slopes of values one step apart."""
    v = _series(v, 2)
    cdef const double[::1] x = v
    cdef double[::1] w = np.empty(csrc.ead_svc_theil_sen_work_len(len(v)))
    cdef double slope
    cdef int status
    with nogil:
        status = csrc.ead_svc_theil_sen(&x[0], x.shape[0], &slope, &w[0], w.shape[0])
    check_status(status)
    return slope


def svc_straight_ends(v, size_t width):
    """A copy of `v` with its first and last ``width // 2`` values replaced by Theil-Sen lines; `width` 2..n."""
    out = _series(v, 2).copy()
    cdef double[::1] o = out, w = _work(csrc.ead_svc_theil_sen_work_len(width))
    cdef int status
    with nogil:
        status = csrc.ead_svc_straight_ends(&o[0], o.shape[0], width, &w[0], w.shape[0])
    check_status(status)
    return out


def svc_spline(v, size_t inner):
    """Least-squares cubic spline with `inner` knots, evaluated at all points."""
    v = _series(v, 2)
    out = np.empty(len(v))
    cdef const double[::1] x = v
    cdef double[::1] o = out, w = _work(csrc.ead_svc_spline_work_len(len(v), inner))
    cdef int status
    with nogil:
        status = csrc.ead_svc_spline(&x[0], x.shape[0], inner, &o[0], &w[0], w.shape[0])
    check_status(status)
    return out


def svc_stl(y, size_t period):
    """Trend and season of a seasonal-trend decomposition; `period` 2..(n - 1) / 2."""
    y = _series(y, 5)
    trend, season = np.empty(len(y)), np.empty(len(y))
    cdef const double[::1] x = y
    cdef double[::1] t = trend, s = season
    cdef double[::1] w = _work(csrc.ead_svc_stl_work_len(len(y), period))
    cdef int status
    with nogil:
        status = csrc.ead_svc_stl(&x[0], x.shape[0], period, &t[0], &s[0], &w[0], w.shape[0])
    check_status(status)
    return trend, season


def svc_phase_errors(v, periods):
    """Leave-one-out errors of phase means for several periods, each 1..n / 2."""
    v = _series(v, 2)
    periods = np.ascontiguousarray(periods, np.uint32)
    errors = np.empty(len(periods))
    if not len(periods):
        return errors
    cdef const double[::1] x = v
    cdef double[::1] e = errors, w = np.empty(csrc.ead_svc_phase_errors_work_len(len(v)))
    cdef const uint32_t[::1] p = periods
    cdef int status
    with nogil:
        status = csrc.ead_svc_phase_errors(&x[0], x.shape[0], &p[0], p.shape[0], &e[0], &w[0], w.shape[0])
    check_status(status)
    return errors


def svc_cut_phases(v, size_t period):
    """A copy of `v` with each phase cut to its median on the side where the service did."""
    out = _series(v, 1).copy()
    cdef double[::1] o = out, w = _work(out.shape[0] // period + 1 if period else 1)
    cdef int status
    with nogil:
        status = csrc.ead_svc_cut_phases(&o[0], o.shape[0], period, &w[0], w.shape[0])
    check_status(status)
    return out


def svc_esd_limit(size_t m, double alpha=0.05):
    """Critical value of the largest studentised deviate of `m` points; infinite for m < 3."""
    return csrc.ead_svc_esd_limit(m, alpha)


def svc_esd(t, size_t start, size_t top, bint first_only, double alpha=0.05):
    """Number of leading points of the ascending column `t` that the deviate test flags."""
    t = _series(t, 1)
    cdef const double[::1] x = t
    cdef size_t flagged, count = x.shape[0], most = min(top, count)
    cdef double[::1] w = _work(2 * most)
    cdef int status
    with nogil:
        status = csrc.ead_svc_esd(&x[0], x.shape[0], start, most, first_only, alpha, &flagged, &w[0], w.shape[0])
    check_status(status)
    return flagged


def svc_residual_score(saliency_map):
    """Relative distance of a saliency map from its trailing mean."""
    m = _series(saliency_map, 2)
    score = np.empty(len(m))
    cdef const double[::1] x = m
    cdef double[::1] s = score
    cdef int status
    with nogil:
        status = csrc.ead_svc_residual_score(&x[0], x.shape[0], &s[0])
    check_status(status)
    return score


def svc_adf(v):
    """Augmented Dickey-Fuller t statistic; NaN if the test cannot be made."""
    v = _series(v, 4)
    cdef const double[::1] x = v
    cdef double[::1] w = np.empty(csrc.ead_svc_stationary_work_len(len(v)))
    cdef double statistic
    cdef int status
    with nogil:
        status = csrc.ead_svc_adf(&x[0], x.shape[0], &statistic, &w[0], w.shape[0])
    check_status(status)
    return statistic


def svc_kpss(v):
    """KPSS statistic of level stationarity; NaN if the test cannot be made."""
    v = _series(v, 4)
    cdef const double[::1] x = v
    cdef double[::1] w = np.empty(csrc.ead_svc_stationary_work_len(len(v)))
    cdef double statistic
    cdef int status
    with nogil:
        status = csrc.ead_svc_kpss(&x[0], x.shape[0], &statistic, &w[0], w.shape[0])
    check_status(status)
    return statistic


def svc_fill(index, v, size_t period, size_t size):
    """The grid of `size` points, known at `index` (ascending, from 0 to size - 1), filled for a season of `period`."""
    v = _series(v, 4)
    index = np.ascontiguousarray(index, np.uint32)
    if index.shape != v.shape:
        raise InvalidInput(f"{index.shape} places for {v.shape} values: expected as many")
    out = np.empty(size)
    cdef const double[::1] x = v
    cdef double[::1] o = out, w = _work(csrc.ead_svc_fill_work_len(size))
    cdef const uint32_t[::1] p = index
    cdef int status
    with nogil:
        status = csrc.ead_svc_fill(&p[0], &x[0], x.shape[0], period, &o[0], size, &w[0], w.shape[0])
    check_status(status)
    return out


def svc_change_points(y, double tolerance, size_t window):
    """Flags and scores of breaks between straight segments."""
    y = _series(y, 1)
    flags, scores = np.empty(len(y), np.uint8), np.empty(len(y))
    cdef const double[::1] x = y
    cdef double[::1] s = scores
    cdef unsigned char[::1] f = flags
    cdef int status
    with nogil:
        status = csrc.ead_svc_change_points(&x[0], x.shape[0], tolerance, window, &f[0], &s[0])
    check_status(status)
    return flags.view(np.bool_), scores
