"""The process of one job: ``python -m edgead.server.worker FD`` reads the order from stdin and tells on FD.

Its stdin stays open as long as whoever gave the order wants the answer: at its end this process ends at once, so a
killed server leaves nothing behind that works for nobody.
"""

import contextlib
import os
import resource
import signal
import struct
import sys
import threading
import traceback
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import BinaryIO

from edgead.server import orders

#: Before every message: its length.
HEADER = struct.Struct("<Q")
#: Whoever waits for an answer comes before a job.
NICE = 5
#: When memory is short the kernel ends a job, and not the server.
OOM_SCORE = "700"


def main() -> int:
    """Carry out the order on stdin."""
    # a stop of a whole service is the server's to heed: it ends the job and takes it up again at the next start
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stdin = sys.stdin.buffer
    order = orders.decode_order(_exactly(stdin, HEADER.unpack(_exactly(stdin, HEADER.size))[0]))
    threading.Thread(target=_end_with, args=(stdin,), daemon=True).start()
    os.nice(NICE)
    with contextlib.suppress(OSError):
        Path("/proc/self/oom_score_adj").write_text(OOM_SCORE)
    limit = order.limits.memory_bytes
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    with open(int(sys.argv[1]), "wb") as out:
        send(out, orders.encode(_done(order, out)))
    return 0


def send(out: BinaryIO, message: bytes) -> None:
    """Write a message and its length."""
    out.write(HEADER.pack(len(message)) + message)
    out.flush()


def _done(order: orders.Order, out: BinaryIO) -> orders.Outcome:
    from edgead.server.work import UNEXPECTED, do

    def tell(told: orders.Told) -> None:
        send(out, orders.encode(told))

    try:
        if order.folder:
            return do(order, Path(order.folder), tell)
        with TemporaryDirectory(prefix="edgead-job-") as folder:
            return do(order, Path(folder), tell)
    except (
        Exception
    ) as error:  # a fault of ours or of a library costs this job and is told, with the place in the log
        traceback.print_exc()
        return orders.Failed(UNEXPECTED, f"{type(error).__name__}: {error}"[:500])


def _exactly(stream: BinaryIO, size: int) -> bytes:
    data = stream.read(size)
    if len(data) != size:
        raise SystemExit("the order ended early")
    return data


def _end_with(stdin: BinaryIO) -> None:
    """Wait for the end of stdin, and end this whole process group with it."""
    while os.read(stdin.fileno(), 4096):
        pass
    os.killpg(0, signal.SIGKILL)


if __name__ == "__main__":
    sys.exit(main())
