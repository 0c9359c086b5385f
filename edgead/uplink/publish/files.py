"""Files of the repository and of the keys: whole or not there, whenever the publisher dies."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgead.durable import locked, replace_file
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
    try:
        replace_file(path, data, mode=mode, owner_of_folder=False)
    except OSError as error:
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
    with ExitStack() as right:
        try:
            right.enter_context(locked(handle))
        except BlockingIOError:
            raise UplinkError(f"{folder}: another edgead is changing it just now") from None
        yield
