"""Events on disk until the other side has them: appended, bounded, read back, deleted."""

import sqlite3
from collections.abc import Collection, Iterator, Sequence

import msgspec

from edgead.records import Event
from edgead.store.records import SpoolRow, SpoolStats, StoreLimits
from edgead.store.schema import is_whole, row_crc

_CHUNK = 64  # rows read at a time, so that no statement stays open between calls
_NANOSECONDS = 1_000_000_000

_encoder = (
    msgspec.msgpack.Encoder()
)  # keyed by name: an event written before an upgrade is still read after it
_decoder = msgspec.msgpack.Decoder(Event)


class SpoolTally(msgspec.Struct):
    """Counts kept in memory, so that no commit has to scan the table."""

    rows: int = 0
    bytes: int = 0
    last_seq: int = 0
    dropped: int = 0


def encode_event(event: Event) -> bytes:
    """Encode an event as it lies in the spool (MessagePack keeps NaN, which JSON cannot)."""
    return _encoder.encode(event)


class Spool:
    """The spool table.  The methods that write expect an open transaction.

    Attributes
    ----------
    tally : SpoolTally
        Right after every committed transaction; the owner puts back a copy when one is rolled back.
    """

    name, key = "spool", "seq"

    def __init__(self, connection: sqlite3.Connection, *, last_seq: int, dropped: int) -> None:
        self._connection = connection
        rows, size, highest = connection.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0), coalesce(max(seq), 0) FROM spool"
        ).fetchone()
        self.tally = SpoolTally(rows, size, max(last_seq, highest), dropped)

    def append(self, events: Sequence[Event], limits: StoreLimits, now_ns: int) -> list[int]:
        """Store events, then enforce the limits; one sequence number an event, 0 for one kept out."""
        before = self.tally.dropped
        if self.is_overdue(limits, now_ns):
            self._drop_old(limits, now_ns)
        seqs = [self._insert(encode_event(event), limits, now_ns) for event in events]
        if limits.drop == "newest" or not events:
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
            "INSERT INTO spool (seq, crc, created_ns, body) VALUES (?, ?, ?, ?)",
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
        row = self._connection.execute("SELECT created_ns FROM spool ORDER BY seq LIMIT 1").fetchone()
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
                "SELECT seq, length(body), created_ns FROM spool WHERE seq > ? ORDER BY seq LIMIT ?",
                (after, _CHUNK),
            ).fetchall()
            yield from rows
            if len(rows) < _CHUNK:
                return
            after = rows[-1][0]

    def delete(self, first: int, last: int) -> int:
        """Delete a range of rows, both ends included; how many there were."""
        rows, size = self._connection.execute(
            "SELECT count(*), coalesce(sum(length(body)), 0) FROM spool WHERE seq BETWEEN ? AND ?",
            (first, last),
        ).fetchone()
        self._connection.execute("DELETE FROM spool WHERE seq BETWEEN ? AND ?", (first, last))
        self.tally.rows -= rows
        self.tally.bytes -= size
        return int(rows)

    def highest(self) -> int:
        """Sequence number of the newest row; 0 when the table is empty."""
        return int(self._connection.execute("SELECT coalesce(max(seq), 0) FROM spool").fetchone()[0])

    def size_of(self, seq: int) -> int | None:
        """Encoded size of a row; None when it is not there."""
        row = self._connection.execute("SELECT length(body) FROM spool WHERE seq = ?", (seq,)).fetchone()
        return None if row is None else int(row[0])

    def read(
        self, after: int, through: int, limit: int, skip: Collection[int]
    ) -> tuple[list[SpoolRow], list[int]]:
        """Rows in ascending order, and the sequence numbers of damaged ones met on the way."""
        found: list[SpoolRow] = []
        damaged: list[int] = []
        while len(found) < limit:
            rows = self._connection.execute(
                "SELECT seq, crc, created_ns, body FROM spool WHERE seq > ? AND seq <= ? ORDER BY seq LIMIT ?",
                (after, through, min(limit, _CHUNK)),
            ).fetchall()
            if not rows:
                break
            after = rows[-1][0]
            for seq, crc, created_ns, body in rows:
                if seq in skip:
                    continue
                event = _decode(body) if is_whole(crc, (seq, created_ns), body) else None
                if event is None:
                    damaged.append(seq)
                else:
                    found.append(SpoolRow(seq, event, created_ns))
        return found[:limit], damaged

    def stats(self, skip: dict[int, int]) -> SpoolStats:
        """Count what waits; `skip` holds rows that are as good as deleted, with their sizes."""
        oldest = next((created for seq, _, created in self._sizes() if seq not in skip), None)
        tally = self.tally
        return SpoolStats(
            tally.rows - len(skip), tally.bytes - sum(skip.values()), oldest, tally.dropped, tally.last_seq
        )


def _decode(body: bytes) -> Event | None:
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None
