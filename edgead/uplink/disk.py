"""Files of the uplink on the device: read within bounds, replaced in one step."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from edgead.durable import give_to_owner_of, locked, replace_file, sync_folder
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
    try:
        replace_file(path, data)
    except OSError as error:
        raise UplinkError(f"{path} cannot be written: {error.strerror}") from error


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
    with ExitStack() as right:
        try:
            right.enter_context(locked(handle))
        except BlockingIOError:
            raise UplinkError("another sync is running just now") from None
        yield
