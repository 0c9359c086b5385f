"""The nouns of the stream: Reading, Verdict, Event.

All times are int64 nanoseconds since 1970 UTC (event time).  The records hold values only: what makes
them lives in ``stream``, how they look on the wire lives in ``bridge``.
"""

from typing import Final, Literal

import msgspec

Phase = Literal["learning", "ready", "stale", "muted"]
EventKind = Literal["open", "update", "close"]

#: Begins the name of a group of variables wherever series have their id; no series id holds a slash.
GROUP_PREFIX: Final = "group/"


class Reading(msgspec.Struct, frozen=True, gc=False):
    """One value of one series, as it came.

    Attributes
    ----------
    series_id : str
        ``[A-Za-z0-9_.-]+``.
    time_ns : int
        Event time.
    value : float
        Unit of the series; NaN when the source sent "no value" (null, NaN, unavailable, infinity).
    quality : str
        ``"good"``, or ``"ts_replaced"`` when the source's time was unusable and arrival time stands in.
    """

    series_id: str
    time_ns: int
    value: float
    quality: str = "good"


class Contribution(msgspec.Struct, frozen=True, gc=False):
    """What one variable has to do with the score of its group.

    Attributes
    ----------
    variable : str
        Its name in the model.
    contribution : float, 0..1
        Its share of the score.
    changed : tuple of str
        Variables whose correlations changed, the greatest change first; the same for every variable of a row.
    """

    variable: str
    contribution: float
    changed: tuple[str, ...] = ()


class Verdict(msgspec.Struct, frozen=True, gc=False):
    """What the detector says about one reading, or the model of a group about one row.

    Attributes
    ----------
    series_id : str
        ``group/{id}`` of a group, whose value and band are NaN.
    score : float
        >= 0; 1.0 is the edge of normal, before gates.
    severity : float
        0..1; 0 unless ``is_anomaly``.
    expected, lower, upper : float
        Unit of the series; NaN while learning.
    is_anomaly : bool
        After gates.
    top : tuple of Contribution or None
        Of a group: the variables with the greatest shares of the score, greatest first.  None for a series.
    """

    series_id: str
    time_ns: int
    value: float
    expected: float
    lower: float
    upper: float
    score: float
    severity: float
    is_anomaly: bool
    phase: Phase
    quality: str = "good"
    top: tuple[Contribution, ...] | None = None


class Event(msgspec.Struct, frozen=True, gc=False):
    """A change worth telling: an anomaly opened, goes on, or closed.

    Attributes
    ----------
    id : str
        UUIDv5 of node, series and opening time: the same episode always has the same id.
    event : {"open", "update", "close"}
    since_ns : int
        Time of the reading that opened the episode.
    verdict : Verdict
        About the reading that caused this event.
    unit, model : str
        Unit of the series; name and version of what judged.
    replay : bool
        The readings came too late to be live (or, on the wire, the event itself was told late).
    """

    id: str
    event: EventKind
    since_ns: int
    verdict: Verdict
    unit: str
    model: str
    replay: bool = False
