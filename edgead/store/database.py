"""Connections to the SQLite file, and its errors put into plain sentences."""

import contextlib
import functools
import os
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

from edgead.errors import StoreError
from edgead.store.directory import kind_of

PAGE_BYTES = 1024  # least flash wear at small batches for little reading time: docs/adr/0010
CHECKPOINT_BYTES = 4 * 1024 * 1024  # log size at which pages are copied into the database file: docs/adr/0010
BUSY_S = 1.0  # how long a commit waits for another process that holds the file

_SENTENCES = {
    sqlite3.SQLITE_FULL: ("full", "the disk is full"),
    sqlite3.SQLITE_READONLY: ("read_only", "the file or its file system is read-only"),
    sqlite3.SQLITE_PERM: ("read_only", "access is denied"),
    sqlite3.SQLITE_CORRUPT: ("corrupt", "the file is damaged"),
    sqlite3.SQLITE_NOTADB: ("corrupt", "the file is not a database"),
    sqlite3.SQLITE_ERROR: ("corrupt", "its tables are not as edgead made them"),
    sqlite3.SQLITE_BUSY: ("locked", "another process holds the file"),
    sqlite3.SQLITE_LOCKED: ("locked", "another connection holds the file"),
    sqlite3.SQLITE_CANTOPEN: ("io", "the file cannot be opened"),
    # what cannot be read now will hardly be readable later: as good as damaged, so that work can go on in a new file
    # (since SQLite 3.33 it says so itself)
    sqlite3.SQLITE_IOERR_READ: ("corrupt", "a part of the file cannot be read from the disk"),
    sqlite3.SQLITE_IOERR: ("io", "the disk reported an error"),
}


def translate(error: sqlite3.Error | OSError, path: Path, doing: str) -> StoreError:
    """Put an error of SQLite or the operating system into a plain sentence with its kind."""
    if isinstance(error, OSError):
        return StoreError(f"{path}: {doing}: {error.strerror or error}", kind=kind_of(error))
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_OK)  # absent: the module's own complaint
    kind, sentence = _SENTENCES.get(code, _SENTENCES.get(code & 0xFF, ("io", "SQLite failed")))
    if kind == "io":
        kind, sentence = _state_of_disk(path.parent) or (kind, sentence)
    name = getattr(error, "sqlite_errorname", type(error).__name__)
    return StoreError(f"{path}: {doing}: {sentence} ({error}, {name})", kind=kind)


def _state_of_disk(directory: Path) -> tuple[str, str] | None:
    """What the file system says of itself, for SQLite reports some of it as a plain I/O error."""
    try:
        disk = os.statvfs(directory)
    except OSError:
        return None
    if disk.f_flag & os.ST_RDONLY:
        return "read_only", "its file system is read-only"
    if disk.f_bavail * disk.f_frsize < PAGE_BYTES:
        return "full", "the disk is full"
    return None


@contextlib.contextmanager
def plain_errors(path: Path, doing: str) -> Iterator[None]:
    """Turn errors of SQLite and the operating system inside the block into `StoreError`."""
    try:
        yield
    except (sqlite3.Error, OSError) as error:
        raise translate(error, path, doing) from error


def connect(path: Path, mode: str) -> sqlite3.Connection:
    """Open a connection in autocommit mode; `mode` is ``"ro"``, ``"rw"`` or ``"ro&immutable=1"``."""
    connection = sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode={mode}",
        uri=True,
        isolation_level=None,
        check_same_thread=False,  # opened by the main thread, then owned by the engine's
        timeout=BUSY_S,
    )
    # a damaged text must not stop the reading: its row's check value tells
    connection.text_factory = functools.partial(str, encoding="utf-8", errors="replace")
    return _set(connection, "trusted_schema = OFF", "cell_size_check = ON")


def _set(connection: sqlite3.Connection, *settings: str) -> sqlite3.Connection:
    try:
        for setting in settings:
            connection.execute(f"PRAGMA {setting}")
    except BaseException:
        connection.close()
        raise
    return connection


def connect_writer(path: Path) -> sqlite3.Connection:
    """Open the one writing connection, with the settings that docs/adr/0010 explains."""
    return _set(
        connect(path, "rw"),
        "journal_mode = WAL",
        "synchronous = FULL",
        "wal_autocheckpoint = 0",  # the store copies pages itself, so that it can count them and report errors
        f"journal_size_limit = {2 * CHECKPOINT_BYTES}",  # a burst of snapshots does not keep its log for ever
        "secure_delete = OFF",  # Debian's SQLite overwrites freed pages with zeros: flash wear for nothing
        "temp_store = MEMORY",
    )
