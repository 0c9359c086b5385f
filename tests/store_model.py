"""What the store promises, as dictionaries: the slow, obvious twin of `edgead.store`."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, NamedTuple

from edgead.records import Event, Verdict
from edgead.store import Committed, StoreLimits, StoreView
from edgead.store.spool import encode_event


class State(NamedTuple):
    """Everything a store shows."""

    snapshots: dict[str, tuple[int, bytes]]
    journal: dict[int, bytes]
    spool: dict[int, tuple[str, int]]  # id of the event, when it was stored
    outbox: dict[int, tuple[bytes, int]]  # record, when it was stored
    journal_seq: int
    spool_seq: int
    outbox_seq: int
    dropped: tuple[int, int]  # events, records


def make_event(number: int, unit: str = "degC") -> Event:
    verdict = Verdict("a.b", number, 1.0, float("nan"), 0.0, 2.0, 1.5, 0.3, True, "ready")
    return Event(f"id-{number}", "open", number, verdict, unit, "spectral-residual@1")


def state_of(store: StoreView) -> State:
    """Read everything through the store's own methods."""
    snapshots = {series_id: (seq, body) for series_id, seq, body in store.snapshots()}
    journal = dict(store.journal())
    spool = {row.seq: (row.event.id, row.created_ns) for row in store.peek(limit=100_000)}
    outbox = {row.seq: (row.body, row.created_ns) for row in store.peek_outbox(limit=100_000)}
    stats, records = store.spool_stats(), store.outbox_stats()
    assert (stats.rows, records.rows) == (len(spool), len(outbox))
    assert records.bytes == sum(len(body) for body, _ in outbox.values())
    assert store.journal_rows == len(journal)
    assert store.journal_bytes == sum(map(len, journal.values()))
    seqs = store.journal_seq, stats.last_seq, records.last_seq
    return State(snapshots, journal, spool, outbox, *seqs, (stats.dropped, records.dropped))


class QueueModel:
    """Rows with a name, an encoded size and a time, by number."""

    def __init__(self, limits: StoreLimits) -> None:
        self.limits = limits
        self.rows: dict[int, tuple[str | bytes, int, int]] = {}
        self.acknowledged: set[int] = set()
        self.seq = self.dropped = 0

    def put(self, rows: Sequence[tuple[str | bytes, int]], now_ns: int) -> list[int]:
        self._drop_old(now_ns)
        seqs = [self._append(name, size, now_ns) for name, size in rows]
        while self._is_over(0, 0):
            self._drop(min(self.rows))
        return [seq if seq in self.rows else 0 for seq in seqs]

    def _append(self, name: str | bytes, size: int, now_ns: int) -> int:
        if self.limits.drop == "newest" and self._is_over(1, size):
            self.dropped += 1
            return 0
        self.seq += 1
        self.rows[self.seq] = (name, size, now_ns)
        return self.seq

    def _is_over(self, rows: int, size: int) -> bool:
        used = sum(size for _, size, _ in self.rows.values())
        return len(self.rows) + rows > self.limits.spool_rows or used + size > self.limits.spool_bytes

    def _drop_old(self, now_ns: int) -> None:
        while self.limits.spool_age_s and self.rows:
            oldest = min(self.rows)
            if self.rows[oldest][2] >= now_ns - self.limits.spool_age_s * 1_000_000_000:
                return
            self._drop(oldest)

    def _drop(self, seq: int) -> None:
        del self.rows[seq]
        self.dropped += 1

    def flush(self) -> None:
        for seq in self.acknowledged:
            self.rows.pop(seq, None)
        self.acknowledged.clear()

    def shown(self, hidden: Collection[int]) -> dict[int, tuple[Any, int]]:
        return {seq: (row[0], row[2]) for seq, row in sorted(self.rows.items()) if seq not in hidden}


class Model:
    def __init__(self, limits: StoreLimits, *, put_off: int) -> None:
        self.put_off = put_off  # acknowledgements kept in memory at most
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.journal: dict[int, bytes] = {}
        self.spool, self.outbox = QueueModel(limits), QueueModel(limits)
        self.journal_seq = 0

    def commit(
        self,
        *,
        journal: Sequence[bytes] = (),
        events: Sequence[Event] = (),
        outbox: Sequence[bytes] = (),
        snapshots: Mapping[str, bytes] = {},
        retired: Collection[str] = (),
        forget_through: int = 0,
        now_ns: int,
    ) -> Committed:
        before = self.spool.dropped
        self.flush()
        kept = self.spool.put([(event.id, len(encode_event(event))) for event in events], now_ns)
        self.outbox.put([(body, len(body)) for body in outbox], now_ns)
        for body in journal:
            self.journal_seq += 1
            self.journal[self.journal_seq] = body
        self.snapshots |= {series_id: (self.journal_seq, body) for series_id, body in snapshots.items()}
        for series_id in retired:
            self.snapshots.pop(series_id, None)
        self.journal = {seq: body for seq, body in self.journal.items() if seq > forget_through}
        return Committed(self.journal_seq, kept, self.spool.dropped - before)

    def acknowledge(self, seqs: Sequence[int]) -> None:
        self._acknowledge(self.spool, seqs)

    def acknowledge_outbox(self, seqs: Sequence[int]) -> None:
        self._acknowledge(self.outbox, seqs)

    def _acknowledge(self, queue: QueueModel, seqs: Sequence[int]) -> None:
        queue.acknowledged |= set(seqs) & queue.rows.keys()
        if len(self.spool.acknowledged) + len(self.outbox.acknowledged) >= self.put_off:
            self.flush()

    def flush(self) -> None:
        self.spool.flush()
        self.outbox.flush()

    def shown(self) -> State:
        """What the store shows while it is open."""
        return self._state(self.spool.acknowledged, self.outbox.acknowledged)

    def on_disk(self) -> State:
        """What it would show after a kill."""
        return self._state((), ())

    def _state(self, events: Collection[int], records: Collection[int]) -> State:
        return State(
            dict(self.snapshots),
            dict(self.journal),
            self.spool.shown(events),
            self.outbox.shown(records),
            self.journal_seq,
            self.spool.seq,
            self.outbox.seq,
            (self.spool.dropped, self.outbox.dropped),
        )
