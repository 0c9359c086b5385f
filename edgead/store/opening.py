"""The way to a database that can be trusted: made, examined, or rescued from a damaged one."""

import contextlib
import os
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from edgead.durable import sync_folder
from edgead.errors import StoreError
from edgead.store import log
from edgead.store.database import PAGE_BYTES, connect, connect_writer, translate
from edgead.store.directory import COMPANIONS, aside_name, set_aside
from edgead.store.rescue import Rescued, rescue
from edgead.store.schema import (
    APPLICATION_ID,
    OUTBOX_COUNTERS,
    SCHEMA_VERSION,
    TABLES,
    TABLES_SINCE,
    is_whole,
    row_crc,
    tables_of,
)


class Damage(Exception):
    """The file cannot be trusted.  The message says why."""


def create(path: Path) -> None:
    """Make an empty database at `path`: whole or not at all."""
    with _draft(path):
        pass
    os.rename(_draft_name(path), path)
    sync_folder(path.parent)


def replace(path: Path, now_ns: int) -> str:
    """Put a new database in place of a damaged one, with all that can be rescued; a sentence for people."""
    rescued = Rescued()
    with _draft(path) as fresh:
        if path.exists() and path.stat().st_size:  # SQLite deletes the log of an empty file
            with contextlib.closing(connect(path, "ro")) as damaged:
                rescued = rescue(damaged, fresh)
    os.rename(_draft_name(path), _ready_name(path))
    sync_folder(path.parent)
    return f"{_exchange(path, now_ns)}; {rescued}"


def _exchange(path: Path, now_ns: int) -> str:
    """Set the damaged file aside and put the finished new one in its place.

    Cut short at any point, the next opening finds the new one still lying ready.
    """
    aside = set_aside(path, now_ns)
    os.rename(_ready_name(path), path)
    sync_folder(path.parent)
    return f"set aside as {aside.name}"


def _ready_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.rescued")


@contextlib.contextmanager
def _draft(path: Path) -> Iterator[sqlite3.Connection]:
    """Make a database beside `path`; the block may fill it, inside the transaction that makes it."""
    draft = _draft_name(path)
    for end in (*COMPANIONS, "-journal"):
        Path(f"{draft}{end}").unlink(missing_ok=True)
    os.close(_create_private(draft))
    with contextlib.closing(connect(draft, "rw")) as connection:
        connection.execute(f"PRAGMA page_size = {PAGE_BYTES}")
        connection.execute("BEGIN")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        for statement in TABLES.values():
            connection.execute(statement)
        version = SCHEMA_VERSION
        connection.execute("INSERT INTO schema_version VALUES (?, ?)", (version, row_crc((version,))))
        for number in (1, OUTBOX_COUNTERS):
            connection.execute("INSERT INTO counters VALUES (?, 0, 0, 0, ?)", (number, row_crc((0, 0, 0))))
        yield connection
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")


def _draft_name(path: Path) -> Path:
    return path.with_name(f"{path.name}.new")


def examine(path: Path) -> log.Loss | None:
    """Look at an existing database without changing it.

    Returns
    -------
    Loss or None
        Committed frames of the log that cannot be read, when the rest is whole.

    Raises
    ------
    Damage
        If the file cannot be trusted.
    StoreError
        If it cannot be read, or was written by a newer edgead.
    """
    shm, wal = Path(f"{path}-shm"), Path(f"{path}-wal")
    if path.stat().st_size == 0:
        raise Damage("it is empty")
    before = log.read_index(shm)
    _read_ahead(path)
    with contextlib.ExitStack() as stack:
        try:
            connection = connect(path, "ro")
            # closed after the connection, else SQLite's locks on that file would go
            index = stack.enter_context(contextlib.ExitStack())
            stack.callback(connection.close)
            _examine_tables(connection)
            after = None
            if shm.exists():
                after = log.parse_index(index.enter_context(open(shm, "rb", buffering=0)).read(256))
        except sqlite3.Error as error:
            failure = translate(error, path, "looking at it")
            raise Damage(str(error)) if failure.kind == "corrupt" else failure from error
    loss = log.find_loss(wal, before, after)
    if loss is not None and loss.mixed:
        raise Damage("its log was cut or damaged after part of it had been copied into the file")
    return loss


