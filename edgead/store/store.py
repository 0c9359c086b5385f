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
from edgead.store.queue import Queue
from edgead.store.records import Committed, StoreLimits
from edgead.store.schema import OUTBOX_COUNTERS, SEQ_GAP, row_crc
from edgead.store.spool import encode_event
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
        outbox: Sequence[bytes] = (),
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
        outbox : sequence of bytes
            Records for the cloud; they have the bounds of the spool for themselves.
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
        given = journal or events or outbox or snapshots or retired or forget
        if not (given or any(queue.acknowledged for queue in self._queues) or self._is_overdue(now_ns)):
            return Committed(self.journal_seq, [], 0)
        with self._transaction("saving"):
            self._delete_acknowledged()
            seqs = self._spool.append([encode_event(event) for event in events], self._limits, now_ns)
            self._outbox.append(outbox, self._limits, now_ns)
            self._journal.append(journal)
            self._snapshots.save(snapshots, self.journal_seq)
            self._snapshots.retire(retired)
            if forget_through:  # entries of this very commit may be among them
                self._journal.delete(0, forget_through)
            self._save_counters()
        self._forget_acknowledged()
        payload = sum(map(len, journal)) + sum(map(len, snapshots.values())) + sum(map(len, outbox))
        self._fold_log(payload + _EVENT_BYTES * len(events))
        return Committed(self.journal_seq, seqs, self._spool.tally.dropped - dropped)

    def acknowledge(self, seqs: Sequence[int]) -> None:
        """Note that the other side has these events: `peek` no longer shows them.

        They are deleted on disk with the next commit, or at once when `ACKNOWLEDGED_MAX` have gathered; a kill before
        that sends them once more.  Unknown sequence numbers are ignored.  A disk that refuses to delete is no error
        here: it is tried again with the next commit, which tells.
        """
        self._acknowledge(self._spool, seqs)

    def acknowledge_outbox(self, seqs: Sequence[int]) -> None:
        """Note that the cloud has these records: the promises of `acknowledge`, for the outbox."""
        self._acknowledge(self._outbox, seqs)

    def _acknowledge(self, queue: Queue, seqs: Sequence[int]) -> None:
        with self._reading():
            queue.acknowledge(seqs)
        waiting = sum(len(each.acknowledged) for each in self._queues)
        if waiting >= self._flush_at:
            self._flush_at = waiting + ACKNOWLEDGED_MAX
            self._flush_acknowledged()

    @property
    def _queues(self) -> tuple[Queue, Queue]:
        return self._spool, self._outbox

    def _is_overdue(self, now_ns: int) -> bool:
        return any(queue.is_overdue(self._limits, now_ns) for queue in self._queues)

    def close(self) -> None:
        """Delete what was acknowledged, fold the log in, close the files and let another process write."""
        if any(queue.acknowledged for queue in self._queues):
            self._flush_acknowledged()
        super().close()
        self._lock.release()

    def _leave_a_gap(self) -> None:
        """Give no sequence number again that may have been given in a commit that is lost."""
        with self._transaction("leaving a gap in the numbers"):
            for queue in self._queues:
                queue.tally.last_seq += SEQ_GAP
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
        for queue in self._queues:
            queue.acknowledged.clear()
        self._flush_at = ACKNOWLEDGED_MAX

    def _delete_acknowledged(self) -> None:
        for queue in self._queues:
            queue.delete_acknowledged()

    def _save_counters(self) -> None:
        """Write the counters if the tables no longer tell them, that is when their newest row has gone."""
        journal, spool, outbox = self._journal.tally, self._spool.tally, self._outbox.tally
        self._save_row(
            1,
            (journal.last_seq, spool.last_seq, spool.dropped),
            (self._journal.highest(), self._spool.highest()),
        )
        self._save_row(OUTBOX_COUNTERS, (0, outbox.last_seq, outbox.dropped), (0, self._outbox.highest()))

    def _save_row(self, number: int, now: tuple[int, int, int], highest: tuple[int, int]) -> None:
        journal_seq, seq, dropped = self._saved[number]
        if (max(journal_seq, highest[0]), max(seq, highest[1]), dropped) == now:
            return
        self._connection.execute(
            "INSERT OR REPLACE INTO counters (id, journal_seq, spool_seq, dropped, crc) VALUES (?, ?, ?, ?, ?)",
            (number, *now, row_crc(now)),
        )
        self._saved = {**self._saved, number: now}

    @contextlib.contextmanager
    def _transaction(self, doing: str) -> Iterator[None]:
        """All of the block or nothing, in memory as on disk."""
        spool, outbox = (copy.copy(queue.tally) for queue in self._queues)
        journal, saved = copy.copy(self._journal.tally), self._saved
        with self._meter.running(), plain_errors(self._path, doing):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                self._spool.tally, self._outbox.tally, self._journal.tally, self._saved = (
                    spool,
                    outbox,
                    journal,
                    saved,
                )
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
