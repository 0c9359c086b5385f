"""Bodies of multivariate requests, read strictly: the first thing that is wrong is told with the service's code."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import numpy as np

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy
from edgead.multivariate.scoring import TOP_CONTRIBUTORS
from edgead.multivariate.spec import MAX_VARIABLES, MAX_WINDOW, MIN_WINDOW
from edgead.recording import Times, Values
from edgead.recording.cells import times as read_times
from edgead.server.answers import MAX_CONTRIBUTORS
from edgead.server.wire import read_time

#: Characters of a display name, and of a source (limits of the service and of a URL).
NAME_CHARS, SOURCE_CHARS = 24, 8192
#: Timestamps of a variable in a body (limit of the service).
INLINE_ROWS = 2880
DEFAULT_WINDOW = 300
#: Code of a parameter that has none of its own.
PARAMETER = "InvalidRequestParameterError"
SCHEMAS = ("OneTable", "MultiTable")
MODES = ("Inner", "Outer")
FILLS = ("Previous", "Subsequent", "Linear", "Zero", "Fixed")
#: Of the preview versions, with Inner alone: a table of common times has no holes.
NO_FILL = "NotFill"
#: What the first preview called Fixed.
PAD = "Pad"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_NS = 2**63 - 1


class TrainRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a model was asked for, with the defaults filled in.

    Attributes
    ----------
    source, schema : str
    start, end : str
        As the service writes times.
    start_ns, end_ns : int
    display_name : str
    window : int
    mode, fill : str
    padding : float
    """

    source: str
    schema: str
    start: str
    end: str
    start_ns: int
    end_ns: int
    display_name: str
    window: int
    mode: str
    fill: str
    padding: float

    @property
    def policy(self) -> AlignPolicy:
        """How variables become one table."""
        fill = "Linear" if self.fill == NO_FILL else self.fill
        return AlignPolicy(self.mode, fill, self.padding)  # type: ignore[arg-type]  # both were looked up


class DetectRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What a detection was asked for.

    Attributes
    ----------
    source : str
    schema : str
        "" = as the training data of the model.
    start, end : str
    start_ns, end_ns : int
    top : int
        Contributors of an anomaly.
    """

    source: str
    schema: str = ""
    start: str
    end: str
    start_ns: int
    end_ns: int
    top: int = TOP_CONTRIBUTORS


class LastRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Rows sent along.

    Attributes
    ----------
    columns : dict of str to (times, values)
        By variable, rising times.
    top : int
    rows : int
        Newest rows to judge.
    """

    columns: dict[str, tuple[Times, Values]]
    top: int = TOP_CONTRIBUTORS
    rows: int = 1


def train_request(body: object, *, preview: bool = False) -> TrainRequest:
    """Read the body of a training.

    Parameters
    ----------
    body : object
        Decoded JSON.
    preview : bool
        As the preview versions have it: ``source``, a zip of files.

    Raises
    ------
    InvalidInput
        With a code of the contract.
    """
    given = _object(body)
    source = _source(given, preview)
    start, end = _span(given)
    align = _align(given.get("alignPolicy"), preview)
    return TrainRequest(
        source=source,
        schema="MultiTable" if preview else _chosen(given, "dataSchema", SCHEMAS, "OneTable", PARAMETER),
        start=_time_words(start),
        end=_time_words(end),
        start_ns=_ns(start),
        end_ns=_ns(end),
        display_name=_display_name(given),
        window=_whole(given, "slidingWindow", MIN_WINDOW, MAX_WINDOW, DEFAULT_WINDOW, "InvalidSlidingWindow"),
        mode=align[0],
        fill=align[1],
        padding=align[2],
    )


def detect_request(body: object, *, preview: bool = False) -> DetectRequest:
    """Read the body of a detection; arguments and errors as of `train_request`."""
    given = _object(body)
    source = _source(given, preview)
    start, end = _span(given)
    return DetectRequest(
        source=source,
        schema="MultiTable" if preview else "",
        start=_time_words(start),
        end=_time_words(end),
        start_ns=_ns(start),
        end_ns=_ns(end),
        top=TOP_CONTRIBUTORS if preview else _top(given),
    )


