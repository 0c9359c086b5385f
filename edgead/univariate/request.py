"""The typed request of the service's univariate detection, and every rule that it must keep.

Messages speak of the fields by their names on the wire, so that one text serves Python and REST callers alike.
"""

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.univariate.arrays import FloatArray

Granularity = Literal[
    "none", "yearly", "monthly", "weekly", "daily", "hourly", "minutely", "secondly", "microsecond"
]
ImputeMode = Literal["auto", "previous", "linear", "fixed", "zero", "notFill"]
Boundary = Literal["v1", "v2"]

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
IMPUTE_MODES = ("auto", "previous", "linear", "fixed", "zero", "notFill")

LEAST_POINTS, MOST_POINTS = 12, 8640
VALUE_LIMIT = 1e100
LARGEST_RATIO = 0.49

#: Points that a new trend must last to make a change point; 100 where no granularity is named.
STABLE_WINDOWS = {
    "yearly": 3,
    "monthly": 6,
    "weekly": 3,
    "daily": 5,
    "hourly": 24,
    "minutely": 72,
    "secondly": 72,
}


def refuse(code: str, message: str) -> InvalidInput:
    """The exception of a broken rule."""
    return InvalidInput(message, code=code)


@dataclass(frozen=True, kw_only=True)
class Options:
    """Everything of a request but the series.

    Attributes
    ----------
    granularity : str
        Step of the grid; ``"none"``: points in order, times unused.  ``"microsecond"`` is a step of one millisecond,
        as the service had it.
    custom_interval : int > 0
        Steps of the grid between points.
    period : int >= 0, optional
        Points in one season, 0 = none; found if not given.
    max_anomaly_ratio : float, 0 < r <= 0.49
    sensitivity : int, 0..100
        Lower means wider margins and fewer anomalies.
    impute_mode : str
        How gaps of the grid are filled.
    impute_fixed_value : float, optional
        Needed with ``impute_mode="fixed"``.
    boundary : {"v1", "v2"}
        ``"v1"``: symmetric margins; ``"v2"``: what the live v1.1 service sent.
    alpha : float, 0 < alpha <= 1
        Chance of a false alarm of one outlier test.
    threshold : float, 0.01..0.99, optional
        Change points only: lower tolerates more and finds fewer.  By default 0.91 for hourly, else 0.9.
    stable_trend_window : int >= 3, optional
        Change points only: points a new trend must last, below half of the series.  By default by granularity.

    Raises
    ------
    InvalidInput
        With the service's code and a message that names the field and its range.
    """

    granularity: Granularity = "none"
    custom_interval: int = 1
    period: int | None = None
    max_anomaly_ratio: float = 0.25
    sensitivity: int = 99
    impute_mode: ImputeMode = "auto"
    impute_fixed_value: float | None = None
    boundary: Boundary = "v2"
    alpha: float = 0.05
    threshold: float | None = None
    stable_trend_window: int | None = None

    def __post_init__(self) -> None:
        # in the order in which the service looked
        _one_of("granularity", self.granularity, GRANULARITIES, "InvalidGranularity")
        _whole("customInterval", self.custom_interval, "InvalidCustomInterval", "an integer > 0", 1)
        if self.period is not None:
            _whole("period", self.period, "InvalidPeriod", "an integer >= 0", 0)
        _number("alpha", self.alpha, "a number > 0 and <= 1", lambda x: 0 < x <= 1)
        _number(
            "maxAnomalyRatio",
            self.max_anomaly_ratio,
            "a number > 0 and <= 0.49",
            lambda x: 0 < x <= LARGEST_RATIO,
        )
        _whole("sensitivity", self.sensitivity, "InvalidModelArgument", "an integer between 0 and 99", 0, 100)
        if self.threshold is not None:
            _number(
                "threshold", self.threshold, "a number between 0.01 and 0.99", lambda x: 0.01 <= x <= 0.99
            )
        _one_of("imputeMode", self.impute_mode, IMPUTE_MODES, "InvalidImputeMode")
        if self.impute_mode == "fixed" or self.impute_fixed_value is not None:
            _number(
                "imputeFixedValue",
                self.impute_fixed_value,
                "a number within -1e100..1e100 (required if 'imputeMode' is 'fixed')",
                lambda x: abs(x) <= VALUE_LIMIT,
                "InvalidImputeFixedValue",
            )
        _one_of("boundaryVersion", self.boundary, ("v1", "v2"), "InvalidModelArgument")
        if self.stable_trend_window is not None:
            field, code = "stableTrendWindow", "InvalidModelArgument"
            _whole(field, self.stable_trend_window, code, "an integer >= 3 and below half of the series", 3)


