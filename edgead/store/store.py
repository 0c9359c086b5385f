"""The store: one transaction for what came in, what it caused, and what is saved of the state."""

import contextlib
import copy
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from pathlib import Path

from edgead.errors import StoreError
from edgead.records import Event
from edgead.store.database import CHECKPOINT_BYTES, PAGE_BYTES, plain_errors, translate
from edgead.store.directory import DATABASE, WriterLock, make_private
from edgead.store.meter import Meter
from edgead.store.opening import open_writer
from edgead.store.records import Committed, StoreLimits
from edgead.store.schema import SEQ_GAP, row_crc
from edgead.store.view import StoreView, Table

_EVENT_BYTES = 512  # of an event, for guessing how much the log has grown
_COMMIT_BYTES = 2 * PAGE_BYTES  # pages that a commit changes at least, for the same
ACKNOWLEDGED_MAX = 1000  # deletions put off until the next commit; a kill sends no more than these once more
_NO_SNAPSHOTS: Mapping[str, bytes] = {}


class Store(StoreView):
    """The state directory of one agent, open for writing.

    Used by one thread at a time.  Every method raises `StoreError`; after ``full``, ``read_only`` and ``io`` the store
    is as it was before the call and can be used on, after ``corrupt`` it has to be closed and opened again.

    Attributes
    ----------
    notices : list of str
        Sentences for people: what was set aside at opening, damaged rows met since.
    fsyncs : int
        Times the disk was made to flush since opening: one a commit, three each time the log is folded in (and two
        when a new log was made, which are not counted).
    checkpoint_error : StoreError or None
        Why the log could not be folded into the database file the last time; commits go on meanwhile.
    """

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: WriterLock, limits: StoreLimits
    ) -> None:
        super().__init__(path, connection)
        self.fsyncs = 0
        self.checkpoint_error: StoreError | None = None
        self._lock = lock
        self._limits = limits
        self._meter = Meter()
        self._flush_at = ACKNOWLEDGED_MAX
        self._log_bytes = 0  # written to the log since it was last folded in, estimated

    @classmethod
    def open(cls, directory: Path, limits: StoreLimits, *, now_ns: int) -> "Store":
        """Open the state in `directory`, making what is not there and setting aside what is damaged.

        Parameters
        ----------
        directory : Path
            Made with mode 0700 if need be; the files in it have mode 0600.
        limits : StoreLimits
            Bounds of the spool.
        now_ns : int
            Wall clock, for the names of files set aside.

        Raises
        ------
        StoreError
            If another process writes there (``locked``), the state is a newer edgead's (``version``), or the disk
            fails.
        """
        directory = Path(directory)
        make_private(directory)
        path = directory / DATABASE
        with contextlib.ExitStack() as undo, plain_errors(path, "opening it"):
            lock = WriterLock(directory)
            undo.callback(lock.release)
            opened = open_writer(path, now_ns)
            undo.callback(opened.connection.close)
            store = cls(path, opened.connection, lock, limits)
            if opened.commits_lost or store.notices:
                store._leave_a_gap()
            undo.pop_all()
        store.notices[:0] = opened.notices
        return store

    @classmethod
    def read_only(cls, directory: Path) -> StoreView:
        """Open the state in `directory` for reading only, whether an agent runs or not."""
        return StoreView.open_view(directory)

    @property
    def bytes_written(self) -> int | None:
        """Bytes this store made the kernel write since opening, in whole pages, by the kernel's own account.

        None when the kernel keeps no such account; 0 on a file system in memory.
        """
        return self._meter.total

    def commit(
        self,
        *,
        journal: Sequence[bytes] = (),
        events: Sequence[Event] = (),
        snapshots: Mapping[str, bytes] = _NO_SNAPSHOTS,
        retired: Collection[str] = (),
        forget_through: int = 0,
        now_ns: int,
    ) -> Committed:
        """Save all of this or nothing; on return it outlasts a power cut.

        Parameters
        ----------
        journal : sequence of bytes
            What the engine was fed: one entry a batch.
        events : sequence of Event
            What came of it, for the spool.
        snapshots : mapping of str to bytes
            State of some series, including every journal entry up to the last of this commit.
        retired : collection of str
            Series whose state is to be deleted.
        forget_through : int
            Journal entries up to this number are deleted: the caller has snapshots that include them.
        now_ns : int
            Wall clock.

        Returns
        -------
        Committed

        Notes
        -----
        Nothing is written when there is nothing to save; deletions put off by `acknowledge` are something.
        """
        self._refuse_if_corrupt()
        dropped = self._spool.tally.dropped
        forget = forget_through > 0 and self._journal.lowest() <= forget_through
        given = journal or events or snapshots or retired or forget
        if not (given or self._acknowledged or self._spool.is_overdue(self._limits, now_ns)):
            return Committed(self.journal_seq, [], 0)
        with self._transaction("saving"):
            self._delete_acknowledged()
            seqs = self._spool.append(events, self._limits, now_ns)
            self._journal.append(journal)
            self._snapshots.save(snapshots, self.journal_seq)
            self._snapshots.retire(retired)
            if forget_through:  # entries of this very commit may be among them
                self._journal.delete(0, forget_through)
            self._save_counters()
        self._forget_acknowledged()
        payload = sum(map(len, journal)) + sum(map(len, snapshots.values())) + _EVENT_BYTES * len(events)
        self._fold_log(payload)
        return Committed(self.journal_seq, seqs, self._spool.tally.dropped - dropped)

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """Note that the other side has these events: `peek` no longer shows them.

        They are deleted on disk with the next commit, or at once when `ACKNOWLEDGED_MAX` have gathered; a kill before
        that sends them once more.  Unknown sequence numbers are ignored.  A disk that refuses to delete is no error
        here: it is tried again with the next commit, which tells.
        """
        with self._reading():
            for seq in seqs:
                size = None if seq in self._acknowledged else self._spool.size_of(seq)
                if size is not None:
                    self._acknowledged[seq] = size
        if len(self._acknowledged) >= self._flush_at:
            self._flush_at = len(self._acknowledged) + ACKNOWLEDGED_MAX
            self._flush_acknowledged()

    def close(self) -> None:
        """Delete what was acknowledged, fold the log in, close the files and let another process write."""
        if self._acknowledged:
            self._flush_acknowledged()
        super().close()
        self._lock.release()

    def _leave_a_gap(self) -> None:
        """Give no sequence number again that may have been given in a commit that is lost."""
        with self._transaction("leaving a gap in the numbers"):
            self._spool.tally.last_seq += SEQ_GAP
            self._save_counters()

    def _flush_acknowledged(self) -> None:
        """Delete in a transaction of its own; at worst the events are sent once more."""
        with contextlib.suppress(StoreError):
            with self._transaction("deleting delivered events"):
                self._delete_acknowledged()
                self._save_counters()
            self._forget_acknowledged()
            self._fold_log(0)

    def _forget_acknowledged(self) -> None:
        self._acknowledged.clear()
        self._flush_at = ACKNOWLEDGED_MAX

    def _delete_acknowledged(self) -> None:
        for first, last in _runs(sorted(self._acknowledged)):
            self._spool.delete(first, last)

    def _save_counters(self) -> None:
        """Write the counters if the tables no longer tell them, that is when their newest row has gone."""
        journal, spool = self._journal.tally, self._spool.tally
        saved_journal, saved_spool, saved_dropped = self._saved
        if (
            spool.dropped == saved_dropped
            and max(saved_spool, self._spool.highest()) == spool.last_seq
            and max(saved_journal, self._journal.highest()) == journal.last_seq
        ):
            return
        numbers = (journal.last_seq, spool.last_seq, spool.dropped)
        self._connection.execute(
            "INSERT OR REPLACE INTO counters (id, journal_seq, spool_seq, dropped, crc) VALUES (1, ?, ?, ?, ?)",
            (*numbers, row_crc(numbers)),
        )
        self._saved = numbers

    @contextlib.contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        """All of the block or nothing, in memory as on disk."""
        before = copy.copy(self._spool.tally), copy.copy(self._journal.tally), self._saved
        with self._meter.running(), plain_errors(self._path, doing):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._spool.tally, self._journal.tally, self._saved = before
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise
        self.fsyncs += 1

    def _fold_log(self, payload: int) -> None:
        """Copy the log's pages into the database file once it has grown to `CHECKPOINT_BYTES`.

        Not a part of the commit: when it fails the commit stands, and it is tried again later.
        """
        self._log_bytes += payload + _COMMIT_BYTES
        if self._log_bytes < CHECKPOINT_BYTES:
            return
        try:
            with self._meter.running():
                self._connection.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchall()
        except sqlite3.Error as error:
            self.checkpoint_error = translate(error, self._path, "folding the log into the database file")
            self._log_bytes = CHECKPOINT_BYTES // 2
        else:
            self.checkpoint_error = None
            self._log_bytes = 0
        self.fsyncs += 3  # the log, the database file, the restarted log's header

    def _refuse_if_corrupt(self) -> None:
        if self.checkpoint_error is not None and self.checkpoint_error.kind == "corrupt":
            raise self.checkpoint_error

    def _leave_out(self, table: Table, key: int, what: str) -> None:
        """Move a damaged row to the table of damaged ones; when the disk refuses, the next reader tries again."""
        try:
            with self._transaction("setting aside a damaged row"):
                self._connection.execute(
                    f"INSERT INTO damaged SELECT ?, {table.key}, crc, body FROM {table.name} WHERE {table.key} = ?",
                    (table.name, key),
                )
                table.delete(key, key)
                self._save_counters()
        except StoreError:
            super()._leave_out(table, key, what)
        else:
            self.notices.append(f"{what} on disk; the row was set aside in table 'damaged'")


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
