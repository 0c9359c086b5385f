"""What the agent publishes: events from the spool, and the retained picture of the device.

Events made while the broker is there are *live* and go first; what was in the spool when the connection came up is
*backlog*, goes second and is marked as replay.  An event leaves the spool when the broker has acknowledged it.
"""

from contextlib import suppress
from typing import Protocol

import msgspec

from edgead.bridge.messages import (
    GroupMeta,
    Meta,
    event_message,
    group_event_message,
    group_state_message,
    state_message,
    to_ms,
)
from edgead.bridge.topics import Topics
from edgead.config.units import iso
from edgead.errors import StoreError
from edgead.records import Event, Verdict
from edgead.stream.engine import Engine
from edgead.stream.group import Group
from edgead.stream.series import NEVER, Series

#: Events on their way to the broker at one time.
WINDOW = 64
#: States and metas published in one turn of the loop.
RETAINED_PER_TURN = 200


class Publisher(Protocol):
    """Publishes, or returns None: not connected, or too much on the way already."""

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int | None: ...  # noqa: D102


class Spool(Protocol):
    """The events on disk; `edgead.store.Store` is one."""

    def peek(self, *, after: int = 0, through: int | None = None, limit: int = 100) -> list: ...  # type: ignore[type-arg] # noqa: D102
    def acknowledge(self, seqs: list[int]) -> None: ...  # noqa: D102


class _Told(msgspec.Struct):
    """What was last published about the state of a series."""

    is_anomaly: bool
    phase: str
    next_ns: int


class Outgoing:
    """The way out.

    Parameters
    ----------
    spool, publisher
        Where events come from and go to.
    topics : Topics
    engine : Engine
        For the metas.
    state_every_ns : int
        Least processing time between two states of a series that did not change.
    """

    def __init__(
        self, spool: Spool, publisher: Publisher, topics: Topics, engine: Engine, state_every_ns: int
    ) -> None:
        self._spool = spool
        self._publisher = publisher
        self._topics = topics
        self._engine = engine
        self._state_every_ns = state_every_ns
        self._online = False
        self._boundary = self._live = self._backlog = self._last_seq = 0
        self._under_way: dict[int, int] = {}
        self._told: dict[str, _Told] = {}
        self._states: dict[str, Verdict] = {}
        self._metas: dict[str, None] = {}

    # ------------------------------------------------------------------ what happened

    def connected(self, last_seq: int) -> None:
        """The broker is there: everything in the spool up to `last_seq` is backlog; tell all metas and states anew."""
        self._online = True
        self._boundary = self._live = self._last_seq = last_seq
        self._backlog = 0
        self._under_way.clear()
        self._told.clear()
        for series in self._engine.series.values():
            self._metas[series.series_id] = None
            if series.verdict is not None:
                self._states[series.series_id] = series.verdict
        for name, group in self._engine.groups.items():
            self._metas[name] = None
            if group.verdict is not None:
                self._states[name] = group.verdict

    def disconnected(self) -> None:
        """The broker is gone; what was under way goes again."""
        self._online = False
        self._under_way.clear()

    def forget_told(self) -> None:
        """Processing time went back: the next verdict of every series is worth telling."""
        self._told.clear()

    def spooled(self, last_seq: int) -> None:
        """Events up to `last_seq` are in the spool."""
        self._last_seq = max(self._last_seq, last_seq)

    def delivered(self, handle: int) -> None:
        """The broker has the message."""
        seq = self._under_way.pop(handle, None)
        if seq is not None:
            self._spool.acknowledge([seq])

    def changed(self, series_ids: set[str]) -> None:
        """The phase of these series and groups changed, or they are gone."""
        self._metas.update(dict.fromkeys(series_ids))
        for name in series_ids:
            if not self._is_there(name):
                self._states.pop(name, None)
                self._told.pop(name, None)

    def note(self, verdicts: list[Verdict], now_ns: int) -> None:
        """Keep what is worth telling of new verdicts: a change, or the first after the state interval."""
        told_of, states = self._told, self._states
        for verdict in verdicts:
            told = told_of.get(verdict.series_id)
            if (
                told is None
                or now_ns >= told.next_ns
                or told.is_anomaly != verdict.is_anomaly
                or told.phase != verdict.phase
            ):
                told_of[verdict.series_id] = _Told(
                    verdict.is_anomaly, verdict.phase, now_ns + self._state_every_ns
                )
                states[verdict.series_id] = verdict

    # ------------------------------------------------------------------ publishing

    def pump(self) -> None:
        """Publish what can be published now."""
        if not self._online:
            return
        with suppress(StoreError):  # the spool has noted it, and is asked again
            self._live = self._send_events(self._live, self._last_seq)
            if self._live == self._last_seq:
                self._backlog = self._send_events(self._backlog, self._boundary)
        self._send_retained()

    def send_unsaved(self, events: list[Event]) -> int:
        """Publish events that the disk did not take (number 0: they come again from the spool); returns how many."""
        for sent, event in enumerate(events):
            topic = self._topics.named(event.verdict.series_id, "anomaly", replay=event.replay)
            payload = _event(event, seq=0, replay=event.replay)
            if self._publisher.publish(topic, payload) is None:
                return sent
        return len(events)

    @property
    def idle(self) -> bool:
        """Whether nothing waits to be published or acknowledged."""
        sent = self._live == self._last_seq and self._backlog == self._boundary
        return sent and not (self._under_way or self._states or self._metas)

    def _send_events(self, after: int, through: int) -> int:
        """Publish spooled events with numbers in (after, through]; returns up to where that went."""
        while after < through and len(self._under_way) < WINDOW:
            rows = self._spool.peek(after=after, through=through, limit=WINDOW - len(self._under_way))
            if not rows:
                return through
            for row in rows:
                replay = row.event.replay or row.seq <= self._boundary
                series_id = row.event.verdict.series_id
                handle = self._publisher.publish(
                    self._topics.named(series_id, "anomaly", replay=replay),
                    _event(row.event, seq=row.seq, replay=replay),
                )
                if handle is None:
                    return after
                self._under_way[handle] = row.seq
                after = row.seq
        return after

    def _send_retained(self) -> None:
        for _ in range(RETAINED_PER_TURN):
            if self._metas:
                series_id = next(iter(self._metas))
                topic, payload = self._topics.named(series_id, "meta"), self._meta(series_id)
                if self._publisher.publish(topic, payload, retain=True) is None:
                    return
                if not payload and self._take_back_state(series_id) is None:
                    return
                del self._metas[series_id]
            elif self._states:
                series_id, verdict = next(iter(self._states.items()))
                topic = self._topics.named(series_id, "state")
                if self._publisher.publish(topic, _state(verdict), qos=0, retain=True) is None:
                    return
                del self._states[series_id]
            else:
                return

    def _take_back_state(self, name: str) -> int | None:
        return self._publisher.publish(self._topics.named(name, "state"), b"", qos=0, retain=True)

    def _is_there(self, name: str) -> bool:
        return name in self._engine.series or name in self._engine.groups

    def _meta(self, name: str) -> bytes:
        """Meta of a series or group; empty, which takes the retained message back, for one that is gone."""
        series, group = self._engine.series.get(name), self._engine.groups.get(name)
        if group is not None:
            return _group_meta(group).encode()
        return b"" if series is None else _series_meta(series).encode()


