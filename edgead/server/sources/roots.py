"""Files below the data roots: opened one folder at a time, links never followed, and copied."""

import errno
import os
import stat
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from edgead.errors import ConfigError
from edgead.server.sources.budget import Budget, SourceError
from edgead.server.sources.tables import TableNames, is_table

# a name that was swapped for a link, pipe or device meanwhile neither leads away nor blocks
_FLAGS = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


class Root:
    """A folder whose content may be read.

    Parameters
    ----------
    folder : str
        Absolute or relative to the working directory; it may be a link itself: the operator named it.

    Raises
    ------
    ConfigError
        If it is no folder.
    """

    def __init__(self, folder: str) -> None:
        if not folder or not os.path.isdir(folder):
            raise ConfigError([f"data root {folder!r}: expected an existing folder"])
        self._real = os.path.realpath(folder)
        self._names = {_parts(os.path.abspath(folder)), _parts(self._real)}

    def below(self, path: str) -> tuple[str, ...] | None:
        """Names that lead from the root to an absolute path, or None if it lies elsewhere."""
        parts = _parts(path)
        for root in self._names:
            if parts[: len(root)] == root:
                return parts[len(root) :]
        return None

    @contextmanager
    def opened(self, names: Sequence[str], source: str) -> Iterator[int]:
        """A descriptor of the file or folder that the names lead to.

        Each name is opened inside the folder opened before it, so nothing that happens to the tree meanwhile leads
        out of it.

        Raises
        ------
        SourceError
            ``FileNotExist``, ``StorageReadError`` (a link, no permission, or the root is gone), ``ReadingFileError``
            (not a file).
        """
        try:
            fd = os.open(self._real, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            message = f"{source}: its data root cannot be read just now ({error.strerror})"
            raise SourceError(message, code="StorageReadError") from None
        try:
            for place, name in enumerate(names):
                fd = _step(fd, name, source, last=place == len(names) - 1)
            yield fd
        finally:
            os.close(fd)


def _parts(path: str) -> tuple[str, ...]:
    return tuple(part for part in path.split("/") if part)


def _step(folder: int, name: str, source: str, *, last: bool) -> int:
    """The descriptor of `name` in `folder`, which is closed then; on error it stays the caller's to close."""
    found = _open(folder, name, source)
    mode = os.fstat(found).st_mode
    if stat.S_ISDIR(mode) or (last and stat.S_ISREG(mode)):
        os.close(folder)
        return found
    os.close(found)
    raise SourceError(f"{source}: {name!r} is no folder", code="FileNotExist")


def _open(folder: int, name: str, source: str) -> int:
    try:
        # looked at first: opening a device may do something
        mode = os.stat(name, dir_fd=folder, follow_symlinks=False).st_mode
        if stat.S_ISLNK(mode):
            raise SourceError(
                f"{source}: {name!r} is a link, and links are not followed", code="StorageReadError"
            )
        if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):
            raise SourceError(f"{source}: {name!r} is neither a file nor a folder", code="ReadingFileError")
        return os.open(name, _FLAGS, dir_fd=folder)
    except UnicodeEncodeError:
        raise SourceError(f"{source}: no such file or folder", code="FileNotExist") from None
    except OSError as error:
        missing = error.errno in (errno.ENOENT, errno.ENOTDIR, errno.ENAMETOOLONG)
        reason = "no such file or folder" if missing else str(error.strerror)
        code = "FileNotExist" if missing else "StorageReadError"
        raise SourceError(f"{source}: {reason}", code=code) from None


def copy_folder(folder: int, into: Path, budget: Budget) -> None:
    """Copy the tables of an opened folder; other files and sub-folders are no variables."""
    into.mkdir()
    names = TableNames(budget.source)
    for name in sorted(os.listdir(folder)):
        if not is_table(name):
            continue
        names.add(name)
        found = _open(folder, name, budget.source)
        try:
            if not stat.S_ISREG(os.fstat(found).st_mode):
                raise SourceError(f"{budget.source}: {name!r} is no file", code="ReadingFileError")
            copy_file(found, into / name, budget)
        finally:
            os.close(found)
    names.expect_some()


def copy_file(found: int, out: Path, budget: Budget) -> None:
    """Copy an opened file."""
    budget.announce(os.fstat(found).st_size)
    budget.copy(lambda size: _read(found, size, budget.source), out)


def _read(found: int, size: int, source: str) -> bytes:
    try:
        return os.read(found, size)
    except OSError as error:
        raise SourceError(f"{source}: {error.strerror}", code="ReadingFileError") from None
