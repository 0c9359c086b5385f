"""The store on a real file: what goes in comes out, limits, numbers, who may open it."""

import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from edgead.errors import StoreError
from edgead.store import Store, StoreLimits
from edgead.store.database import PAGE_BYTES
from edgead.store.meter import written_by_thread
from edgead.store.records import KIB
from edgead.store.schema import row_crc
from edgead.store.spool import encode_event
from tests.store_model import make_event, state_of

NOW = 1_763_750_000_000_000_000
SECOND = 1_000_000_000


def open_store(directory: Path, **limits: object) -> Store:
    return Store.open(directory, StoreLimits(**limits), now_ns=NOW)


def commit_events(store: Store, *numbers: int, now_ns: int = NOW):
    return store.commit(events=[make_event(number) for number in numbers], now_ns=now_ns)


def waiting(store: Store) -> list[str]:
    return [row.event.id for row in store.peek(limit=10_000)]


def change(directory: Path, statement: str, *values: object) -> None:
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as connection:
        connection.execute(statement, values)


def test_what_is_committed_is_there_after_reopening(tmp_path: Path) -> None:
    store = open_store(tmp_path / "state")
    given = [make_event(1), make_event(2)]
    done = store.commit(journal=[b"one", b"two"], events=given, snapshots={"a.b": b"state"}, now_ns=NOW)
    assert (done.journal_seq, done.spool_seqs, done.dropped) == (2, [1, 2], 0)
    store.close()
    store = open_store(tmp_path / "state")
    assert list(store.snapshots()) == [("a.b", 2, b"state")]
    assert list(store.journal()) == [(1, b"one"), (2, b"two")]
    rows = store.peek()
    assert [(row.seq, row.created_ns) for row in rows] == [(1, NOW), (2, NOW)]
    assert [encode_event(row.event) for row in rows] == [encode_event(event) for event in given]
    assert store.notices == []
    store.close()


