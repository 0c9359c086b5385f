"""Recordings on disk: columns of a file as times and floats."""

from collections.abc import Callable, Sequence
from pathlib import Path

import msgspec
import numpy as np

from edgead.recording.cells import Times, Values
from edgead.recording.csv_file import read_csv

__all__ = ["ENDINGS", "Recording", "Times", "Values", "read_recording", "spacing"]

#: Endings of the names of files that a folder is searched for.
ENDINGS = (".csv", ".tsv", ".parquet")

#: Where a recording without times starts: 2000-01-01, the earliest time the bridge takes for a time.
START_NS = 946_684_800 * 10**9

_SPACING_ROWS = 200_000


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
    others : tuple of str
        Names of the columns that were not read.
    """

    path: str
    times_ns: Times
    columns: dict[str, Values]
    step_ns: int
    timed: bool
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def read_recording(
    path: str | Path,
    *,
    columns: Sequence[str] = (),
    time: str | None = None,
    interval_ns: int | None = None,
    progress: Callable[[int], None] = lambda size: None,
) -> Recording:
    """Read a CSV or, by its ending, a Parquet file.

    Parameters
    ----------
    path : str or Path
        CSV: cells divided by comma, semicolon or tab; with or without a header.
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
    path = Path(path)
    if path.suffix.lower() == ".parquet":
        from edgead.recording.parquet_file import read_parquet

        read = read_parquet(path, columns, time)
    else:
        read = read_csv(path, columns, time, progress)
    notes = list(read.notes)
    rows = len(next(iter(read.values.values())))
    stamps = read.times_ns
    if stamps is None:
        stamps = START_NS + (interval_ns or 10**9) * np.arange(rows, dtype=np.int64)
        if interval_ns is None:
            notes.append("no column of times: taken as a row a second (--time or --interval says otherwise)")
    elif stamps.min() <= 0:
        stamps = stamps - stamps.min() + START_NS
        notes.append("times from before 1970 are counted from 2000-01-01")
    notes += _order_notes(stamps)
    step_ns = interval_ns or spacing(stamps)
    timed = read.times_ns is not None
    return Recording(str(path), stamps, read.values, step_ns, timed, tuple(notes), read.others)


def _order_notes(times_ns: Times) -> list[str]:
    """What a reader may not know of the order of the rows: a late or repeated reading is not judged."""
    steps = np.diff(times_ns)
    back, same = int((steps < 0).sum()), int((steps == 0).sum())
    notes = [f"times go back at {back} of {len(times_ns)} rows"] if back else []
    return [*notes, f"{same} rows repeat the time of the row before"] if same else notes


def spacing(times_ns: Times) -> int:
    """The usual distance of two rows: median of the positive differences, a second if there are none."""
    steps = np.diff(times_ns[:_SPACING_ROWS])
    steps = steps[steps > 0]
    return int(np.median(steps)) if len(steps) else 10**9
