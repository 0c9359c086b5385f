"""From the outbox to the cloud: in order, in compressed batches, at least once, live before backlog.

A record leaves the outbox when the server has said that it has it.  The server knows records by their content (an
event by ``id``, ``event`` and ``ts``), so what is sent again after a lost answer changes nothing there.  What waited
while the cloud could not be reached is *backlog*: it goes second, and is marked ``replay``.

A batch is JSON lines, compressed by gzip::

    {"seq": 412, "kind": "event", "created": 1763750000123, "replay": false, "record": {...}}

and its answer ``{"accepted": 12, "known": 0, "refused": [{"seq": 413, "reason": "..."}]}``.
"""

import gzip
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, Protocol

import msgspec

from edgead.errors import UplinkError
from edgead.uplink.web import Web

#: Rows and bytes (before compression) of a batch: some seconds of a slow mobile link.
BATCH_ROWS = 500
BATCH_BYTES = 256 * 1024
#: Tries of a batch that got no usable answer, and the seconds before the second and the third.
TRIES = 3
PAUSES_S = (1.0, 4.0)
#: Longest answer that is read.
MAX_ANSWER_BYTES = 256 * 1024
#: A run ends after this, so that its process gives its memory back; the next goes on.
RUN_S = 600.0
#: The server keeps no more of this device (HTTP 507), and its code where events still have room.
NO_ROOM, NO_ROOM_FOR_READINGS = 507, "NoRoomForReadings"
POSITION = "forward.json"
_PEEKED = 50
_NS_PER_MS = 10**6


class Row(Protocol):
    """A record as it lies in the outbox; `body` is JSON: ``{"kind": ..., "record": {...}}``."""

    @property
    def seq(self) -> int: ...  # noqa: D102
    @property
    def body(self) -> bytes: ...  # noqa: D102
    @property
    def created_ns(self) -> int: ...  # noqa: D102


class Source(Protocol):
    """The outbox, open for reading."""

    def last_seq(self) -> int:
        """Number of the last record ever put in."""

    def peek(self, *, after: int, through: int, limit: int) -> Sequence[Row]:
        """Records with numbers in (after, through], ascending."""


#: Posts a compressed batch; status and body of the answer.  `UplinkError` when there is none.
Post = Callable[[bytes], tuple[int, bytes]]


class Forwarded(msgspec.Struct):
    """What came of a run.

    Attributes
    ----------
    state : {"done", "more", "refused", "unreachable"}
        All sent; the time was over before; the server does not want records of this device, or has no room for them
        or for its readings; no usable answer.
    reason : str
        In words; "" when done.
    accepted, known, refused : int
        Records: new to the server, known to it, and not taken by it for their content (which are given up).
    batches, sent_bytes : int
        Requests that were answered, and the bytes of their bodies.
    """

    state: Literal["done", "more", "refused", "unreachable"] = "done"
    reason: str = ""
    accepted: int = 0
    known: int = 0
    refused: int = 0
    batches: int = 0
    sent_bytes: int = 0


class _Envelope(msgspec.Struct):
    kind: str
    record: msgspec.Raw


class _Line(msgspec.Struct):
    seq: int
    kind: str
    created: int
    replay: bool
    record: msgspec.Raw


class _RefusedRecord(msgspec.Struct):
    seq: int
    reason: str = ""


class _Answer(msgspec.Struct):
    accepted: int
    known: int
    refused: list[_RefusedRecord] = []


class _Position(msgspec.Struct):
    """Content of `POSITION`: records up to this number were there when the cloud could not be reached."""

    backlog: int = 0


class _NoRoom(Exception):
    """The server keeps no more of this device: of anything, or of its readings."""

    def __init__(self, reason: str, *, of_readings: bool) -> None:
        super().__init__(reason)
        self.of_readings = of_readings


class _NotNow(Exception):
    """No batch can be delivered in this run."""

    def __init__(self, state: Literal["refused", "unreachable"], reason: str) -> None:
        super().__init__(reason)
        self.state: Literal["refused", "unreachable"] = state


