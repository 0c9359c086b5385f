"""Errors of SQLite and the operating system as sentences with a kind."""

import errno
import os
import sqlite3
from pathlib import Path

import pytest

from edgead.store.database import translate


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        ("SQLITE_FULL", "full"),
        ("SQLITE_READONLY", "read_only"),
        ("SQLITE_READONLY_DBMOVED", "read_only"),
        ("SQLITE_IOERR_FSYNC", "io"),
        ("SQLITE_IOERR_READ", "corrupt"),
        ("SQLITE_CANTOPEN", "io"),
        ("SQLITE_CORRUPT", "corrupt"),
        ("SQLITE_NOTADB", "corrupt"),
        ("SQLITE_ERROR", "corrupt"),
        ("SQLITE_BUSY_SNAPSHOT", "locked"),
        ("SQLITE_NOMEM", "io"),
    ],
)
def test_each_code_of_sqlite_has_its_kind(tmp_path: Path, code: str, kind: str) -> None:
    error = sqlite3.OperationalError("what SQLite says")
    error.sqlite_errorcode, error.sqlite_errorname = getattr(sqlite3, code), code
    failure = translate(error, tmp_path / "state.db", "saving")
    assert failure.kind == kind
    assert str(failure).startswith(f"{tmp_path}/state.db: saving: ")
    assert f"(what SQLite says, {code})" in str(failure)


@pytest.mark.parametrize(
    ("code", "kind"),
    [(errno.ENOSPC, "full"), (errno.EROFS, "read_only"), (errno.EACCES, "read_only"), (errno.EIO, "io")],
)
def test_each_error_of_the_system_has_its_kind(tmp_path: Path, code: int, kind: str) -> None:
    failure = translate(OSError(code, os.strerror(code)), tmp_path / "state.db", "opening it")
    assert (failure.kind, str(failure)) == (kind, f"{tmp_path}/state.db: opening it: {os.strerror(code)}")


def test_a_directory_that_is_gone_does_not_hide_the_error(tmp_path: Path) -> None:
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorcode = sqlite3.SQLITE_IOERR
    assert translate(error, tmp_path / "gone" / "state.db", "saving").kind == "io"
