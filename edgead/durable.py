"""Files that are whole or not there, whenever the power goes, and folders that one process changes at a time.

Errors are the operating system's (`OSError`); who calls says what they mean.
"""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path


def replace_file(path: Path, data: bytes, *, mode: int = 0o600, owner_of_folder: bool = True) -> None:
    """Replace a file in one step, on the disk before the name changes; it is as before when the disk refuses.

    Parameters
    ----------
    path : Path
        Of the file.
    data : bytes
        All of it.
    mode : int
        Of the file, from its first byte on: a key must not be readable for a moment.
    owner_of_folder : bool
        Whether what root writes belongs to whom the folder belongs.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(handle, "wb") as out:
            os.fchmod(handle, mode)
            out.write(data)
            out.flush()
            os.fsync(handle)
        if owner_of_folder:
            give_to_owner_of(path.parent, half)
        os.replace(half, path)
        sync_folder(path.parent)
    except OSError:
        with suppress(OSError):
            half.unlink()
        raise


def sync_folder(folder: Path) -> None:
    """Make renames and new names in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def give_to_owner_of(folder: Path, path: Path) -> None:
    """What root writes in the state directory must be readable for the service that runs as another user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


@contextmanager
def locked(handle: int) -> Iterator[None]:
    """The lock of an open file or folder, which is closed at the end; a kill gives it back.

    Raises
    ------
    BlockingIOError
        If another process has it.
    """
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    finally:
        os.close(handle)
