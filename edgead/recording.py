"""Recordings on disk: columns of a CSV file as times and floats, read in blocks of bounded size.

Delimiter, header and time column are found by looking at the first rows; whatever cannot be read is an error with line
and column, never a guess.
"""

import csv
import re
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput

Times = NDArray[np.int64]
Values = NDArray[np.float64]

BLOCK_ROWS = 20_000
SAMPLE_ROWS = 20
TIME_NAMES = ("timestamp", "datetime", "time", "ts", "date")
#: Endings of the names of files that a folder is searched for.
ENDINGS = (".csv", ".tsv", ".parquet")

#: Where a recording without times starts: 2000-01-01, the earliest time the bridge takes for a time.
START_NS = 946_684_800 * 10**9

_MISSING = frozenset({"", "nan", "na", "n/a", "null", "none", "unavailable", "unknown"})
_PLAIN_ISO = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d{1,9})?)?)?", re.ASCII)
_OFFSET = re.compile(r"[zZ]$|(?<=:\d\d)[+-]\d\d:?\d\d$|(?<=\d{3})[+-]\d\d:?\d\d$", re.ASCII)
_BELOW_MICROSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")
# Between 2000 and 2200 a number of one unit cannot be mistaken for another (2000 in ms is 9.5e11, 2200 in s 7.3e9).
_EPOCH_UNITS = ((10**11, 10**9), (10**14, 10**6), (10**17, 10**3), (2**63, 1))


class Recording(msgspec.Struct, frozen=True):
    """Some columns of a file.

    Attributes
    ----------
    path : str
    times_ns : ndarray of int64, shape (n,)
        Epoch nanoseconds in the order of the file; above 0.
    columns : dict of str to ndarray of float64, shape (n,)
        NaN where the file has no value.
    step_ns : int
        The usual spacing: the median of the differences of the times, or the interval given.
    timed : bool
        Whether the times come from the file.
    notes : tuple of str
        Sentences for people about what was left out or assumed.
    """

    path: str
    times_ns: Times
    columns: dict[str, Values]
    step_ns: int
    timed: bool
    notes: tuple[str, ...] = ()


def read_recording(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    time: str | None = None,
    interval_ns: int | None = None,
    progress: Callable[[int], None] = lambda size: None,
) -> Recording:
    """Read a CSV file.

    Parameters
    ----------
    path : str or Path
        Cells divided by comma, semicolon or tab; with or without a header.
    columns : sequence of str
        Names of the columns to read, or their numbers from 1; empty = every column of numbers.
    time : str, optional
        Name or number of the time column: epoch s, ms, us, ns or ISO 8601.  Without it a column called timestamp,
        datetime, time, ts or date, or one that holds dates, is taken if there is one.
    interval_ns : int, optional
        Spacing of the rows; without a time column it makes the times (default: a second).
    progress : callable
        Told the number of bytes read, block by block.

    Raises
    ------
    InvalidInput
        Naming file, line, column, value and what was expected.
    """
    layout = _look(Path(path), columns, time)
    blocks: list[list[Values]] = []
    times: list[Times] = []
    for first, size, rows in _blocks(layout):
        cells = list(zip(*rows, strict=True))
        blocks.append([_floats(layout, cells[at], at, first) for at in layout.value_columns])
        if layout.time_column is not None:
            times.append(_times(layout, cells[layout.time_column], first))
        progress(size)
    if not blocks:
        raise InvalidInput(f"{path}: no rows, expected at least one below the header")
    names = [layout.names[at] for at in layout.value_columns]
    values = {name: np.concatenate([block[at] for block in blocks]) for at, name in enumerate(names)}
    rows_read = sum(len(block[0]) for block in blocks)
    stamps, notes = _stamps(times, rows_read, interval_ns or 10**9)
    step_ns = interval_ns or spacing(stamps)
    return Recording(str(path), stamps, values, step_ns, bool(times), (*layout.notes, *notes))


