"""Data sources: what ``dataSource`` names becomes a bounded copy on this disk, or an error with a documented code.

Three kinds of source, and two lists of the operator's; nothing else is read::

    /data/pump.csv   file:///data/pump   pump.csv      below a data root
    https://host/pump.zip   s3://bucket/pump           below a listed URL prefix
    https://ACCOUNT.blob.core.windows.net/container/.. a mapped prefix: below the folder it is mapped to
"""

import os
import stat
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote_to_bytes

import msgspec

from edgead.errors import ConfigError
from edgead.recording.variables import MAX_BYTES
from edgead.server.sources import remote
from edgead.server.sources.addresses import PORTS, Url, covers, parse_url
from edgead.server.sources.budget import Budget, SourceError
from edgead.server.sources.roots import Root, copy_file, copy_folder
from edgead.server.sources.tables import kind_of
from edgead.server.sources.unpack import unpack
from edgead.server.sources.web import Resolve, Web, resolve

__all__ = ["Reader", "SourceError", "SourceSettings"]

_MAX_PATH = 4096
_BLOBS = (".blob.core.windows.net", ".dfs.core.windows.net")


class SourceSettings(msgspec.Struct, frozen=True, kw_only=True):
    """What may be read, and how much of it.

    Attributes
    ----------
    roots : tuple of str
        Folders whose files may be read.
    allowed : tuple of str
        URL prefixes that may be read: ``http``, ``https``, ``s3``, ``abfs``, ``abfss``.
    mapped : mapping of str to str
        URL prefix to folder: what old programs called a blob lies here now.
    ca : str
        PEM file of the authorities to trust for ``https``; "" = those of the system.
    max_bytes : int
        Of one source, packed and unpacked.
    max_seconds : float
        That reading one may take.
    """

    roots: tuple[str, ...] = ()
    allowed: tuple[str, ...] = ()
    mapped: Mapping[str, str] = {}
    ca: str = ""
    max_bytes: int = MAX_BYTES
    max_seconds: float = 600.0


class _Place(msgspec.Struct, frozen=True):
    """A source that may be read: names below a root, or a listed URL."""

    root: Root | None = None
    names: tuple[str, ...] = ()
    url: Url | None = None


