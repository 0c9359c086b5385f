"""The state directory: made private, locked against a second writer, damaged files set aside."""

import contextlib
import errno
import fcntl
import os
from datetime import UTC, datetime
from pathlib import Path

from edgead.durable import sync_folder
from edgead.errors import StoreError

DATABASE = "state.db"
LOCK = "state.lock"
COMPANIONS = ("", "-wal", "-shm")  # the database, its log, the log's index
_KINDS = {
    errno.ENOSPC: "full",
    errno.EDQUOT: "full",
    errno.EROFS: "read_only",
    errno.EACCES: "read_only",
    errno.EPERM: "read_only",
}


def make_private(directory: Path) -> None:
    """Create `directory` (mode 0700) if it is not there; one that exists keeps its mode."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    try:
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(
            PermissionError
        ):  # who may make a directory need not be allowed to read the one above
            for path in missing:
                sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"state directory {directory} cannot be made: {error.strerror}", kind=kind_of(error)
        ) from error


def kind_of(error: OSError) -> str:
    """Kind of `StoreError` for an operating system error."""
    return _KINDS.get(error.errno or 0, "io")


class WriterLock:
    """The right to write in a state directory, held until `release` or the end of the process.

    A lock of the operating system (flock), so nothing stays behind after a kill.
    """

    def __init__(self, directory: Path) -> None:
        self._fd = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(self._fd, 32, 0).decode("ascii", "replace").strip()
            os.close(self._fd)
            if not isinstance(error, BlockingIOError):
                raise
            raise StoreError(
                f"state directory {directory} is in use by another edgead (process {owner or 'unknown'});"
                " two must not write to one directory: stop that one or give this one its own state_dir",
                kind="locked",
            ) from error
        with contextlib.suppress(OSError):  # for the message above only, so a full disk must not matter
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, f"{os.getpid()}\n".encode(), 0)

    def release(self) -> None:
        """Let another process write."""
        os.close(self._fd)


def aside_name(path: Path, now_ns: int) -> Path:
    """Name for a damaged file: its own, the word, the time, and a number if that is taken."""
    stamp = datetime.fromtimestamp(now_ns // 1_000_000_000, UTC).strftime("%Y%m%dT%H%M%SZ")
    target = path.with_name(f"{path.name}.corrupt-{stamp}")
    turn = 1
    while any(Path(f"{target}{end}").exists() for end in COMPANIONS):
        turn += 1
        target = path.with_name(f"{path.name}.corrupt-{stamp}-{turn}")
    return target


def set_aside(path: Path, now_ns: int) -> Path:
    """Rename a damaged database and its companions; return the new name of the database.

    Nothing is deleted: the files may be all that is left of what a device learned.
    """
    target = aside_name(path, now_ns)
    try:
        # the database first: cut short here, a log without a database is found at the next opening, while a database
        # without its log could pass for a whole but older one
        for end in COMPANIONS:
            with contextlib.suppress(FileNotFoundError):
                os.rename(f"{path}{end}", f"{target}{end}")
        sync_folder(path.parent)
    except OSError as error:
        raise StoreError(
            f"{path} is damaged and cannot be set aside: {error.strerror}", kind=kind_of(error)
        ) from error
    return target
