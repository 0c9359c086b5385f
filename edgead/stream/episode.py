"""One anomaly is one episode: opened once, updated while it lasts, closed with hysteresis.

::

    quiet --abnormal for `hold`--> open --`close_after` normal readings in a row--> quiet
                                   open --every `update_every` of event time, while abnormal--> (update)
"""

import uuid
from typing import Protocol

import msgspec

from edgead.records import Event, EventKind, Verdict

#: Namespace of event ids: UUIDv5 of the DNS name "edgead" in the standard's URL namespace; fixed for ever.
EVENT_NAMESPACE = uuid.uuid5(uuid.NAMESPACE_URL, "edgead:event")


def event_id(node: str, series_id: str, since_ns: int) -> str:
    """Id of the episode of one series that began at a time: computed, so that a replay gives the same one."""
    return str(uuid.uuid5(EVENT_NAMESPACE, f"{node}/{series_id}/{since_ns}"))


class EpisodeSettings(Protocol):
    """When an episode opens, is told again and closes; see `SeriesSettings`."""

    @property
    def hold_ns(self) -> int: ...  # noqa: D102
    @property
    def close_after(self) -> int: ...  # noqa: D102
    @property
    def update_every_ns(self) -> int: ...  # noqa: D102


class Episode(msgspec.Struct):
    """Where one series stands between quiet and open.

    Attributes
    ----------
    since_ns : int
        Time of the first abnormal reading of the present run or open episode; 0 = quiet.
    is_open : bool
        An ``open`` event was told and no ``close`` yet.
    told_ns : int
        Event time of the last event told.
    normal_run : int
        Normal readings in a row since the last abnormal one.
    """

    since_ns: int = 0
    is_open: bool = False
    told_ns: int = 0
    normal_run: int = 0

    def step(self, verdict: Verdict, settings: EpisodeSettings) -> EventKind | None:
        """Take the next verdict in time order; returns the event it causes, if any."""
        if verdict.is_anomaly:
            return self._abnormal(verdict.time_ns, settings)
        if self.is_open:
            self.normal_run += 1
            if self.normal_run >= settings.close_after:
                return "close"
        else:
            self.since_ns = 0
        return None

    def _abnormal(self, time_ns: int, settings: EpisodeSettings) -> EventKind | None:
        self.normal_run = 0
        if self.is_open:
            if time_ns - self.told_ns >= settings.update_every_ns:
                self.told_ns = time_ns
                return "update"
            return None
        if not self.since_ns:
            self.since_ns = time_ns
        if time_ns - self.since_ns < settings.hold_ns:
            return None
        self.is_open = True
        self.told_ns = time_ns
        return "open"

    def reset(self) -> None:
        """Back to quiet."""
        self.since_ns = self.told_ns = self.normal_run = 0
        self.is_open = False


def make_event(
    kind: EventKind, since_ns: int, verdict: Verdict, *, node: str, unit: str, model: str
) -> Event:
    """The event a verdict causes in the episode that began at `since_ns`."""
    return Event(event_id(node, verdict.series_id, since_ns), kind, since_ns, verdict, unit, model)
