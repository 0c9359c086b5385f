"""Everything a node says: one struct a topic, flat JSON, ``v`` = version of the form, times in epoch milliseconds.

The forms only ever grow; docs/mqtt-api.md is the contract.  NaN and infinity are ``null`` on the wire.
"""

import base64
from typing import Final, Literal

import msgspec

from edgead.records import GROUP_PREFIX, Contribution, Event, Verdict

VERSION: Final = 1
"""``v`` of every message."""

MAX_DEADLETTER_BYTES: Final = 1024
"""A dead letter is a sample, not a copy."""

CommandState = Literal["init", "executing", "successful", "failed"]
ClockTrust = Literal["trusted", "untrusted"]

_MAX_SAMPLED_TOPIC = 200
_MAX_SAMPLED_ERROR = 160
_NS_PER_MS = 10**6

_encoder = msgspec.json.Encoder()


class Message(msgspec.Struct, kw_only=True, gc=False):
    """What all messages share.

    Attributes
    ----------
    ts : int
        Epoch milliseconds: event time for readings and events, else the time of sending.
    """

    v: int = VERSION
    ts: int

    def encode(self) -> bytes:
        """JSON for the wire."""
        return _encoder.encode(self)


class Status(Message, kw_only=True, gc=False):
    """``status``: whether the node is there.  The last will says offline on its behalf."""

    state: Literal["online", "offline"]


class SyncInfo(msgspec.Struct, kw_only=True, gc=False):
    """How the uplink stands.

    Attributes
    ----------
    state : str
        How the last sync ended: ``never``, ``current``, ``offered``, ``installed``, ``refused``, ``unreachable``,
        ``failed``.
    last : int
        Epoch milliseconds of the last attempt; 0 = none.
    refused : str
        What was refused last, and why; "" = nothing ever.
    waiting : int
        Records that the server does not have.
    trials : dict of str to str
        Models in their shadow run or watched: name -> how far it is.
    """

    state: str
    last: int
    refused: str = ""
    waiting: int = 0
    trials: dict[str, str] = {}


class Info(Message, kw_only=True, gc=False):
    """``info``: what runs.

    Attributes
    ----------
    config_sha256 : str
        Of the configuration file's bytes.
    models : dict of str to str
        Model name and version -> SHA-256 of its package; empty for the built-in detectors.
    capabilities : list of str
        What this version can do that an older one could not: ``"series"``, ``"commands"``, ...
    sync : SyncInfo or None
        None without an uplink.
    clock : {"trusted", "untrusted"}
        Untrusted after a step of the wall clock or before it was ever set.
    default_detector : str
        What ``detector = "default"`` stands for here.
    default_reason : str
        Why that is not the best one; "" where it is.
    """

    node: str
    version: str
    config_sha256: str
    models: dict[str, str] = {}
    capabilities: list[str] = []
    clock: ClockTrust = "trusted"
    default_detector: str = ""
    default_reason: str = ""
    sync: SyncInfo | None = None


class Health(Message, kw_only=True, gc=False):
    """``health``: how the node is, every 30 s; its ``ts`` shows a stuck process.

    Attributes
    ----------
    state : {"ok", "degraded"}
        Degraded: something works less well than configured; `reasons` says what.
    drops : dict of str to int
        Cause -> count since start, of everything that was not judged or not sent.
    """

    state: Literal["ok", "degraded"]
    reasons: list[str] = []
    uptime_s: float
    loop_lag_ms: float
    queue_depth: int
    received: int
    series: int
    drops: dict[str, int] = {}
    spool_rows: int
    spool_age_s: float
    rss_bytes: int
    clock: ClockTrust = "trusted"


class Meta(Message, kw_only=True, gc=False):
    """``series/{id}/meta``: what the series is and where it stands in its life.

    Attributes
    ----------
    topic, field : str
        Where its readings come from; `field` is ``""`` for a rule of one value.
    interval_s : float
        Seconds between two grid points.
    phase : {"learning", "ready", "stale", "muted"}
        `reason` says why where that is not plain.
    """

    series: str
    topic: str
    field: str = ""
    unit: str = ""
    interval_s: float
    detector: str
    phase: Literal["learning", "ready", "stale", "muted"]
    reason: str = ""


