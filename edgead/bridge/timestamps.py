"""Times as devices send them, to int64 nanoseconds since 1970 UTC.

Numbers are epoch times in seconds, milliseconds, microseconds or nanoseconds, told apart by magnitude;
texts are numbers or ISO 8601.  A time that cannot be is replaced by the time of arrival and marked.
"""

import math
import re
from datetime import datetime
from typing import Final

GOOD: Final = "good"
TS_REPLACED: Final = "ts_replaced"

EARLIEST_NS: Final = 946_684_800 * 10**9
"""2000-01-01: an earlier time means that the source's clock was never set."""

MAX_AHEAD_NS: Final = 600 * 10**9
"""10 minutes: a time further ahead of its arrival means that one of the two clocks is wrong."""

LATEST_NS: Final = 7_258_118_400 * 10**9
"""2200-01-01: the bound where arrival is no help because our own clock was never set; fits int64."""

# Between 2000 and 2200 a number of one unit cannot be mistaken for another: 2000 in ms is 9.5e11, 2200 in s
# 7.3e9.
_SECONDS_BELOW = 10**11
_MILLIS_BELOW = 10**14
_MICROS_BELOW = 10**17
_NANOS_BELOW = 10**19

_ISO = re.compile(
    r"(\d{4})-?(\d\d)-?(\d\d)"
    r"(?:[Tt ](\d\d):?(\d\d)(?::?(\d\d)(?:[.,](\d{1,9})\d*)?)?)?"
    r"\s*(?:([Zz])|([+-])(\d\d):?(\d\d)?)?",
    re.ASCII,
)
_EPOCH_ORDINAL = datetime(1970, 1, 1).toordinal()


def event_time(sent: object, arrival_ns: int) -> tuple[int, str]:
    """Time of a reading from what the source sent.

    Parameters
    ----------
    sent : object
        Number, text, or None where the source sent no time.
    arrival_ns : int
        When the message came.

    Returns
    -------
    (int, str)
        Nanoseconds and quality: ``"good"``; ``"ts_replaced"`` when `sent` is unreadable, before 2000, or
        more than 10 minutes after `arrival_ns`, and arrival stands in.  With our own clock before 2000
        (never set) the last check is against 2200: then the source knows better.
    """
    if sent is None:
        return arrival_ns, GOOD
    time_ns = parse_time(sent)
    latest_ns = arrival_ns + MAX_AHEAD_NS if arrival_ns >= EARLIEST_NS else LATEST_NS
    if time_ns is None or not EARLIEST_NS <= time_ns <= latest_ns:
        return arrival_ns, TS_REPLACED
    return time_ns, GOOD


def parse_time(sent: object) -> int | None:
    """Nanoseconds of an epoch number or a text; None when it is no time at all.

    Notes
    -----
    Whole numbers and ISO texts are exact.  A fractional number is rounded to microseconds: a double holds
    today's epoch seconds to 0.24 microseconds.  A text without offset is UTC.
    """
    if type(sent) is int:
        return _from_int(sent)
    if isinstance(sent, float):
        return _from_float(sent)
    if isinstance(sent, str) and len(sent) <= 64:
        return _from_text(sent.strip())
    return None


def _from_int(number: int) -> int | None:
    size = abs(number)
    if size < _SECONDS_BELOW:
        return number * 10**9
    if size < _MILLIS_BELOW:
        return number * 10**6
    if size < _MICROS_BELOW:
        return number * 10**3
    return number if size < _NANOS_BELOW else None


def _from_float(number: float) -> int | None:
    if not math.isfinite(number):
        return None
    size = abs(number)
    if size < _SECONDS_BELOW:
        return round(number * 1e6) * 1000
    if size < _MILLIS_BELOW:
        return round(number * 1e3) * 1000
    if size < _MICROS_BELOW:
        return round(number) * 1000
    return int(number) if size < _NANOS_BELOW else None


def _from_text(text: str) -> int | None:
    found = _ISO.fullmatch(text)
    # 20251121 alone is a number of seconds, not a day: a day is written with hyphens.
    if found is not None and not text.isdigit():
        return _from_iso(found)
    try:
        return _from_int(int(text)) if text.lstrip("+-").isdigit() else _from_float(float(text))
    except ValueError:
        return None


def _from_iso(found: re.Match[str]) -> int | None:
    year, month, day, hour, minute, second, fraction, _, sign, off_hours, off_minutes = found.groups()
    try:
        days = datetime(int(year), int(month), int(day)).toordinal() - _EPOCH_ORDINAL
    except ValueError:
        return None
    h, m, s = int(hour or 0), int(minute or 0), int(second or 0)
    offset_s = (int(off_hours or 0) * 60 + int(off_minutes or 0)) * 60
    # 24:00 ends a day and :60 is a leap second; both are the next second of UTC.
    if h > 24 or m > 59 or s > 60 or offset_s > 24 * 3600 or (h == 24 and (m or s)):
        return None
    total_s = days * 86_400 + h * 3600 + m * 60 + s - (-offset_s if sign == "-" else offset_s)
    return total_s * 10**9 + int((fraction or "0").ljust(9, "0"))