def _event(event: Event, *, seq: int, replay: bool) -> bytes:
    make = event_message if event.verdict.top is None else group_event_message
    return make(event, seq=seq, replay=replay).encode()


def event_fields(event: Event) -> dict[str, object]:
    """An event in the log, for people: what was measured, what was normal, how bad it is."""
    verdict = event.verdict
    fields: dict[str, object] = {
        "series": verdict.series_id,
        "event": event.event,
        "at": iso(verdict.time_ns // 10**6 * 10**6),
    }
    if verdict.top is None:
        fields["value"] = f"{verdict.value:g} {event.unit}".rstrip()
        fields["normal"] = f"{verdict.lower:g}..{verdict.upper:g}"
    else:
        fields["causes"] = ", ".join(f"{each.variable} {each.contribution:.0%}" for each in verdict.top[:3])
    return {**fields, "severity": f"{verdict.severity:.2f}", "id": event.id}


def _state(verdict: Verdict) -> bytes:
    return (state_message if verdict.top is None else group_state_message)(verdict).encode()


def _series_meta(series: Series) -> Meta:
    topic, _, field = series.source.partition("#")
    return Meta(
        ts=to_ms(series.judged_ns),
        series=series.series_id,
        topic=topic,
        field=field,
        unit=series.settings.unit,
        interval_s=series.step_ns / 1e9,
        detector=series.detector.model,
        phase=series.phase,
        reason=_reason(series),
    )


def _reason(series: Series) -> str:
    """What is not plain about the phase, in words."""
    needed = series.detector.needed
    reasons = [f"{needed} more readings needed"] if series.phase == "learning" else []
    reasons += _muted(series)
    if series.step_ns != series.settings.step_ns:
        configured = series.settings.step_ns / 1e9
        reasons.append(f"readings come {series.step_ns / 1e9:g} s apart, not {configured:g} s as configured")
    return "; ".join(reasons)


def _muted(each: Series | Group) -> list[str]:
    """Until when, where there is an end."""
    return [f"muted until {iso(each.muted_until_ns)}"] if 0 < each.muted_until_ns < NEVER else []


def _group_meta(group: Group) -> GroupMeta:
    needed = [f"{group.model.needed} more rows needed"] if group.phase == "learning" else []
    return GroupMeta(
        ts=to_ms(group.verdict.time_ns) if group.verdict is not None else 0,
        group=group.group_id,
        model=group.model.name,
        variables=dict(zip(group.model.variables, group.series, strict=True)),
        interval_s=group.model.step_ns / 1e9,
        phase=group.phase,
        reason="; ".join([*needed, *_muted(group)]),
    )