def spacing(times_ns: Times) -> int:
    """The usual distance of two rows: median of the positive differences, a second if there are none."""
    steps = np.diff(times_ns[: 10 * BLOCK_ROWS])
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else 10**9


# ---------------------------------------------------------------------- the form of the file


class _Layout(msgspec.Struct, frozen=True):
    """What the first rows say about a file."""

    path: Path
    delimiter: str
    header: bool
    names: list[str]
    value_columns: list[int]
    time_column: int | None
    notes: tuple[str, ...]


def _look(path: Path, columns: Sequence[str], time: str | None) -> _Layout:
    """Find delimiter, header, time column and value columns."""
    lines = list(islice(_lines(path), SAMPLE_ROWS))
    delimiter = _delimiter(lines)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: not CSV ({error})") from None
    if not rows:
        raise InvalidInput(f"{path}: empty, expected rows of values")
    width = len(rows[0])
    header = len(rows) > 1 and not any(cell and (_is_value(cell) or _is_time(cell)) for cell in rows[0])
    names = _names(rows[0]) if header else [f"column{number}" for number in range(1, width + 1)]
    body = [row for row in rows[header:] if len(row) == width]
    time_column = _index(path, names, time) if time else _guess_time(names, body)
    chosen = [_index(path, names, name) for name in columns]
    notes: tuple[str, ...] = ()
    if not chosen:
        others = [at for at in range(width) if at != time_column]
        chosen = [at for at in others if all(_is_value(row[at]) for row in body)]
        text = ", ".join(names[at] for at in others if at not in chosen)
        notes = (f"not numbers and left out: {text}",) if text else ()
    if not chosen:
        raise InvalidInput(f"{path}: no column of numbers among {', '.join(names)}")
    return _Layout(path, delimiter, header, names, list(dict.fromkeys(chosen)), time_column, notes)


def _lines(path: Path) -> Iterator[str]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise InvalidInput(f"{path}: not UTF-8 ({error.reason}), expected a text file") from None
    except OSError as error:
        raise InvalidInput(f"{path}: cannot be read ({error.strerror}), expected a CSV file") from None


def _delimiter(lines: Sequence[str]) -> str:
    """The delimiter that most lines hold, and hold equally often."""

    def rank(delimiter: str) -> tuple[int, int]:
        counts = [line.count(delimiter) for line in lines]
        usual = max(set(counts), key=counts.count, default=0)
        return (counts.count(usual) if usual else 0, usual)

    # a semicolon or tab that divides evenly beats the comma of decimals
    return max((";", "\t", ","), key=rank)


def _names(cells: Sequence[str]) -> list[str]:
    """Column names, made unique: an empty one is called by its number, a repeated one gets its number added."""
    names: list[str] = []
    for number, cell in enumerate(cells, start=1):
        name = cell.strip() or f"column{number}"
        names.append(f"{name}.{number}" if name in names else name)
    return names


def _index(path: Path, names: Sequence[str], wanted: str) -> int:
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    raise InvalidInput(f"{path}: no column {wanted!r}, expected one of {', '.join(names)}")


def _guess_time(names: Sequence[str], body: Sequence[Sequence[str]]) -> int | None:
    lowered = [name.lower() for name in names]
    for name in TIME_NAMES:
        if name in lowered:
            return lowered.index(name)
    for at in range(len(names)):
        if body and all(_is_time(row[at]) for row in body):
            return at
    return None


def _is_value(cell: str) -> bool:
    return _float(cell, ";") is not None


def _is_time(cell: str) -> bool:
    return _iso_ns(cell) is not None


# ---------------------------------------------------------------------- cells


