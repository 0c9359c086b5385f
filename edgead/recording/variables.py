"""Variables of one machine on disk: one table, or a folder with a file for each (OneTable, MultiTable)."""

import csv
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edgead.config.units import iso
from edgead.errors import InvalidInput
from edgead.recording import ENDINGS, Recording, Times, Values, read_recording
from edgead.recording.csv_file import delimiter_of

#: Limit of the cloud service.
MAX_BYTES = 2 * 10**9
#: Columns of a file of a folder.
TIME, VALUE = "timestamp", "value"

Advance = Callable[[int], None]


class Variables(msgspec.Struct, frozen=True):
    """Readings by variable.

    Attributes
    ----------
    path : str
    columns : dict of str to (times, values)
        Times in epoch nanoseconds, rising; values are NaN where a file has none.
    notes : tuple of str
        Sentences for people about what was left out.
    """

    path: str
    columns: dict[str, tuple[Times, Values]]
    notes: tuple[str, ...] = ()


def read_variables(
    path: str | Path,
    *,
    names: Sequence[str] = (),
    time: str | None = None,
    interval_ns: int | None = None,
    start_ns: int | None = None,
    end_ns: int | None = None,
    exact: bool = False,
    progress: Advance = lambda size: None,
) -> Variables:
    """Read a table, or a folder of tables with the columns ``timestamp`` and ``value``.

    Parameters
    ----------
    path : str or Path
        CSV or Parquet file, or folder.
    names : sequence of str
        Variables to read, in this order; empty = every column of numbers, or every file by name.
    time : str, optional
        Time column of a table; found by name or content otherwise.
    interval_ns : int, optional
        Spacing of the rows of a table without times.
    start_ns, end_ns : int, optional
        First and last time, both inclusive.
    exact : bool
        Refuse columns and files that are none of `names`; without names, columns that are not numbers.
    progress : callable
        Told the number of bytes read.

    Raises
    ------
    InvalidInput
        With a code of `edgead.errors.DATA_CODES`: ``FileNotExist``, ``RedundantFile``, ``FileSizeTooLarge``,
        ``ReadingFileError``, ``NoVariablesFound``, ``DuplicatedVariables``, ``FileColumnsNotExist``,
        ``ColumnNotFound``, ``NumColumnsMismatch``, ``VariableParseError``, ``MergeDataFailed``, ``NoData``.
    """
    path = Path(path)
    if path.is_dir():
        columns, notes = _read_folder(path, names, exact, progress)
    else:
        _expect_file(path)
        columns, notes = _read_table(path, names, time, interval_ns, exact, progress)
    if start_ns is not None or end_ns is not None:
        whole = [times for times, _ in columns.values() if len(times)]
        columns = {name: _clipped(*column, start_ns, end_ns) for name, column in columns.items()}
        if not any(len(times) for times, _ in columns.values()):
            there = span_words(min(times[0] for times in whole), max(times[-1] for times in whole))
            raise InvalidInput(
                f"{path}: no rows between start and end; there are some {there}", code="NoData"
            )
    return Variables(str(path), columns, notes)


def span_words(first_ns: int, last_ns: int) -> str:
    """From when to when there are rows, in UTC."""
    return f"from {iso(int(first_ns))} to {iso(int(last_ns))}"


def longest_gaps(columns: Mapping[str, tuple[Times, Values]], longest_ns: int) -> tuple[str, int]:
    """The variable with the most holes between readings that are longer than that, and how many it has."""
    counts = {
        name: int((np.diff(times[np.isfinite(values)]) > longest_ns).sum())
        for name, (times, values) in columns.items()
    }
    name = max(counts, key=lambda each: counts[each])
    return name, counts[name]


def _expect_file(*paths: Path) -> None:
    size = 0
    for path in paths:
        if not path.exists():
            raise InvalidInput(f"{path}: no such file", code="FileNotExist")
        size += path.stat().st_size
    if size > MAX_BYTES:
        raise InvalidInput(f"{paths[0]}: {size} bytes, at most {MAX_BYTES}", code="FileSizeTooLarge")


