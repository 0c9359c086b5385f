"""What reading one source may cost: bytes, tables, seconds; and the error when it cannot be read."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import RawIOBase
from pathlib import Path
from threading import Thread
from typing import TypeVar

from edgead.errors import InvalidInput

#: Bytes read at once.
BLOCK = 1 << 20

_STATUS = {"StorageReadError": 403, "StorageWriteError": 403, "FileSizeTooLarge": 413, "InvalidFileSize": 413}
_Answer = TypeVar("_Answer")


class SourceError(InvalidInput):
    """A data source is not readable, not allowed or too large.

    Parameters
    ----------
    message : str
        Names the source (never its query, which may hold a signature) and what was expected.
    code : str
        ``InvalidBlobURL``, ``FileNotExist``, ``StorageReadError``, ``StorageWriteError``, ``FileSizeTooLarge``,
        ``DataExceedsLimit``, ``DuplicatedVariables``, ``NoVariablesFound``, ``ReadingFileError`` or ``GetDataError``.
    """

    def __init__(self, message: str, *, code: str) -> None:
        super().__init__(message, code=code)

    @property
    def status(self) -> int:
        """HTTP status of an answer that reports it."""
        return _STATUS.get(self.code, 400)


class Budget:
    """Bytes and time left for one source.

    Parameters
    ----------
    source : str
        As messages name it.
    max_bytes : int
        Of all tables together.
    deadline : float
        Seconds of `time.monotonic`.
    """

    def __init__(self, source: str, max_bytes: int, deadline: float) -> None:
        self.source = source
        self.max_bytes = max_bytes
        self._left = max_bytes
        self._deadline = deadline

    def seconds(self) -> float:
        """Time left; raises ``GetDataError`` when there is none."""
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise self.too_slow()
        return left

    def too_slow(self) -> SourceError:
        """The error when time is over."""
        return SourceError(f"{self.source}: not read within the time allowed", code="GetDataError")

    def announce(self, size: int) -> None:
        """Refuse at once what says to be larger than what is left."""
        if size > self._left:
            raise self._too_large()

    def spend(self, size: int) -> None:
        """Count `size` bytes, and look at the clock."""
        self._left -= size
        if self._left < 0:
            raise self._too_large()
        self.seconds()

    def copy(self, read: Callable[[int], bytes], path: Path) -> None:
        """Everything `read` gives into a new file, within the budget."""
        with _ours():
            out = open(path, "xb", buffering=0)  # noqa: SIM115
        with out:
            while block := read(BLOCK):
                self.spend(len(block))
                with _ours():
                    _write_whole(out, block)

    def within(self, call: Callable[[], _Answer], at_most: float | None = None) -> _Answer:
        """The answer of a call that cannot be told when to stop, or ``GetDataError`` when it took too long.

        The thread that waits for it is left behind; it holds no lock and ends with its process.
        """
        answers: list[_Answer] = []
        errors: list[BaseException] = []

        def run() -> None:
            try:
                answers.append(call())
            except BaseException as error:
                errors.append(error)

        thread = Thread(target=run, daemon=True, name="source")
        thread.start()
        left = self.seconds()
        thread.join(left if at_most is None else min(left, at_most))
        if errors:
            raise errors[0]
        if not answers:
            raise self.too_slow()
        return answers[0]

    def _too_large(self) -> SourceError:
        return SourceError(f"{self.source}: more than {self.max_bytes} bytes", code="FileSizeTooLarge")


@contextmanager
def _ours() -> Iterator[None]:
    """A full disk while the snapshot is written is no fault of the source."""
    try:
        yield
    except OSError as error:
        message = f"no copy of the source could be written: {error.strerror}"
        raise SourceError(message, code="StorageWriteError") from error


def _write_whole(out: RawIOBase, block: bytes) -> None:
    rest = memoryview(block)
    while rest:
        rest = rest[out.write(rest) :]
