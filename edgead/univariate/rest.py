"""REST v1.1 bodies to requests and results to bodies: the one place of the univariate names on the wire."""

import re
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.native import svc_parse_times, svc_read_json, svc_read_points
from edgead.univariate.arrays import FloatArray
from edgead.univariate.changepoint import ChangePointResult, detect_change_points
from edgead.univariate.detect import EntireResult, LastResult, detect_entire, detect_last
from edgead.univariate.request import Options, Request, check_count, refuse, shown

#: Field on the wire -> option.
FIELDS = {
    "granularity": "granularity",
    "customInterval": "custom_interval",
    "period": "period",
    "alpha": "alpha",
    "maxAnomalyRatio": "max_anomaly_ratio",
    "sensitivity": "sensitivity",
    "threshold": "threshold",
    "imputeMode": "impute_mode",
    "imputeFixedValue": "impute_fixed_value",
    "boundaryVersion": "boundary",
    "stableTrendWindow": "stable_trend_window",
}

#: Fields that only a change-point request gives a meaning to.
CHANGE_FIELDS = ("threshold", "stableTrendWindow")
#: Fields that a change-point request does not know.
ANOMALY_FIELDS = (
    "alpha",
    "maxAnomalyRatio",
    "sensitivity",
    "imputeMode",
    "imputeFixedValue",
    "boundaryVersion",
)

BOUNDARIES = {"V1": "v1", "V2": "v2", "V3": "v2"}
#: Fields that the documents of the service do not have -> whether a value has a meaning here.  With any other the field
#: is ignored as every unknown one is: a program that the service answered must not be refused for it.
EXTRAS: dict[str, Callable[[object], bool]] = {
    "boundaryVersion": lambda value: isinstance(value, str) and value in BOUNDARIES,
    "alpha": lambda value: isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= 1,
}
OLD_IMPUTE_MODES = {"last": "previous", "no": "notFill"}
MODES = ("entire", "last", "changepoint")


def detect(mode: str, request: Any) -> dict[str, Any]:
    """Answer a request of the REST API v1.1, both as plain dictionaries.

    Parameters
    ----------
    mode : {"entire", "last", "changepoint"}
        Which operation.
    request : dict
        The request's body.  Unknown fields are ignored.  Besides the API's own fields: ``boundaryVersion`` (V1:
        symmetric margins; V2, V3 and by default: what the live v1.1 service sent) and ``alpha`` (above 0, to 1).  The
        documents of the service do not have these two, so with any other value they are unknown fields.

    Returns
    -------
    dict
        The answer's body: numbers, booleans and lists of them.

    Raises
    ------
    InvalidInput
        With ``.code`` (of the API's list) and ``.message`` (naming field, index and allowed range), whatever
        `request` is.

    Examples
    --------
    >>> import edgead
    >>> series = [{"value": float(v)} for v in [5, 6, 5, 6, 5, 6, 5, 6, 5, 6, 5, 60]]
    >>> edgead.detect("last", {"series": series, "granularity": "none"})["isAnomaly"]
    True
    """
    if mode not in MODES:
        raise refuse("BadArgument", f"The mode must be one of {', '.join(MODES)}; it is {shown(mode)}.")
    if mode == "changepoint":
        return _change_body(detect_change_points(read_request(mode, request)))
    if mode == "last":
        return _last_body(detect_last(read_request(mode, request)))
    return _entire_body(detect_entire(read_request(mode, request)))


# ---------------------------------------------------------------- in

_SERIES = re.compile(rb'"series"[ \t\r\n]*:[ \t\r\n]*(?=\[)')
#: Stands for points that were read already, as text and in JSON.
_READ = "edgead: read already"
_STANDS_FOR_IT = msgspec.json.encode(_READ)


class ReadSeries(NamedTuple):
    """A series that was read already.

    Attributes
    ----------
    values : ndarray of float64, shape (n,)
    times_us : ndarray of int64, shape (n,), or None
        Microseconds since 1970 UTC; None where the granularity needs none and not all points have one.
    """

    values: FloatArray
    times_us: NDArray[np.int64] | None


def read_json(data: bytes) -> Any:
    """The body in a JSON text, its series as `ReadSeries` where all points have the usual form.

    The same requests are right and wrong as by way of plain dictionaries; this is a shorter way: the points are read
    where they stand, and the rest of the text, with a word in their place, is decoded.

    Raises
    ------
    msgspec.DecodeError
        If the text is not JSON.
    """
    place = _SERIES.search(data)
    read = svc_read_json(memoryview(data)[place.end() :]) if place else None
    if place is None or read is None:
        return msgspec.json.decode(data)
    values, times, length = read
    start = place.end()
    try:
        body = msgspec.json.decode(b"%b%b%b" % (data[:start], _STANDS_FOR_IT, data[start + length :]))
    except msgspec.DecodeError:
        return msgspec.json.decode(data)  # with the place of what is wrong
    # it may have stood deeper, or come twice
    mine = isinstance(body, dict) and body.get("series") == _READ
    if not mine or (times is None and body.get("granularity") not in (None, "none")):
        return msgspec.json.decode(data)
    body["series"] = ReadSeries(values, times)
    return body


def is_capital(body: Any) -> bool:
    """Whether the names of a body begin with capitals (``Series``).

    The service took such bodies (MicrosoftDocs/azure-docs issue 70898); its tutorial for Power BI reads ``IsAnomaly``.
    """
    return isinstance(body, dict) and "Series" in body and "series" not in body


def small_names(body: dict[str, Any]) -> dict[str, Any]:
    """A body whose names begin with capitals, its points included, as all others are written."""
    found = _renamed(body, str.lower)
    if isinstance(found["series"], list):
        found["series"] = [
            _renamed(point, str.lower) if isinstance(point, dict) else point for point in found["series"]
        ]
    return found


