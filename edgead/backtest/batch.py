"""The service's three operations over the columns of a recording: entire, last, change points."""

from typing import Any, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.recording import Recording, Times, Values
from edgead.univariate import Request, detect_change_points, detect_entire, detect_last

BatchMode = Literal["entire", "last", "changepoint"]
BATCH_MODES: tuple[BatchMode, ...] = ("entire", "last", "changepoint")

#: Points that one request may have; of a longer recording mode last judges with the newest.
MOST_POINTS = 8640

_SECOND_NS = 10**9
_STEPS = {
    "weekly": 604_800 * _SECOND_NS,
    "daily": 86_400 * _SECOND_NS,
    "hourly": 3_600 * _SECOND_NS,
    "minutely": 60 * _SECOND_NS,
    "secondly": _SECOND_NS,
    "microsecond": 10**6,  # what the service calls so is a millisecond
}


class Judged(msgspec.Struct, frozen=True, kw_only=True):
    """What a batch mode says about one column; arrays of shape (n,), one for each cell with a value.

    Attributes
    ----------
    column : str
    mode : {"entire", "last", "changepoint"}
    period : int
        Points in one season, 0 = none.
    model : str
        Which detector judged; "" for change points.
    times_ns, values
        Of the cells with a value.
    expected, lower, upper : ndarray of float64
        NaN where nothing was judged: all but the last point of mode last, every point of change points.
    is_anomaly, is_change_point : ndarray of bool
    severity, confidence : ndarray of float64
        0..1.
    granularity : str
        With its interval, e.g. ``"15 minutely"``.
    notes : tuple of str
    """

    column: str
    mode: BatchMode
    period: int
    model: str = ""
    times_ns: Times
    values: Values
    expected: Values
    lower: Values
    upper: Values
    is_anomaly: NDArray[np.bool_]
    is_change_point: NDArray[np.bool_]
    severity: Values
    confidence: Values
    granularity: str
    notes: tuple[str, ...] = ()


def judge_column(recording: Recording, column: str, mode: BatchMode, options: dict[str, Any]) -> Judged:
    """Judge one column by one of the service's operations.

    Parameters
    ----------
    recording : Recording
        Cells without a value are left out; with a granularity they are gaps of its grid.
    column : str
        Its name.
    mode : {"entire", "last", "changepoint"}
        Which operation.
    options : dict
        Options of `edgead.univariate.Request`; without ``granularity`` it is that of the times.

    Raises
    ------
    InvalidInput
        Naming file and column, with the service's code.
    """
    known = ~np.isnan(recording.columns[column])
    times, values = recording.times_ns[known], recording.columns[column][known]
    notes: tuple[str, ...] = ()
    if mode == "last" and len(values) > MOST_POINTS:
        times, values = times[-MOST_POINTS:], values[-MOST_POINTS:]
        notes = (f"judged with the newest {MOST_POINTS} points",)
    options = dict(options)
    if "granularity" not in options:
        options["granularity"], options["custom_interval"] = guess_granularity(times)
        if options["granularity"] == "none" and recording.timed:
            notes = (*notes, "times are not evenly spaced: judged as a plain sequence (granularity none)")
    try:
        request = Request.of(values, times, **options)
        found = _found(request, mode)
    except InvalidInput as error:
        raise InvalidInput(f"{recording.path}: {column}: {error.message}", code=error.code) from None
    granularity = f"{options.get('custom_interval', 1)} {options['granularity']}".removeprefix("1 ")
    return Judged(
        column=column,
        mode=mode,
        times_ns=times,
        values=values,
        granularity=granularity,
        notes=notes,
        **{**_blank(len(values)), **found},
    )


def _blank(n: int) -> dict[str, Any]:
    """Fields of a mode that has nothing to say of them."""
    bands = {name: np.full(n, np.nan) for name in ("expected", "lower", "upper")}
    flags = {name: np.zeros(n, np.bool_) for name in ("is_anomaly", "is_change_point")}
    return {**bands, **flags, "severity": np.zeros(n), "confidence": np.zeros(n)}


def _found(request: Request, mode: BatchMode) -> dict[str, Any]:
    if mode == "changepoint":
        changes = detect_change_points(request)
        found = {"is_change_point": changes.is_change_point, "confidence": changes.confidence}
        return {"period": changes.period, **found}
    if mode == "entire":
        whole = detect_entire(request)
        return {
            "period": whole.period,
            "model": whole.model,
            "expected": whole.expected,
            "lower": whole.expected - whole.lower_margin,
            "upper": whole.expected + whole.upper_margin,
            "is_anomaly": whole.is_anomaly,
            "severity": whole.severity,
        }
    last = detect_last(request)
    found = _blank(len(request.values))
    found["expected"][-1] = last.expected
    found["lower"][-1] = last.expected - last.lower_margin
    found["upper"][-1] = last.expected + last.upper_margin
    found["is_anomaly"][-1], found["severity"][-1] = last.is_anomaly, last.severity
    return {**found, "period": last.period, "model": last.model}


def guess_granularity(times_ns: Times) -> tuple[str, int]:
    """Granularity and custom interval of the grid that all times lie on; ``("none", 1)`` if there is none.

    Parameters
    ----------
    times_ns : ndarray of int64, shape (n,)
        Epoch nanoseconds.
    """
    steps = np.diff(times_ns)
    if len(steps) == 0 or steps.min() <= 0:
        return "none", 1
    by_calendar = _calendar(times_ns)
    if by_calendar is not None:
        return by_calendar
    step = int(np.median(steps))
    if ((times_ns - times_ns[0]) % step).any():
        step = int(np.gcd.reduce(steps))
        if step * 4 < np.median(steps):  # a grid that is mostly holes is none
            return "none", 1
    for name, unit in _STEPS.items():
        if step % unit == 0:
            return name, step // unit
    return "none", 1


def _calendar(times_ns: Times) -> tuple[str, int] | None:
    """Months or years between the same days of the month, counted from its start or from its end."""
    times = times_ns.astype("datetime64[ns]")
    months = times.astype("datetime64[M]")
    since, until = times - months, months + 1 - times
    if (since != since[0]).any() and (until != until[0]).any():
        return None
    apart = np.diff(months.astype(np.int64))
    if apart.min() < 1:
        return None
    interval = int(np.gcd.reduce(apart))
    return ("yearly", interval // 12) if interval % 12 == 0 else ("monthly", interval)
