"""What the store promises, as dictionaries: the slow, obvious twin of `edgead.store`."""

from collections.abc import Collection, Mapping, Sequence
from typing import NamedTuple

from edgead.records import Event, Verdict
from edgead.store import Committed, StoreLimits, StoreView
from edgead.store.spool import encode_event


class State(NamedTuple):
    """Everything a store shows."""

    snapshots: dict[str, tuple[int, bytes]]
    journal: dict[int, bytes]
    spool: dict[int, tuple[str, int]]  # id of the event, when it was stored
    journal_seq: int
    spool_seq: int
    dropped: int


def make_event(number: int, unit: str = "degC") -> Event:
    verdict = Verdict("a.b", number, 1.0, float("nan"), 0.0, 2.0, 1.5, 0.3, True, "ready")
    return Event(f"id-{number}", "open", number, verdict, unit, "spectral-residual@1")


def state_of(store: StoreView) -> State:
    """Read everything through the store's own methods."""
    snapshots = {series_id: (seq, body) for series_id, seq, body in store.snapshots()}
    journal = dict(store.journal())
    spool = {row.seq: (row.event.id, row.created_ns) for row in store.peek(limit=100_000)}
    stats = store.spool_stats()
    assert stats.rows == len(spool)
    assert store.journal_rows == len(journal)
    assert store.journal_bytes == sum(map(len, journal.values()))
    return State(snapshots, journal, spool, store.journal_seq, stats.last_seq, stats.dropped)


class Model:
    def __init__(self, limits: StoreLimits, *, put_off: int) -> None:
        self.limits = limits
        self.put_off = put_off  # acknowledgements kept in memory at most
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.journal: dict[int, bytes] = {}
        self.spool: dict[int, tuple[Event, int]] = {}
        self.acknowledged: set[int] = set()
        self.journal_seq = self.spool_seq = self.dropped = 0

    def commit(
        self,
        *,
        journal: Sequence[bytes] = (),
        events: Sequence[Event] = (),
        snapshots: Mapping[str, bytes] = {},
        retired: Collection[str] = (),
        forget_through: int = 0,
        now_ns: int,
    ) -> Committed:
        before = self.dropped
        self.flush()
        self._drop_old(now_ns)
        seqs = [self._append(event, now_ns) for event in events]
        while self._is_over(0, 0):
            self._drop(min(self.spool))
        for body in journal:
            self.journal_seq += 1
            self.journal[self.journal_seq] = body
        self.snapshots |= {series_id: (self.journal_seq, body) for series_id, body in snapshots.items()}
        for series_id in retired:
            self.snapshots.pop(series_id, None)
        self.journal = {seq: body for seq, body in self.journal.items() if seq > forget_through}
        kept = [seq if seq in self.spool else 0 for seq in seqs]
        return Committed(self.journal_seq, kept, self.dropped - before)

    def _append(self, event: Event, now_ns: int) -> int:
        if self.limits.drop == "newest" and self._is_over(1, len(encode_event(event))):
            self.dropped += 1
            return 0
        self.spool_seq += 1
        self.spool[self.spool_seq] = (event, now_ns)
        return self.spool_seq

    def _is_over(self, rows: int, size: int) -> bool:
        used = sum(len(encode_event(event)) for event, _ in self.spool.values())
        return len(self.spool) + rows > self.limits.spool_rows or used + size > self.limits.spool_bytes

    def _drop_old(self, now_ns: int) -> None:
        while self.limits.spool_age_s and self.spool:
            oldest = min(self.spool)
            if self.spool[oldest][1] >= now_ns - self.limits.spool_age_s * 1_000_000_000:
                return
            self._drop(oldest)

    def _drop(self, seq: int) -> None:
        del self.spool[seq]
        self.dropped += 1

    def acknowledge(self, seqs: Sequence[int]) -> None:
        self.acknowledged |= set(seqs) & self.spool.keys()
        if len(self.acknowledged) >= self.put_off:
            self.flush()

    def flush(self) -> None:
        for seq in self.acknowledged:
            self.spool.pop(seq, None)
        self.acknowledged.clear()

    def shown(self) -> State:
        """What the store shows while it is open."""
        return self._state(set(self.spool) - self.acknowledged)

    def on_disk(self) -> State:
        """What it would show after a kill."""
        return self._state(set(self.spool))

    def _state(self, seqs: set[int]) -> State:
        spool = {seq: (self.spool[seq][0].id, self.spool[seq][1]) for seq in sorted(seqs)}
        return State(
            dict(self.snapshots), dict(self.journal), spool, self.journal_seq, self.spool_seq, self.dropped
        )
