"""Random requests of the service's detection: valid ones, and wild ones that may break any rule."""

from datetime import UTC, datetime, timedelta

import numpy as np

GRANULARITIES = (
    "none",
    "yearly",
    "monthly",
    "weekly",
    "daily",
    "hourly",
    "minutely",
    "secondly",
    "microsecond",
)
SECONDS = {
    "weekly": 604800,
    "daily": 86400,
    "hourly": 3600,
    "minutely": 60,
    "secondly": 1,
    "microsecond": 0.001,
}
IMPUTE = ("auto", "previous", "linear", "fixed", "zero", "notFill")
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def values(r, n):
    """A series of one of the kinds that sensors send."""
    t, x = np.arange(n), r.normal(size=n)
    period = int(r.integers(4, max(5, n // 2)))
    kind = r.integers(10)
    v = [
        lambda: x,
        lambda: np.cumsum(x),
        lambda: np.sin(2 * np.pi * t / period) * 3 + 0.2 * x,
        lambda: np.sin(2 * np.pi * t / period) * 3 + 0.05 * t + 0.2 * x,
        lambda: np.abs(x) * (1 + np.sin(2 * np.pi * t / period)),
        lambda: np.exp(0.5 * np.sin(2 * np.pi * t / period) + 0.05 * x),
        lambda: np.round(3 * x),
        lambda: np.where(r.random(n) < 0.2, 1.0, 0.0),
        lambda: np.full(n, float(r.integers(-3, 4))),
        lambda: np.cumsum(x) + 5 * (t > n * r.random()),
    ][kind]()
    for _ in range(int(r.integers(0, 4))):
        v[int(r.integers(n))] += float(r.normal()) * 8
    if r.random() < 0.3:
        v[-1] += float(r.choice([-1, 1])) * 6
    return v * 10.0 ** r.integers(-3, 4) + float(r.choice([0, 0, 10, 1000]))


def times(r, n, granularity, interval, missing):
    """Times on the grid, a share of them left out; the first and last stay."""
    keep = np.flatnonzero(r.random(2 * n) >= missing)[: n - 1] if missing else np.arange(1, n)
    steps = [0, *(int(k) + 1 for k in keep)] if missing else [0, *map(int, keep)]
    if granularity in SECONDS:
        start = EPOCH + timedelta(days=int(r.integers(0, 18000)))
        return [start + timedelta(seconds=SECONDS[granularity] * interval * k) for k in steps]
    year, month, day = int(r.integers(1950, 2020)), int(r.integers(1, 13)), int(r.choice([1, 15, 28]))
    months = [month - 1 + k * interval * (12 if granularity == "yearly" else 1) for k in steps]
    return [datetime(year + m // 12, m % 12 + 1, day, tzinfo=UTC) for m in months if year + m // 12 < 9999]


def text(moment):
    form = moment.strftime("%Y-%m-%dT%H:%M:%S").rjust(19, "0")
    return form + (f".{moment.microsecond:06}Z" if moment.microsecond else "Z")


def valid(r, longest=300, gaps=True):
    """(mode, request) that keeps every rule."""
    mode = str(r.choice(["entire", "last"]))
    granularity = str(r.choice(GRANULARITIES))
    interval = int(r.choice([1, 1, 1, 5, 15])) if granularity in ("minutely", "secondly", "hourly") else 1
    missing = float(r.choice([0, 0, 0.05, 0.3])) if gaps and granularity != "none" else 0.0
    n = int(r.integers(12, longest + 1))
    moments = times(r, n, granularity, interval, missing)
    v = values(r, len(moments))
    series = [{"timestamp": text(m), "value": float(x)} for m, x in zip(moments, v)]
    request = {"series": series, "granularity": granularity, "customInterval": interval}
    request["sensitivity"] = int(r.choice([0, 30, 80, 95, 99, 100]))
    request["maxAnomalyRatio"] = float(r.choice([0.01, 0.1, 0.25, 0.49]))
    request["boundaryVersion"] = str(r.choice(["V1", "V2"]))
    if r.random() < 0.3:
        request["period"] = int(r.choice([0, 1, 7, max(2, (n - 1) // 4)]))
        if 2 * request["period"] + 1 > n:
            request["period"] = 0
    if r.random() < 0.5:
        request["imputeMode"] = str(r.choice(IMPUTE))
        if request["imputeMode"] == "fixed":
            request["imputeFixedValue"] = float(r.normal())
    return mode, request


JUNK = (
    None, True, False, -1, 0, 1, 1.5, "", "7", "hourly", [], {}, [1], float("nan"), float("inf"), 10**400, -(2**63),
    "\x00", 1e308,
)  # fmt: skip
FIELDS = (
    "series", "granularity", "customInterval", "period", "maxAnomalyRatio", "sensitivity", "imputeMode",
    "imputeFixedValue", "boundaryVersion", "alpha", "threshold", "stableTrendWindow", "detector", "\ud800",
)  # fmt: skip
EXTREMES = (
    float("nan"), float("inf"), 1e100, -1e100, 1e101, 1e-300, 5e-324, 0.0, -0.0, 1e16, True, None, "3", "x", "nan",
    10**320,
)  # fmt: skip


def rescale(series, largest):
    """Give the numbers of a series, as far as there are any, this largest size."""
    numbers = [p for p in series if type(p["value"]) is float]
    size = max((abs(p["value"]) for p in numbers), default=0.0) or 1.0
    for p in numbers:
        p["value"] = p["value"] / size * largest


def wild(r, longest=9000):
    """(mode, request) that may break any rule, or none."""
    mode, request = valid(r, longest=int(r.choice([14, 60, 300, longest], p=[0.5, 0.4, 0.095, 0.005])))
    mode = str(r.choice([mode, "changepoint"], p=[0.75, 0.25]))
    series = request["series"]
    for _ in range(int(r.integers(0, 3))):
        i = int(r.integers(len(series)))
        what = r.integers(7)
        if what == 0:
            series[i]["value"] = EXTREMES[r.integers(len(EXTREMES))]
        elif what == 1:
            rescale(series, float(r.choice([1e100, 1e-300, 1e-310, 1e50])))
        elif what == 2:
            series[i]["timestamp"] = series[i - 1].get("timestamp")
        elif what == 3:
            request["series"] = series = series[: int(r.integers(0, 13))] or series
        elif what == 4:
            request[FIELDS[r.integers(1, len(FIELDS))]] = JUNK[r.integers(len(JUNK))]
        elif what == 5:
            request["period"] = int(
                r.choice([2, 3, 5, len(series) // 2, (len(series) - 1) // 2, 4320, 10**9])
            )
        elif r.random() < 0.2:
            series[i] = JUNK[r.integers(len(JUNK))]
            break
    if r.random() < 0.01:
        request["series"] = JUNK[r.integers(len(JUNK))]
    return mode, request