def _read_ahead(path: Path) -> None:
    """Have the kernel read the file in order: all of it is needed, and the trees lead all over it."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(fd, 0, 0, os.POSIX_FADV_WILLNEED)
    finally:
        os.close(fd)


def _examine_tables(connection: sqlite3.Connection) -> None:
    if connection.execute("PRAGMA application_id").fetchone()[0] != APPLICATION_ID:
        raise Damage("it is another program's database")
    version, crc = connection.execute("SELECT version, crc FROM schema_version").fetchone() or (None, None)
    if not isinstance(version, int) or not is_whole(crc, (version,)):
        raise Damage("its schema version is damaged")
    if version > SCHEMA_VERSION:
        raise StoreError(
            f"the state was written by a newer edgead (schema {version}, this one knows {SCHEMA_VERSION}):"
            " install that edgead again, or give this one an empty state_dir",
            kind="version",
        )
    tables = dict(connection.execute("SELECT name, sql FROM sqlite_master"))
    if tables != tables_of(version):
        raise Damage("its tables are not as edgead made them")
    complaints = [row[0] for row in connection.execute("PRAGMA quick_check(3)")]
    if complaints != ["ok"]:
        raise Damage(
            "; ".join(complaints).removeprefix("*** in database main ***").strip().replace("\n", "; ")
        )


class Opened(NamedTuple):
    """A writing connection and what was found on the way to it."""

    connection: sqlite3.Connection
    notices: list[str]  # sentences for people
    commits_lost: bool  # nobody knows which numbers they gave away


def open_writer(path: Path, now_ns: int) -> Opened:
    """Open `path` for writing: create it when it is not there, set it aside when it is damaged."""
    try:
        notices, commits_lost = _settle(path, now_ns)
    except Damage as damage:
        notices, commits_lost = [f"{path.name} was damaged ({damage}); {replace(path, now_ns)}"], False
    connection = connect_writer(path)
    try:
        _upgrade(connection)
    except BaseException:
        connection.close()
        raise
    return Opened(connection, notices, commits_lost)


def _upgrade(connection: sqlite3.Connection) -> None:
    """Bring the database of an older edgead to this version: in one transaction, so cut short it is as it was."""
    version = connection.execute("SELECT version FROM schema_version").fetchone()[0]
    if version == SCHEMA_VERSION:
        return
    connection.execute("BEGIN IMMEDIATE")
    for name in (name for since, names in TABLES_SINCE.items() if since > version for name in names):
        connection.execute(TABLES[name])
    connection.execute("INSERT INTO counters VALUES (?, 0, 0, 0, ?)", (OUTBOX_COUNTERS, row_crc((0, 0, 0))))
    connection.execute(
        "UPDATE schema_version SET version = ?, crc = ?", (SCHEMA_VERSION, row_crc((SCHEMA_VERSION,)))
    )
    connection.execute("COMMIT")


def _settle(path: Path, now_ns: int) -> tuple[list[str], bool]:
    """Leave a database at `path` that can be trusted; what was done, and whether commits were lost with the log."""
    wal = Path(f"{path}-wal")
    if path.exists():
        loss = examine(path)
        return ([], False) if loss is None else ([_keep_log(wal, loss, now_ns)], True)
    if _ready_name(path).exists():
        return [f"{path.name} was damaged; {_exchange(path, now_ns)}; going on with what was rescued"], False
    if wal.exists():
        raise Damage("it is missing while its log is there")
    notices = _tell_of_earlier(path)
    create(path)
    return notices, False


def _tell_of_earlier(path: Path) -> list[str]:
    """Files once set aside explain why there is no state: the process that did it may have had no time to tell."""
    earlier = sorted(path.parent.glob(f"{path.name}.corrupt-*"))
    if not earlier:
        return []
    return [
        f"there is no {path.name}, but one was set aside as {earlier[-1].name}; starting with an empty state"
    ]


def _keep_log(wal: Path, loss: log.Loss, now_ns: int) -> str:
    """Copy a damaged log before SQLite cuts it back to its readable part."""
    copy = aside_name(wal, now_ns)
    told = (
        f"{wal.name} was damaged or cut behind its frame {loss.readable}: what was saved after that is lost, the state"
        " goes on from before"
    )
    try:
        with open(wal, "rb") as source, os.fdopen(_create_private(copy), "wb") as target:
            shutil.copyfileobj(source, target)
    except OSError as error:
        return f"{told}; the log could not be kept: {error.strerror}"
    return f"{told}; the log was kept as {copy.name}"


def _create_private(path: Path) -> int:
    return os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
