"""How the agent is: one look, shown as the ``health`` message and over HTTP."""

import functools
import os

import msgspec

from edgead.bridge import messages
from edgead.bridge.messages import ClockTrust
from edgead.probe import Health, Metric

_PAGE = os.sysconf("SC_PAGE_SIZE")


class Vitals(msgspec.Struct, frozen=True):
    """One look at the agent.

    Attributes
    ----------
    ts : int
        Epoch milliseconds of the look: a stuck process shows by its age.
    clock : {"trusted", "untrusted"}
    connected : bool
        To the broker.
    problems : list of str
        What is degraded, in words.
    loop_lag_ms : float
        Longest turn of the loop since the last look.
    inbox, inbox_limit : int
        Messages waiting for the engine.
    series, ready, stale, muted : int
        Series in all, and by phase; the rest is learning.
    readings, events, commits : int
        Since the start.
    dropped : dict of str to int
        Readings and messages not judged, by cause.
    spool_rows, spool_bytes, spool_dropped : int
    spool_age_s : float
        Age of the oldest event waiting for the broker.
    state_bytes, rss_bytes : int
        Memory of detector states; of the process.
    bytes_written : int or None
        To the disk since the start.
    uptime_s : float
    """

    ts: int
    clock: ClockTrust
    connected: bool
    problems: list[str]
    loop_lag_ms: float
    inbox: int
    inbox_limit: int
    series: int
    ready: int
    stale: int
    muted: int
    readings: int
    events: int
    commits: int
    dropped: dict[str, int]
    spool_rows: int
    spool_bytes: int
    spool_dropped: int
    spool_age_s: float
    state_bytes: int
    rss_bytes: int
    bytes_written: int | None
    uptime_s: float


@functools.cache
def _statm() -> int:
    """Kept open: where no descriptor is left, the figures are wanted most."""
    return os.open("/proc/self/statm", os.O_RDONLY | os.O_CLOEXEC)


def resident_bytes() -> int:
    """Resident memory of this process (proc(5), statm)."""
    return int(os.pread(_statm(), 128, 0).split()[1]) * _PAGE


def descriptors_gone() -> str:
    """What keeps this process from opening another file or connection; "" while it can."""
    try:
        os.close(os.dup(_statm()))
    except OSError as error:
        return str(error.strerror)
    return ""


def to_message(vitals: Vitals) -> messages.Health:
    """The look as the ``health`` topic shows it."""
    return messages.Health(
        ts=vitals.ts,
        state="degraded" if vitals.problems else "ok",
        reasons=vitals.problems,
        uptime_s=round(vitals.uptime_s, 3),
        loop_lag_ms=round(vitals.loop_lag_ms, 3),
        queue_depth=vitals.inbox,
        received=vitals.readings,
        series=vitals.series,
        drops=vitals.dropped,
        spool_rows=vitals.spool_rows,
        spool_age_s=round(vitals.spool_age_s, 3),
        rss_bytes=vitals.rss_bytes,
        clock=vitals.clock,
    )


_GAUGES = {
    "series": "Series watched.",
    "inbox": "Messages waiting for the engine.",
    "spool_rows": "Events waiting for the broker.",
    "spool_bytes": "Bytes of events waiting for the broker.",
    "spool_age_s": "Age of the oldest event waiting for the broker, seconds.",
    "loop_lag_ms": "Longest turn of the loop, milliseconds.",
    "state_bytes": "Memory of detector states.",
    "rss_bytes": "Resident memory of the process.",
    "uptime_s": "Seconds since the start.",
}
_COUNTERS = {
    "readings": "Readings taken in.",
    "events": "Events made.",
    "commits": "Transactions of the store.",
    "spool_dropped": "Events dropped by a full spool.",
    "bytes_written": "Bytes written to the disk.",
}


def to_health(vitals: Vitals, *, turns: bool = True) -> Health:
    """The look as the HTTP probe shows it; `turns` is whether the loop does, which the last look cannot know."""
    metrics = [
        Metric("up", "Whether the loop turns.", "gauge", turns),
        Metric("connected", "Whether the broker is connected.", "gauge", vitals.connected),
        *(Metric(name, text, "gauge", getattr(vitals, name)) for name, text in _GAUGES.items()),
        *(
            Metric(f"{name}_total", text, "counter", getattr(vitals, name) or 0)
            for name, text in _COUNTERS.items()
        ),
        *(
            Metric("series_phase", "Series by phase.", "gauge", count, (("phase", phase),))
            for phase, count in (("ready", vitals.ready), ("stale", vitals.stale), ("muted", vitals.muted))
        ),
        *(
            Metric("dropped_total", "Readings and messages not judged.", "counter", n, (("cause", cause),))
            for cause, n in sorted(vitals.dropped.items())
        ),
    ]
    problems = vitals.problems if turns else ["the loop does not turn", *vitals.problems]
    return Health(turns, vitals.connected and not problems, tuple(problems), tuple(metrics))
