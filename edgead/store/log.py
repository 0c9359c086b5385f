"""Looks at SQLite's write-ahead log from outside, to tell a damaged log from an interrupted commit.

SQLite reads a log up to the first frame whose checksum is wrong and forgets the rest without a word, which is right
after a crash (the rest was never committed) and wrong when a committed frame was cut off or flipped.  Two witnesses
know better: the log's index (``-shm``) as the last process left it, which is never ahead of what was synced, and the
frame headers behind the break, which only one interrupted commit can explain, not two.

Formats: https://www.sqlite.org/fileformat2.html#walformat and https://www.sqlite.org/walformat.html#walidxfmt
"""

import os
import struct
from pathlib import Path

import msgspec

_LOG_HEADER = 32
_FRAME_HEADER = 24
_MAGIC = (0x377F0682, 0x377F0683)
_INDEX_HEADER = 48  # kept twice, one after the other
_INDEX_BYTES = 100


class Index(msgspec.Struct, frozen=True):
    """What a log's index says.

    Attributes
    ----------
    salts : bytes
        Names the generation of the log; a log is overwritten from its start with new salts.
    frames : int
        Committed frames in this generation.
    copied : int
        Frames already copied into the database file.
    """

    salts: bytes
    frames: int
    copied: int


class Loss(msgspec.Struct, frozen=True):
    """Committed frames that cannot be read any more.

    Attributes
    ----------
    readable : int
        Frames that can.
    mixed : bool
        The database file already holds pages of the lost part, so it is neither the state before nor the one after.
    """

    readable: int
    mixed: bool


def parse_index(raw: bytes) -> Index | None:
    """Decode the start of an index file; None when it says nothing (unused, cut, or in the middle of a change)."""
    first, second = raw[:_INDEX_HEADER], raw[_INDEX_HEADER : 2 * _INDEX_HEADER]
    if len(raw) < _INDEX_BYTES or first != second or first[12] != 1:
        return None
    frames = struct.unpack_from("=I", first, 16)[0]
    return Index(first[32:40], frames, struct.unpack_from("=I", raw, 2 * _INDEX_HEADER)[0])


def read_index(path: Path) -> Index | None:
    """Decode the index file at `path`, if there is one.  Only while no connection of this process is open.

    (Closing any descriptor of the file would drop the locks SQLite holds on it: POSIX.)
    """
    try:
        with open(path, "rb", buffering=0) as file:
            return parse_index(file.read(_INDEX_BYTES))
    except FileNotFoundError:
        return None


def find_loss(log: Path, before: Index | None, after: Index | None) -> Loss | None:
    """Whether committed frames are missing.

    Parameters
    ----------
    log : Path
        The ``-wal`` file, untouched since `before` was read.
    before, after : Index or None
        The index as the last process left it, and as SQLite rebuilt it from the frames it could read.
    """
    header, size = _read_header(log)
    valid = _is_header(header)
    readable = after.frames if after is not None and valid else 0
    if before is not None and before.frames > readable and (not valid or before.salts == header[16:24]):
        if not readable and before.copied == before.frames:
            return None  # everything is in the database file
        return Loss(readable, mixed=before.copied > readable)
    if not valid and size > _LOG_HEADER:
        return Loss(0, mixed=False)
    if valid and _commits_behind(log, header, readable) > 1:
        return Loss(readable, mixed=False)
    return None


def _read_header(log: Path) -> tuple[bytes, int]:
    try:
        with open(log, "rb") as file:
            return file.read(_LOG_HEADER), os.fstat(file.fileno()).st_size
    except FileNotFoundError:
        return b"", 0


def _is_header(header: bytes) -> bool:
    if len(header) < _LOG_HEADER or struct.unpack_from(">I", header)[0] not in _MAGIC:
        return False
    words = struct.unpack("<6I" if header[3] == 0x82 else ">6I", header[:24])
    a = b = 0
    for first, second in zip(words[::2], words[1::2]):
        a = (a + first + b) & 0xFFFFFFFF
        b = (b + second + a) & 0xFFFFFFFF
    return (a, b) == struct.unpack_from(">2I", header, 24)


def _commits_behind(log: Path, header: bytes, frames: int) -> int:
    """Commit marks of this generation behind the first `frames` frames."""
    page = struct.unpack_from(">I", header, 8)[0]
    count = 0
    with open(log, "rb") as file:
        offset = _LOG_HEADER + frames * (page + _FRAME_HEADER)
        while len(frame := os.pread(file.fileno(), _FRAME_HEADER, offset)) == _FRAME_HEADER:
            count += frame[8:16] == header[16:24] and frame[4:8] != b"\0\0\0\0"
            offset += page + _FRAME_HEADER
    return count
