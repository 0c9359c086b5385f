"""Files that are whole or not there, whenever the power goes."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgead.durable import give_to_owner_of, locked, replace_file, sync_folder
from edgead.errors import ModelPackageError
from edgead.package.archive import MAX_PACKAGE_BYTES


def read_package_file(path: Path) -> bytes:
    """Bytes of a package; of a longer file one byte more than a package may have, which is enough to refuse it.

    Raises
    ------
    ModelPackageError
        If it cannot be read.
    """
    try:
        with open(path, "rb") as source:
            return source.read(MAX_PACKAGE_BYTES + 1)
    except OSError as error:
        raise ModelPackageError(f"{path}: {error.strerror}") from error


def make_folder(folder: Path) -> None:
    """Make a folder that outlasts a power cut; it belongs to whom the one above belongs.

    Raises
    ------
    ModelPackageError
        If it cannot be made.
    """
    missing = [path for path in (folder, *folder.parents) if not path.exists()]
    try:
        for path in reversed(missing):
            path.mkdir(mode=0o700, exist_ok=True)
            give_to_owner_of(path.parent, path)
            sync_folder(path.parent)
    except OSError as error:
        raise ModelPackageError(f"{folder} cannot be made: {error.strerror}") from error


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, durable before the name changes.

    Raises
    ------
    ModelPackageError
        If the disk refuses.
    """
    try:
        replace_file(path, data)
    except OSError as error:
        raise ModelPackageError(f"{path} cannot be written: {error.strerror}") from error


@contextmanager
def writing(folder: Path) -> Iterator[None]:
    """The right to change a folder, for one process at a time; a kill gives it back.

    Raises
    ------
    ModelPackageError
        If another process has it.
    """
    try:
        handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    except OSError as error:
        raise ModelPackageError(f"{folder}: {error.strerror}") from error
    with ExitStack() as right:
        try:
            right.enter_context(locked(handle))
        except BlockingIOError:
            raise ModelPackageError(f"{folder}: another edgead is changing it just now") from None
        yield
