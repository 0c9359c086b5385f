"""Slow, obvious NumPy and SciPy twin of the service's univariate detection: ``detect(mode, request)``.

Written to be read beside the specification, one function a paragraph.  It takes valid REST v1.1 requests only, checks
nothing, and shares no code with edgead.  The C routines and the Python order of steps are both tested against it.
"""

import math
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
from scipy import interpolate, stats

EPS = 1e-8
MAD_SCALE = 0.6744897501960817
STEP_S = {"secondly": 1, "minutely": 60, "hourly": 3600, "daily": 86400, "weekly": 604800}
WINDOWS = {"daily": 28, "minutely": 1440, "hourly": 168, "weekly": 12, "monthly": 12, "yearly": 12}
WINDOWS |= {"secondly": 1440, "microsecond": 1000}
STABLE = {"yearly": 3, "monthly": 6, "weekly": 3, "daily": 5, "hourly": 24, "minutely": 72, "secondly": 72}
GRID_LIMIT = 17280
THRESHOLD = 3.5


# ------------------------------------------------------------------------------------------------ small things


def scaled(v):
    v = np.asarray(v, float)
    return (v - v.min()) / (v.max() - v.min()) if v.max() > v.min() else v.copy()


def mad(v):
    return np.median(np.abs(v - np.median(v))) / MAD_SCALE


def interpolated(v, gone):
    """v with the points `gone` replaced by lines between the others (nearest at the ends)."""
    keep = np.flatnonzero(~gone)
    return np.interp(np.arange(len(v)), keep, v[keep]) if len(keep) else v.copy()


def despike(v):
    return interpolated(v, np.abs(v - v.mean()) / (v.std() + EPS) >= 3)


def trailing_mean(v, w):
    return np.array([v[max(0, i - w + 1) : i + 1].mean() for i in range(len(v))])


def trailing_mean_filled(v, w=100):
    out = trailing_mean(v, w)
    for i in range(1, min(w, len(v))):
        total = v[: i + 1].sum()
        out[i] = (total + (total - v[i]) / i * (w - i - 1)) / w
    return out


def theil_sen(v):
    i, j = np.triu_indices(len(v), 1)
    return np.median((v[j] - v[i]) / (j - i)) if len(i) else 0.0


def straight_ends(v, w):
    n, half = len(v), w // 2
    out = v.copy()
    if half:
        out[:half] = v[half] + theil_sen(v[:w]) * (np.arange(half) - half)
        out[n - half :] = v[n - half - 1] + theil_sen(v[-w:]) * np.arange(1, half + 1)
    return out


def running_median(v, half, *, ends):
    """Centred running median of width 2 half + 1; near the ends of what is inside, or the raw value."""
    n = len(v)
    out = v.copy()
    for i in range(n):
        if ends == "inside" or half <= i < n - half:
            out[i] = np.median(v[max(0, i - half) : i + half + 1])
    return out


def welch(v, segment):
    step = segment - segment // 2
    window = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(segment) / segment)
    power = []
    for start in range(0, len(v) - segment + 1, step):
        piece = v[start : start + segment]
        p = np.abs(np.fft.rfft((piece - piece.mean()) * window)) ** 2 / window.sum() ** 2
        p[1 : (None if segment % 2 else -1)] *= 2
        power.append(p)
    return np.mean(power, axis=0)


