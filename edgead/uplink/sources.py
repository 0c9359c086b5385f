"""Where a repository lies: behind a URL, or in a folder (a stick, a mirror by other means)."""

from collections.abc import Iterator
from pathlib import Path
from typing import Protocol
from urllib.parse import quote

from edgead.errors import UplinkError
from edgead.uplink.reasons import Unreachable
from edgead.uplink.web import Web

_CHUNK = 64 * 1024


class Missing(UplinkError):
    """The repository has no such file.

    Parameters
    ----------
    path : str
        Of the file.
    status : int
        404, or what the server said instead.
    """

    def __init__(self, path: str, status: int = 404) -> None:
        super().__init__(f"{path}: {'not there' if status == 404 else f'HTTP status {status}'}")
        self.status = status


class Source(Protocol):
    """A repository that can be read."""

    requests: int
    received: int

    def open(self, path: str, start: int, limit_s: float) -> Iterator[bytes]:
        """Bytes of a file from `start` on.

        Raises
        ------
        Missing
            If there is none.
        Unreachable, Refused
            If the way there is broken, or not to be trusted.
        """


class FolderSource:
    """A repository in a folder.

    Parameters
    ----------
    folder : Path
        Holds ``metadata`` and ``targets``.
    """

    def __init__(self, folder: Path) -> None:
        self.requests = self.received = 0
        self._folder = folder

    def open(self, path: str, start: int, limit_s: float) -> Iterator[bytes]:
        """Bytes of a file from `start` on."""
        self.requests += 1
        try:
            with open(self._folder / path, "rb") as file:
                file.seek(start)
                while data := file.read(_CHUNK):
                    self.received += len(data)
                    yield data
        except FileNotFoundError:
            if not (self._folder / "metadata").is_dir():
                raise Unreachable(
                    f"{self._folder}: no repository (expected a folder metadata in it)"
                ) from None
            raise Missing(path) from None
        except OSError as error:
            raise Unreachable(f"{self._folder / path}: {error.strerror}") from error


class WebSource:
    """A repository behind a URL.

    Parameters
    ----------
    web : Web
        Connections.
    base : str
        URL with a slash at the end.
    """

    def __init__(self, web: Web, base: str) -> None:
        self.requests = self.received = 0
        self._web, self._base = web, base

    def open(self, path: str, start: int, limit_s: float) -> Iterator[bytes]:
        """Bytes of a file from `start` on."""
        self.requests += 1
        headers = {"Range": f"bytes={start}-"} if start else {}
        with self._web.open("GET", self._base + quote(path), headers=headers, limit_s=limit_s) as answer:
            if answer.status == 416 and start:  # there is no more: all of it is here already
                return
            if answer.status in (403, 404, 410):
                answer.finish()  # the next request goes over the same connection
                raise Missing(path, answer.status)
            if answer.status not in (200, 206):
                raise Unreachable(f"{self._base}{path}: HTTP status {answer.status}")
            skip = start
            if answer.status == 206:
                told = answer.headers.get("Content-Range", "")
                if not told.startswith(f"bytes {start}-"):
                    raise Unreachable(f"{self._base}{path}: asked from byte {start}, got {told!r}")
                skip = 0
            for chunk in self._counted(answer.chunks()):
                yield chunk[skip:]
                skip = max(0, skip - len(chunk))

    def _counted(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        for chunk in chunks:
            self.received += len(chunk)
            yield chunk
