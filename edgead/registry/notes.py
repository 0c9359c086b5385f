"""What is written down beside the packages of one model: who waits to become active, who may not, who is watched, and
how far its trial is.
"""

import zlib
from pathlib import Path

import msgspec

from edgead.errors import ModelPackageError
from edgead.registry.disk import write_whole

FILE, PROGRESS = "notes", "progress"
_CRC_BYTES = 4
#: Rejections remembered of one model; a repository offers one package of it at a time.
REJECTIONS_KEPT = 8


class Candidate(msgspec.Struct, frozen=True, kw_only=True):
    """A package that passed its trial and waits beside the active one.

    Attributes
    ----------
    name, version, id : str
        Of the package.
    sha256 : str
        Of its bytes.
    note : str
        Where it came from, in words.
    """

    name: str
    version: str
    id: str
    sha256: str
    note: str = ""


class Rejection(msgspec.Struct, frozen=True, kw_only=True):
    """A package that was tried here and is not wanted.

    Attributes
    ----------
    id, version : str
    reason : str
        In words.
    at_ns : int
        Wall clock.
    """

    id: str
    version: str
    reason: str
    at_ns: int = 0


class Watch(msgspec.Struct, frozen=True, kw_only=True):
    """A package at work that can still be turned down: the candidate in its shadow run, or what became active.

    Attributes
    ----------
    id, previous : str
        The package, and what is or was active before it.
    until_ns : int
        Wall clock at which the watch over an active package ends.
    crashes : int
        Ends of the process without a farewell while this package was at work.
    boot : str
        Id of the boot in which the process runs, or ran last; "" after a farewell.
    """

    id: str
    previous: str
    until_ns: int
    crashes: int = 0
    boot: str = ""


class Notes(msgspec.Struct, frozen=True, kw_only=True):
    """All of it.

    Attributes
    ----------
    candidate : Candidate or None
    watch : Watch or None
        Only says something while its `id` is the active one or the candidate's.
    rejected : tuple of Rejection
        Newest first, at most `REJECTIONS_KEPT`.
    """

    candidate: Candidate | None = None
    watch: Watch | None = None
    rejected: tuple[Rejection, ...] = ()


def read_notes(folder: Path) -> Notes:
    """The notes of a model; none where they are not there or damaged: a device does without them."""
    try:
        return msgspec.json.decode((folder / FILE).read_bytes(), type=Notes)
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return Notes()


def write_notes(folder: Path, notes: Notes) -> None:
    """Replace the notes of a model, durably.

    Raises
    ------
    ModelPackageError
        If the disk refuses.
    """
    write_whole(folder / FILE, msgspec.json.encode(notes))


class Progress(msgspec.Struct, frozen=True, array_like=True):
    """How far a shadow run or a watch is.

    Attributes
    ----------
    id : str
        Of the package that it is about.
    active : bool
        Whether that is at work by now.
    parts : dict of str to bytes
        What each group or series has seen, as its shadow dumps it.
    """

    id: str
    active: bool
    parts: dict[str, bytes]


def read_progress(folder: Path) -> Progress | None:
    """The progress of a model's trial; None where none is written down.

    Raises
    ------
    ModelPackageError
        If it is damaged.
    """
    path = folder / PROGRESS
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ModelPackageError(f"{path} cannot be read: {error.strerror}") from error
    crc, body = data[:_CRC_BYTES], data[_CRC_BYTES:]
    try:
        if crc != _crc(body):
            raise ModelPackageError(f"{path} is damaged: its check value is wrong")
        return msgspec.msgpack.decode(body, type=Progress)
    except msgspec.MsgspecError as error:
        raise ModelPackageError(f"{path} is damaged: {error}") from error


def write_progress(folder: Path, progress: Progress) -> None:
    """Replace the progress of a model's trial, durably.

    Raises
    ------
    ModelPackageError
        If the disk refuses.
    """
    body = msgspec.msgpack.encode(progress)
    write_whole(folder / PROGRESS, _crc(body) + body)


def _crc(body: bytes) -> bytes:
    return zlib.crc32(body).to_bytes(_CRC_BYTES, "little")
