"""How much a thread made the kernel write: the kernel's own account, so page rounding and all."""

import contextlib
from collections.abc import Iterator

_ACCOUNT = (
    "/proc/thread-self/io"  # write_bytes: whole pages this thread made dirty, on file systems with a disk
)


def written_by_thread() -> int | None:
    """Bytes the calling thread has caused to be sent to a disk; None when the kernel keeps no account."""
    try:
        with open(_ACCOUNT, "rb", buffering=0) as file:
            account = file.read(512)
    except OSError:
        return None
    return int(account.partition(b"\nwrite_bytes: ")[2].partition(b"\n")[0])


class Meter:
    """Adds up what is written inside ``with meter.running():`` blocks.

    Attributes
    ----------
    total : int or None
        Bytes; None when the kernel keeps no account.
    """

    def __init__(self) -> None:
        self.total: int | None = None if written_by_thread() is None else 0

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Count the block."""
        before = written_by_thread()
        try:
            yield
        finally:
            after = written_by_thread()
            if self.total is not None and before is not None and after is not None:
                self.total += after - before
