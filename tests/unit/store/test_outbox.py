"""What waits for the cloud: its own numbers and bounds beside the spool's, and databases of before it."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from edgead.store import Store, StoreLimits
from edgead.store.opening import _upgrade
from edgead.store.schema import TABLES, row_crc, tables_of
from tests.store_model import make_event, state_of

NOW = 1_763_750_000_000_000_000


def open_store(directory: Path, **limits: object) -> Store:
    return Store.open(directory, StoreLimits(**limits), now_ns=NOW)


def waiting(store: Store) -> list[bytes]:
    return [row.body for row in store.peek_outbox(limit=1000)]


def make_old(directory: Path) -> None:
    """A state directory of the version before there was an outbox, with something in each table."""
    store = open_store(directory)
    store.commit(journal=[b"one"], events=[make_event(1), make_event(2)], snapshots={"a": b"s"}, now_ns=NOW)
    store.acknowledge([2])
    store.close()
    with closing(sqlite3.connect(directory / "state.db", isolation_level=None)) as connection:
        connection.execute("BEGIN")
        connection.execute("DROP TABLE outbox")
        connection.execute("DELETE FROM counters WHERE id = 2")
        connection.execute("UPDATE schema_version SET version = 1, crc = ?", (row_crc((1,)),))
        connection.execute("COMMIT")


def test_spool_and_outbox_hold_the_same_event_each_until_its_own_side_has_it(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(events=[make_event(1)], outbox=[b"1"], now_ns=NOW)
    store.acknowledge([1])
    assert (len(store.peek()), waiting(store)) == (0, [b"1"])
    store.commit(events=[make_event(2)], outbox=[b"2", b"3"], now_ns=NOW)
    store.acknowledge_outbox([1, 2])
    assert ([row.event.id for row in store.peek()], waiting(store)) == (["id-2"], [b"3"])
    store.close()
    store = open_store(tmp_path)
    assert ([row.event.id for row in store.peek()], waiting(store)) == (["id-2"], [b"3"])
    store.close()


def test_numbers_of_the_outbox_rise_for_ever(tmp_path: Path) -> None:
    for turn in range(1, 4):
        store = open_store(tmp_path)
        store.commit(outbox=[b"x"], now_ns=NOW)
        assert store.outbox_stats().last_seq == turn
        store.acknowledge_outbox([turn])
        store.close()


def test_a_full_outbox_gives_up_the_oldest_counts_them_and_leaves_the_spool_alone(tmp_path: Path) -> None:
    store = open_store(tmp_path, spool_rows=3)
    store.commit(events=[make_event(1)], outbox=[b"%d" % n for n in range(5)], now_ns=NOW)
    assert waiting(store) == [b"2", b"3", b"4"]
    assert (store.outbox_stats().dropped, store.spool_stats().dropped) == (2, 0)
    store.close()
    store = open_store(tmp_path, spool_rows=3)
    assert (store.outbox_stats().dropped, store.spool_stats().rows) == (2, 1)
    store.close()


def test_a_database_from_before_the_outbox_is_upgraded_with_all_that_is_in_it(tmp_path: Path) -> None:
    make_old(tmp_path)
    store = open_store(tmp_path)
    state = state_of(store)
    assert store.notices == []
    assert state.snapshots == {"a": (1, b"s")}
    assert (state.journal, list(state.spool), state.outbox) == ({1: b"one"}, [1], {})
    assert (state.spool_seq, state.outbox_seq) == (2, 0)
    store.commit(outbox=[b"new"], now_ns=NOW)
    store.close()
    store = open_store(tmp_path)
    assert waiting(store) == [b"new"]
    store.close()


def test_a_database_from_before_the_outbox_can_be_looked_at_without_being_upgraded(tmp_path: Path) -> None:
    make_old(tmp_path)
    before = (tmp_path / "state.db").read_bytes()
    view = Store.read_only(tmp_path)
    assert (view.outbox_stats().rows, view.peek_outbox()) == (0, [])
    assert view.spool_stats().rows == 1
    view.close()
    assert (tmp_path / "state.db").read_bytes() == before


def test_an_upgrade_that_is_cut_short_leaves_the_old_database(tmp_path: Path) -> None:
    make_old(tmp_path)

    class Cut(Exception):
        pass

    for statements in range(1, 5):
        connection = sqlite3.connect(tmp_path / "state.db", isolation_level=None)
        left = iter(range(statements))

        def refuse(*_: object, left: object = left) -> int:
            return sqlite3.SQLITE_OK if next(left, None) is not None else sqlite3.SQLITE_DENY

        connection.set_authorizer(refuse)
        with pytest.raises(sqlite3.DatabaseError):
            _upgrade(connection)
        connection.set_authorizer(None)
        connection.close()  # without a commit, as a kill would
        with closing(sqlite3.connect(tmp_path / "state.db")) as look:
            assert dict(look.execute("SELECT name, sql FROM sqlite_master")) == tables_of(1)
    store = open_store(tmp_path)
    assert store.notices == []
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db")) as look:
        assert dict(look.execute("SELECT name, sql FROM sqlite_master")) == TABLES


def test_records_are_rescued_from_a_damaged_database(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(outbox=[b"a", b"b"], now_ns=NOW)
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        connection.execute("CREATE TABLE intruder (x)")
    store = open_store(tmp_path)
    assert "2 records for the cloud" in store.notices[0]
    assert waiting(store) == [b"a", b"b"]
    assert store.outbox_stats().last_seq > 1_000_000
    store.close()


def test_a_damaged_record_is_left_out_and_told(tmp_path: Path) -> None:
    store = open_store(tmp_path)
    store.commit(outbox=[b"a", b"b"], now_ns=NOW)
    store.close()
    with closing(sqlite3.connect(tmp_path / "state.db", isolation_level=None)) as connection:
        connection.execute("UPDATE outbox SET body = x'00' WHERE seq = 1")
    store = open_store(tmp_path)
    assert waiting(store) == [b"b"]
    assert "record 1 in the outbox was damaged" in store.notices[0]
    store.close()
