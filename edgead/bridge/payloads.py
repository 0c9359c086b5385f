"""Payloads of devices to readings: a rule's paths are compiled once, messages go through closures.

What is read: a bare number; one or several values of a JSON document by path; arrays of values with the
time of the first and the step between them.  Everything else is a `PayloadError` with a short cause, never
another exception.
"""

import json
import math
import re
from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import Any, Final

import msgspec

from edgead.bridge.timestamps import EARLIEST_NS, GOOD, MAX_AHEAD_NS, TS_REPLACED, event_time
from edgead.errors import InvalidInput

Decoded = tuple[str, int, float, str]
"""(field, time_ns, value, quality): field ``""`` for a rule of one value; NaN for "no value"."""

Decode = Callable[[bytes, int], list[Decoded]]
"""(payload, arrival_ns) -> readings in the order of the payload."""

MAX_PAYLOAD_BYTES: Final = 1 << 20
"""Default bound: 1 MiB.  A larger payload is refused before it is looked at."""

DEFAULT_VALUE: Final = "value"
"""Path of a rule that says nothing: what most devices send, and the one path that takes a bare number as well."""

MAX_VALUES: Final = 10_000
"""Default bound for the values of one array: 2.7 hours at one a second."""

MAX_SPAN_NS: Final = 366 * 86_400 * 10**9
"""An array that spans more than a year has a mistake of unit in its step."""

CAUSES: Final = {
    "empty": "the payload has no bytes",
    "too_large": "more bytes than a payload may have",
    "not_text": "the bytes are no UTF-8",
    "not_json": "the text is no JSON",
    "too_deep": "more nested arrays and objects than the decoder takes",
    "no_value": "nothing is found at the path of the value",
    "not_a_number": "what is found there is no number",
    "no_step": "an array of values without a usable step in milliseconds beside it",
    "too_many_values": "more values than an array may have",
    "internal": "edgead itself failed over it: a bug, please report it with the payload",
}
"""Every cause of a `PayloadError`, and of a dead letter, in words."""

# "No value" as text: Home Assistant's two, and what languages print; compared in lower case.
_NO_VALUE_TEXTS = frozenset(("", "null", "none", "nan", "unavailable", "unknown"))
_BOOLEAN_TEXTS = {"true": 1.0, "false": 0.0}
_MAX_NUMBER_TEXT = 400  # 1.8e308 written out has 309 digits
_EXACT_INT = 1 << 53  # beyond, a double does not hold every whole number
_NAN = math.nan
_MISSING: Final = object()
_PATH_STEP = re.compile(r"""(?:^|(?<=.)\.)([^.\[\]"]+)|\[(\d{1,6})\]|\["([^"]*)"\]""")

_Path = tuple[str | int, ...]


class PayloadError(InvalidInput):
    """A payload, or a part of it, cannot be read.

    Parameters
    ----------
    cause : str
        One of `CAUSES`, for counting.
    message : str
        For people: what was found and what was expected.
    decoded : list of Decoded
        The readings of the same payload that are fine.
    """

    def __init__(self, cause: str, message: str, decoded: Sequence[Decoded] = ()) -> None:
        super().__init__(message)
        self.cause = cause
        self.decoded = list(decoded)


def field_names(value: str | Sequence[str]) -> tuple[str, ...]:
    """Names of the fields that a rule's ``value`` makes: ``("",)`` for one path, the paths for a list.

    ``a.b[0]`` is named ``a.b.0``, so that it can be part of a series id.
    """
    if isinstance(value, str):
        return ("",)
    return tuple(".".join(str(step) for step in parse_path(path)) for path in value)


def parse_path(path: str) -> _Path:
    """Steps of a path: ``a.b[0]["c.d"]`` -> ``("a", "b", 0, "c.d")``; empty for ``""``.

    Raises
    ------
    InvalidInput
        If the text is no path.
    """
    steps: list[str | int] = []
    at = 0
    while at < len(path):
        found = _PATH_STEP.match(path, at)
        if found is None:
            raise InvalidInput(f'path {path!r}: expected keys and indices such as a.b[0] or a["b.c"]')
        key, index, quoted = found.groups()
        steps.append(int(index) if index is not None else (quoted if key is None else key))
        at = found.end()
    return tuple(steps)