def _blocks(layout: _Layout) -> Iterator[tuple[int, int, list[list[str]]]]:
    """(number of the first row, size in bytes, rows) of each block; rows are as wide as the first."""
    size = 0

    def counted() -> Iterator[str]:
        nonlocal size
        for line in _lines(layout.path):
            size += len(line)
            yield line

    reader = csv.reader(counted(), delimiter=layout.delimiter)
    rows_of_values = (row for row in reader if row)
    width, first = len(layout.names), 0
    try:
        if layout.header:
            next(rows_of_values)
        while rows := list(islice(rows_of_values, BLOCK_ROWS)):
            if set(map(len, rows)) != {width}:
                at = next(at for at, row in enumerate(rows) if len(row) != width)
                found = f"{len(rows[at])} cells, expected {width}"
                raise InvalidInput(f"{layout.path}:{_line(layout, first + at)}: {found}")
            yield first, size, rows
            first, size = first + len(rows), 0
    except csv.Error as error:
        raise InvalidInput(f"{layout.path}:{reader.line_num}: not CSV ({error})") from None


def _line(layout: _Layout, row: int) -> int:
    """Line of the file at which a row of values ends."""
    reader = csv.reader(_lines(layout.path), delimiter=layout.delimiter)
    seen = -1 - layout.header
    for cells in reader:
        seen += bool(cells)
        if seen == row:
            break
    return reader.line_num


def _refuse(layout: _Layout, column: int, row: int, cell: str, expected: str) -> InvalidInput:
    place = f"{layout.path}:{_line(layout, row)}: {layout.names[column]}"
    return InvalidInput(f"{place} = {cell[:60]!r}: expected {expected}")


def _floats(layout: _Layout, cells: Sequence[str], column: int, first: int) -> Values:
    try:
        values = np.array(list(map(float, cells)))
    except ValueError:
        values = np.empty(len(cells))
        for at, cell in enumerate(cells):
            value = _float(cell, layout.delimiter)
            if value is None:
                raise _refuse(layout, column, first + at, cell, "a number or an empty cell") from None
            values[at] = value
    values[~np.isfinite(values)] = np.nan
    return values


def _float(cell: str, delimiter: str) -> float | None:
    """A number, NaN for "no value", or None; a decimal comma is taken where commas do not divide cells."""
    text = cell.strip()
    if text.lower() in _MISSING:
        return float("nan")
    if delimiter != "," and text.count(",") == 1 and "." not in text:
        text = text.replace(",", ".")
    try:
        return float(text)
    except ValueError:
        return None


# ---------------------------------------------------------------------- times


def _stamps(times: list[Times], count: int, interval_ns: int) -> tuple[Times, list[str]]:
    """Times of all rows, above 0."""
    if not times:
        return START_NS + interval_ns * np.arange(count, dtype=np.int64), []
    stamps = np.concatenate(times)
    if len(stamps) and stamps.min() <= 0:
        return stamps - stamps.min() + START_NS, ["times from before 1970 are counted from 2000-01-01"]
    return stamps, []


def _times(layout: _Layout, cells: Sequence[str], first: int) -> Times:
    column = layout.time_column
    assert column is not None
    for read in (_epoch_times, _plain_iso_times):
        stamps = read(cells)
        if stamps is not None:
            return stamps
    stamps = np.empty(len(cells), dtype=np.int64)
    for at, cell in enumerate(cells):
        stamp = _epoch_ns(cell) if _float(cell, ",") is not None else _iso_ns(cell)
        if stamp is None:
            expected = "epoch s, ms, us or ns, or ISO 8601 such as 2024-05-01T12:00:00Z"
            raise _refuse(layout, column, first + at, cell, expected)
        stamps[at] = stamp
    return stamps


def _epoch_times(cells: Sequence[str]) -> Times | None:
    """A block of whole epoch numbers, all of one unit."""
    try:
        numbers = np.array(list(map(int, cells)), dtype=np.int64)
    except (ValueError, OverflowError):
        return None
    low, high = (_unit(int(number)) for number in (numbers.min(), numbers.max()))
    return numbers * low if low == high else None


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


def _iso_ns(cell: str) -> int | None:
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