def last_request(body: object, *, preview: bool = False) -> LastRequest:
    """Read the body of a detection of the newest row; arguments and errors as of `train_request`."""
    given = _object(body)
    variables = given.get("variables")
    if not isinstance(variables, list) or not variables:
        raise InvalidInput("The 'variables' field is required: a list of variables.", code="NoVariablesFound")
    if len(variables) > MAX_VARIABLES:
        raise InvalidInput(
            f"The 'variables' field has {len(variables)} variables, at most {MAX_VARIABLES}.",
            code="DataExceedsLimit",
        )
    reader = _Inline()
    for place, each in enumerate(variables):
        reader.add(place, each)
    if preview:
        rows = _whole(given, "detectingPoints", 1, 10, 1, PARAMETER)
        return LastRequest(columns=reader.columns, rows=rows)
    return LastRequest(columns=reader.columns, top=_top(given))


def page(query: Mapping[str, str], *, top: int) -> tuple[int, int]:
    """``skip`` and ``top`` of a list, with or without the dollar sign.

    Raises
    ------
    InvalidInput
        ``InvalidRequestParameterError``.
    """

    def number(name: str, default: int) -> int:
        text = query.get(name, query.get(f"${name}", "")).strip()
        if not text:
            return default
        if not (text.isascii() and text.isdigit() and len(text) < 10):
            message = f"The '{name}' parameter must be a whole number >= 0, got {text[:20]!r}."
            raise InvalidInput(message, code=PARAMETER)
        return int(text)

    return number("skip", 0), number("top", top)


class _Inline:
    """Variables of a body, one after the other; most have the same times, which are read once."""

    def __init__(self) -> None:
        self.columns: dict[str, tuple[Times, Values]] = {}
        self._texts: object = None
        self._times: Times | None = None

    def add(self, place: int, given: object) -> None:
        where = f"variables[{place}]"
        if not isinstance(given, dict):
            raise InvalidInput(f"{where} must be an object.", code="InvalidJsonFormat")
        name = next((given[key] for key in ("variable", "variableName", "name") if key in given), None)
        if not isinstance(name, str) or not name:
            raise InvalidInput(
                f"{where}.variable is required: the name of a variable.", code="NoVariablesFound"
            )
        if name in self.columns:
            raise InvalidInput(f"{where}: the variable {name!r} is there twice.", code="DuplicatedVariables")
        texts, numbers = given.get("timestamps"), given.get("values")
        if not isinstance(texts, list) or not isinstance(numbers, list) or not texts:
            raise InvalidInput(f"{where} needs 'timestamps' and 'values', two lists.", code="NotEnoughInput")
        if len(texts) != len(numbers):
            raise InvalidInput(
                f"{where} has {len(texts)} timestamps and {len(numbers)} values, expected as many.",
                code="MergeDataFailed",
            )
        if len(texts) > INLINE_ROWS:
            raise InvalidInput(
                f"{where} has {len(texts)} timestamps, at most {INLINE_ROWS}.", code="DataExceedsLimit"
            )
        self.columns[name] = self._in_order(where, self._read(where, texts), _floats(where, numbers))

    def _read(self, where: str, texts: list[Any]) -> Times:
        if self._times is None or texts != self._texts:
            wrong = next((at for at, text in enumerate(texts) if not isinstance(text, str)), None)
            found = wrong if wrong is not None else read_times(texts)
            if isinstance(found, int):
                raise InvalidInput(
                    f"{where}.timestamps[{found}] = {str(texts[found])[:40]!r} is no time, expected one such as "
                    "2021-01-01T00:00:00Z.",
                    code="InvalidTimestampFormat",
                )
            self._texts, self._times = texts, found
        return self._times

    def _in_order(self, where: str, times: Times, values: Values) -> tuple[Times, Values]:
        if (np.diff(times) <= 0).any():
            order = np.argsort(times, kind="stable")
            times, values = times[order], values[order]
            if (np.diff(times) == 0).any():
                raise InvalidInput(f"{where}.timestamps: a time occurs twice.", code="MergeDataFailed")
        return times, values


def _floats(where: str, numbers: list[Any]) -> Values:
    try:
        values = np.array(msgspec.convert(numbers, list[float], strict=False), np.float64)
    except msgspec.ValidationError:
        values = np.array([_float(each) for each in numbers])
    wrong = np.flatnonzero(~np.isfinite(values))
    if len(wrong):
        at = int(wrong[0])
        raise InvalidInput(
            f"{where}.values[{at}] = {str(numbers[at])[:40]} is no number.", code="VariableParseError"
        )
    return values


def _float(each: object) -> float:
    try:
        return msgspec.convert(each, float, strict=False)
    except msgspec.ValidationError:
        return float("nan")