def compile_decoder(
    value: str | Sequence[str] = DEFAULT_VALUE,
    time: str | None = None,
    *,
    max_bytes: int = MAX_PAYLOAD_BYTES,
    max_values: int = MAX_VALUES,
) -> Decode:
    """Build the function that reads the payloads of one rule.

    Parameters
    ----------
    value : str or list of str
        ``""``: the payload is one number as text.  A path: one value of a JSON document, or an array of
        values; the default path takes a bare number too.  A list of paths: several series; a message may
        hold some of them only.
    time : str, optional
        Path of the time.  Without it, or where the message has none, the time of arrival counts.  An array
        has the step in milliseconds in ``dt`` beside it, and unless `time` says otherwise the time of its
        first value in ``ts`` beside it.
    max_bytes, max_values : int
        Longer payloads and arrays are refused.

    Returns
    -------
    callable (payload, arrival_ns) -> list of Decoded
        Raises `PayloadError` and nothing else, whatever the bytes are.

    Raises
    ------
    InvalidInput
        If a path cannot be, two fields have one name, or a bare number is given a time.
    """
    if value == "":
        if time is not None:
            raise InvalidInput(f'time {time!r}: a bare number (value = "") carries no time, expected no path')
        return _bare_decoder(max_bytes)
    paths = [parse_path(value)] if isinstance(value, str) else [parse_path(path) for path in value]
    names = field_names(value)
    if not paths or not all(paths):
        raise InvalidInput(f"value {value!r}: expected one path or more, each not empty")
    if len(set(names)) < len(names):
        raise InvalidInput(f"value {value!r}: two paths give one field name, expected different ones")
    if time == "":
        raise InvalidInput("time: expected a path, got an empty text")
    time_path = None if time is None else parse_path(time)
    fields = [_Field(name, path, time_path, max_values) for name, path in zip(names, paths)]
    return _json_decoder(fields, max_bytes, bare_too=value == DEFAULT_VALUE)


def to_number(value: object) -> float:
    """A value as it came, as a float: NaN for "no value", booleans 0 and 1, numbers in texts accepted.

    Raises
    ------
    PayloadError
        ``not_a_number`` when it is neither a number nor a way to say "no value".
    """
    if value is None:
        return _NAN
    if isinstance(value, (int, float)):
        try:
            number = float(value)
        except OverflowError:  # a whole number beyond 1.8e308 is as good as infinity
            return _NAN
        return number if math.isfinite(number) else _NAN
    if isinstance(value, str) and len(value) <= _MAX_NUMBER_TEXT:
        return _number_of_text(value.strip().lower(), value)
    raise _not_a_number(value)


def _number_of_text(text: str, original: str) -> float:
    if text in _NO_VALUE_TEXTS:
        return _NAN
    if text in _BOOLEAN_TEXTS:
        return _BOOLEAN_TEXTS[text]
    if "_" in text:  # Python's own 1_000 is nobody's payload
        raise _not_a_number(original)
    try:
        number = float(text)
    except ValueError:
        raise _not_a_number(original) from None
    return number if math.isfinite(number) else _NAN


def _not_a_number(value: object) -> PayloadError:
    kind = (
        "an object"
        if isinstance(value, dict)
        else "an array"
        if isinstance(value, list)
        else repr(value)[:40]
    )
    return PayloadError("not_a_number", f"expected a number, got {kind}")


def _check_size(payload: bytes, max_bytes: int) -> None:
    if len(payload) > max_bytes:
        raise PayloadError("too_large", f"expected at most {max_bytes} bytes, got {len(payload)}")
    if not payload:
        raise PayloadError("empty", "expected a payload, got 0 bytes")


def _bare_decoder(max_bytes: int) -> Decode:
    """Decoder of payloads that are one number as text, with or without quotes around it."""

    def decode(payload: bytes, arrival_ns: int) -> list[Decoded]:
        _check_size(payload, max_bytes)
        text = _text_of(payload).strip()
        if len(text) > 1 and text[0] == text[-1] == '"':
            text = text[1:-1]
        return [("", arrival_ns, to_number(text), GOOD)]

    return decode


def _json_decoder(fields: Sequence["_Field"], max_bytes: int, *, bare_too: bool) -> Decode:
    """Decoder of JSON documents: the quick way for what comes all day, the thorough way for the rest.

    With `bare_too` a document that is no object and no array is taken for the value itself, as is a number
    or a gap in a spelling that JSON does not have.
    """
    quick = _quick_reader(fields[0]) if len(fields) == 1 else None

    def decode(payload: bytes, arrival_ns: int) -> list[Decoded]:
        if quick is not None and len(payload) <= max_bytes:
            found = quick(payload, arrival_ns)
            if found is not None:
                return found
        _check_size(payload, max_bytes)
        try:
            document = _parse(payload)
        except PayloadError as error:
            if not bare_too or error.cause != "not_json":
                raise
            return [("", arrival_ns, _bare_value(payload, error), GOOD)]
        if bare_too and not isinstance(document, (dict, list)):
            return [("", arrival_ns, to_number(document), GOOD)]
        return _read_fields(fields, document, arrival_ns)

    return decode


