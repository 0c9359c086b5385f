"""Starts a job's process and listens to it: the only place that knows how a job dies."""

import contextlib
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from typing import IO, Protocol

import msgspec

from edgead.errors import OuterWorldError
from edgead.server import orders
from edgead.server.environment import job_environment
from edgead.server.worker import HEADER

COMMAND = (sys.executable, "-P", "-m", "edgead.server.worker")
#: Seconds between two looks at whether the job is still wanted.
LOOK_S = 0.2
#: Bytes of what a job wrote to stderr that are kept for the log.
STDERR_BYTES = 16 * 2**10
_BLOCK = 2**16

Tell = Callable[[orders.Seen | orders.Epochs], None]


class WorkerDied(OuterWorldError):
    """The process of a job ended before the job did; another may have more luck.

    Parameters
    ----------
    message : str
        How it ended.
    log : str
        The end of what it wrote to stderr.
    """

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class Launcher(Protocol):
    """Carries out an order somewhere."""

    def run(self, order: orders.Order, tell: Tell, unwanted: threading.Event) -> orders.Outcome | None:
        """The outcome, or None when the job is unwanted meanwhile; `WorkerDied` when it came to nothing."""
        ...

    def close(self) -> None:
        """Let go of what it holds."""
        ...


class ProcessLauncher:
    """Every job in a process of this machine, in a process group of its own.

    Parameters
    ----------
    command : sequence of str, optional
        The program.
    """

    def __init__(self, command: tuple[str, ...] = COMMAND) -> None:
        self._command = command

    def run(self, order: orders.Order, tell: Tell, unwanted: threading.Event) -> orders.Outcome | None:
        """See `Launcher`."""
        deadline = time.monotonic() + order.limits.time_s
        process, told = _spawn(self._command, order.source)
        log = _Log(process.stderr)
        try:
            _give(process, order)
            outcome = _listen(told, tell, unwanted, deadline, order.limits.time_s)
            if isinstance(outcome, orders.Outcome) or unwanted.is_set():
                return outcome
            raise WorkerDied(_how(process), log.text())
        finally:
            _end(process)
            os.close(told)
            log.close()

    def close(self) -> None:
        """Nothing is held between jobs."""


def _spawn(command: tuple[str, ...], source: str) -> tuple[subprocess.Popen[bytes], int]:
    """The process, and the end of the pipe on which it tells."""
    ours, its = os.pipe()
    try:
        process = subprocess.Popen(
            [*command, str(its)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(its,),
            start_new_session=True,
            env=job_environment(source),
        )
    except OSError as error:
        os.close(ours)
        raise WorkerDied(f"no process for the job: {error.strerror}") from error
    finally:
        os.close(its)
    return process, ours


def _give(process: subprocess.Popen[bytes], order: orders.Order) -> None:
    data = orders.encode(order)
    assert process.stdin is not None
    try:
        process.stdin.write(HEADER.pack(len(data)) + data)
        process.stdin.flush()
    except OSError:  # it died at once; how, is told by its end
        return


def _listen(
    pipe: int, tell: Tell, unwanted: threading.Event, deadline: float, time_s: float
) -> orders.Outcome | None:
    """What the job tells until its outcome; None when it tells no more, or is not wanted any more."""
    buffer = bytearray()
    while not unwanted.is_set():
        if time.monotonic() > deadline:
            return orders.Failed(
                "UnexpectedError", f"it took longer than the {time_s:g} s that a job may take"
            )
        if not select.select([pipe], [], [], LOOK_S)[0]:
            continue
        data = os.read(pipe, _BLOCK)
        if not data:
            return None
        buffer += data
        for told in _messages(buffer):
            if isinstance(told, orders.Outcome):
                return told
            tell(told)
    return None


def _messages(buffer: bytearray) -> list[orders.Told]:
    """The whole messages at the beginning of the buffer, taken out of it."""
    found: list[orders.Told] = []
    while len(buffer) >= HEADER.size:
        size = HEADER.unpack_from(buffer)[0]
        if size > orders.MAX_MESSAGE:
            raise WorkerDied(f"the job told {size} bytes at once")
        if len(buffer) < HEADER.size + size:
            break
        try:
            with memoryview(buffer) as view:  # an answer has megabytes: no copy of it on the way
                found.append(orders.decode_told(view[HEADER.size : HEADER.size + size]))
        except msgspec.MsgspecError as error:
            raise WorkerDied(f"the job told what nobody understands: {error}") from None
        del buffer[: HEADER.size + size]
    return found


def _end(process: subprocess.Popen[bytes]) -> None:
    """End the job and all it started, and wait for it."""
    with contextlib.suppress(ProcessLookupError):  # over already
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    if process.stdin is not None:
        with contextlib.suppress(OSError):  # an order that was never read is still in the buffer
            process.stdin.close()


def _how(process: subprocess.Popen[bytes]) -> str:
    """How a process ended, in words."""
    try:
        status = process.wait(timeout=LOOK_S * 10)
    except subprocess.TimeoutExpired:
        return "its process stopped telling"
    if status >= 0:
        return f"its process ended with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = str(-status)
    hint = ", as when memory is short" if name == "SIGKILL" else ""
    return f"its process was ended by signal {-status} ({name}{hint})"


class _Log:
    """Reads the stderr of a job to its end and keeps the last of it."""

    def __init__(self, stream: IO[bytes] | None) -> None:
        assert stream is not None
        self._stream = stream
        self._kept = bytearray()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def text(self) -> str:
        """What is kept, once the process has ended."""
        self._thread.join(timeout=1.0)
        return self._kept.decode(errors="replace").strip()

    def close(self) -> None:
        """Wait for the end of the process's output."""
        self._thread.join(timeout=1.0)
        self._stream.close()

    def _read(self) -> None:
        while data := os.read(self._stream.fileno(), _BLOCK):
            self._kept += data
            del self._kept[:-STDERR_BYTES]