def test_a_number_that_is_not_a_number_stays_one(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    event = make_event(1)
    store.commit(
        events=[
            msgspec.structs.replace(event, verdict=msgspec.structs.replace(event.verdict, value=float("inf")))
        ],
        now_ns=NOW,
    )
    verdict = store.peek()[0].event.verdict
    assert (verdict.value, verdict.expected != verdict.expected) == (float("inf"), True)
    store.close()


def test_numbers_rise_for_ever(tmp_path: Path) -> None:
    for turn in range(3):
        store = open_store(tmp_path)
        done = store.commit(journal=[b"x"], events=[make_event(turn)], now_ns=NOW)
        assert (done.journal_seq, done.spool_seqs) == (turn + 1, [turn + 1])
        store.acknowledge(done.spool_seqs)
        store.commit(forget_through=done.journal_seq, now_ns=NOW)
        assert (store.journal_rows, store.journal_bytes, store.spool_stats().rows) == (0, 0, 0)
        store.close()


def test_a_commit_of_nothing_writes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(journal=[b"x"], now_ns=NOW)
    fsyncs = store.fsyncs
    assert store.commit(now_ns=NOW).journal_seq == 1
    assert store.fsyncs == fsyncs
    assert store.commit(forget_through=1, now_ns=NOW).journal_seq == 1
    assert store.fsyncs == fsyncs + 1
    assert store.commit(forget_through=1, now_ns=NOW).journal_seq == 1
    assert store.fsyncs == fsyncs + 1
    store.close()


def test_a_full_spool_drops_the_oldest(tmp_path: Path) -> None:
    store = open_store(tmp_path, spool_rows=3)
    assert commit_events(store, 1, 2).dropped == 0
    assert commit_events(store, 3, 4).dropped == 1
    assert waiting(store) == ["id-2", "id-3", "id-4"]
    done = commit_events(store, 5, 6, 7, 8, 9)
    assert (done.spool_seqs, done.dropped) == ([0, 0, 7, 8, 9], 5)
    assert store.spool_stats().dropped == 6
    store.close()
    store = open_store(tmp_path, spool_rows=3)
    assert store.spool_stats().dropped == 6
    store.close()


def test_a_full_spool_drops_the_newest_if_told_so(tmp_path: Path) -> None:
    store = open_store(tmp_path, spool_rows=3, drop="newest")
    done = commit_events(store, 1, 2, 3, 4, 5)
    assert (done.spool_seqs, done.dropped) == ([1, 2, 3, 0, 0], 2)
    store.acknowledge([1])
    assert commit_events(store, 6).spool_seqs == [4]
    assert waiting(store) == ["id-2", "id-3", "id-6"]
    store.close()


@pytest.mark.parametrize(("drop", "left"), [("oldest", ["id-1", "id-2"]), ("newest", ["id-0", "id-1"])])
def test_the_spool_is_bounded_in_bytes(tmp_path: Path, drop: str, left: list[str]) -> None:
    store = open_store(tmp_path, spool_bytes=64 * KIB, drop=drop)
    for number in range(3):
        store.commit(events=[make_event(number, unit="u" * 30_000)], now_ns=NOW)
    assert waiting(store) == left
    assert 60_000 < store.spool_stats().bytes <= 64 * KIB
    store.close()


def test_old_events_go_even_when_nothing_new_comes(tmp_path: Path) -> None:
    store = open_store(tmp_path, spool_age_s=10)
    commit_events(store, 1)
    commit_events(store, 2, now_ns=NOW + 8 * SECOND)
    assert store.commit(now_ns=NOW + 10 * SECOND).dropped == 0
    assert store.commit(now_ns=NOW + 11 * SECOND).dropped == 1
    assert waiting(store) == ["id-2"]
    assert store.spool_stats().oldest_ns == NOW + 8 * SECOND
    store.close()


def test_a_lowered_limit_holds_from_the_next_event_on(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, *range(200))
    store.close()
    store = open_store(tmp_path, spool_rows=10)
    assert commit_events(store, 200).dropped == 191
    store.close()


def test_an_acknowledged_event_is_gone_at_once_and_deleted_with_the_next_commit(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, 1, 2, 3, 4)
    fsyncs = store.fsyncs
    store.acknowledge([1, 3, 3, 77])
    assert (waiting(store), store.spool_stats().rows, store.fsyncs) == (["id-2", "id-4"], 2, fsyncs)
    view = Store.read_only(tmp_path)
    assert view.spool_stats().rows == 4
    view.close()
    store.commit(now_ns=NOW)
    view = Store.read_only(tmp_path)
    assert view.spool_stats().rows == 2
    view.close()
    store.close()


def test_acknowledgements_are_not_put_off_without_bound(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    done = commit_events(store, *range(1500))
    store.acknowledge(done.spool_seqs)
    view = Store.read_only(tmp_path)
    assert view.spool_stats().rows == 0
    view.close()
    store.close()


def test_backlog_and_live_events_can_be_read_apart(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, 1, 2, 3)
    backlog = store.spool_stats().last_seq
    commit_events(store, 4, 5)
    assert [row.seq for row in store.peek(after=backlog)] == [4, 5]
    assert [row.seq for row in store.peek(through=backlog, limit=2)] == [1, 2]
    store.close()


def test_a_snapshot_replaces_the_one_before_and_a_retired_series_has_none(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(journal=[b"1"], snapshots={"a": b"old", "b": b"b"}, now_ns=NOW)
    store.commit(journal=[b"2"], snapshots={"a": b"new" * 20_000}, retired=["b", "never there"], now_ns=NOW)
    assert list(store.snapshots()) == [("a", 2, b"new" * 20_000)]
    store.close()


def test_files_are_private(tmp_path: Path) -> None:
    store = open_store(tmp_path / "deep" / "state")
    store.commit(journal=[b"x"], now_ns=NOW)
    assert stat.S_IMODE(os.stat(tmp_path / "deep/state").st_mode) == 0o700
    names = os.listdir(tmp_path / "deep/state")
    assert sorted(names) == ["state.db", "state.db-shm", "state.db-wal", "state.lock"]
    assert {stat.S_IMODE(os.stat(tmp_path / "deep/state" / name).st_mode) for name in names} == {0o600}
    store.close()


def test_a_second_writer_is_refused(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    code = f"from tests.unit.store.test_store import *\nopen_store(Path({str(tmp_path)!r}))"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[3]
    )
    message = done.stderr.splitlines()[-1]
    assert f"in use by another edgead (process {os.getpid()})" in message
    with pytest.raises(StoreError) as caught:
        open_store(tmp_path)
    assert caught.value.kind == "locked"
    store.close()
    open_store(tmp_path).close()


def test_a_newer_schema_is_refused_with_both_versions(tmp_path: Path) -> None:
    open_store(tmp_path).close()
    change(tmp_path, "UPDATE schema_version SET version = 7, crc = ?", row_crc((7,)))
    with pytest.raises(StoreError, match=r"newer edgead \(schema 7, this one knows 2\)") as caught:
        open_store(tmp_path)
    assert caught.value.kind == "version"
    assert [name for name in os.listdir(tmp_path) if "corrupt" in name] == []


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "it is empty"),
        (b"hello, I am a text" * 99, "file is not a database"),
        (b"SQLite format 3\0", "not a database"),
    ],
)
def test_a_file_that_is_no_database_is_set_aside(tmp_path: Path, content: bytes, reason: str) -> None:
    (tmp_path / "state.db").write_bytes(content)
    store = open_store(tmp_path)
    assert reason in store.notices[0]
    assert "set aside as state.db.corrupt-20251121T183320Z; starting with an empty state" in store.notices[0]
    assert (tmp_path / "state.db.corrupt-20251121T183320Z").read_bytes() == content
    store.close()


