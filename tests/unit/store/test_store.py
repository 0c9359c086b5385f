"""The store on a real file: what goes in comes out, limits, numbers, notices."""

import os
import stat
from pathlib import Path

import pytest

from edgead.errors import StoreError
from edgead.records import Event, Verdict
from edgead.store import Store, StoreLimits

NOW = 1_763_750_000_000_000_000
SECOND = 1_000_000_000


def event(number: int, unit: str = "degC") -> Event:
    verdict = Verdict("a.b", number, 1.0, float("nan"), 0.0, 2.0, 1.5, 0.3, True, "ready")
    return Event(f"id-{number}", "open", number, verdict, unit, "spectral-residual@1")


def events(*numbers: int) -> list[Event]:
    return [event(number) for number in numbers]


def numbers(store: Store) -> list[int]:
    return [row.event.since_ns for row in store.peek(limit=10_000)]


def open_store(directory: Path, **limits: object) -> Store:
    return Store.open(directory, StoreLimits(**limits), now_ns=NOW)


def test_what_is_committed_is_there_after_reopening(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state")
    done = store.commit(
        journal=[b"one", b"two"], events=events(1, 2), snapshots={"a.b": b"state"}, now_ns=NOW
    )
    assert (done.journal_seq, done.spool_seqs, done.dropped) == (2, [1, 2], 0)
    store.close()
    store = open_store(tmp_path / "state")
    assert list(store.snapshots()) == [("a.b", 2, b"state")]
    assert list(store.journal()) == [(1, b"one"), (2, b"two")]
    rows = store.peek()
    assert [(row.seq, row.created_ns, row.event.id) for row in rows] == [(1, NOW, "id-1"), (2, NOW, "id-2")]
    assert rows[0].event.verdict.expected != rows[0].event.verdict.expected  # NaN stays NaN
    assert store.notices == []
    store.close()


def test_numbers_rise_for_ever(tmp_path: Path) -> None:
    for turn in range(3):
        store = open_store(tmp_path)
        done = store.commit(journal=[b"x"], events=events(turn), now_ns=NOW)
        assert (done.journal_seq, done.spool_seqs) == (turn + 1, [turn + 1])
        store.acknowledge(done.spool_seqs)
        store.commit(forget_through=done.journal_seq, now_ns=NOW)
        assert (store.journal_rows, store.journal_bytes, store.spool_stats().rows) == (0, 0, 0)
        store.close()
    assert stat.S_IMODE(os.stat(tmp_path / "state.db").st_mode) == 0o600


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with pytest.raises(StoreError, match=f"in use by another edgead .process {os.getpid()}") as caught:
        open_store(tmp_path)
    assert caught.value.kind == "locked"
    store.close()
    open_store(tmp_path).close()
