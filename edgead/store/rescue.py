"""Takes from a damaged database what can still be read and is as it was written."""

import contextlib
import itertools
import sqlite3
from collections.abc import Iterator
from typing import Any

import msgspec

from edgead.store.schema import ID_MAX, OUTBOX_COUNTERS, SEQ_GAP, is_whole, row_crc

_ROWS_MAX = 10_000_000
_SEQ_GAP = (
    1_000_000  # above the highest number still readable, for those that are not: numbers must not come twice
)


class Rescued(msgspec.Struct):
    """Rows taken over."""

    series: int = 0
    entries: int = 0
    events: int = 0
    records: int = 0

    def __str__(self) -> str:
        if not (self.series or self.entries or self.events or self.records):
            return "starting with an empty state"
        for_cloud = f" ({self.records} records for the cloud)" if self.records else ""
        return (
            f"rescued the state of {self.series} series, {self.entries} journal entries and {self.events} events"
            f"{for_cloud}"
        )


def rescue(damaged: sqlite3.Connection, fresh: sqlite3.Connection) -> Rescued:
    """Copy every row that is whole from one database into another, which is empty and in a transaction.

    Each row stands for itself: a state says which journal entries it includes, an event is complete.  What is missing
    between them is a gap in what was learned, never a wrong value.
    """
    rescued = Rescued()
    journal_seq = spool_seq = dropped = outbox_seq = undelivered = 0
    for number, crc, *numbers in _rows(damaged, "id, crc, journal_seq, spool_seq, dropped", "counters", "id"):
        if is_whole(crc, numbers) and number == OUTBOX_COUNTERS:
            _, outbox_seq, undelivered = numbers
        elif is_whole(crc, numbers):
            journal_seq, spool_seq, dropped = numbers
    for slot, crc, seq, series, body in _rows(damaged, "slot, crc, seq, series, body", "snapshots", "slot"):
        if isinstance(series, str) and is_whole(crc, (slot, seq), series.encode(), body):
            rescued.series += _put(fresh, "snapshots", slot, crc, seq, series, body)
            journal_seq = max(journal_seq, seq)
    for seq, crc, body in _rows(damaged, "seq, crc, body", "journal", "seq"):
        if is_whole(crc, (seq,), body):
            rescued.entries += _put(fresh, "journal", seq, crc, body)
            journal_seq = max(journal_seq, seq)
    for seq, crc, created_ns, body in _rows(damaged, "seq, crc, created_ns, body", "spool", "seq"):
        if is_whole(crc, (seq, created_ns), body):
            rescued.events += _put(fresh, "spool", seq, crc, created_ns, body)
            spool_seq = max(spool_seq, seq)
    for seq, crc, created_ns, body in _rows(damaged, "seq, crc, created_ns, body", "outbox", "seq"):
        if is_whole(crc, (seq, created_ns), body):
            rescued.records += _put(fresh, "outbox", seq, crc, created_ns, body)
            outbox_seq = max(outbox_seq, seq)
    fresh.execute("DELETE FROM counters")
    counters = (journal_seq, spool_seq + SEQ_GAP, dropped)
    _put(fresh, "counters", 1, *counters, row_crc(counters))
    counters = (0, outbox_seq + SEQ_GAP, undelivered)
    _put(fresh, "counters", OUTBOX_COUNTERS, *counters, row_crc(counters))
    return rescued


def _rows(connection: sqlite3.Connection, columns: str, table: str, key: str) -> Iterator[tuple[Any, ...]]:
    """Rows that can be read: each is fetched by itself, so that a broken one costs only itself."""
    for number in itertools.islice(_keys(connection, table, key), _ROWS_MAX):
        with contextlib.suppress(sqlite3.DatabaseError):
            yield from connection.execute(
                f"SELECT {columns} FROM {table} WHERE {key} = ?", (number,)
            ).fetchall()


def _keys(connection: sqlite3.Connection, table: str, key: str) -> Iterator[int]:
    """Row ids in rising order.

    Where the tree is broken the search goes on 1, 2, 4, ... ids further on, so that it loses no more than about as many
    rows again as the broken part held.
    """
    last, step = -1, 0
    while last < ID_MAX:
        try:
            for (number,) in connection.execute(
                f"SELECT {key} FROM {table} WHERE {key} > ? ORDER BY {key}", (last,)
            ):
                if number > last:  # a broken tree may lead back
                    last, step = number, 0
                    yield number
            return
        except sqlite3.DatabaseError:
            step = 2 * step or 1
            last = min(last + step, ID_MAX)


def _put(connection: sqlite3.Connection, table: str, *values: object) -> int:
    """Insert a row; 1, or 0 when it was there (met from both ends)."""
    marks = ", ".join("?" * len(values))
    return connection.execute(f"INSERT OR IGNORE INTO {table} VALUES ({marks})", values).rowcount