def capital_names(answer: dict[str, Any]) -> dict[str, Any]:
    """An answer as who writes names with capitals reads it."""
    return _renamed(answer, str.upper)


def _renamed(names: dict[str, Any], first: Callable[[str], str]) -> dict[str, Any]:
    return {first(name[:1]) + name[1:]: value for name, value in names.items()}


def read_request(mode: str, body: Any) -> Request:
    """The typed request of a body.

    Raises
    ------
    InvalidInput
        For whatever is wrong with it.
    """
    if not isinstance(body, dict):
        raise refuse("InvalidJsonFormat", f"The request must be a JSON object; it is {shown(body)}.")
    if "series" not in body:
        raise refuse("RequiredSeries", "The 'series' field is required in request.")
    if mode == "changepoint" and body.get("granularity") is None:
        raise refuse("RequiredGranularity", "The 'granularity' field is required in request.")
    options = _read_options(mode, body)
    timed = Options(**options).granularity != "none"
    values, times = read_series(body["series"], timed)
    return Request(values=values, times_us=times, **options)


def _read_options(mode: str, body: dict[Any, Any]) -> dict[str, Any]:
    foreign = ANOMALY_FIELDS if mode == "changepoint" else CHANGE_FIELDS
    options = {}
    for wire, name in FIELDS.items():
        value = body.get(wire)
        if value is None or wire in foreign:
            continue
        if wire in EXTRAS and not EXTRAS[wire](value):
            continue
        if wire == "boundaryVersion":
            value = BOUNDARIES[value]
        elif wire == "imputeMode" and isinstance(value, str):
            value = OLD_IMPUTE_MODES.get(value, value)
        elif wire == "imputeFixedValue" and body.get("imputeMode") != "fixed":
            continue
        options[name] = value
    return options


def read_series(series: Any, timed: bool) -> tuple[FloatArray, NDArray[np.int64] | None]:
    """Values, and times in microseconds if `timed`, of the list of points on the wire."""
    if isinstance(series, ReadSeries):
        check_count(len(series.values))
        return series.values, series.times_us if timed else None
    if not isinstance(series, list) or not series:
        raise refuse(
            "BadArgument",
            f"The 'series' field must be a list of points and not empty; it is {shown(series)}.",
        )
    check_count(len(series))
    plain = svc_read_points(series, timed)
    if plain is not None:
        return plain[0], plain[1] if timed else None
    if set(map(type, series)) != {dict}:
        i = next(k for k, point in enumerate(series) if type(point) is not dict)
        raise refuse(
            "BadArgument", f"The point at index {i} of 'series' must be an object; it is {shown(series[i])}."
        )
    values = _column(series, "value")
    if set(map(type, values)) != {float}:
        values = [_value(x, i) for i, x in enumerate(values)]
    times = _times(_column(series, "timestamp")) if timed else None
    return np.array(values, np.float64), times


def _column(series: list[dict[str, Any]], field: str) -> list[Any]:
    """One field of all points, None where it is missing."""
    try:
        return [point[field] for point in series]
    except KeyError:
        return [point.get(field) for point in series]


def _value(x: Any, i: int) -> float:
    """A number, or text that holds one: the service took both."""
    kind = type(x)
    if kind is float:
        return float(x)
    if kind is int:
        return float(x) if abs(x) < 1 << 1000 else float("inf")
    if kind is str and len(x) <= 400 and x.isascii() and "_" not in x:
        try:
            return float(x)
        except ValueError:
            pass
    raise refuse("BadArgument", f"The 'value' at index {i} must be a number; it is {shown(x)}.")


def _times(texts: list[Any]) -> NDArray[np.int64]:
    micros, bad = svc_parse_times(texts)
    while bad >= 0:
        texts = texts[:]
        texts[bad] = _unusual_time(texts[bad], bad)
        micros, bad = svc_parse_times(texts)
    return micros


def _unusual_time(value: Any, i: int) -> str:
    """ISO 8601 in a form that the quick reader does not know (weeks, no dashes), or a datetime, in the common form."""
    try:
        moment = value if isinstance(value, datetime) else datetime.fromisoformat(value)
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        return moment.astimezone(UTC).isoformat()
    except (TypeError, ValueError, OverflowError):
        raise refuse(
            "BadArgument", f"The 'timestamp' at index {i} must be an ISO 8601 time; it is {shown(value)}."
        ) from None


# ---------------------------------------------------------------- out


def _entire_body(r: EntireResult) -> dict[str, Any]:
    return {
        "period": r.period,
        "expectedValues": r.expected.tolist(),
        "upperMargins": r.upper_margin.tolist(),
        "lowerMargins": r.lower_margin.tolist(),
        "isAnomaly": r.is_anomaly.tolist(),
        "isNegativeAnomaly": r.is_negative.tolist(),
        "isPositiveAnomaly": r.is_positive.tolist(),
        "severity": r.severity.tolist(),
    }


def _last_body(r: LastResult) -> dict[str, Any]:
    return {
        "period": r.period,
        "suggestedWindow": r.suggested_window,
        "expectedValue": r.expected,
        "upperMargin": r.upper_margin,
        "lowerMargin": r.lower_margin,
        "isAnomaly": r.is_anomaly,
        "isNegativeAnomaly": r.is_negative,
        "isPositiveAnomaly": r.is_positive,
        "severity": r.severity,
    }


def _change_body(r: ChangePointResult) -> dict[str, Any]:
    return {
        "period": r.period,
        "isChangePoint": r.is_change_point.tolist(),
        "confidenceScores": r.confidence.tolist(),
    }