def _bare_value(payload: bytes, refused: PayloadError) -> float:
    """The number that a payload is although it is no JSON: ``unavailable``, ``nan``, ``+21.5``, ``021``."""
    text = _text_of(payload).strip()
    if text[:1] in ("{", "[", '"'):
        raise refused
    try:
        return to_number(text)
    except PayloadError:
        raise PayloadError(
            "not_json", f"expected a number or a JSON document, got {repr(text)[:40]}"
        ) from None


def _quick_reader(field: "_Field") -> Callable[[bytes, int], list[Decoded] | None] | None:
    """Reader for a rule of one value whose paths are keys only; its answer None means "look thoroughly".

    The document goes into nested structs that hold the wanted keys only, so that msgspec checks the rest
    without making objects of it: half the time of a decode to dictionaries.
    """
    paths = (field.path, field.scalar_time or field.array_time, field.step)
    shape = _shape(paths)
    if shape is None:
        return None
    parse = msgspec.json.Decoder(shape[0]).decode
    leaves = attrgetter(*shape[1])
    name, has_time = field.name, field.scalar_time is not None

    def read(payload: bytes, arrival_ns: int) -> list[Decoded] | None:
        try:
            value, sent, step = leaves(parse(payload))
        except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
            return None
        if type(value) is list:
            return field.quick_array(value, sent, step, arrival_ns)
        if type(value) is int and -_EXACT_INT < value < _EXACT_INT:
            value = float(value)
        elif type(value) is not float:
            return None
        if not has_time:
            return [(name, arrival_ns, value, GOOD)]
        if type(sent) is int and 10**11 <= sent < 10**14:  # epoch milliseconds, what nearly everybody sends
            time_ns = sent * 1_000_000
            if EARLIEST_NS <= time_ns <= arrival_ns + MAX_AHEAD_NS:
                return [(name, time_ns, value, GOOD)]
        time_ns, quality = event_time(sent, arrival_ns)
        return [(name, time_ns, value, quality)]

    return read


def _shape(paths: Sequence[_Path]) -> tuple[type[msgspec.Struct], list[str]] | None:
    """Struct type of just the leaves at `paths`, and the attribute path of each; None if that cannot be."""
    tree: dict[str, Any] = {}
    for path in paths:
        node: Any = tree
        for key in path[:-1]:
            node = node.setdefault(key, {})
            if node is None:
                return None
        if node.setdefault(path[-1], None) is not None or not all(isinstance(key, str) for key in path):
            return None
    return _struct_of(tree), [_attribute_path(tree, path) for path in paths]


def _struct_of(tree: dict[str, Any]) -> type[msgspec.Struct]:
    definition: list[Any] = [
        (f"f{place}", Any, None) if below is None else (f"f{place}", _struct_of(below))
        for place, below in enumerate(tree.values())
    ]
    definition.sort(key=len)  # fields with a default go last; the names keep their place in the tree
    renamed = {f"f{place}": key for place, key in enumerate(tree)}
    return msgspec.defstruct("Shape", definition, rename=renamed, gc=False)


def _attribute_path(tree: dict[str, Any], path: _Path) -> str:
    names = []
    node: Any = tree
    for key in path:
        names.append(f"f{list(node).index(key)}")
        node = node[key]
    return ".".join(names)


def _parse(payload: bytes) -> Any:
    """The JSON document; the standard decoder takes what msgspec refuses: bare NaN, a BOM, 1e999."""
    try:
        return msgspec.json.decode(payload)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        pass
    except RecursionError:
        raise PayloadError("too_deep", "expected fewer nested arrays and objects") from None
    text = _text_of(payload)
    try:
        return json.loads(text)
    except RecursionError:
        raise PayloadError("too_deep", "expected fewer nested arrays and objects") from None
    except ValueError as error:
        raise PayloadError("not_json", f"expected a JSON document: {error}") from None


def _text_of(payload: bytes) -> str:
    try:
        return payload.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise PayloadError("not_text", f"expected UTF-8, got byte 0x{payload[error.start]:02x}") from None