def _object(body: object) -> dict[str, Any]:
    if not isinstance(body, dict):
        raise InvalidInput("The request body must be a JSON object.", code="InvalidJsonFormat")
    return body


def _source(given: Mapping[str, Any], preview: bool) -> str:
    name = "source" if preview and "source" in given else "dataSource"
    source = given.get(name)
    if not isinstance(source, str) or not source.strip():
        raise InvalidInput(
            "The 'source' field is required in the request: where the data lie.", code="RequiredSource"
        )
    if len(source) > SOURCE_CHARS:
        raise InvalidInput(
            f"The '{name}' field has more than {SOURCE_CHARS} characters.", code="InvalidBlobURL"
        )
    return source


def _span(given: Mapping[str, Any]) -> tuple[datetime, datetime]:
    moments = []
    for name in ("startTime", "endTime"):
        text = given.get(name)
        if text is None or text == "":
            code = f"Required{name[0].upper()}{name[1:]}"
            raise InvalidInput(f"The '{name}' field is required in the request.", code=code)
        moment = read_time(text)
        if moment is None:
            raise InvalidInput(
                f"The '{name}' field must be a time such as 2021-01-01T00:00:00Z, got {str(text)[:40]!r}.",
                code="InvalidTimestampFormat",
            )
        moments.append(moment)
    if moments[1] < moments[0]:
        raise InvalidInput(
            "The 'endTime' field must not be before 'startTime'.", code="InvalidTimestampFormat"
        )
    return moments[0], moments[1]


def _display_name(given: Mapping[str, Any]) -> str:
    name = given.get("displayName")
    if name is None:
        return ""
    if not isinstance(name, str):
        raise InvalidInput("The 'displayName' field must be a text.", code=PARAMETER)
    if len(name) > NAME_CHARS:
        raise InvalidInput(
            f"The displayName length exceeds maximum allowed length {NAME_CHARS}.", code=PARAMETER
        )
    return name


def _align(policy: object, preview: bool) -> tuple[str, str, float]:
    if policy is None:
        policy = {}
    if not isinstance(policy, dict):
        raise InvalidInput("The 'alignPolicy' field must be an object.", code="InvalidAlignMode")
    mode = _chosen(policy, "alignMode", MODES, "Outer", "InvalidAlignMode")
    old = (PAD, NO_FILL) if mode == "Inner" else (PAD,)
    fill = _chosen(policy, "fillNAMethod", FILLS + old * preview, "Linear", "InvalidFillNAMethod")
    fill = "Fixed" if fill == PAD else fill
    padding = policy.get("paddingValue")
    if padding is None:
        if fill == "Fixed":
            raise InvalidInput(
                "The 'paddingValue' field is required with Fixed.", code="RequiredPaddingValue"
            )
        return mode, fill, 0.0
    if isinstance(padding, bool) or not isinstance(padding, int | float) or not abs(padding) < 1e300:
        raise InvalidInput("The 'paddingValue' field must be a number.", code="RequiredPaddingValue")
    return mode, fill, float(padding)


def _chosen(given: Mapping[str, Any], name: str, choices: tuple[str, ...], default: str, code: str) -> str:
    value = given.get(name)
    if value is None:
        return default
    if value not in choices or not isinstance(value, str):
        raise InvalidInput(
            f"The '{name}' field must be one of {', '.join(choices)}, got {str(value)[:40]!r}.", code=code
        )
    return value


def _whole(given: Mapping[str, Any], name: str, low: int, high: int, default: int, code: str) -> int:
    value = given.get(name)
    if value is None:
        return default
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise InvalidInput(
            f"The '{name}' field must be an integer from {low} to {high}, got {str(value)[:40]!r}.", code=code
        )
    return value


def _top(given: Mapping[str, Any]) -> int:
    return _whole(given, "topContributorCount", 1, MAX_CONTRIBUTORS, TOP_CONTRIBUTORS, PARAMETER)


def _ns(moment: datetime) -> int:
    """Epoch nanoseconds, at the ends of what 64 bits hold for times before 1678 and after 2262."""
    ns = (moment - _EPOCH) // timedelta(microseconds=1) * 1000
    return max(-_LAST_NS, min(ns, _LAST_NS))


def _time_words(moment: datetime) -> str:
    """Whole seconds as the service wrote them; a fraction is kept, so that the echo is what was asked for."""
    text = moment.isoformat(timespec="microseconds" if moment.microsecond else "seconds")
    return text.replace("+00:00", "Z")