def rough_period(v):
    n = len(v)
    m = min(n // 3, 512)
    broad = straight_ends(running_median(v, m - 1, ends="raw"), 2 * m - 1)
    segment = min(2 * m, n // 2)
    power = welch(v - broad, segment)[1:]
    period = np.array([round(1 / (k * (1 / segment))) for k in range(1, len(power) + 1)])
    bins = {}
    for q, p in zip(period, power):
        bins[q] = max(bins.get(q, 0.0), p)
    bins[segment] = 0.0
    period, power = np.array(list(bins)), np.array(list(bins.values()))
    first = np.flatnonzero(period >= m)
    last = np.flatnonzero(period >= 4)
    lo, hi = (first[-1] if len(first) else 0), (last[-1] if len(last) else -1)
    period, power = period[lo : hi + 1], power[lo : hi + 1]
    if not len(power) or np.all(power <= EPS):
        return m
    strong = power >= 0.9 * power.max()
    return round(float(np.sum(period[strong] * power[strong]) / np.sum(power[strong])))


def trend(v, period=None):
    n = len(v)
    if n < 6:
        return np.full(n, v.mean())
    if period is None:
        period = rough_period(v)
    w = min(n // 3, 512) if period <= 1 else 2 * period - 1
    return straight_ends(lsq_spline(v, n // (2 * w) + 1), w)


def lsq_spline(v, s):
    x = np.arange(len(v), dtype=float)
    inner = (len(v) - 1) * np.arange(1, s + 1) / (s + 2)
    knots = np.r_[[0.0] * 4, inner, [len(v) - 1.0] * 4]
    return interpolate.make_lsq_spline(x, v, knots, 3)(x)


# ------------------------------------------------------------------------------------------------ STL


def local_fit(y, x, left, right, span_extra, linear, rw):
    """Loess at 1-based position x from the points left..right; None when no point has weight."""
    n = len(y)
    pos = np.arange(left, right + 1, dtype=float)
    h = max(x - left, right - x) + span_extra
    r = np.abs(pos - x)
    w = np.where(r <= 0.001 * h, 1.0, np.where(r > 0.999 * h, 0.0, (1 - (r / max(h, 1e-300)) ** 3) ** 3))
    w = w * (rw[left - 1 : right] if rw is not None else 1.0)
    if w.sum() <= 0:
        return None
    w = w / w.sum()
    if linear:
        centre = np.sum(w * pos)
        var = np.sum(w * (pos - centre) ** 2)
        if math.sqrt(var) > 0.001 * (n - 1):
            w = w * ((x - centre) * (pos - centre) / var + 1)
    return np.sum(w * y[left - 1 : right])


def loess(y, span, jump, linear, rw):
    n = len(y)
    grid = sorted({*range(1, n + 1, jump), n})
    values = []
    for x in grid:
        if span < n:
            left = min(max(x - (span + 1) // 2 + 1, 1), n - span + 1)
            fit = local_fit(y, x, left, left + span - 1, 0, linear, rw)
        else:
            fit = local_fit(y, x, 1, n, (span - n) // 2, linear, rw)
        values.append(y[x - 1] if fit is None else fit)
    return np.interp(np.arange(1, n + 1), grid, values)


def odd(x):
    return x + 1 - x % 2


def moving_average(v, w):
    return np.convolve(v, np.full(w, 1.0 / w), "valid")


def stl(y, p):
    n = len(y)
    big = 10 * n + 1
    trend_span = odd(math.ceil(1.5 * p / (1 - 1.5 / big)))
    low_span = odd(p)
    level, weight = np.zeros(n), None
    for _ in range(16):
        extended = np.empty(n + 2 * p)
        for j in range(p):
            part = (y - level)[j::p]
            pw = None if weight is None else weight[j::p]
            k = len(part)
            fits = [local_fit(part, x, 1, k, (big - k) // 2, False, pw) for x in (0, 1, k, k + 1)]
            first = part[0] if fits[1] is None else fits[1]
            last = part[-1] if fits[2] is None else fits[2]
            before = first if fits[0] is None else fits[0]
            after = last if fits[3] is None else fits[3]
            extended[j::p] = np.r_[before, np.linspace(first, last, k), after]
        low = moving_average(moving_average(moving_average(extended, p), p), 3)
        season = extended[p : p + n] - loess(low, low_span, math.ceil(low_span / 10), True, None)
        level = loess(y - season, trend_span, math.ceil(trend_span / 10), True, weight)
        r = np.abs(y - level - season)
        h = 6 * np.median(r)
        with np.errstate(divide="ignore", invalid="ignore"):
            weight = np.where(r <= 0.001 * h, 1.0, np.where(r > 0.999 * h, 0.0, (1 - (r / h) ** 2) ** 2))
    return SimpleNamespace(trend=level, season=season, rest=y - level - season)


def stl_log(y, p):
    b = y.min()
    d = y - b + 1 if b < 1 else y
    s = stl(np.log(d), p)
    level = np.exp(s.trend)
    season = np.exp(s.trend + s.season) - level
    rest = d - level - season
    return SimpleNamespace(trend=level + (b - 1 if b < 1 else 0.0), season=season, rest=rest)


def decompose(y, p, mode, method):
    d = method(y, p)
    if mode == "last":
        n = len(y)
        longer = method(np.r_[y, np.median(y[n - p :: -p])], p)
        if abs(longer.rest[n - 1]) < abs(d.rest[n - 1]):
            d = SimpleNamespace(**{k: getattr(longer, k)[:n] for k in ("trend", "season", "rest")})
    return d


def robust_decompose(y, p, mode, method):
    d = decompose(y, p, mode, method)
    r = d.rest + d.season
    if r.std() == 0:
        return d
    odd_ones = np.abs(r - r.mean()) / r.std() >= 3
    phase = np.arange(len(y)) % p
    counts = np.bincount(phase[odd_ones], minlength=p)
    odd_ones &= counts[phase] <= int(len(y) / p / 2)
    if not odd_ones.any():
        return d
    keep = np.flatnonzero(~odd_ones)
    for i in np.flatnonzero(odd_ones):
        earlier = keep[keep < i]
        r[i] = r[earlier[-1] if len(earlier) else keep[0]]
    return decompose(r + d.trend, p, mode, method)


# ------------------------------------------------------------------------------------------------ period


def leave_one_out(v, p):
    total = 0.0
    for j in range(p):
        part = v[j::p]
        c = len(part)
        total += (c / (c - 1)) ** 2 * np.sum((part - part.mean()) ** 2)
    return total / len(v)


def share(v, p):
    e = leave_one_out(v, p)
    return 1.0 if e <= EPS else 1 - e / v.var()


def median32(v):
    s = np.sort(v).astype(np.float32)
    k = len(s)
    return s[k // 2] if k % 2 else np.float32(np.float32(0.5) * (s[k // 2 - 1] + s[k // 2]))


def cut_phases(v, p):
    out = v.copy()
    for j in range(p):
        part = v[j::p]
        c = median32(part)
        dev = 1.4826 * float(median32(part - float(c))) + EPS
        out[j::p] = np.where((part - float(c)) / dev >= 3, float(c), part)
    return out


def detrended(u, p):
    half = p // 2
    m = np.array([float(median32(u[max(0, i - half) : i + half + 1])) for i in range(len(u))])
    return u - m


def accepted(u, p):
    a = despike(u)
    if a.var() <= EPS:
        return False
    if share(a, p) > (0.35 if p <= 24 else 0.15 if p <= 168 else 0.1):
        return True
    b = cut_phases(despike(detrended(u, p)), p)
    return b.var() > EPS and share(b, p) > (0.35 if p <= 24 else 0.65 if p <= 168 else 0.7)


def calendar_period(v, granularity, interval):
    n, i = len(v), interval
    table = {
        "daily": ([7], 7),
        "hourly": ([168 // i, 24 // i], 168 // i),
        "minutely": ([10080 // i, 1440 // i, 2880 // i], 10080 // i),
        "secondly": ([604800 // i, 86400 // i, 172800 // i], 604800 // i),
        "weekly": ([12, 4], 12),
        "monthly": ([12], 12),
        "microsecond": ([1000], 1000),
    }
    candidates, standard = table.get(granularity, ([], 0))
    for p in candidates:
        if p >= 4 and n > 2 * p and accepted(scaled(v), p):
            return standard if standard % p == 0 and n > 2 * standard else p
    return 0


def find_lag(s):
    n = len(s)
    if n < 12:
        return 0
    d = despike(s)
    d = d - trend(d)
    if d.var() <= EPS:
        return 0
    m = int(min(n / 3, 5760))
    c = d - d.mean()
    r = np.array([np.sum(c[k:] * c[: n - k]) for k in range(m + 1)]) / np.sum(c * c)
    band = 1.6448536 * np.sqrt(np.r_[0, 1, 1 + 2 * np.cumsum(r[1:m] ** 2)] / n)
    best, best_e = 0, np.inf
    for lag in 1 + np.argsort(-r[1:], kind="stable"):
        if r[lag] < band[lag] or r[lag] < 0.1:
            break
        if 4 < lag < m:
            e = np.float32(leave_one_out(d, lag))
            if e < best_e:
                best, best_e = int(lag), e
    if best and (best_e == 0 or 1 - leave_one_out(d, best) / d.var() >= 0.2) and n / best > 2:
        return best
    return 0


def spectrum_period(v):
    s = scaled(v)
    last = total = find_lag(s)
    while last:
        s = s[::last]
        last = find_lag(s)
        total *= last or 1
    return total


# ------------------------------------------------------------------------------------------------ outlier tests


def limit(m, alpha=0.05):
    t = stats.t.isf(alpha / m, m - 2)
    return t * (m - 1) / math.sqrt((m - 2 + t * t) * m)


def ranking(x, sign, mode):
    """Places of the points from the most extreme on.

    Equal values: later places first on the upper side, earlier ones on the lower; mode `last` puts the last point
    first among its equals.
    """
    tie = -sign * np.arange(len(x))
    if mode == "last":
        tie[-1] = -len(x)
    return np.lexsort((tie, -sign * x))


def esd(x, order, sign, top, mode, alpha=0.05):
    count = len(x)
    s = x[order]
    start = 0
    if mad(x) <= EPS:
        mid = s[(count - 1) // 2]
        if not np.isclose(mid, x.min(), rtol=1e-5, atol=1e-8) and not np.isclose(
            mid, x.max(), rtol=1e-5, atol=1e-8
        ):
            count = int(np.flatnonzero(np.abs(s - mid) <= EPS)[-1]) + 1
    if mode == "last":
        start = int(np.flatnonzero(order == len(x) - 1)[0])
        if start >= count:
            return order[:0]
    flagged = 0
    for k in range(start, min(top, count - 2)):
        rest = s[k:count]
        bound = limit(len(rest), alpha)
        if (
            sign * (s[k] - np.median(rest)) / max(mad(rest), EPS) > bound
            or sign * (s[k] - rest.mean()) / max(rest.std(), EPS) > bound
        ):
            flagged = k + 1
            if mode == "last":
                break
    return order[:flagged]


def z_test(x, order, top):
    centre, scale = np.median(x), mad(x)
    if scale == 0:
        centre, scale = x.mean(), x.std()
    if scale == 0:
        return order[:0]
    first = order[:top]
    return first[np.abs(x[first] - centre) / scale > 3]


def outliers(columns, ratio, mode, alpha=0.05):
    n = len(columns[0])
    top = min(max(math.ceil(n * ratio), 1), n // 2 - 1)
    flags = np.zeros(n, bool)
    for sign in (1, -1):
        orders = [ranking(x, sign, mode) for x in columns]
        lists = [esd(columns[0], orders[0], sign, top, mode, alpha), z_test(columns[0], orders[0], top)]
        lists += [esd(x, o, sign, top, mode, alpha) for x, o in zip(columns[1:], orders[1:])]
        rank = {}
        for i, found in enumerate(lists):
            for k, point in enumerate(found):
                rank[point] = rank[point] + k if point in rank else k + i * n
        for point in sorted(rank, key=rank.get)[:top]:
            flags[point] = True
    return flags


# ------------------------------------------------------------------------------------------------ detectors


def seasonal(y, p, ratio, mode, alpha):
    n = len(y)
    with np.errstate(divide="ignore", invalid="ignore"):
        d = robust_decompose(y, p, mode, stl)
        if np.mean(np.abs(d.rest / y)) > 0.10:
            other = robust_decompose(y, p, mode, stl_log)
            if np.mean(np.abs(other.rest / y)) < 0.05:
                d = other
    flags = outliers([scaled(y - d.season), scaled(y - d.season - d.trend)], max(ratio, 1 / n), mode, alpha)
    gone = flags.copy()
    w = p // 2
    if flags.any():
        if w and flags[-w:].sum() >= 0.5 * w:
            gone[-w:] = True
        level = interpolated(d.trend, gone)
    else:
        level = d.trend
    return SimpleNamespace(flags=flags, expected=level + d.season, trend=level, model="Seasonal", score=None)


def dynamic_threshold(y, passed, ratio, mode, alpha=0.05):
    flags = outliers([scaled(y)], ratio, mode, alpha)
    expected = trend(interpolated(y, flags)) if flags.any() else passed
    return SimpleNamespace(
        flags=flags, expected=expected, trend=expected, model="DynamicThreshold", score=None
    )


def extension_value(a):
    return np.median(a) + 0.5 * (7 / 5) * sum((a[5] - a[j]) / (5 - j) for j in range(5))


def residual_score(v, mode):
    n = len(v)
    if mode == "last":
        a = v[n - 7 : n - 1]
    else:
        q25, q75 = np.percentile(v, [25, 75])
        inside = v[(v >= q25 - 1.5 * (q75 - q25)) & (v <= q75 + 1.5 * (q75 - q25))][-6:]
        a = np.r_[[np.median(v)] * (6 - len(inside)), inside]
    x = np.fft.fft(np.r_[v, [extension_value(a)] * 5])
    m = np.abs(x)
    with np.errstate(divide="ignore"):
        logs = np.where(m > 0, np.log(m), 0.0)
    g = np.array([np.exp(np.mean(logs[max(0, k - 2) : k + 1])) for k in range(len(m))])
    saliency = np.abs(np.fft.ifft(x / g))[:n]
    b = trailing_mean_filled(saliency)
    b[np.abs(b - EPS) <= EPS * (1 + 1e-5)] = EPS
    score = np.abs(saliency - b) / b
    score[0] = 0.0
    return score


def spectral_residual(v, ratio, mode):
    n = len(v)
    top = max(int(n * ratio), 1)
    score = residual_score(v, mode)
    model = "SpectralResidual"
    if mode == "last":
        d = min(max(top, int(0.1 * n)), int(0.45 * n))
        late = np.flatnonzero(score[n - d : n] >= 1.5)
        c = n - d + late[0] if len(late) else n - 1
        short = residual_score(np.r_[v[:c], v[-1]], mode)
        score[c : n - 1] = 2.0
        score[n - 1] = short[-1]
        if v.std() > 0 and abs(v[-1] - v.mean()) / v.std() < 1.5:
            score[n - 1] = 0.0
            model = "SpectralResidual_ZScore"
    flags = np.zeros(n, bool)
    ranked = np.argsort(-score, kind="stable")[:top]
    flags[ranked[score[ranked] >= THRESHOLD]] = True
    skeleton = score <= 1
    if mode == "last":
        expected = v.copy()
        calm = np.flatnonzero(skeleton)
        expected[-1] = v[calm[len(calm) // 2 :]].mean()
    else:
        raw = v.copy()
        for i in np.flatnonzero(~skeleton):
            calm = [v[k] for k in range(i // 2, i + 1) if skeleton[k]]
            raw[i] = np.mean(calm) if calm else v[: i + 1].mean()
        expected = trailing_mean(raw, 5)
    kept = np.clip(score - THRESHOLD / 11.5, 0, 1)
    return SimpleNamespace(flags=flags, expected=expected, trend=trend(expected), model=model, score=kept)


# ------------------------------------------------------------------------------------------------ differencing


def adf_statistic(y):
    """t of the unit-root regression with a constant; None on a singular design."""
    n = len(y)
    dy = np.diff(y)
    most = max(min(math.ceil(12 * (n / 100) ** 0.25), max((n - 1) // 2 - 1, 0) - 1), 0)

    def design(p, skip):
        rows = np.arange(skip, n - 1)
        lags = [dy[rows - j] for j in range(1, p + 1)]
        return np.column_stack([np.ones(len(rows)), y[rows], *lags]), dy[rows]

    x, z = design(most, most)
    if bad_design(x):
        return None
    q, _ = np.linalg.qr(x)
    left = np.sum(z * z) - np.cumsum((q.T @ z) ** 2)[1:]
    with np.errstate(divide="ignore", invalid="ignore"):
        aic = len(z) * np.log(left / len(z)) + 2 * np.arange(most + 1)
    p = int(np.argmin(aic))
    x, z = design(p, p)
    if bad_design(x):
        return None
    beta = np.linalg.lstsq(x, z, rcond=None)[0]
    s2 = np.sum((z - x @ beta) ** 2) / (len(z) - p - 2)
    return beta[1] / math.sqrt(s2 * np.linalg.inv(x.T @ x)[1, 1])


def bad_design(x):
    rows, columns = x.shape
    if columns > rows or np.sum(np.ptp(x, axis=0) == 0) > 1:
        return True
    return np.linalg.matrix_rank(x) < columns


def kpss_statistic(y):
    n = len(y)
    u = y - y.mean()

    def g(i):
        return np.sum(u[i:] * u[: n - i]) / n

    c = int(n ** (2 / 9))
    s0 = g(0) + 2 * sum(g(i) for i in range(1, c + 1))
    s1 = 2 * sum(i * g(i) for i in range(1, c + 1))
    if s0 <= 0:
        return None
    lags = min(n, int(1.1447 * ((s1 / s0) ** 2) ** (1 / 3) * n ** (1 / 3)))
    spread = g(0) + 2 * sum((1 - j / (lags + 1)) * g(j) for j in range(1, lags + 1))
    return np.sum(np.cumsum(u) ** 2) / n**2 / spread


def stationary(y):
    if np.ptp(y) == 0:
        return True
    t = adf_statistic(y)
    if t is None or not t >= -2.861593:
        return True
    k = kpss_statistic(y)
    return k is None or not k > 0.4614


def difference(v, k):
    d = np.diff(v)
    return np.r_[np.full(k + 1, d[k]), d[k:]]


def differencing_order(v):
    for order in range(3):
        if stationary(v):
            return order, v
        v = difference(v, order)
    return 0, v


def difference_step(v, r, ratio, detector, mode):
    n = len(v)
    order, series = differencing_order(v)
    room = max(int(n * ratio), 1) - int(r.flags.sum())
    if not order or room <= 0:
        return
    d = detector(series, room / n, mode)
    new = d.flags & ~r.flags
    change_e, change_t = d.expected, d.trend
    if order == 2:
        first = v[1] - v[0]
        change_e = np.r_[first, first, first + np.cumsum(d.expected[2:])]
        change_t = np.r_[first, first, first + np.cumsum(d.trend[2:])]
    old_e, old_t = r.expected.copy(), r.trend.copy()
    for i in np.flatnonzero(new):
        r.flags[i] = True
        if i:
            r.expected[i] = old_e[i - 1] + change_e[i]
            r.trend[i] = old_t[i - 1] + change_t[i]
        r.negative[i] = not r.expected[i] < v[i]
        r.positive[i] = not r.negative[i]
        if d.score is not None:
            r.score[i] = d.score[i]


# ------------------------------------------------------------------------------------------------ margins


def half_widths():
    f = [0.8 * (s - 25) ** 2 + 32 for s in range(25)]
    for first, last, step in (
        (30, 5, 1.25),
        (4.6, 1.0, 0.4),
        (0.96, 0.60, 0.04),
        (0.57, 0.30, 0.03),
        (0.285, 0.15, 0.015),
    ):
        f += [first - step * k for k in range(round((first - last) / step) + 1)]
    f += [x / 11 for x in (1.52, 1.39, 1.26, 1.13, 1, 0.87, 0.74, 0.48)]
    return np.array(f + [0.012, 0.008, 0.006075, 0.00415, 0.002225, 0.0003, 0.0])


F = half_widths()
T = F[::-1]


def margins_v1(v, r, s):
    e = r.expected
    if r.model == "SpectralResidual":
        quiet = r.score <= EPS
        w = np.zeros(len(v))
        w[quiet] = 0.01 * np.ptp(v[quiet]) if quiet.any() else 0.0
        w[~quiet] = np.abs(v - e)[~quiet] / r.score[~quiet] * (1 - s / 100)
    else:
        w = np.abs(e) * (100 - s) / 100
    upper = np.minimum(e + w, max(v.max(), e.max()))
    lower = np.minimum(np.maximum(e - w, min(v.min(), e.min())), (e - w).max())
    up, low = upper - e, e - lower
    inside = r.flags & (v >= lower) & (v <= upper)
    if s == 100:
        up[r.flags] = low[r.flags] = 0.0
    else:
        r.flags = r.flags & ~inside
    for wide in (~r.flags & (v > upper), ~r.flags & (v < lower)):
        up[wide] = low[wide] = 1.01 * np.abs(v - e)[wide]
    size = np.where(np.abs(e) <= EPS, 0.3, np.abs(e))
    return up, low, np.where(r.flags, np.minimum(np.abs(v - e) / size, 1.0), 0.0)


def margins_v2(v, r, s):
    e, t = r.expected, np.abs(r.trend)
    calm = t[~r.flags]
    unit = np.full(len(v), 0.3) if np.all(calm < EPS) else np.maximum(0.3, t / 2 + calm.mean() / 2)
    delta, off = unit * F[s], np.abs(v - e)
    wide, narrow = off + delta / 2, (off + delta / 2) / 3
    above = (v > e) | ((r.model == "Seasonal") & (off <= 1e-13 * np.abs(e)))
    up, low = np.where(above, wide, narrow), np.where(above, narrow, wide)
    up, low = np.where(r.flags, delta, up), np.where(r.flags, delta, low)
    if s == 99:
        near = r.flags & (off > 0.0001 * delta) & (off < delta)
        up[near] = low[near] = off[near] / 2
    score = np.array([severity_score(d) for d in off / unit])
    raw = r.flags
    r.flags = raw & ((v > e + up) | (v < e - low))
    return up, low, np.where(r.flags, score / 100, 0.0)


def severity_score(d):
    i = int(np.searchsorted(T, d))
    if i == 0:
        return 0.0
    return 100.0 if i >= 100 else i - 1 + (d - T[i - 1]) / (T[i] - T[i - 1])


# ------------------------------------------------------------------------------------------------ grid and filling


def parse(text):
    t = datetime.fromisoformat(text)
    return t.replace(tzinfo=UTC) if t.tzinfo is None else t.astimezone(UTC)


def grid_index(a, b, granularity, interval):
    """Steps from time b to time a, as the quotient before the whole-number test."""
    if granularity in STEP_S:
        return (a - b) / timedelta(seconds=STEP_S[granularity] * interval)
    if granularity == "microsecond":
        ms = timedelta(milliseconds=1)
        zero = datetime(1970, 1, 1, tzinfo=UTC)
        return ((a - zero) // ms - (b - zero) // ms) / int(0.001 * interval * 1000)
    if not calendar_aligned(a, b):
        return math.nan
    months = (a.year - b.year) * 12 + a.month - b.month
    if granularity == "yearly":
        return months / 12 / interval if months % 12 == 0 else math.nan
    return months / interval


def month_length(t):
    return (
        ((t.replace(day=28) + timedelta(days=4)).replace(day=1) - timedelta(days=1)).day
        if (t.year, t.month) != (9999, 12)
        else 31
    )


def calendar_aligned(a, b):
    if (a.year, a.month) == (b.year, b.month):
        return a.day == b.day
    last_a, last_b = month_length(a), month_length(b)
    if a.day == b.day or (a.day == last_a and b.day == last_b):
        return True
    return last_a != last_b and ((a.day == last_a and a.day < b.day) or (b.day == last_b and b.day < a.day))


def fill_simple(index, v, mode, fixed):
    n = index[-1] + 1
    out = np.full(n, 0.0 if mode == "zero" else float(fixed or 0.0))
    if mode == "linear":
        return np.interp(np.arange(n), index, v)
    if mode == "previous":
        return v[np.searchsorted(index, np.arange(n), side="right") - 1]
    out[index] = v
    return out


def runs(open_points):
    edges = np.diff(np.r_[0, open_points.astype(int), 0])
    return list(zip(np.flatnonzero(edges == 1), np.flatnonzero(edges == -1)))


def fill_auto(index, v, p):
    if len(v) < 4:
        return fill_simple(index, v, "previous", None)
    n = index[-1] + 1
    out = np.full(n, np.nan)
    out[index] = v
    gaps = runs(np.isnan(out))
    spline = interpolate.CubicSpline(index, v, bc_type="not-a-knot")
    first_pass = out.copy()
    for start, end in gaps:
        length = end - start
        if length > 6 or length > p / 4:
            continue
        piece = spline(np.arange(start, end))
        around = [out[i] for i in (start - 2, start - 1, end, end + 1) if 0 < i < n and not np.isnan(out[i])]
        steps = np.diff(around)
        if len(around) > 2 and (np.all(steps >= 0) or np.all(steps <= 0)):
            low, high = sorted((around[0], around[-1]))
            if np.any((piece < low) | (piece > high)):
                piece = np.interp(np.arange(start, end), [start - 1, end], [out[start - 1], out[end]])
        first_pass[start:end] = np.clip(piece, v.min(), v.max())
    result = first_pass.copy()
    for start, end in runs(np.isnan(first_pass)):
        for i in range(start, end):
            mean = phase_mean(first_pass, i, p)
            if mean is not None:
                result[i] = mean
    known = np.flatnonzero(~np.isnan(result))
    return np.interp(np.arange(n), known, result[known])


def phase_mean(known, i, p):
    found = []
    for direction in (-1, 1):
        side, at = [], i
        for _ in range(3):
            at += direction * p
            if not 0 <= at < len(known):
                break
            if not np.isnan(known[at]):
                side.append(known[at])
                continue
            edge = at
            while np.isnan(known[edge]):
                edge += direction
            inside = abs(edge - at) - 1 if direction < 0 else edge - at
            jump = inside // p if direction < 0 else math.ceil((inside - p) / p)
            at += direction * p * max(jump, 0)
        found += list(zip((0.6, 0.3, 0.1), side))
    if not found:
        return None
    return sum(w * x for w, x in found) / sum(w for w, _ in found)


# ------------------------------------------------------------------------------------------------ the calls


def prepare(request):
    granularity = request.get("granularity", "none")
    interval = request.get("customInterval", 1)
    v = np.array([float(point["value"]) for point in request["series"]])
    index = np.arange(len(v))
    if granularity != "none":
        times = [parse(point["timestamp"]) for point in request["series"]]
        steps = [grid_index(t, times[0], granularity, interval) for t in times]
        index = np.array([round(s) for s in steps])
    mode = {"last": "previous", "no": "notFill"}.get(
        request.get("imputeMode", "auto"), request.get("imputeMode", "auto")
    )
    return SimpleNamespace(v=v, index=index, granularity=granularity, interval=interval, impute=mode)


def analysed(q, request):
    """The series under judgement, its period and where the real points lie in it."""
    n, size = len(q.v), int(q.index[-1]) + 1
    missing = size - n
    fillable = missing > 0 and q.impute != "notFill" and size <= GRID_LIMIT
    period = request.get("period")
    fixed = request.get("imputeFixedValue")
    if period is None:
        if missing / size > 0.5 and q.impute != "notFill":
            period = 0
        else:
            how = "previous" if q.impute == "auto" else q.impute
            base = fill_simple(q.index, q.v, how, fixed) if fillable else q.v
            period = calendar_period(base, q.granularity, q.interval) or spectrum_period(base)
    if not fillable or (q.impute == "auto" and period <= 1):
        return q.v, period, np.arange(n)
    if q.impute == "auto":
        return fill_auto(q.index, q.v, period), period, q.index
    return fill_simple(q.index, q.v, q.impute, fixed), period, q.index


def judge(y, raw, period, q, ratio, mode, alpha):
    majority = np.histogram(raw, bins=20)[0].max() / len(raw)
    if mode == "last" and majority > 0.6:
        ratio = max((1 - majority) * ratio, min(0.05, ratio))
    short_step = (q.granularity == "minutely" and q.interval < 60) or (
        q.granularity == "secondly" and q.interval < 3600
    )
    if period > 1:
        r = seasonal(y, period, ratio, mode, alpha)
        detector = None
    elif short_step and mad(y) >= EPS:
        detector = spectral_residual
        r = spectral_residual(y, ratio, mode)
    else:
        passed = trend(y, period)

        def detector(v, share_of_points, how):
            return dynamic_threshold(v, passed, share_of_points, how, alpha)

        r = dynamic_threshold(y, passed, ratio, mode, alpha)
    r.negative = r.flags & (r.expected > y)
    r.positive = r.flags & ~r.negative
    if detector:
        difference_step(y, r, ratio, detector, mode)
    return r


def detect(mode, request):
    if mode == "changepoint":
        return change_points(request)
    q = prepare(request)
    y, period, real = analysed(q, request)
    r = judge(y, q.v, period, q, request.get("maxAnomalyRatio", 0.25), mode, request.get("alpha", 0.05))
    for name in ("flags", "expected", "trend", "negative", "positive", "score"):
        if getattr(r, name) is not None:
            setattr(r, name, getattr(r, name)[real])
    r.flags = r.flags & (np.abs(q.v - r.expected) >= EPS)
    v1 = request.get("boundaryVersion", "V2") == "V1"
    up, low, severity = (margins_v1 if v1 else margins_v2)(q.v, r, request.get("sensitivity", 99))
    one = {
        "expectedValue": r.expected,
        "upperMargin": up,
        "lowerMargin": low,
        "isAnomaly": r.flags,
        "isNegativeAnomaly": r.flags & r.negative,
        "isPositiveAnomaly": r.flags & r.positive,
        "severity": severity,
    }
    if mode == "last":
        window = 4 * period if period else WINDOWS.get(q.granularity, 1440)
        return {"period": period, "suggestedWindow": window + 1} | {k: x[-1].item() for k, x in one.items()}
    plural = {"expectedValue": "expectedValues", "upperMargin": "upperMargins", "lowerMargin": "lowerMargins"}
    return {"period": period} | {plural.get(k, k): x.tolist() for k, x in one.items()}


# ------------------------------------------------------------------------------------------------ change points


def line_end(y, at):
    """Least-squares line through y over 0, 1, ..., evaluated at position `at`."""
    if len(y) == 1:
        return float(y[0])
    x = np.arange(len(y)) - (len(y) - 1) / 2
    slope = np.sum(x * (y - y.mean())) / np.sum(x * x)
    return y.mean() + slope * (at - (len(y) - 1) / 2)


def change_points(request):
    q = prepare(request)
    y, period, real = analysed(q, request)
    if period > 1:
        y = stl(y, period).trend
    threshold = request.get("threshold", 0.91 if q.granularity == "hourly" else 0.9)
    window = request.get("stableTrendWindow", STABLE.get(q.granularity, 100))
    flags, score = np.zeros(len(y), bool), np.zeros(len(y))
    for step in [0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, threshold]:
        if step < threshold or step is threshold:
            flags, score = kept(change_scan(y, 1 - step, window), (flags, score), window)
    return {"period": period, "isChangePoint": flags[real].tolist(), "confidenceScores": score[real].tolist()}


def kept(found, before, window):
    """What was found, and what was found before at a lower threshold and has none of `found` in its place."""
    flags, score = found
    free = set(np.flatnonzero(flags))
    for place in np.flatnonzero(before[0]):
        below = max((one for one in free if one < place), default=None)
        above = min((one for one in free if one >= place), default=None)
        near = [one for one in (below, above) if one is not None and abs(one - place) < window]
        if near:
            free.remove(min(near, key=lambda one: abs(one - place)))
        else:
            flags[place], score[place] = True, before[1][place]
    return flags, score


def change_scan(y, tolerance, window):
    n, spread = len(y), np.ptp(y)
    flags, score = np.zeros(n, bool), np.zeros(n)
    if spread == 0:
        return flags, score
    current, before, candidate = [], None, None
    for i in range(n):
        joined = np.array([*current, y[i]])
        score[i] = 0.0 if len(joined) == 1 else abs(y[i] - line_end(joined, len(joined) - 1)) / spread
        if score[i] > tolerance:
            if not (len(current) < window and before is not None):
                before = np.array(current)
            candidate, current = i, [y[i]]
            continue
        current.append(y[i])
        if candidate is not None and len(current) == window:
            e = abs(y[candidate] - line_end(before, len(before))) / spread
            if e > tolerance:
                flags[candidate], score[candidate] = True, e
            candidate = None
    return flags, score