class State(Message, kw_only=True, gc=False):
    """``series/{id}/state``: the last verdict."""

    series: str
    value: float
    expected: float
    lower: float
    upper: float
    is_anomaly: bool
    severity: float
    score: float
    phase: Literal["learning", "ready", "stale", "muted"]
    quality: str


class EventMessage(Message, kw_only=True, gc=False):
    """``series/{id}/anomaly``: an episode opened, went on or closed.

    Attributes
    ----------
    id : str
        Of the episode: the same in its open, updates and close, in a replay and in a back-test.
    since : int
        Epoch milliseconds of the reading that opened the episode.
    replay : bool
        Sent late, from the spool, after an outage.
    seq : int
        Place in the node's spool; rises with every event.
    """

    id: str
    series: str
    value: float
    expected: float
    lower: float
    upper: float
    is_anomaly: bool
    severity: float
    score: float
    phase: Literal["learning", "ready", "stale", "muted"]
    event: Literal["open", "update", "close"]
    since: int
    unit: str
    quality: str
    model: str
    replay: bool
    seq: int


class GroupMeta(Message, kw_only=True, gc=False):
    """``group/{id}/meta``: what a group of variables is and where it stands in its life.

    Attributes
    ----------
    model : str
        Name and version.
    variables : dict of str to str
        Name in the model -> series id.
    interval_s : float
        Seconds between two rows.
    """

    group: str
    model: str
    variables: dict[str, str]
    interval_s: float
    phase: Literal["learning", "ready", "stale", "muted"]
    reason: str = ""


class GroupState(Message, kw_only=True, gc=False):
    """``group/{id}/state``: the last verdict.

    Attributes
    ----------
    top : list of Contribution
        The variables with the greatest shares of the score, greatest first.
    """

    group: str
    is_anomaly: bool
    severity: float
    score: float
    phase: Literal["learning", "ready", "stale", "muted"]
    top: list[Contribution]


class GroupEventMessage(Message, kw_only=True, gc=False):
    """``group/{id}/anomaly``: an episode opened, went on or closed; fields as in `EventMessage` and `GroupState`."""

    id: str
    group: str
    is_anomaly: bool
    severity: float
    score: float
    phase: Literal["learning", "ready", "stale", "muted"]
    event: Literal["open", "update", "close"]
    since: int
    model: str
    top: list[Contribution]
    replay: bool
    seq: int


class DeadLetter(Message, kw_only=True, gc=False):
    """``deadletter``: a sample of a payload that could not be read.

    Attributes
    ----------
    cause, error : str
        A fixed word for counting, and the sentence for people.
    size : int
        Bytes of the payload.
    text, base64 : str
        The beginning of the payload, in one of the two; `truncated` when there was more.
    """

    topic: str
    cause: str
    error: str
    size: int
    text: str = ""
    base64: str = ""
    truncated: bool = False


class CommandStatus(Message, kw_only=True, gc=False):
    """``cmd/{verb}/{request}/status``: how far a command is."""

    verb: str
    request: str
    status: CommandState
    reason: str = ""


def to_ms(time_ns: int) -> int:
    """Epoch milliseconds of a time inside."""
    return time_ns // _NS_PER_MS


def event_message(event: Event, *, seq: int, replay: bool = False) -> EventMessage:
    """The message of an event of a series."""
    verdict = event.verdict
    return EventMessage(
        ts=to_ms(verdict.time_ns),
        id=event.id,
        series=verdict.series_id,
        value=verdict.value,
        expected=verdict.expected,
        lower=verdict.lower,
        upper=verdict.upper,
        is_anomaly=verdict.is_anomaly,
        severity=verdict.severity,
        score=verdict.score,
        phase=verdict.phase,
        event=event.event,
        since=to_ms(event.since_ns),
        unit=event.unit,
        quality=verdict.quality,
        model=event.model,
        replay=replay,
        seq=seq,
    )