@dataclass(frozen=True, kw_only=True)
class Request(Options):
    """A series and how it is to be judged.

    Attributes
    ----------
    values : ndarray of float64, shape (n,), n = 12..8640
        Finite, within -1e100..1e100.
    times_us : ndarray of int64, shape (n,), optional
        Microseconds since 1970 UTC, strictly ascending; needed unless `granularity` is ``"none"``.
    """

    values: FloatArray
    times_us: NDArray[np.int64] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        values = np.ascontiguousarray(self.values, np.float64)
        if values.ndim != 1:
            raise refuse(
                "BadArgument", f"The 'series' field must be one-dimensional, its shape is {values.shape}."
            )
        check_count(len(values))
        check_values(values)
        object.__setattr__(self, "values", values)
        if self.granularity != "none":
            object.__setattr__(self, "times_us", self._checked_times())
        window = self.stable_trend_window
        if window is not None and window >= len(values) / 2:
            raise refuse(
                "InvalidModelArgument",
                f"The 'stableTrendWindow' field must be an integer >= 3 and below half of the series, "
                f"which has {len(values)} points; it is {shown(window)}.",
            )

    def _checked_times(self) -> NDArray[np.int64]:
        if self.times_us is None:
            raise refuse("BadArgument", "The 'timestamp' at index 0 is missing: 'granularity' is not 'none'.")
        times = np.ascontiguousarray(self.times_us)
        if times.dtype != np.int64 or times.shape != self.values.shape:
            raise refuse("BadArgument", "Times must be int64 microseconds, as many as values.")
        check_order(times)
        return times

    @classmethod
    def of(cls, values: FloatArray, times_ns: NDArray[np.int64] | None = None, **options: Any) -> "Request":
        """A request from arrays with times in nanoseconds, which are cut to microseconds."""
        times = None if times_ns is None else np.asarray(times_ns, np.int64) // 1000
        return cls(values=values, times_us=times, **options)


def shown(value: object) -> str:
    """`value` for a message, cut to a readable length whatever it is."""
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return "an integer of more than 30 digits"
    if isinstance(value, (list, dict, tuple, set)):
        return f"{'a' if value else 'an empty'} {type(value).__name__}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def _one_of(field: str, value: object, known: tuple[str, ...], code: str) -> None:
    if not isinstance(value, str) or value not in known:
        raise refuse(code, f"The '{field}' field must be one of {', '.join(known)}; it is {shown(value)}.")


def _whole(field: str, value: object, code: str, rule: str, least: int, most: int = 2**31 - 1) -> None:
    """An integer least..most, not a bool; the upper end of int32 is the wire's."""
    if isinstance(value, np.integer):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not least <= value <= most:
        raise refuse(code, f"The '{field}' field must be {rule}; it is {shown(value)}.")


def _number(field: str, value: object, rule: str, holds: Any, code: str = "InvalidModelArgument") -> None:
    """A finite number, not a bool, for which the rule holds."""
    if isinstance(value, (np.floating, np.integer)):
        value = value.item()
    number = isinstance(value, (int, float)) and not isinstance(value, bool)
    if number and isinstance(value, int) and abs(value) > 10**300:
        number = False
    if not number or not math.isfinite(value) or not holds(value):  # type: ignore[arg-type]
        raise refuse(code, f"The '{field}' field must be {rule}; it is {shown(value)}.")


def check_count(n: int) -> None:
    """Refuse too short and too long series."""
    if not LEAST_POINTS <= n <= MOST_POINTS:
        raise refuse(
            "InvalidSeries",
            f"The 'series' field must have at least {LEAST_POINTS} and at most {MOST_POINTS} points, it has {n}.",
        )


def check_values(values: FloatArray) -> None:
    """Refuse NaN and values out of range, naming the first."""
    good = np.abs(values) <= VALUE_LIMIT
    if good.all():
        return
    i = int(np.argmin(good))
    if math.isnan(values[i]):
        raise refuse("BadArgument", f"The 'value' at index {i} must be a number, it is NaN.")
    raise refuse(
        "InvalidSeries", f"The 'value' at index {i} must be within -1e100..1e100, it is {float(values[i])!r}."
    )


def check_order(times: NDArray[np.int64]) -> None:
    """Refuse times that do not strictly ascend, naming the first."""
    if (times[1:] > times[:-1]).all():
        return
    i = int(np.argmax(times[1:] <= times[:-1]))
    if times[i + 1] == times[i]:
        text = f"The 'series' field cannot have duplicated timestamp: index {i + 1} repeats index {i}."
    else:
        text = f"The 'series' field must be sorted by timestamp in ascending order: index {i + 1} is before index {i}."
    raise refuse("InvalidSeries", text)
