"""A database of a server: opened, begun or set aside, and used by all threads of one process."""

import contextlib
import sqlite3
import threading
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar, Self

from edgead.errors import StoreError
from edgead.store.database import connect, plain_errors
from edgead.store.directory import WriterLock, make_private, set_aside

LOG_BYTES = 16 * 2**20  # of SQLite's log, after which its file is cut back


class Tables:
    """What `JobStore` and `FleetStore` share; a subclass names its file and its tables.

    Every method raises `StoreError` when the disk fails; nothing has changed then.

    Attributes
    ----------
    notices : list of str
        Sentences for people: what was set aside at opening.
    """

    _FILE: ClassVar[str]
    _VERSION: ClassVar[int]  # as PRAGMA user_version tells it
    _STATEMENTS: ClassVar[tuple[str, ...]]  # that make the tables
    _UPGRADES: ClassVar[Mapping[int, tuple[str, ...]]] = {}  # version -> what leads to the next
    _HOLDS: ClassVar[str]  # what is lost with a damaged file, in words

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: WriterLock) -> None:
        self.notices: list[str] = []
        self._path = path
        self._connection = connection
        self._writer = lock
        self._turn = threading.RLock()

    @classmethod
    def open(cls, directory: Path, *, now_ns: int) -> Self:
        """Open the file in `directory`; a damaged one is set aside, and a new one begun.

        Parameters
        ----------
        directory : Path
            Made with mode 0700 when it is not there.
        now_ns : int
            Wall clock, for the name of a file set aside.

        Raises
        ------
        StoreError
            If another server has the directory (``locked``), the file is a newer edgead's (``version``), or the disk
            fails.
        """
        make_private(directory)
        path = directory / cls._FILE
        with contextlib.ExitStack() as undo, plain_errors(path, "opening it"):
            lock = WriterLock(directory)
            undo.callback(lock.release)
            connection, notices = cls._open_or_begin(path, now_ns)
            undo.pop_all()
        store = cls(path, connection, lock)
        store.notices += notices
        return store

    def close(self) -> None:
        """Close the file and let another server have the directory."""
        with self._turn:
            self._connection.close()
            self._writer.release()

    @contextlib.contextmanager
    def _reading(self) -> Iterator[None]:
        with self._turn, plain_errors(self._path, "reading"):
            yield

    @contextlib.contextmanager
    def _writing(self, doing: str) -> Iterator[None]:
        """All of the block or nothing."""
        with self._turn, plain_errors(self._path, doing):
            try:
                self._connection.execute("BEGIN IMMEDIATE")
                yield
                self._connection.execute("COMMIT")
            except BaseException:
                with contextlib.suppress(sqlite3.Error):  # SQLite may have rolled back by itself
                    self._connection.execute("ROLLBACK")
                raise

    @classmethod
    def _open_or_begin(cls, path: Path, now_ns: int) -> tuple[sqlite3.Connection, list[str]]:
        try:
            return cls._connect(path), []
        except sqlite3.DatabaseError as error:
            if isinstance(error, sqlite3.OperationalError):
                raise
            aside = set_aside(path, now_ns)
        notice = f"{path} was damaged and is set aside as {aside.name}: {cls._HOLDS} in it are not known"
        return cls._connect(path), [notice]

    @classmethod
    def _connect(cls, path: Path) -> sqlite3.Connection:
        path.touch(mode=0o600)
        connection = connect(path, "rw")
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {LOG_BYTES}")
            found = connection.execute("PRAGMA quick_check(1)").fetchall()
            if found[0][0] != "ok":
                raise sqlite3.DatabaseError(found[0][0])
            cls._check_version(path, connection)
        except BaseException:
            connection.close()
            raise
        return connection

    @classmethod
    def _check_version(cls, path: Path, connection: sqlite3.Connection) -> None:
        version = int(connection.execute("PRAGMA user_version").fetchone()[0])
        if version > cls._VERSION:
            raise StoreError(
                f"{path} was written by a newer edgead (format {version}, this one reads {cls._VERSION})",
                kind="version",
            )
        if version == cls._VERSION:
            return
        statements = cls._STATEMENTS if version == 0 else cls._steps(version)
        connection.execute("BEGIN IMMEDIATE")
        for statement in statements:
            connection.execute(statement)
        connection.execute("COMMIT")

    @classmethod
    def _steps(cls, version: int) -> tuple[str, ...]:
        """From an older version to this one."""
        steps = [step for older in range(version, cls._VERSION) for step in cls._UPGRADES[older]]
        return (*steps, f"PRAGMA user_version = {cls._VERSION}")
