"""CSV files, read in blocks of bounded size.

Delimiter, header and time column are found by looking at the first rows; whatever cannot be read is an error with
line and column, never a guess.
"""

import csv
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path

import msgspec
import numpy as np

from edgead.errors import InvalidInput
from edgead.recording.cells import Times, Values, floats, iso_time, times, to_float
from edgead.recording.columns import Columns, column_at, time_by_name

BLOCK_ROWS = 20_000
SAMPLE_ROWS = 20


def read_csv(
    path: Path, columns: Sequence[str], time: str | None, progress: Callable[[int], None]
) -> Columns:
    """Read the chosen columns and the time column; see `edgead.recording.read_recording`."""
    layout = _look(path, columns, time)
    blocks: list[list[Values]] = []
    stamps: list[Times] = []
    with closing(_lines(path)) as lines:
        for first, size, rows in _blocks(layout, lines):
            cells = list(zip(*rows, strict=True))
            blocks.append([_floats(layout, cells[at], at, first) for at in layout.value_columns])
            if layout.time_column is not None:
                stamps.append(_times(layout, cells[layout.time_column], layout.time_column, first))
            progress(size)
    if not blocks:
        raise InvalidInput(f"{path}: no rows, expected at least one below the header", code="NoData")
    values = {
        layout.names[at]: np.concatenate([block[place] for block in blocks])
        for place, at in enumerate(layout.value_columns)
    }
    read = {layout.time_column, *layout.value_columns, *layout.nothing}
    others = tuple(name for at, name in enumerate(layout.names) if at not in read)
    return Columns(np.concatenate(stamps) if stamps else None, values, layout.notes, others)


class _Layout(msgspec.Struct, frozen=True):
    """What the first rows say about a file."""

    path: Path
    delimiter: str
    header: bool
    names: list[str]
    value_columns: list[int]
    time_column: int | None
    nothing: set[int]
    notes: tuple[str, ...]


def _look(path: Path, columns: Sequence[str], time: str | None) -> _Layout:
    """Find delimiter, header, time column and value columns."""
    with closing(_lines(path)) as file:
        lines = list(islice(file, SAMPLE_ROWS))
    delimiter = delimiter_of(lines)
    reader = csv.reader(lines, delimiter=delimiter)
    try:
        rows = [row for row in reader if row]
    except csv.Error as error:
        raise InvalidInput(f"{path}:{reader.line_num}: not CSV ({error})", code="ReadingFileError") from None
    if not rows:
        raise InvalidInput(f"{path}: empty, expected rows of values", code="NoData")
    width = len(rows[0])
    header = not any(cell and (_is_value(cell) or _is_time(cell)) for cell in rows[0])
    if header and len(rows) == 1:
        raise InvalidInput(f"{path}: no rows, expected at least one below the header", code="NoData")
    names = _names(rows[0]) if header else [f"column{number}" for number in range(1, width + 1)]
    body = [row for row in rows[header:] if len(row) == width]
    time_column = column_at(path, names, time) if time else _guess_time(names, body)
    chosen = [column_at(path, names, name) for name in columns]
    notes: tuple[str, ...] = ()
    others = [at for at in range(width) if at != time_column]
    # a line that ends with a delimiter has one cell more, without name or value
    nothing = {at for at in others if header and not any(row[at].strip() for row in (rows[0], *body))}
    if not chosen:
        chosen = [at for at in others if at not in nothing and all(_is_value(row[at]) for row in body)]
        text = ", ".join(names[at] for at in others if at not in chosen)
        notes = (f"not numbers and left out: {text}",) if text else ()
    if not chosen:
        wrong = next(
            (
                f": {names[at]} has {row[at][:40]!r}"
                for at in others
                for row in body
                if not _is_value(row[at])
            ),
            "",
        )
        raise InvalidInput(
            f"{path}: no column of numbers among {', '.join(names)}{wrong}", code="NoVariablesFound"
        )
    return _Layout(path, delimiter, header, names, list(dict.fromkeys(chosen)), time_column, nothing, notes)


def _lines(path: Path) -> Generator[str, None, None]:
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            yield from file
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path}: not UTF-8 ({error.reason}), expected text in UTF-8", code="ReadingFileError"
        ) from None
    except OSError as error:
        raise InvalidInput(
            f"{path}: cannot be read ({error.strerror}), expected a CSV file", code="ReadingFileError"
        ) from None


def delimiter_of(lines: Sequence[str]) -> str:
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


def _guess_time(names: Sequence[str], body: Sequence[Sequence[str]]) -> int | None:
    named = time_by_name(names)
    if named is not None:
        return named
    for at in range(len(names)):
        if body and all(_is_time(row[at]) for row in body):
            return at
    return None


def _is_value(cell: str) -> bool:
    return to_float(cell, decimal_comma=True) is not None


def _is_time(cell: str) -> bool:
    return iso_time(cell) is not None


def _blocks(layout: _Layout, lines: Iterable[str]) -> Iterator[tuple[int, int, list[list[str]]]]:
    """(number of the first row, size in bytes, rows) of each block of these lines; rows are as wide as the first."""
    size = 0

    def counted() -> Iterator[str]:
        nonlocal size
        for line in lines:
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
                raise InvalidInput(
                    f"{layout.path}:{_line(layout, first + at)}: {found}", code="NumColumnsMismatch"
                )
            yield first, size, rows
            first, size = first + len(rows), 0
    except csv.Error as error:
        raise InvalidInput(
            f"{layout.path}:{reader.line_num}: not CSV ({error})", code="ReadingFileError"
        ) from None


def _line(layout: _Layout, row: int) -> int:
    """Line of the file at which a row of values ends."""
    with closing(_lines(layout.path)) as lines:
        reader = csv.reader(lines, delimiter=layout.delimiter)
        seen = -1 - layout.header
        for cells in reader:
            seen += bool(cells)
            if seen == row:
                break
        return reader.line_num


def _refuse(layout: _Layout, column: int, row: int, cell: str, expected: str) -> InvalidInput:
    place = f"{layout.path}:{_line(layout, row)}: {layout.names[column]}"
    return InvalidInput(f"{place} = {cell[:60]!r}: expected {expected}", code="VariableParseError")


def _floats(layout: _Layout, cells: Sequence[str], column: int, first: int) -> Values:
    values = floats(cells, decimal_comma=layout.delimiter != ",")
    if isinstance(values, int):
        raise _refuse(layout, column, first + values, cells[values], "a number or an empty cell")
    return values


def _times(layout: _Layout, cells: Sequence[str], column: int, first: int) -> Times:
    stamps = times(cells)
    if isinstance(stamps, int):
        expected = "epoch s, ms, us or ns, or ISO 8601 such as 2024-05-01T12:00:00Z"
        raise _refuse(layout, column, first + stamps, cells[stamps], expected)
    return stamps