class Forwarder:
    """Sends what waits in an outbox.

    Parameters
    ----------
    source : Source
    post : callable
    folder : Path
        Where the position lies between runs; made when missing.
    delivered : callable
        Told the numbers of records that the server has, or never will have, batch by batch.
    pause, clock : callable, optional
        Sleep, and a steady time, in seconds.
    """

    def __init__(
        self,
        source: Source,
        post: Post,
        folder: Path,
        delivered: Callable[[list[int]], None],
        *,
        pause: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._post = post
        self._position = folder / POSITION
        self._delivered = delivered
        self._pause = pause
        self._clock = clock
        self._done = Forwarded()
        self._held = ""  # why readings wait while the rest is sent

    def run(self, *, limit_s: float = RUN_S) -> Forwarded:
        """Send everything, live first, until nothing waits, the time is over or the server cannot be had.

        Raises
        ------
        OuterWorldError
            If the outbox cannot be read.
        """
        done = self._done = Forwarded()
        self._held = ""
        boundary = min(self._recall(), self._source.last_seq())
        until = self._clock() + limit_s
        live, backlog = boundary, 0
        try:
            while True:
                rows, replay = self._take(live, self._source.last_seq()), False
                if not rows:
                    rows, replay = self._take(backlog, boundary), True
                if not rows:
                    break
                if self._clock() >= until:
                    done.state, done.reason = "more", f"not all was sent within {limit_s:g} s"
                    break
                self._deliver(rows, replay)
                if replay:
                    backlog = rows[-1].seq
                else:
                    live = rows[-1].seq
        except _NotNow as error:
            done.state, done.reason = error.state, str(error)
            self._remember(self._source.last_seq())
        if self._held and done.state == "done":
            done.state, done.reason = "refused", self._held
            self._remember(self._source.last_seq())
        return done

    def _take(self, after: int, through: int) -> list[Row]:
        """The next batch in (after, through]."""
        rows: list[Row] = []
        size = 0
        while len(rows) < BATCH_ROWS:
            found = self._source.peek(after=after, through=through, limit=_PEEKED)
            for row in found:
                size += len(row.body)
                if rows and (size > BATCH_BYTES or len(rows) == BATCH_ROWS):
                    return rows
                rows.append(row)
                after = row.seq
            if len(found) < _PEEKED:
                break
        return rows

    # ------------------------------------------------------------------ one batch

    def _deliver(self, rows: Sequence[Row], replay: bool) -> None:
        """Have the server take these; one that it cannot read is found by halving, and given up.

        Where it has no room for more readings these stay, and the events among them are sent without them.
        """
        if self._held:
            rows = [row for row in rows if not _is_readings(row)]
        if not rows:
            return
        lines = [line for row in rows if (line := _line(row, replay)) is not None]
        self._done.refused += len(rows) - len(lines)
        body = gzip.compress(b"\n".join(lines), 6, mtime=0) if lines else b""
        try:
            status, answer = self._ask(body) if lines else (200, None)
        except _NoRoom as error:
            if self._held or not error.of_readings:
                raise _NotNow("refused", str(error)) from None
            self._held = str(error)
            self._deliver(rows, replay)
            return
        if status == 200:
            self._count(answer, body)
        elif len(rows) > 1:
            half = len(rows) // 2
            self._deliver(rows[:half], replay)
            self._deliver(rows[half:], replay)
            return
        else:
            self._done.refused += 1
        self._delivered([row.seq for row in rows])

    def _count(self, answer: _Answer | None, body: bytes) -> None:
        if answer is not None:
            self._done.accepted += answer.accepted
            self._done.known += answer.known
            self._done.refused += len(answer.refused)
            self._done.batches += 1
            self._done.sent_bytes += len(body)

    def _ask(self, body: bytes) -> tuple[int, _Answer | None]:
        """Post a batch until it is answered: 200 with what the server says, or another status about its content."""
        reason = ""
        for number in range(TRIES):
            if number:
                self._pause(PAUSES_S[number - 1])
            try:
                status, text = self._post(body)
            except UplinkError as error:
                reason = str(error)
                continue
            if status in (200, 409):  # 409: all of it is known
                try:
                    return 200, msgspec.json.decode(text, type=_Answer)
                except (msgspec.MsgspecError, UnicodeDecodeError):
                    reason = "what answers there is no edgead server"
            elif status in (400, 413, 422):
                return status, None
            elif status in (401, 403, 404):
                raise _NotNow("refused", f"the server answered {status}{_told(text)}")
            elif status == NO_ROOM:
                of_readings = _fault(text).code == NO_ROOM_FOR_READINGS
                raise _NoRoom(f"the server answered {status}{_told(text)}", of_readings=of_readings)
            else:
                reason = f"the server answered {status}{_told(text)}"
        raise _NotNow("unreachable", reason)

    # ------------------------------------------------------------------ between runs

    def _recall(self) -> int:
        try:
            return msgspec.json.decode(self._position.read_bytes(), type=_Position).backlog
        except (OSError, msgspec.MsgspecError, UnicodeDecodeError):
            return 0  # at worst backlog is told as live

    def _remember(self, seq: int) -> None:
        if seq == self._recall():
            return
        draft = self._position.with_suffix(".new")
        try:
            self._position.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            draft.write_bytes(msgspec.json.encode(_Position(seq)))
            draft.replace(self._position)
        except OSError:
            draft.unlink(missing_ok=True)  # the mark is for people; the records are safe


def poster(web: Web, url: str, node: str) -> Post:
    """Posts batches of a device to a server.

    Parameters
    ----------
    web : Web
        The way there.
    url : str
        Base of the server.
    node : str
        Id of the device.
    """
    address = f"{url.rstrip('/')}/edgead/v1/ingest/{node}"
    headers = {"Content-Type": "application/x-ndjson", "Content-Encoding": "gzip"}

    def post(body: bytes) -> tuple[int, bytes]:
        with web.open("POST", address, body=body, headers=headers) as answer:
            return answer.status, answer.read(MAX_ANSWER_BYTES)

    return post


def _line(row: Row, replay: bool) -> bytes | None:
    """A record as it is sent; None for one that is not ours."""
    try:
        envelope = msgspec.json.decode(row.body, type=_Envelope)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
    created = row.created_ns // _NS_PER_MS
    return msgspec.json.encode(_Line(row.seq, envelope.kind, created, replay, envelope.record))


def _is_readings(row: Row) -> bool:
    try:
        return msgspec.json.decode(row.body, type=_Envelope).kind == "data"
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return False


def _told(text: bytes) -> str:
    """The sentence in an error of the server, printable and short."""
    told = _fault(text).message[:200]
    return ": " + "".join(each if each.isprintable() else " " for each in told) if told else ""


def _fault(text: bytes) -> "_Fault":
    try:
        fault = msgspec.json.decode(text, type=_Fault)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return _Fault()
    return fault.error or fault


class _Fault(msgspec.Struct):
    """Both shapes of errors: flat, and nested in ``error``."""

    code: str = ""
    message: str = ""
    error: "_Fault | None" = None
