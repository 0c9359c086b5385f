"""Files that are whole or not there, whenever the power goes."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

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
            _give_to_owner_of(path.parent, path)
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
    half = path.with_name(f".{path.name}.half")
    try:
        with half.open("wb") as out:
            os.fchmod(out.fileno(), 0o600)
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        _give_to_owner_of(path.parent, half)
        half.replace(path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            half.unlink(missing_ok=True)
        raise ModelPackageError(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make new and changed names in a folder outlast a power cut."""
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _give_to_owner_of(folder: Path, path: Path) -> None:
    """What root writes in the state directory must be readable for the service that runs as another user."""
    if os.geteuid() == 0:
        owner = folder.stat()
        os.chown(path, owner.st_uid, owner.st_gid)


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
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise ModelPackageError(f"{folder}: another edgead is changing it just now") from None
    finally:
        os.close(handle)