def test_another_programs_database_is_set_aside_whole(tmp_path: Path) -> None:
    change(tmp_path, "CREATE TABLE music (title TEXT)")
    store = open_store(tmp_path)
    assert "another program's database" in store.notices[0]
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db.corrupt-20251121T183320Z")) as connection:
        assert connection.execute("SELECT name FROM sqlite_schema").fetchall() == [("music",)]


def test_a_second_damaged_file_of_the_same_second_keeps_the_first(tmp_path: Path) -> None:
    for content in (b"one", b"two"):
        (tmp_path / "state.db").write_bytes(content)
        open_store(tmp_path).close()
    assert (tmp_path / "state.db.corrupt-20251121T183320Z").read_bytes() == b"one"
    assert (tmp_path / "state.db.corrupt-20251121T183320Z-2").read_bytes() == b"two"


def test_what_is_whole_in_a_damaged_file_is_rescued(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    for number in range(60):
        blob = {f"series{number}": bytes([number]) * 3000}
        store.commit(journal=[b"j" * 700], events=[make_event(number)], snapshots=blob, now_ns=NOW)
    before = state_of(store)
    store.close()
    content = bytearray((tmp_path / "state.db").read_bytes())
    at = content.index(bytes([30]) * 900) // PAGE_BYTES * PAGE_BYTES  # a page in the middle of a state
    content[at - 5 * PAGE_BYTES : at] = bytes(5 * PAGE_BYTES)
    (tmp_path / "state.db").write_bytes(content)
    store = open_store(tmp_path)
    assert "set aside as state.db.corrupt-20251121T183320Z; rescued the state of 5" in store.notices[0]
    after = state_of(store)
    assert 54 <= len(after.snapshots) < 60
    assert after.snapshots.items() < before.snapshots.items()
    assert after.journal.items() <= before.journal.items()
    assert after.spool.items() <= before.spool.items()
    done = store.commit(events=[make_event(99)], journal=[b"on"], now_ns=NOW)
    assert done.spool_seqs[0] > before.spool_seq
    assert done.journal_seq == before.journal_seq + 1
    store.close()


def test_a_state_that_vanished_after_being_set_aside_is_told(tmp_path: Path) -> None:
    (tmp_path / "state.db.corrupt-20251121T183320Z").write_bytes(b"x")
    store = open_store(tmp_path)
    assert store.notices == [
        "there is no state.db, but one was set aside as state.db.corrupt-20251121T183320Z; starting with an empty state"
    ]
    store.close()


@pytest.mark.parametrize(
    ("statement", "told", "left"),
    [
        ("UPDATE spool SET body = x'00' WHERE seq = 1", "event 1 in the spool was damaged", (1, 1, 1)),
        ("UPDATE journal SET body = 'text'", "journal entry 1 was damaged", (1, 0, 2)),
        ("UPDATE snapshots SET seq = 5", "the saved state of series 'a' was damaged", (0, 1, 2)),
        (
            "UPDATE snapshots SET series = CAST(x'ff' AS TEXT)",
            "the saved state of series '\ufffd' was",
            (0, 1, 2),
        ),
        ("UPDATE snapshots SET series = 'b'", "the saved state of series 'b' was damaged", (0, 1, 2)),
    ],
)
def test_a_damaged_row_is_set_aside_and_the_rest_lives(
    tmp_path: Path, statement: str, told: str, left: tuple[int, int, int]
) -> None:
    store = open_store(tmp_path)
    store.commit(journal=[b"1"], events=[make_event(1), make_event(2)], snapshots={"a": b"state"}, now_ns=NOW)
    store.close()
    change(tmp_path, statement)
    store = open_store(tmp_path)
    state = state_of(store)
    assert (len(state.snapshots), len(state.journal), len(state.spool)) == left
    assert [told in notice for notice in store.notices] == [True]
    store.close()
    store = open_store(tmp_path)
    assert state_of(store) == state
    assert store.notices == []
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as connection:
        assert connection.execute("SELECT count(*) FROM damaged").fetchone() == (1,)


def test_a_damaged_row_is_left_out_even_while_the_disk_takes_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, 1, 2)
    store.close()
    change(tmp_path, "UPDATE spool SET body = x'00' WHERE seq = 1")
    store = open_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        assert waiting(store) == waiting(store) == ["id-2"]
    assert store.notices == ["event 1 in the spool was damaged on disk and is left out"]
    assert waiting(store) == ["id-2"]
    assert store.notices[1:] == [
        "event 1 in the spool was damaged on disk; the row was set aside in table 'damaged'"
    ]
    store.close()


