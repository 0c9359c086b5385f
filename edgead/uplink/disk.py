"""Files of the uplink on the device: read within bounds, replaced in one step."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from edgead.errors import UplinkError

FOLDER = "uplink"


def folder_in(state_dir: Path) -> Path:
    """Folder of the uplink in a state directory, made when missing; it belongs to whom that belongs.

    Raises
    ------
    UplinkError
        If it cannot be made.
    """
    folder = state_dir / FOLDER
    try:
        if not folder.is_dir():
            state_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            folder.mkdir(mode=0o700, exist_ok=True)
            give_to_owner_of(state_dir, folder)
            sync_folder(state_dir)
    except OSError as error:
        raise UplinkError(f"{folder} cannot be made: {error.strerror}") from error
    return folder


def read_bounded(path: Path, limit: int) -> bytes | None:
    """Bytes of a file; None when there is none.

    Raises
    ------
    UplinkError
        If it cannot be read, or is longer than `limit`.
    """
    try:
        with open(path, "rb") as file:
            data = file.read(limit + 1)
    except FileNotFoundError:
        return None
    except OSError as error:
        raise UplinkError(f"{path}: {error.strerror}") from error
    if len(data) > limit:
        raise UplinkError(f"{path}: longer than {limit} bytes")
    return data


def write_whole(path: Path, data: bytes) -> None:
    """Replace a file in one step, on the disk before the name changes.

    Raises
    ------
    UplinkError
        If the disk refuses; the file is as before.
    """
    half = path.with_name(f".{path.name}.half")
    try:
        with open(os.open(half, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as out:
            out.write(data)
            out.flush()
            os.fsync(out.fileno())
        give_to_owner_of(path.parent, half)
        os.replace(half, path)
        sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            half.unlink()
        raise UplinkError(f"{path} cannot be written: {error.strerror}") from error


def sync_folder(folder: Path) -> None:
    """Make new and changed names in a folder outlast a power cut."""
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
def alone(folder: Path) -> Iterator[None]:
    """The right to sync, for one process at a time; a kill gives it back.

    Raises
    ------
    UplinkError
        If another process has it.
    """
    try:
        handle = os.open(folder / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UplinkError(f"{folder / 'lock'}: {error.strerror}") from error
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UplinkError("another sync is running just now") from None
    finally:
        os.close(handle)