def group_event_message(event: Event, *, seq: int, replay: bool = False) -> GroupEventMessage:
    """The message of an event of a group."""
    verdict = event.verdict
    return GroupEventMessage(
        ts=to_ms(verdict.time_ns),
        id=event.id,
        group=verdict.series_id.removeprefix(GROUP_PREFIX),
        is_anomaly=verdict.is_anomaly,
        severity=verdict.severity,
        score=verdict.score,
        phase=verdict.phase,
        event=event.event,
        since=to_ms(event.since_ns),
        model=event.model,
        top=list(verdict.top or ()),
        replay=replay,
        seq=seq,
    )


def state_message(verdict: Verdict) -> State:
    """The message of a verdict about a reading."""
    return State(
        ts=to_ms(verdict.time_ns),
        series=verdict.series_id,
        value=verdict.value,
        expected=verdict.expected,
        lower=verdict.lower,
        upper=verdict.upper,
        is_anomaly=verdict.is_anomaly,
        severity=verdict.severity,
        score=verdict.score,
        phase=verdict.phase,
        quality=verdict.quality,
    )


def group_state_message(verdict: Verdict) -> GroupState:
    """The message of a verdict about a row of a group."""
    return GroupState(
        ts=to_ms(verdict.time_ns),
        group=verdict.series_id.removeprefix(GROUP_PREFIX),
        is_anomaly=verdict.is_anomaly,
        severity=verdict.severity,
        score=verdict.score,
        phase=verdict.phase,
        top=list(verdict.top or ()),
    )


class DeadLetters:
    """Counts what could not be read, and now and then gives a sample of it to send.

    Parameters
    ----------
    per_minute : float
        Samples a minute in the long run.
    burst : int
        Samples at once after a quiet time.

    Attributes
    ----------
    counts : dict of str to int
        Cause -> how many, sampled or not.
    sampled : int
        Samples given.
    """

    def __init__(self, *, per_minute: float = 10.0, burst: int = 10) -> None:
        self.counts: dict[str, int] = {}
        self.sampled = 0
        self._per_ns = per_minute / 60e9
        self._burst = burst
        self._tokens = float(burst)
        self._last_ns: int | None = None

    def report(self, topic: str, payload: bytes, cause: str, error: str, now_ns: int) -> DeadLetter | None:
        """Count one payload; a message to send, or None while the rate is used up."""
        self.counts[cause] = self.counts.get(cause, 0) + 1
        # A clock that steps back gives no tokens and takes none.
        waited_ns = 0 if self._last_ns is None else max(0, now_ns - self._last_ns)
        self._last_ns = now_ns
        self._tokens = min(float(self._burst), self._tokens + waited_ns * self._per_ns)
        if self._tokens < 1.0:
            return None
        self._tokens -= 1.0
        self.sampled += 1
        return dead_letter(topic, payload, cause, error, now_ns)


def dead_letter(topic: str, payload: bytes, cause: str, error: str, now_ns: int) -> DeadLetter:
    """A sample of at most `MAX_DEADLETTER_BYTES` on the wire."""
    letter = DeadLetter(
        ts=to_ms(now_ns),
        topic=_printable(topic[:_MAX_SAMPLED_TOPIC]),
        cause=cause,
        error=_printable(error[:_MAX_SAMPLED_ERROR]),
        size=len(payload),
    )
    room = MAX_DEADLETTER_BYTES
    while True:
        sample = payload[:room]
        letter.truncated = len(sample) < len(payload)
        letter.text = _as_text(sample) or ""
        letter.base64 = "" if letter.text else base64.b64encode(sample).decode("ascii")
        excess = len(letter.encode()) - MAX_DEADLETTER_BYTES
        if excess <= 0 or room == 0:
            return letter
        room = max(0, min(room, len(payload)) - max(excess // 2, 1))


def _printable(text: str) -> str:
    """`text` without what would be escaped at six bytes a character."""
    return "".join(each if each.isprintable() and ord(each) < 0xD800 else "?" for each in text)


def _as_text(sample: bytes) -> str | None:
    """The sample as text when that is what it is; a character cut at the end does not count."""
    for end in range(len(sample), max(-1, len(sample) - 4), -1):
        try:
            text = sample[:end].decode("utf-8")
        except UnicodeDecodeError:
            continue
        return text if all(each.isprintable() or each in "\t\r\n" for each in text) else None
    return None
