"""Text cells to numbers and times, a block at a time where all are alike, else one by one."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

Times = NDArray[np.int64]
Values = NDArray[np.float64]

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "unavailable", "unknown"})
_PLAIN_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.ASCII)
_OFFSET = re.compile(r"[zZ]$|(?<=:\d\d)[+-]\d\d:?\d\d$|(?<=\d{3})[+-]\d\d:?\d\d$", re.ASCII)
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")
# Between 2000 and 2200 a number of one unit cannot be mistaken for another (2000 in ms is 9.5e11, 2200 in s 7.3e9).
_EPOCH_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))


def floats(cells: Sequence[str], *, decimal_comma: bool) -> Values | int:
    """Numbers of a column; NaN for "no value" and infinity.

    Returns
    -------
    ndarray of float64, shape (n,), or int
        The place of the first cell that is no number.
    """
    try:
        values = np.array(list(map(float, cells)))
        if "_" in "".join(cells):
            raise ValueError("Python's own 1_000 is no number of a file")
    except ValueError:
        values = np.empty(len(cells))
        for at, cell in enumerate(cells):
            value = to_float(cell, decimal_comma=decimal_comma)
            if value is None:
                return at
            values[at] = value
    values[~np.isfinite(values)] = np.nan
    return values


def to_float(cell: str, *, decimal_comma: bool) -> float | None:
    """A number, NaN for "no value", or None."""
    text = cell.strip()
    if text.lower() in _MISSING:
        return float("nan")
    if decimal_comma and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text) if "_" not in text else None
    except ValueError:
        return None


def times(cells: Sequence[str]) -> Times | int:
    """Epoch nanoseconds of a column of epoch numbers or ISO 8601 times.

    Returns
    -------
    ndarray of int64, shape (n,), or int
        The place of the first cell that is no time.
    """
    for read in (_epoch_times, _plain_iso_times):
        stamps = read(cells)
        if stamps is not None:
            return stamps
    stamps = np.empty(len(cells), dtype=np.int64)
    for at, cell in enumerate(cells):
        stamp = to_time(cell)
        if stamp is None:
            return at
        stamps[at] = stamp
    return stamps


def to_time(cell: str) -> int | None:
    """Epoch nanoseconds of one cell, or None."""
    return _epoch_ns(cell) if to_float(cell, decimal_comma=False) is not None else iso_time(cell)


def epoch_times(numbers: Times) -> Times | None:
    """Epoch nanoseconds of whole epoch numbers in s, ms, us or ns, by magnitude; None where one has no room."""
    low, high = (_unit(int(number)) for number in (numbers.min(), numbers.max()))
    if low != high:
        stamps = [int(number) * _unit(int(number)) for number in numbers]
        return np.array(stamps, dtype=np.int64) if max(map(abs, stamps)) < 2**63 else None
    return numbers * low if np.abs(numbers).max() < 2**63 // low else None


def _epoch_times(cells: Sequence[str]) -> Times | None:
    """A block of whole epoch numbers."""
    try:
        numbers = np.array(list(map(int, cells)), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    return epoch_times(numbers)


def _epoch_ns(cell: str) -> int | None:
    """One epoch number; a fraction is rounded to microseconds, as far as a double holds seconds of today."""
    try:
        number = float(cell) if "." in cell or "e" in cell.lower() else int(cell)
        unit = _unit(int(number))
        stamp = number * unit if isinstance(number, int) else round(number * unit / 1000) * 1000
    except (ValueError, OverflowError):
        return None
    return stamp if abs(stamp) < 2**63 else None


def _unit(number: int) -> int:
    """Nanoseconds of the unit of an epoch number, by its magnitude."""
    return next(unit for bound, unit in _EPOCH_UNITS if abs(number) < bound or bound == 2**63)


def _plain_iso_times(cells: Sequence[str]) -> Times | None:
    """A block of ISO times all of one offset, read by numpy at once; no offset means UTC."""
    offset = _OFFSET.search(cells[0])
    suffix = offset[0] if offset else ""
    if suffix:
        cells = [cell.removesuffix(suffix) if cell.endswith(suffix) else "" for cell in cells]
    if not all(map(_PLAIN_ISO.fullmatch, cells)):
        return None  # numpy takes words such as "now" for times as well, and warns of offsets
    try:
        stamps = np.array(cells, dtype="datetime64[ns]")
        seconds = np.array(cells, dtype="datetime64[s]").astype(np.int64)
    except ValueError:
        return None
    nanoseconds = stamps.astype(np.int64)
    in_range = np.array_equal(nanoseconds // 10**9, seconds)  # outside of 1678..2262 nanoseconds overflow
    if not in_range:
        return None
    return nanoseconds - _offset_ns(suffix)


def _offset_ns(suffix: str) -> int:
    """Nanoseconds east of UTC that ``+01:00`` stands for; 0 for ``Z`` and no offset."""
    if len(suffix) < 2:
        return 0
    ns = (int(suffix[1:3]) * 60 + int(suffix[-2:])) * 60 * 10**9
    return -ns if suffix[0] == "-" else ns


def iso_time(cell: str) -> int | None:
    """One ISO 8601 time with date; no offset means UTC."""
    text = cell.strip().replace("/", "-")
    if len(text) < 8 or not text[:4].isdigit() or text[4:5] != "-":
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    moment = moment.replace(tzinfo=moment.tzinfo or UTC)
    days_and_seconds = moment - datetime(1970, 1, 1, tzinfo=UTC)
    whole_s = days_and_seconds.days * 86_400 + days_and_seconds.seconds
    stamp = whole_s * 10**9 + days_and_seconds.microseconds * 1000
    if finer := _BELOW_MICROSECONDS.search(text):
        stamp += int(finer[1].ljust(3, "0"))
    return stamp if abs(stamp) < 2**63 else None