class Reader:
    """Turns the text of a ``dataSource`` into a file or folder of our own.

    Parameters
    ----------
    settings : SourceSettings
    lookup : callable, optional
        Addresses of a host name; by default the system's.

    Raises
    ------
    ConfigError
        With every setting that is wrong.
    """

    def __init__(self, settings: SourceSettings, *, lookup: Resolve = resolve) -> None:
        mistakes: list[str] = []
        self._roots = [root for text in settings.roots if (root := _root(text, mistakes))]
        self._listed = [url for text in settings.allowed if (url := _prefix(text, mistakes))]
        self._mapped = [
            (url, root)
            for text, folder in settings.mapped.items()
            if (url := _prefix(text, mistakes)) and (root := _root(folder, mistakes))
        ]
        if settings.ca and not os.path.isfile(settings.ca):
            mistakes.append(f"authorities for sources {settings.ca!r}: expected a PEM file")
        if mistakes:
            raise ConfigError(mistakes)
        self._settings = settings
        self._web = Web(self._listed, settings.ca, lookup)

    def check(self, source: str) -> None:
        """What can be said before a job is accepted: form, permission, and whether a local file is there.

        Parameters
        ----------
        source : str
            Text of the request.

        Raises
        ------
        SourceError
            ``InvalidBlobURL``, ``StorageReadError``, ``FileNotExist``, ``ReadingFileError`` or ``InvalidFileSize``.
        """
        place = self._place(source)
        if place.root is not None:
            with place.root.opened(place.names, source) as opened:
                size = os.fstat(opened).st_size
                if size > self._settings.max_bytes:
                    raise SourceError(
                        f"{source}: {size} bytes, at most {self._settings.max_bytes}", code="InvalidFileSize"
                    )

    def fetch(self, source: str, into: Path, deadline: float) -> Path:
        """Copy a source.

        Parameters
        ----------
        source : str
            Text of the request.
        into : Path
            An existing, empty folder that nobody else writes to.
        deadline : float
            Seconds of `time.monotonic` at which it must be done.

        Returns
        -------
        Path
            Below `into`: a table (``.csv`` or ``.parquet``), or a folder of tables.

        Raises
        ------
        SourceError
            Those of `check`, and ``FileSizeTooLarge``, ``GetDataError`` (server or time), ``NoVariablesFound``,
            ``DuplicatedVariables``, ``DataExceedsLimit``, ``StorageWriteError`` (no room here).
        """
        place = self._place(source)
        name, most = str(place.url or source), self._settings.max_bytes
        deadline = min(deadline, time.monotonic() + self._settings.max_seconds)
        budget = Budget(name, most, deadline)
        found = self._copied(place, into, budget)
        if found.is_dir():
            return found
        kind = kind_of(found)
        if kind != "zip":
            return found.rename(into / f"table.{kind}")
        unpack(found, into / "unpacked", Budget(name, most, deadline))
        found.unlink()
        return into / "unpacked"

    def _copied(self, place: _Place, into: Path, budget: Budget) -> Path:
        if place.root is not None:
            with place.root.opened(place.names, budget.source) as opened:
                if stat.S_ISDIR(os.fstat(opened).st_mode):
                    copy_folder(opened, into / "tables", budget)
                    return into / "tables"
                copy_file(opened, into / "source", budget)
            return into / "source"
        assert place.url is not None
        if place.url.scheme in remote.DRIVERS:
            return remote.download(place.url, into, budget)
        self._web.download(place.url, into / "source", budget)
        return into / "source"

    def _place(self, source: str) -> _Place:
        if "://" in source and not source.lower().startswith("file:"):
            return self._place_of_url(parse_url(source))
        path = _path(source)
        if path.startswith("/"):
            for root in self._roots:
                if (names := root.below(path)) is not None:
                    return _Place(root, names)
            raise SourceError(f"{source}: lies in no data root", code="StorageReadError")
        return self._relative(source, tuple(part for part in path.split("/") if part))

    def _relative(self, source: str, names: tuple[str, ...]) -> _Place:
        """The first data root that has it."""
        for root in self._roots:
            try:
                with root.opened(names, source):
                    return _Place(root, names)
            except SourceError as error:
                if error.code != "FileNotExist":
                    raise
        if not self._roots:
            raise SourceError(f"{source}: there is no data root to look in", code="StorageReadError")
        raise SourceError(f"{source}: no such file or folder in the data roots", code="FileNotExist")

    def _place_of_url(self, url: Url) -> _Place:
        for prefix, root in self._mapped:
            if covers(prefix, url):
                return _Place(root, url.segments()[len(prefix.segments()) :])
        if url.scheme not in PORTS and url.scheme not in remote.DRIVERS:
            schemes = ", ".join(["file", *PORTS, *remote.DRIVERS])
            raise SourceError(f"{url}: expected one of the schemes {schemes}", code="InvalidBlobURL")
        if any(covers(prefix, url) for prefix in self._listed):
            return _Place(url=url)
        if url.host.endswith(_BLOBS):
            raise SourceError(
                f"{url}: a blob of the cloud, neither mapped to a folder nor in the list of sources",
                code="InvalidBlobURL",
            )
        raise SourceError(f"{url}: is not in the list of sources that may be read", code="StorageReadError")


def _root(folder: str, mistakes: list[str]) -> Root | None:
    try:
        return Root(folder)
    except ConfigError as error:
        mistakes += error.mistakes
        return None


def _prefix(text: str, mistakes: list[str]) -> Url | None:
    schemes = [*PORTS, *remote.DRIVERS]
    try:
        url = parse_url(text)
    except SourceError as error:
        mistakes.append(f"source prefix: {error.message.removeprefix('dataSource ')}")
        return None
    if url.scheme not in schemes or url.query:
        mistakes.append(f"source prefix {text!r}: expected {', '.join(schemes)} and no query")
        return None
    return url


def _path(source: str) -> str:
    """The path of a plain text or ``file://`` URL."""
    path = source
    if source.lower().startswith("file:"):
        rest = source[5:]
        host, slash, tail = rest[2:].partition("/") if rest.startswith("//") else ("", "/", rest.lstrip("/"))
        if host.lower() not in ("", "localhost") or not slash or "?" in tail or "#" in tail:
            raise SourceError(f"dataSource {source[:200]!r}: expected file:///path", code="InvalidBlobURL")
        path = "/" + os.fsdecode(unquote_to_bytes(tail))
    if not path or len(path) > _MAX_PATH or any(ord(letter) < 32 for letter in path):
        message = f"dataSource {source[:200]!r}: expected a path of 1 to {_MAX_PATH} characters, none of them a control"
        raise SourceError(message, code="InvalidBlobURL")
    if {".", ".."} & set(path.split("/")):
        message = f"dataSource {source[:200]!r}: a path has no '.' or '..'"
        raise SourceError(message, code="InvalidBlobURL")
    return path