def test_an_event_that_cannot_be_read_blocks_nothing(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, 1, 2)
    store.close()
    change(tmp_path, "UPDATE spool SET body = ?, crc = ? WHERE seq = 1", b"\xc1", row_crc((1, NOW), b"\xc1"))
    store = open_store(tmp_path)
    assert waiting(store) == ["id-2"]
    store.close()


def test_damaged_counters_are_told_and_numbers_still_rise(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(journal=[b"1", b"2"], events=[make_event(1)], snapshots={"a": b"s"}, now_ns=NOW)
    store.commit(forget_through=2, now_ns=NOW)
    store.close()
    change(tmp_path, "UPDATE counters SET dropped = 9")
    store = open_store(tmp_path)
    assert "counters in state.db were damaged" in store.notices[0]
    done = store.commit(journal=[b"3"], events=[make_event(2)], now_ns=NOW)
    assert (done.journal_seq, done.spool_seqs) == (3, [1_000_002])
    store.close()


def test_numbers_of_lost_commits_are_not_given_again(tmp_path: Path) -> None:
    store = open_store(tmp_path / "live")
    for number in range(10):
        commit_events(store, number)
    shutil.copytree(tmp_path / "live", tmp_path / "killed")
    store.close()
    log = tmp_path / "killed" / "state.db-wal"
    os.truncate(log, log.stat().st_size - 5000)
    store = open_store(tmp_path / "killed")
    assert "what was saved after that is lost" in store.notices[0]
    assert "the log was kept as state.db-wal.corrupt-20251121T183320Z" in store.notices[0]
    assert 0 < len(waiting(store)) < 10
    store.close()
    store = open_store(tmp_path / "killed")
    assert store.notices == []
    assert commit_events(store, 99).spool_seqs[0] > 1_000_000
    store.close()


def test_a_view_reads_while_the_agent_writes_and_after_it_stopped(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    commit_events(store, 1)
    view = Store.read_only(tmp_path)
    commit_events(store, 2)
    assert waiting(view) == ["id-1", "id-2"]
    view.close()
    store.close()
    view = Store.read_only(tmp_path)
    assert waiting(view) == ["id-1", "id-2"]
    view.close()
    store = open_store(tmp_path)
    assert (waiting(store), store.notices) == (["id-1", "id-2"], [])
    store.close()


def test_a_view_of_nothing_says_so_and_makes_nothing(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="has the agent run") as caught:
        Store.read_only(tmp_path / "never")
    assert caught.value.kind == "missing"
    assert os.listdir(tmp_path) == []


def test_a_view_of_garbage_says_so_and_changes_nothing(tmp_path: Path) -> None:
    (tmp_path / "state.db").write_bytes(b"garbage" * 500)
    with pytest.raises(StoreError, match="not a database") as caught:
        Store.read_only(tmp_path)
    assert caught.value.kind == "corrupt"
    assert os.listdir(tmp_path) == ["state.db"]


def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"state directory .* cannot be made: Not a directory"):
        open_store(tmp_path / "file" / "state")


def test_another_process_that_holds_the_file_is_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        with pytest.raises(StoreError, match="another process holds the file") as caught:
            commit_events(store, 1)
    assert caught.value.kind == "locked"
    assert commit_events(store, 1).spool_seqs == [1]
    store.close()


def test_bytes_written_are_what_the_kernel_counts(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    own, kernel = store.bytes_written, written_by_thread()
    store.commit(journal=[bytes(100_000)], now_ns=NOW)
    assert None not in (own, kernel)
    assert store.bytes_written - own == written_by_thread() - kernel
    store.close()
