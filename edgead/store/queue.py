"""Rows on disk until the other side has them: appended, bounded, read back, deleted."""

import sqlite3
from collections.abc import Iterator, Sequence

import msgspec

from edgead.store.records import SpoolStats, StoreLimits
from edgead.store.schema import is_whole, row_crc

_CHUNK = 64  # rows read at a time, so that no statement stays open between calls
_NANOSECONDS = 1_000_000_000


class Tally(msgspec.Struct):
    """Counts kept in memory, so that no commit has to scan the table."""

    rows: int = 0
    bytes: int = 0
    last_seq: int = 0
    dropped: int = 0


class Queue:
    """One table of numbered rows.  The methods that write expect an open transaction.

    Parameters
    ----------
    connection : sqlite3.Connection
    name : {"spool", "outbox"}
        Of the table.
    last_seq, dropped : int
        As the counters have them.

    Attributes
    ----------
    tally : Tally
        Right after every committed transaction; the owner puts back a copy when one is rolled back.
    acknowledged : dict of int to int
        Sequence numbers that the other side has, and the sizes of their rows: as good as deleted.
    """

    key = "seq"

    def __init__(self, connection: sqlite3.Connection, name: str, *, last_seq: int, dropped: int) -> None:
        self.name = name
        self.acknowledged: dict[int, int] = {}
        self._connection = connection
        rows, size, highest = connection.execute(
            f"SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(seq), 0) FROM {name}"
        ).fetchone()
        self.tally = Tally(rows, size, max(last_seq, highest), dropped)

    def append(self, bodies: Sequence[bytes], limits: StoreLimits, now_ns: int) -> list[int]:
        """Store rows, then enforce the limits; one sequence number a row, 0 for one kept out."""
        before = self.tally.dropped
        if self.is_overdue(limits, now_ns):
            self._drop_old(limits, now_ns)
        seqs = [self._insert(body, limits, now_ns) for body in bodies]
        if limits.drop == "newest" or not bodies:
            return seqs
        floor = self._drop_excess(limits) if self._is_over(limits) else 0
        if self.tally.dropped == before:
            return seqs
        return [seq if seq > floor else 0 for seq in seqs]

    def _insert(self, body: bytes, limits: StoreLimits, now_ns: int) -> int:
        tally = self.tally
        full = tally.rows >= limits.spool_rows or tally.bytes + len(body) > limits.spool_bytes
        if full and limits.drop == "newest":
            tally.dropped += 1
            return 0
        seq = tally.last_seq + 1
        self._connection.execute(
            f"INSERT INTO {self.name} (seq, crc, created_ns, body) VALUES (?, ?, ?, ?)",
            (seq, row_crc((seq, now_ns), body), now_ns, body),
        )
        tally.last_seq = seq
        tally.rows += 1
        tally.bytes += len(body)
        return seq

    def _is_over(self, limits: StoreLimits) -> bool:
        return self.tally.rows > limits.spool_rows or self.tally.bytes > limits.spool_bytes

    def _drop_excess(self, limits: StoreLimits) -> int:
        """Delete the oldest rows until the limits hold; the highest sequence number deleted."""
        rows, size, floor = self.tally.rows, self.tally.bytes, 0
        for seq, length, _ in self._sizes():
            if rows <= limits.spool_rows and size <= limits.spool_bytes:
                break
            rows, size, floor = rows - 1, size - length, seq
        self._drop_through(floor)
        return floor

    def is_overdue(self, limits: StoreLimits, now_ns: int) -> bool:
        """Whether the oldest row is older than the limit."""
        if not limits.spool_age_s:
            return False
        row = self._connection.execute(f"SELECT created_ns FROM {self.name} ORDER BY seq LIMIT 1").fetchone()
        return row is not None and row[0] < now_ns - limits.spool_age_s * _NANOSECONDS

    def _drop_old(self, limits: StoreLimits, now_ns: int) -> None:
        """Delete rows older than the limit, from the oldest on."""
        floor = 0
        for seq, _, created_ns in self._sizes():
            if created_ns >= now_ns - limits.spool_age_s * _NANOSECONDS:
                break
            floor = seq
        self._drop_through(floor)

    def _drop_through(self, floor: int) -> None:
        if floor:
            self.tally.dropped += self.delete(0, floor)

    def _sizes(self) -> Iterator[tuple[int, int, int]]:
        """Sequence number, encoded size and time of every row, oldest first."""
        after = 0
        while True:
            rows = self._connection.execute(
                f"SELECT seq, length(body), created_ns FROM {self.name} WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, _CHUNK),
            ).fetchall()
            yield from rows
            if len(rows) < _CHUNK:
                return
            after = rows[-1][0]

    def delete(self, first: int, last: int) -> int:
        """Delete a range of rows, both ends included; how many there were."""
        rows, size = self._connection.execute(
            f"SELECT count(*), coalesce(sum(length(body)), 0) FROM {self.name} WHERE seq BETWEEN ? AND ?",
            (first, last),
        ).fetchone()
        self._connection.execute(f"DELETE FROM {self.name} WHERE seq BETWEEN ? AND ?", (first, last))
        self.tally.rows -= rows
        self.tally.bytes -= size
        return int(rows)

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """Note rows as good as deleted; unknown numbers are ignored."""
        for seq in seqs:
            size = None if seq in self.acknowledged else self._size_of(seq)
            if size is not None:
                self.acknowledged[seq] = size

    def delete_acknowledged(self) -> None:
        """Delete what was acknowledged; `acknowledged` is emptied by the owner once that is committed."""
        for first, last in _runs(sorted(self.acknowledged)):
            self.delete(first, last)

    def highest(self) -> int:
        """Sequence number of the newest row; 0 when the table is empty."""
        return int(self._connection.execute(f"SELECT coalesce(max(seq), 0) FROM {self.name}").fetchone()[0])

    def _size_of(self, seq: int) -> int | None:
        """Encoded size of a row; None when it is not there."""
        row = self._connection.execute(
            f"SELECT length(body) FROM {self.name} WHERE seq = ?", (seq,)
        ).fetchone()
        return None if row is None else int(row[0])

    def rows(self, after: int, through: int, chunk: int) -> Iterator[tuple[int, int, bytes | None]]:
        """Number, time and content of the rows in (after, through], ascending; None for a damaged one."""
        while True:
            rows = self._connection.execute(
                f"SELECT seq, crc, created_ns, body FROM {self.name} WHERE seq > ? AND seq <= ?"
                " ORDER BY seq LIMIT ?",
                (after, through, min(chunk, _CHUNK)),
            ).fetchall()
            if not rows:
                return
            after = rows[-1][0]
            for seq, crc, created_ns, body in rows:
                if seq not in self.acknowledged:
                    yield seq, created_ns, body if is_whole(crc, (seq, created_ns), body) else None

    def stats(self) -> SpoolStats:
        """Count what waits."""
        done = self.acknowledged
        oldest = next((created for seq, _, created in self._sizes() if seq not in done), None)
        tally = self.tally
        return SpoolStats(
            tally.rows - len(done), tally.bytes - sum(done.values()), oldest, tally.dropped, tally.last_seq
        )


def _runs(seqs: Sequence[int]) -> Iterator[tuple[int, int]]:
    """First and last of every run of neighbours in ascending numbers."""
    first = last = None
    for seq in seqs:
        if first is None or last is None or seq != last + 1:
            if first is not None and last is not None:
                yield first, last
            first = seq
        last = seq
    if first is not None and last is not None:
        yield first, last
