"""Files of the repository and of the keys: whole or not there, whenever the publisher dies."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgead.errors import UplinkError


def make_folder(folder: Path, *, mode: int = 0o755) -> None:
    """Make a folder and those above it.

    Raises
    ------
    UplinkError
        If it cannot be made.
    """
    try:
        folder.mkdir(mode=mode, parents=True, exist_ok=True)
    except OSError as error:
        raise UplinkError(f"{folder} cannot be made: {error.strerror}") from error


def write_whole(path: Path, data: bytes, *, mode: int) -> None:
    """Replace a file in one step, on the disk before the name changes.

    Raises
    ------
    UplinkError
        If the disk refuses.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        # with its mode from the first byte on: a key must not be readable for a moment
        handle = os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, mode)
        with open(handle, "wb") as out:
            os.fchmod(handle, mode)
            out.write(data)
            out.flush()
            os.fsync(handle)
        os.replace(half, path)
        folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            half.unlink()
        raise UplinkError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def held(folder: Path) -> Iterator[None]:
    """The right to change a folder, for one process at a time; a kill gives it back.

    Raises
    ------
    UplinkError
        If another process has it.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise UplinkError(f"{folder}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UplinkError(f"{folder}: another edgead is changing it just now") from None
    finally:
        os.close(handle)
