"""The agent's end of the uplink's process: started when a sync is due, listened to, never waited for."""

import logging
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Literal

import msgspec

from edgead.config import Config
from edgead.uplink.reasons import Refusal
from edgead.uplink.record import Taken

log = logging.getLogger("edgead")

#: Longest life of the process: a large model over a slow line, and no more.
LIFE_S = 2 * 3600.0
#: Bytes taken from the process in one look, and of one line.
_PART = 64 * 1024
MAX_LINE = 1024 * 1024
COMMAND = (sys.executable, "-P", "-m", "edgead.agent.sync_child")


class Order(msgspec.Struct, frozen=True):
    """What the process is to do.

    Attributes
    ----------
    config : Config
        As the agent has it.
    only : str
        The one model wanted, whatever the share of its rollout; "" = a whole sync.
    activate : bool
        New models need no shadow run: none is at work.
    models : bool
        False = send what waits, and no more.
    """

    config: Config
    only: str = ""
    activate: bool = False
    models: bool = True


class Delivered(msgspec.Struct, frozen=True):
    """What came of sending; as `edgead.uplink.forward.Forwarded`."""

    state: Literal["done", "more", "refused", "unreachable", "failed"]
    reason: str = ""
    accepted: int = 0
    known: int = 0
    refused: int = 0


class Said(msgspec.Struct, frozen=True, omit_defaults=True):
    """One line of the process.

    Attributes
    ----------
    progress : str
        What it does, in words.
    delivered : list of int
        Records that the server has.
    forwarded : Delivered or None
        The end of sending.
    state, detail, taken, refused
        The end of the sync, as `edgead.uplink.sync.SyncOutcome`; ``state`` "" = not yet, "sent" = there was none.
    """

    progress: str = ""
    delivered: list[int] = []
    forwarded: Delivered | None = None
    state: str = ""
    detail: str = ""
    taken: list[Taken] = []
    refused: list[Refusal] = []


class Syncing:
    """One process at a time."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None
        self._half = b""
        self._ended = False
        self._until_s = 0.0

    @property
    def running(self) -> bool:
        """Whether a process is at work, or its last words were not heard yet."""
        return self._process is not None

    def start(self, order: Order) -> str:
        """Start the process; why it could not be started, in words."""
        environment = {**os.environ, "PYTHONPATH": str(Path(__file__).resolve().parents[2])}
        try:
            with open(os.memfd_create("order"), "w+b") as file:
                file.write(msgspec.json.encode(order))
                file.seek(0)
                self._process = subprocess.Popen(
                    COMMAND, stdin=file, stdout=subprocess.PIPE, env=environment, close_fds=True
                )
        except OSError as error:
            return f"no process for the uplink: {error.strerror}"
        assert self._process.stdout is not None
        os.set_blocking(self._process.stdout.fileno(), False)
        self._half, self._ended = b"", False
        self._until_s = time.monotonic() + LIFE_S
        return ""

    def listen(self) -> list[Said]:
        """What it said since the last time; its end is the last word, and always told with a `state`."""
        if self._process is None:
            return []
        lines = self._lines()
        self._ended = self._ended or any(each.state for each in lines)
        status = self._process.poll()
        if status is None:
            if time.monotonic() > self._until_s:
                self._process.kill()
            return lines
        lines += self._lines()  # said between the two looks
        self._ended = self._ended or any(each.state for each in lines)
        self._close()
        if not self._ended:
            lines.append(Said(state="failed", detail=f"the process of the uplink ended with status {status}"))
        return lines

    def _lines(self) -> list[Said]:
        assert self._process is not None
        assert self._process.stdout is not None
        found: list[Said] = []
        while True:
            try:
                part = os.read(self._process.stdout.fileno(), _PART)
            except BlockingIOError:
                return found
            if not part:
                return found
            *lines, self._half = (self._half + part).split(b"\n")
            found += [said for line in lines if (said := _read(line)) is not None]
            if len(self._half) > MAX_LINE:
                self._half = b""
                self._process.kill()

    def stop(self) -> None:
        """End the process: what it has not told is done again the next time."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._close()

    def _close(self) -> None:
        assert self._process is not None
        assert self._process.stdout is not None
        self._process.stdout.close()
        self._process = None


def _read(line: bytes) -> Said | None:
    try:
        return msgspec.json.decode(line, type=Said)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        log.warning("uplink said something else", extra={"fields": {"bytes": len(line)}})
        return None
