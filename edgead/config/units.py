"""Durations, sizes and addresses as people write them: ``"250ms"``, ``"64MiB"``, ``"127.0.0.1:8800"``."""

import re
from datetime import UTC, datetime
from fractions import Fraction
from urllib.parse import urlsplit

_NUMBER_AND_UNIT = re.compile(r"\s*([0-9]{1,15}(?:\.[0-9]{1,9})?)\s*([A-Za-z]+)\s*")
_HOURS = re.compile(r"((?:[01][0-9]|2[0-3]):[0-5][0-9])-((?:[01][0-9]|2[0-3]):[0-5][0-9])")
_HOST_PORT = re.compile(r"(?:\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9_.-]+):([0-9]{1,5})")

#: Nanoseconds of each unit of time.
TIME_UNITS = {
    "ns": 1,
    "us": 1_000,
    "ms": 1_000_000,
    "s": 1_000_000_000,
    "m": 60_000_000_000,
    "min": 60_000_000_000,
    "h": 3_600_000_000_000,
    "d": 86_400_000_000_000,
}
#: Bytes of each unit of size.
SIZE_UNITS = {
    "b": 1,
    "kb": 10**3,
    "mb": 10**6,
    "gb": 10**9,
    "kib": 2**10,
    "mib": 2**20,
    "gib": 2**30,
}


def parse_duration(raw: object) -> int:
    """Nanoseconds of a duration.

    Parameters
    ----------
    raw : str, int or float
        A number and a unit (ns, us, ms, s, min, h, d); a bare number means seconds.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    return _parse(raw, TIME_UNITS, bare_unit="s")


def parse_size(raw: object) -> int:
    """Bytes of a size: a number and a unit (B, KiB, MiB, GiB, kB, MB, GB); a bare number means bytes.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    return _parse(raw, SIZE_UNITS, bare_unit="b")


def parse_listen(raw: object) -> str:
    """An address to listen on, ``host:port`` or ``[v6]:port`` (port 0 = any free one); "" = none.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    match = _HOST_PORT.fullmatch(raw) if isinstance(raw, str) else None
    if raw != "" and (match is None or int(match[1]) > 65535):
        raise ValueError("not host:port")
    return str(raw)


def parse_url(raw: object) -> str:
    """A URL with http or https and a host, without user, password, query and fragment; "" = none.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if raw == "":
        return ""
    if not isinstance(raw, str) or any(letter <= " " or letter == "\x7f" for letter in raw):
        raise ValueError("not a URL")
    parts = urlsplit(raw)
    bare = parts.username is None and parts.password is None and not parts.query and not parts.fragment
    if parts.scheme not in ("http", "https") or not parts.hostname or not bare or parts.port == 0:
        raise ValueError("not a URL of http or https")
    return raw


def parse_hours(raw: object) -> str:
    """Times of day ``HH:MM-HH:MM``, the second may be the next day's; "" = any time.

    Raises
    ------
    ValueError
        If it is anything else.
    """
    if raw == "":
        return ""
    match = _HOURS.fullmatch(raw) if isinstance(raw, str) else None
    if match is None or match[1] == match[2]:
        raise ValueError("not times of day")
    return match[0]


def show_duration(ns: int) -> str:
    """A duration in the largest unit that divides it, e.g. ``"90s"``, ``"5min"``."""
    for unit in ("d", "h", "min", "s", "ms", "us"):
        if ns and ns % TIME_UNITS[unit] == 0:
            return f"{ns // TIME_UNITS[unit]}{unit}"
    return f"{ns}ns" if ns else "0s"


def show_size(count: int) -> str:
    """A size for people, three digits or so, e.g. ``"35.2 KiB"``."""
    size, unit = float(count), "B"
    for larger in ("KiB", "MiB", "GiB"):
        if size < 1024:
            break
        size, unit = size / 1024, larger
    return f"{count} B" if unit == "B" else f"{size:.1f} {unit}"


def iso(time_ns: int) -> str:
    """A time for people: ISO 8601, UTC, with a fraction only where there is one."""
    moment = datetime.fromtimestamp(time_ns // 10**9, UTC)
    fraction = f".{time_ns // 10**6 % 1000:03d}" if time_ns % 10**9 else ""
    return f"{moment:%Y-%m-%dT%H:%M:%S}{fraction}Z"


def _parse(raw: object, units: dict[str, int], bare_unit: str) -> int:
    if isinstance(raw, int) and not isinstance(raw, bool):
        return raw * units[bare_unit]
    if isinstance(raw, float) and abs(raw) < 1e15:  # also turns NaN and infinity away
        return int(Fraction(str(raw)) * units[bare_unit])
    match = _NUMBER_AND_UNIT.fullmatch(raw) if isinstance(raw, str) else None
    if match is None or match[2].lower() not in units:
        raise ValueError("not a number with a unit")
    return int(Fraction(match[1]) * units[match[2].lower()])