def _read_fields(fields: Sequence["_Field"], document: Any, arrival_ns: int) -> list[Decoded]:
    """All readings of a document; what cannot be read does not take the rest with it."""
    decoded: list[Decoded] = []
    first_error: PayloadError | None = None
    found_any = False
    for field in fields:
        value = _at(document, field.path)
        if value is _MISSING:
            continue
        found_any = True
        try:
            field.read(document, value, arrival_ns, decoded)
        except PayloadError as error:
            first_error = first_error or error
            decoded.extend(error.decoded)
    if not found_any:
        wanted = ", ".join(field.text for field in fields)
        raise PayloadError("no_value", f"expected a value at {wanted}, found none")
    if first_error is not None:
        raise PayloadError(first_error.cause, first_error.message, decoded)
    return decoded


def _at(document: Any, path: _Path) -> Any:
    """What is at `path`, or _MISSING."""
    for step in path:
        if isinstance(step, str):
            if type(document) is not dict or step not in document:
                return _MISSING
        elif type(document) is not list or step >= len(document):
            return _MISSING
        document = document[step]
    return document


def _beside(path: _Path, key: str) -> _Path:
    """The path of `key` in the object that holds the last key of `path`."""
    keys = list(path)
    while keys and isinstance(keys[-1], int):
        keys.pop()
    return (*keys[:-1], key)


class _Field:
    """One value path of a rule, with the paths of what belongs to it."""

    def __init__(self, name: str, path: _Path, time: _Path | None, max_values: int) -> None:
        self.name = name
        self.path = path
        self.text = ".".join(str(step) for step in path)
        self.scalar_time = time
        self.array_time = time or _beside(path, "ts")
        self.step = _beside(path, "dt")
        self.max_values = max_values

    def read(self, document: Any, value: Any, arrival_ns: int, into: list[Decoded]) -> None:
        """Append the readings of `value`; PayloadError when it, or a part of it, is unreadable."""
        if type(value) is list:
            self._read_array(document, value, arrival_ns, into)
            return
        number = to_number(value)
        sent = None if self.scalar_time is None else _at(document, self.scalar_time)
        time_ns, quality = event_time(None if sent is _MISSING else sent, arrival_ns)
        into.append((self.name, time_ns, number, quality))

    def _read_array(self, document: Any, values: list[Any], arrival_ns: int, into: list[Decoded]) -> None:
        sent = _at(document, self.array_time)
        times, quality = self._times(
            len(values), None if sent is _MISSING else sent, _at(document, self.step), arrival_ns
        )
        bad = None
        for time_ns, value in zip(times, values):
            try:
                into.append((self.name, time_ns, to_number(value), quality))
            except PayloadError as error:
                bad = bad or error
        if bad is not None:
            raise bad

    def quick_array(self, values: list[Any], sent: Any, step: Any, arrival_ns: int) -> list[Decoded] | None:
        """Readings of an array of nothing but numbers; None for "look thoroughly"."""
        if not set(map(type, values)) <= {int, float}:
            return None
        times, quality = self._times(len(values), sent, step, arrival_ns)
        try:
            return [(self.name, time_ns, float(value), quality) for time_ns, value in zip(times, values)]
        except OverflowError:
            return None

    def _times(self, count: int, sent: Any, step: Any, arrival_ns: int) -> tuple[range, str]:
        """Times of an array: from the time of the first, or so that the last is at arrival."""
        if count > self.max_values:
            raise PayloadError("too_many_values", f"expected at most {self.max_values} values, got {count}")
        step_ns = _step_ns(step) if count > 1 else 1
        length_ns = step_ns * max(0, count - 1)
        if length_ns > MAX_SPAN_NS:
            raise PayloadError(
                "no_step", f"expected an array of at most a year, got {count} values {step} ms apart"
            )
        first_ns, quality = event_time(sent, arrival_ns)
        last_ns, last_quality = event_time(first_ns + length_ns, arrival_ns)
        if sent is None or quality == TS_REPLACED or last_quality == TS_REPLACED:
            quality = GOOD if sent is None else TS_REPLACED
            last_ns = arrival_ns
        return range(last_ns - length_ns, last_ns + 1, step_ns)[:count], quality


def _step_ns(step: Any) -> int:
    """Nanoseconds of a step in milliseconds."""
    try:
        step_ms = _NAN if step is _MISSING or isinstance(step, bool) else to_number(step)
    except PayloadError:
        step_ms = _NAN
    if not 1e-6 <= step_ms <= MAX_SPAN_NS / 1e6:
        raise PayloadError("no_step", "expected the milliseconds between two values in dt beside the array")
    return round(step_ms * 1e6)
