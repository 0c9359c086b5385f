"""Parquet files (the one owner of pyarrow)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from edgead.errors import InvalidInput
from edgead.recording.cells import Times, Values, epoch_times, times
from edgead.recording.columns import Columns, column_at, time_by_name


def read_parquet(path: Path, columns: Sequence[str], time: str | None) -> Columns:
    """Read the chosen columns and the time column; see `edgead.recording.read_recording`.

    Only the columns needed are read from the file.
    """
    try:
        import pyarrow as pa
        import pyarrow.parquet as pq
    except ImportError:
        raise InvalidInput(f"{path}: Parquet needs pyarrow: pip install 'edgead[parquet]'") from None
    try:
        with pq.ParquetFile(path) as file:
            schema = file.schema_arrow
            time_at = column_at(path, schema.names, time) if time else _guess_time(schema)
            chosen, notes = _choose(path, schema, columns, time_at)
            wanted = [schema.names[at] for at in {*chosen, *([] if time_at is None else [time_at])}]
            table = file.read(columns=wanted)
    except (OSError, pa.ArrowException) as error:
        raise InvalidInput(
            f"{path}: cannot be read as Parquet ({str(error).splitlines()[0]})", code="ReadingFileError"
        ) from None
    if not table.num_rows:
        raise InvalidInput(f"{path}: no rows, expected at least one", code="NoData")
    values = {name: _floats(path, name, table[name]) for name in (schema.names[at] for at in chosen)}
    stamps = None if time_at is None else _times(path, schema.names[time_at], table[schema.names[time_at]])
    others = tuple(name for name in schema.names if name not in wanted)
    return Columns(stamps, values, notes, others)


def _is_number(kind: Any) -> bool:
    import pyarrow.types as kinds

    return any(
        is_kind(kind) for is_kind in (kinds.is_integer, kinds.is_floating, kinds.is_decimal, kinds.is_boolean)
    )


def _guess_time(schema: Any) -> int | None:
    import pyarrow.types as kinds

    named = time_by_name(schema.names)
    dated = (at for at, kind in enumerate(schema.types) if kinds.is_timestamp(kind) or kinds.is_date(kind))
    return named if named is not None else next(dated, None)


def _choose(
    path: Path, schema: Any, columns: Sequence[str], time_at: int | None
) -> tuple[list[int], tuple[str, ...]]:
    if columns:
        return list(dict.fromkeys(column_at(path, schema.names, name) for name in columns)), ()
    others = [at for at in range(len(schema.names)) if at != time_at]
    chosen = [at for at in others if _is_number(schema.types[at])]
    if not chosen:
        raise InvalidInput(
            f"{path}: no column of numbers among {', '.join(schema.names)}", code="NoVariablesFound"
        )
    left = ", ".join(schema.names[at] for at in others if at not in chosen)
    return chosen, (f"not numbers and left out: {left}",) if left else ()


def _floats(path: Path, name: str, column: Any) -> Values:
    import pyarrow as pa

    if not _is_number(column.type):
        raise InvalidInput(f"{path}: {name} holds {column.type}, expected numbers", code="VariableParseError")
    values: Values = column.cast(pa.float64()).to_numpy().astype(np.float64)
    return np.where(np.isfinite(values), values, np.nan)


def _times(path: Path, name: str, column: Any) -> Times:
    """Epoch nanoseconds of timestamps, dates, whole epoch numbers, or ISO texts."""
    import pyarrow as pa
    import pyarrow.types as kinds

    if column.null_count:
        raise InvalidInput(
            f"{path}: {name} has {column.null_count} rows without a time, expected one in each"
        )
    try:
        if kinds.is_timestamp(column.type) or kinds.is_date(column.type):
            stamps: Times = column.cast(pa.timestamp("ns")).cast(pa.int64()).to_numpy()
            return stamps
        if kinds.is_integer(column.type):
            read = epoch_times(column.cast(pa.int64()).to_numpy())
            if read is None:
                raise InvalidInput(
                    f"{path}: {name} reaches outside of the years 1678..2262, expected epoch times"
                )
            return read
    except pa.ArrowException as error:
        raise InvalidInput(
            f"{path}: {name}: {str(error).splitlines()[0]}", code="VariableParseError"
        ) from None
    found = times(column.cast(pa.string()).to_pylist())
    if isinstance(found, int):
        raise InvalidInput(
            f"{path}: {name} = {str(column[found])!r} in row {found + 1}: expected a time",
            code="VariableParseError",
        )
    return found
