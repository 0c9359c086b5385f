"""What every kind of file gives: columns, and how they are chosen."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from edgead.errors import InvalidInput
from edgead.recording.cells import Times, Values

TIME_NAMES = ("timestamp", "datetime", "time", "ts", "date")


class Columns(msgspec.Struct, frozen=True):
    """Raw columns of a file; `times_ns` is None where it has no times; `others` are those not read."""

    times_ns: Times | None
    values: dict[str, Values]
    notes: tuple[str, ...] = ()
    others: tuple[str, ...] = ()


def column_at(path: Path, names: Sequence[str], wanted: str) -> int:
    """Place of a column by name, or by number from 1.

    Raises
    ------
    InvalidInput
        If there is none.
    """
    if wanted in names:
        return names.index(wanted)
    if wanted.isascii() and wanted.isdigit() and 1 <= int(wanted) <= len(names):
        return int(wanted) - 1
    raise InvalidInput(
        f"{path}: no column {wanted!r}, expected one of {', '.join(names)}", code="ColumnNotFound"
    )


def time_by_name(names: Sequence[str]) -> int | None:
    """Place of the column whose name says that it holds times."""
    lowered = [name.lower() for name in names]
    return next((lowered.index(name) for name in TIME_NAMES if name in lowered), None)