def _read_table(
    path: Path,
    names: Sequence[str],
    time: str | None,
    interval_ns: int | None,
    exact: bool,
    progress: Advance,
) -> tuple[dict[str, tuple[Times, Values]], tuple[str, ...]]:
    if path.suffix.lower() != ".parquet":
        _refuse_repeated(path)
    recording = read_recording(path, columns=names, time=time, interval_ns=interval_ns, progress=progress)
    if not recording.timed and interval_ns is None:
        raise InvalidInput(f"{path}: no column of times, expected one called {TIME}", code="ColumnNotFound")
    if exact and names:
        _refuse_others(path, recording.others)
    elif exact and recording.others:  # reading them tells which cell is no number
        read_recording(path, columns=recording.others, time=time, interval_ns=interval_ns)
    columns = {name: _in_order(recording, values) for name, values in recording.columns.items()}
    return columns, tuple(note for note in recording.notes if not note.startswith("times go back"))


def _refuse_others(path: Path, others: Sequence[str]) -> None:
    if others:
        raise InvalidInput(f"{path}: no variables of the model: {', '.join(others)}", code="RedundantFile")


def _refuse_repeated(path: Path) -> None:
    """Two columns of one name are two variables of one name; readers of recordings would rename one."""
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            line = file.readline()
        header = next(csv.reader([line], delimiter=delimiter_of([line])), [])
    except UnicodeDecodeError:
        raise InvalidInput(f"{path}: not UTF-8, expected text in UTF-8", code="ReadingFileError") from None
    except (OSError, csv.Error) as error:
        raise InvalidInput(f"{path}: cannot be read ({error})", code="ReadingFileError") from None
    names = [cell.strip() for cell in header]
    repeated = sorted({name for name in names if name and names.count(name) > 1})
    if repeated and not any(map(_is_number, names)):
        raise InvalidInput(f"{path}: more than one column {', '.join(repeated)}", code="DuplicatedVariables")


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return True


def _in_order(recording: Recording, values: Values) -> tuple[Times, Values]:
    times = recording.times_ns
    if (np.diff(times) < 0).any():
        order = np.argsort(times, kind="stable")
        times, values = times[order], values[order]
    repeated = np.flatnonzero(np.diff(times) == 0)
    if len(repeated):
        when = np.datetime64(int(times[repeated[0]]), "ns")
        raise InvalidInput(
            f"{recording.path}: {len(repeated)} times occur twice, the first {when}Z", code="MergeDataFailed"
        )
    return times, values


def _read_folder(
    folder: Path, names: Sequence[str], exact: bool, progress: Advance
) -> tuple[dict[str, tuple[Times, Values]], tuple[str, ...]]:
    files = {path.stem: path for path in sorted(folder.iterdir()) if path.suffix.lower() in ENDINGS}
    if not files:
        raise InvalidInput(f"{folder}: no files of variables ({', '.join(ENDINGS)})", code="NoVariablesFound")
    missing = [name for name in names if name not in files]
    if missing:
        raise InvalidInput(f"{folder}: no file of the variable {missing[0]!r}", code="FileNotExist")
    chosen = {name: files[name] for name in names} or files
    _expect_file(*chosen.values())
    left_out = [name for name in files if name not in chosen]
    if exact:
        _refuse_others(folder, left_out)
    notes = (f"left out: {', '.join(left_out)}",) if left_out else ()
    return {name: _read_variable(path, progress) for name, path in chosen.items()}, notes


def _read_variable(path: Path, progress: Advance) -> tuple[Times, Values]:
    try:
        recording = read_recording(path, columns=[VALUE], time=TIME, progress=progress)
    except InvalidInput as error:
        code = "FileColumnsNotExist" if error.code == "ColumnNotFound" else error.code
        raise InvalidInput(error.message, code=code) from None
    return _in_order(recording, recording.columns[VALUE])


def _clipped(times: Times, values: Values, start_ns: int | None, end_ns: int | None) -> tuple[Times, Values]:
    first = 0 if start_ns is None else int(np.searchsorted(times, start_ns))
    last = len(times) if end_ns is None else int(np.searchsorted(times, end_ns, side="right"))
    return times[first:last], values[first:last]
