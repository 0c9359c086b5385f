"""A zip of tables, unpacked within bounds."""

import stat
import zipfile
import zlib
from io import FileIO
from pathlib import Path

from edgead.server.sources.budget import BLOCK, Budget, SourceError
from edgead.server.sources.tables import TableNames, is_table

_MAX_RATIO = (
    500  # a column of one repeated value, deflated, unfolds about 300 times; a bomb of zeros 1030 times
)
_BOMB_FROM = 1 << 20
_COMPRESSIONS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
_ENCRYPTED = 0x1


class _Bounded(FileIO):
    """A file read in parts: zipfile asks for a whole directory at once, however large it says to be."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > BLOCK:
            raise zipfile.BadZipFile("its directory is too long")
        return super().read(size)


def unpack(file: Path, into: Path, budget: Budget) -> None:
    """Unpack the tables of a zip into a new folder.

    The zip is refused as a whole when any table in it is encrypted, a link, in a folder, doubled, compressed in
    another way than deflate, or unfolds too far; its directory is not believed: bytes are counted as they come.

    Raises
    ------
    SourceError
        ``ReadingFileError``, ``FileSizeTooLarge``, ``DuplicatedVariables``, ``DataExceedsLimit``,
        ``NoVariablesFound``.
    """
    into.mkdir()
    try:
        with _Bounded(file) as opened, zipfile.ZipFile(opened) as archive:
            entries = _tables(archive, file.stat().st_size, budget)
            budget.announce(sum(entry.file_size for entry in entries))
            for entry in entries:
                with archive.open(entry) as table:
                    budget.copy(table.read, into / entry.filename)
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        NotImplementedError,
        RuntimeError,
        ValueError,
        OSError,
    ) as error:
        if isinstance(error, SourceError):
            raise
        raise SourceError(f"{budget.source}: not a readable zip ({error})", code="ReadingFileError") from None


def _tables(archive: zipfile.ZipFile, size: int, budget: Budget) -> list[zipfile.ZipInfo]:
    names = TableNames(budget.source)
    entries = [entry for entry in archive.infolist() if _is_wanted(entry)]
    for entry in entries:
        if reason := _refused(entry):
            raise SourceError(f"{budget.source}: {entry.filename!r} {reason}", code="ReadingFileError")
        names.add(entry.filename)
    if sum(entry.compress_size for entry in entries) > size:
        raise SourceError(f"{budget.source}: entries of the zip overlap", code="ReadingFileError")
    names.expect_some()
    return entries


def _is_wanted(entry: zipfile.ZipInfo) -> bool:
    # hidden files are left out, and with them the folder of resource forks ("._flow.csv") that macOS adds
    return is_table(entry.filename.rsplit("/", 1)[-1])


def _refused(entry: zipfile.ZipInfo) -> str:
    """Why a table is not unpacked, or nothing."""
    if "/" in entry.filename:
        return "lies in a folder of the zip, expected the tables without folders"
    if stat.S_IFMT(entry.external_attr >> 16) not in (0, stat.S_IFREG):
        return "is not a file"
    if entry.flag_bits & _ENCRYPTED:
        return "is encrypted"
    if entry.compress_type not in _COMPRESSIONS:
        return f"has compression {entry.compress_type}, expected stored or deflated"
    if entry.file_size > max(_BOMB_FROM, _MAX_RATIO * entry.compress_size):
        return f"unfolds more than {_MAX_RATIO} times: a zip bomb"
    return ""
