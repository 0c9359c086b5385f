"""Reading a state directory: what the writing store and the read-only view have in common."""

import contextlib
import sqlite3
from collections.abc import Iterator
from pathlib import Path

from edgead.errors import StoreError
from edgead.store.database import connect, plain_errors
from edgead.store.directory import DATABASE
from edgead.store.history import Journal, Snapshots
from edgead.store.queue import Queue
from edgead.store.records import OutboxRow, SpoolRow, SpoolStats
from edgead.store.schema import ID_MAX, OUTBOX_COUNTERS, TABLES, is_whole
from edgead.store.spool import Outbox, Spool

Table = Snapshots | Journal | Queue


class StoreView:
    """Read access to the state of an agent, running or not.

    Attributes
    ----------
    notices : list of str
        Sentences for people about damage found.
    """

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self.notices: list[str] = []
        self._path = path
        self._connection = connection
        with self._reading():
            journal_seq, spool_seq, dropped = self._read_counters(1)
            _, outbox_seq, undelivered = self._read_counters(OUTBOX_COUNTERS)
            self._saved = {
                1: (journal_seq, spool_seq, dropped),
                OUTBOX_COUNTERS: (0, outbox_seq, undelivered),
            }
            self._snapshots = Snapshots(connection)
            self._journal = Journal(connection, last_seq=max(journal_seq, self._snapshots.highest()))
            self._spool = Spool(connection, last_seq=spool_seq, dropped=dropped)
            self._outbox = Outbox(connection, last_seq=outbox_seq, dropped=undelivered)

    @classmethod
    def open_view(cls, directory: Path) -> "StoreView":
        """Open the state in `directory` for reading only.

        Nothing that is saved is changed; SQLite may leave an empty log beside the database.

        Raises
        ------
        StoreError
            If there is no state, or it cannot be read.
        """
        path = Path(directory) / DATABASE
        if not path.exists():
            raise StoreError(
                f"no state in {directory}: has the agent run with this state_dir?", kind="missing"
            )
        with contextlib.ExitStack() as undo, plain_errors(path, "opening it for reading"):
            connection = _connect_reader(path)
            undo.callback(connection.close)
            view = StoreView(path, connection)
            undo.pop_all()
        return view

    def _reading(self) -> contextlib.AbstractContextManager[None]:
        return plain_errors(self._path, "reading")

    def _read_counters(self, number: int) -> tuple[int, int, int]:
        row = self._connection.execute(
            "SELECT crc, journal_seq, spool_seq, dropped FROM counters WHERE id = ?", (number,)
        ).fetchone()
        if row is None and number == OUTBOX_COUNTERS:  # an older edgead's, opened for reading
            return 0, 0, 0
        if row is not None and is_whole(row[0], row[1:]):
            return row[1], row[2], row[3]
        self.notices.append(
            f"the counters in {self._path.name} were damaged: the count of dropped events starts from 0, and sequence"
            " numbers go on from the newest event still there"
        )
        return 0, 0, 0

    @property
    def journal_seq(self) -> int:
        """Number of the last journal entry ever written; 0 before the first."""
        return self._journal.tally.last_seq

    @property
    def journal_rows(self) -> int:
        """Journal entries on disk."""
        return self._journal.tally.rows

    @property
    def journal_bytes(self) -> int:
        """Bytes of the journal entries on disk: what a restart has to replay."""
        return self._journal.tally.bytes

    def snapshots(self) -> Iterator[tuple[str, int, bytes]]:
        """Series id, number of the last journal entry it includes, and state, of every series.

        A damaged one is left out, with a notice: that series learns anew from the journal.
        """
        with self._reading():
            for slot, series_id, seq, body in self._snapshots.read():
                if body is None:
                    self._leave_out(
                        self._snapshots, slot, f"the saved state of series {series_id!r} was damaged"
                    )
                else:
                    yield series_id, seq, body

    def journal(self) -> Iterator[tuple[int, bytes]]:
        """Number and content of the journal entries, ascending; a damaged one is left out, with a notice."""
        with self._reading():
            for seq, body in self._journal.read():
                if body is None:
                    self._leave_out(self._journal, seq, f"journal entry {seq} was damaged")
                else:
                    yield seq, body

    def peek(self, *, after: int = 0, through: int | None = None, limit: int = 100) -> list[SpoolRow]:
        """Events not yet acknowledged, by rising sequence number.

        Parameters
        ----------
        after, through : int
            Only sequence numbers above `after` and up to `through` (None = no end).
        limit : int
            At most so many rows.
        """
        with self._reading():
            rows, damaged = self._spool.read(after, ID_MAX if through is None else through, limit)
            for seq in damaged:
                self._leave_out(self._spool, seq, f"event {seq} in the spool was damaged")
        return rows

    def spool_stats(self) -> SpoolStats:
        """Count what waits in the spool."""
        with self._reading():
            return self._spool.stats()

    def peek_outbox(self, *, after: int = 0, through: int | None = None, limit: int = 100) -> list[OutboxRow]:
        """Records that the cloud does not have, by rising sequence number; see `peek`."""
        with self._reading():
            rows, damaged = self._outbox.read(after, ID_MAX if through is None else through, limit)
            for seq in damaged:
                self._leave_out(self._outbox, seq, f"record {seq} in the outbox was damaged")
        return rows

    def newest_record(self) -> int:
        """Number of the newest record in the outbox, as it is now; 0 when it is empty."""
        with self._reading():
            return self._outbox.highest()

    def outbox_stats(self) -> SpoolStats:
        """Count what waits in the outbox."""
        with self._reading():
            return self._outbox.stats()

    def _leave_out(self, table: Table, key: int, what: str) -> None:
        notice = f"{what} on disk and is left out"
        if notice not in self.notices:
            self.notices.append(notice)

    def close(self) -> None:
        """Close the database."""
        self._connection.close()


def _connect_reader(path: Path) -> sqlite3.Connection:
    connection = connect(path, "ro")
    try:
        _stand_in(connection)
    except sqlite3.OperationalError as error:
        connection.close()
        # on a read-only file system SQLite cannot make a log, but when there is none nobody is writing either
        if error.sqlite_errorcode & 0xFF != sqlite3.SQLITE_CANTOPEN or Path(f"{path}-wal").exists():
            raise
        connection = connect(path, "ro&immutable=1")
        _stand_in(connection)
    except BaseException:
        connection.close()
        raise
    return connection


def _stand_in(connection: sqlite3.Connection) -> None:
    """Empty tables, in memory, for those that the database of an older edgead does not have."""
    there = {name for (name,) in connection.execute("SELECT name FROM sqlite_master")}
    if "counters" in there:
        connection.execute("PRAGMA temp_store = MEMORY")
        for name in TABLES.keys() - there:
            connection.execute(TABLES[name].replace("CREATE TABLE", "CREATE TEMP TABLE", 1))
