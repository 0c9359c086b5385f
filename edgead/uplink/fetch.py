"""How python-tuf reads the repository: bounded in size and time, targets resumed where they broke off."""

import hashlib
import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from tuf.api.exceptions import DownloadHTTPError
from tuf.ngclient import FetcherInterface

from edgead.uplink.reasons import Refused
from edgead.uplink.sources import Missing, Source

#: Bytes a second of a target on average, below which nobody waits any longer; a GPRS line has four times that.
LEAST_RATE = 1024
#: Seconds a target may take whatever its size.
GRACE_S = 60.0
#: Head of the names python-tuf asks for; the rest is the path in the repository.
BASE = "repository:/"


class Fetcher(FetcherInterface):
    """Reads metadata within one time limit and targets at a least rate.

    Parameters
    ----------
    source : Source
        Where the repository lies.
    partial : Path
        Folder of targets that are not whole yet; made when missing.
    refresh_s : float
        Seconds for all metadata together.
    bandwidth : int
        Bytes a second this device takes at most; 0 = no bound.

    Attributes
    ----------
    role : str
        Metadata file read last.
    metadata : bytes
        Its content.
    progress : callable
        Gets the bytes there are of a target, and how many there will be, every tenth of it.
    """

    def __init__(self, source: Source, partial: Path, *, refresh_s: float, bandwidth: int = 0) -> None:
        self.role = ""
        self.metadata = b""
        self.progress: Callable[[int, int], None] = lambda done, of: None
        self._source = source
        self._partial = partial
        self._refresh_s = refresh_s
        self._end = time.monotonic() + refresh_s
        self._rate = min(LEAST_RATE, bandwidth / 4) if bandwidth else LEAST_RATE

    def _fetch(self, url: str) -> Iterator[bytes]:
        """Metadata; see `FetcherInterface`."""
        path = url.removeprefix(BASE)
        self.role, self.metadata = path.rpartition("/")[2], b""
        left = self._end - time.monotonic()
        if left <= 0:
            raise Refused("slow", f"all metadata together took longer than {self._refresh_s:g} s", self.role)
        try:
            yield from self._source.open(path, 0, left)
        except Missing as error:
            raise DownloadHTTPError(str(error), error.status) from error

    def download_bytes(self, url: str, max_length: int) -> bytes:
        """Metadata, at most so long; see `FetcherInterface`."""
        received = bytearray()
        for chunk in self.fetch(url):
            received += chunk
            if len(received) > max_length:
                raise Refused("endless-data", f"longer than the {max_length} bytes it may have", self.role)
        self.metadata = bytes(received)
        return self.metadata

    @contextmanager
    def download_file(self, url: str, max_length: int) -> Iterator[IO[bytes]]:
        """Download a target, going on where an earlier attempt broke off; see `FetcherInterface`."""
        path = url.removeprefix(BASE)
        kept = self._file(path)
        self._partial.mkdir(mode=0o700, exist_ok=True)
        with open(os.open(kept, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o600), "r+b") as file:
            start = file.seek(0, os.SEEK_END)
            if start < max_length:
                self._append(path, file, start, max_length)
            elif start > max_length:
                file.truncate(0)
                self._append(path, file, 0, max_length)
            file.seek(0)
            yield file

    def forget(self, path: str) -> None:
        """Throw away what came of a target."""
        with suppress(OSError):
            self._file(path).unlink()

    def started(self, path: str) -> bool:
        """Whether part of a target lies here from an earlier attempt."""
        try:
            return self._file(path).stat().st_size > 0
        except OSError:
            return False

    def keep_only(self, paths: Sequence[str]) -> None:
        """Throw away the parts of all targets but these."""
        names = {self._file(path).name for path in paths}
        with suppress(OSError):
            for file in self._partial.iterdir():
                if file.name not in names:
                    file.unlink()

    def _file(self, path: str) -> Path:
        return self._partial / hashlib.sha256(path.encode()).hexdigest()

    def _append(self, path: str, file: IO[bytes], start: int, max_length: int) -> None:
        began, count = time.monotonic(), start
        limit = GRACE_S + (max_length - start) / self._rate
        try:
            for chunk in self._source.open(path, start, limit):
                count += len(chunk)
                if count > max_length:
                    self.forget(path)
                    raise Refused(
                        "wrong-length", f"longer than the {max_length} bytes that were signed", path
                    )
                file.write(chunk)
                if 10 * count // max_length > 10 * (count - len(chunk)) // max_length:
                    self.progress(count, max_length)
                took = time.monotonic() - began
                if took > GRACE_S and (count - start) / took < self._rate:
                    raise Refused("slow", f"{(count - start) / took:.0f} bytes a second", path)
        except Missing as error:
            raise DownloadHTTPError(str(error), error.status) from error
        finally:
            file.flush()
