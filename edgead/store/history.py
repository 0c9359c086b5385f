"""What a restart needs: the journal of what the engine was fed, and snapshots of what it had become."""

import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence

import msgspec

from edgead.store.schema import ID_MAX, is_whole, row_crc, slot_of

_CHUNK = 16  # rows read at a time: a snapshot is tens of kilobytes


class JournalTally(msgspec.Struct):
    """Counts kept in memory, so that no commit has to scan the table."""

    rows: int = 0
    bytes: int = 0
    last_seq: int = 0


class Journal:
    """The journal table: one row a batch.  The methods that write expect an open transaction."""

    name, key = "journal", "seq"

    def __init__(self, connection: sqlite3.Connection, *, last_seq: int) -> None:
        self._connection = connection
        rows, size, highest = connection.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(seq), 0) FROM journal"
        ).fetchone()
        self.tally = JournalTally(rows, size, max(last_seq, highest))

    def append(self, entries: Sequence[bytes]) -> None:
        """Add entries, in order."""
        for body in entries:
            seq = self.tally.last_seq + 1
            self._connection.execute(
                "INSERT INTO journal (seq, crc, body) VALUES (?, ?, ?)", (seq, row_crc((seq,), body), body)
            )
            self.tally.last_seq = seq
            self.tally.rows += 1
            self.tally.bytes += len(body)

    def delete(self, first: int, last: int) -> None:
        """Delete a range of entries, both ends included."""
        rows, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM journal WHERE seq BETWEEN ? AND ?",
            (first, last),
        ).fetchone()
        self._connection.execute("DELETE FROM journal WHERE seq BETWEEN ? AND ?", (first, last))
        self.tally.rows -= rows
        self.tally.bytes -= size

    def lowest(self) -> int:
        """Number of the oldest row; the highest possible when the table is empty."""
        return int(
            self._connection.execute("SELECT coalesce(min(seq), ?) FROM journal", (ID_MAX,)).fetchone()[0]
        )

    def highest(self) -> int:
        """Number of the newest row; 0 when the table is empty."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM journal").fetchone()[0])

    def read(self) -> Iterator[tuple[int, bytes | None]]:
        """Every entry in ascending order; None for a damaged one."""
        after = 0
        while rows := self._connection.execute(
            "SELECT seq, crc, body FROM journal WHERE seq > ? ORDER BY seq LIMIT ?", (after, _CHUNK)
        ).fetchall():
            for seq, crc, body in rows:
                yield seq, body if is_whole(crc, (seq,), body) else None
            after = rows[-1][0]


class Snapshots:
    """The snapshots table: one row a series.  The methods that write expect an open transaction."""

    name, key = "snapshots", "slot"

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def save(self, blobs: Mapping[str, bytes], seq: int) -> None:
        """Put the state of series in place of the one before; it includes journal entries up to `seq`."""
        for series_id, body in blobs.items():
            slot = slot_of(series_id)
            self._connection.execute(
                "INSERT INTO snapshots (slot, crc, seq, series, body) VALUES (?, ?, ?, ?, ?)"
                " ON CONFLICT (slot) DO UPDATE"
                " SET crc = excluded.crc, seq = excluded.seq, series = excluded.series, body = excluded.body",
                (slot, row_crc((slot, seq), series_id.encode(), body), seq, series_id, body),
            )

    def retire(self, series_ids: Collection[str]) -> None:
        """Delete the state of series that are no more."""
        for series_id in series_ids:
            slot = slot_of(series_id)
            self.delete(slot, slot)

    def delete(self, first: int, last: int) -> None:
        """Delete a range of slots, both ends included."""
        self._connection.execute("DELETE FROM snapshots WHERE slot BETWEEN ? AND ?", (first, last))

    def highest(self) -> int:
        """Highest journal number a snapshot includes; 0 when there is none."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM snapshots").fetchone()[0])

    def read(self) -> Iterator[tuple[int, str, int, bytes | None]]:
        """Slot, series, journal number and state of every series; None for a damaged one."""
        after = -1
        while rows := self._connection.execute(
            "SELECT slot, crc, seq, series, body FROM snapshots WHERE slot > ? ORDER BY slot LIMIT ?",
            (after, _CHUNK),
        ).fetchall():
            for slot, crc, seq, series_id, body in rows:
                name = series_id.encode() if isinstance(series_id, str) else series_id
                yield slot, str(series_id), seq, body if is_whole(crc, (slot, seq), name, body) else None
            after = rows[-1][0]
