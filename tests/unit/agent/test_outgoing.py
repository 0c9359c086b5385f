"""Live events first, the backlog second and marked; nothing leaves the spool before the broker has it."""

import msgspec
import pytest

from edgead.agent.outgoing import WINDOW, Outgoing, event_fields
from edgead.bridge.topics import Topics
from edgead.records import Contribution, Event, Verdict
from edgead.store import SpoolRow
from edgead.stream import Engine, EngineSettings, SeriesSettings

S = 10**9


def verdict(second: int = 0, *, is_anomaly: bool = False, phase: str = "ready") -> Verdict:
    return Verdict("a", second * S, 1.0, 0.0, -1.0, 1.0, 0.5, 0.0, is_anomaly, phase)  # type: ignore[arg-type]


class Spool:
    """Rows in memory, as `Store` shows them."""

    def __init__(self) -> None:
        self.rows: dict[int, SpoolRow] = {}
        self.last_seq = 0

    def add(self, count: int) -> int:
        for _ in range(count):
            self.last_seq += 1
            event = Event(f"id{self.last_seq}", "open", 0, verdict(), "", "m@1")
            self.rows[self.last_seq] = SpoolRow(self.last_seq, event, 0)
        return self.last_seq

    def peek(self, *, after: int = 0, through: int | None = None, limit: int = 100) -> list[SpoolRow]:
        wanted = [row for seq, row in self.rows.items() if after < seq <= (through or self.last_seq)]
        return wanted[:limit]

    def acknowledge(self, seqs: list[int]) -> None:
        for seq in seqs:
            self.rows.pop(seq, None)


class Broker:
    """Takes messages until its window is full; `deliver` acknowledges."""

    def __init__(self, outgoing: "Outgoing | None" = None) -> None:
        self.sent: list[tuple[str, dict, int, bool]] = []
        self.room = 10**6

    def publish(self, topic: str, payload: bytes, *, qos: int = 1, retain: bool = False) -> int | None:
        if self.room <= 0:
            return None
        self.room -= 1
        self.sent.append((topic, msgspec.json.decode(payload) if payload else {}, qos, retain))
        return len(self.sent)

    def events(self) -> list[tuple[str, int, bool]]:
        return [(t, p["seq"], p["replay"]) for t, p, _, _ in self.sent if t.endswith("/anomaly")]


LIVE, LATE = "edgead/n/series/a/anomaly", "edgead/n/replay/series/a/anomaly"


@pytest.fixture
def spool() -> Spool:
    return Spool()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def outgoing(spool: Spool, broker: Broker) -> Outgoing:
    engine = Engine(EngineSettings(node="n"))
    engine.add("a", "plant/a", SeriesSettings(), 0)
    return Outgoing(spool, broker, Topics("n"), engine, state_every_ns=30 * S)


def test_nothing_is_published_before_the_broker_is_there(outgoing: Outgoing, spool: Spool, broker: Broker):
    outgoing.spooled(spool.add(3))
    outgoing.pump()
    assert broker.sent == []


def test_live_events_go_first_and_the_backlog_is_marked(outgoing: Outgoing, spool: Spool, broker: Broker):
    outgoing.connected(spool.add(2))
    outgoing.spooled(spool.add(2))
    outgoing.pump()
    assert broker.events() == [(LIVE, 3, False), (LIVE, 4, False), (LATE, 1, True), (LATE, 2, True)]


def test_an_event_leaves_the_spool_when_the_broker_has_it(outgoing: Outgoing, spool: Spool, broker: Broker):
    outgoing.connected(0)
    outgoing.spooled(spool.add(2))
    outgoing.pump()
    outgoing.delivered(2)
    assert sorted(spool.rows) == [1]
    assert not outgoing.idle
    outgoing.delivered(1)
    assert spool.rows == {}


def test_no_more_than_a_window_of_events_is_under_way(outgoing: Outgoing, spool: Spool, broker: Broker):
    outgoing.connected(0)
    outgoing.spooled(spool.add(3 * WINDOW))
    outgoing.pump()
    outgoing.pump()
    assert len(broker.events()) == WINDOW
    for handle in range(1, WINDOW + 1):
        outgoing.delivered(handle)
    outgoing.pump()
    assert [seq for _, seq, _ in broker.events()] == list(range(1, 2 * WINDOW + 1))


def test_what_was_under_way_when_the_broker_went_is_told_again_as_replay(
    outgoing: Outgoing, spool: Spool, broker: Broker
):
    outgoing.connected(0)
    outgoing.spooled(spool.add(2))
    outgoing.pump()
    outgoing.delivered(1)
    outgoing.disconnected()
    outgoing.spooled(spool.add(1))
    outgoing.pump()
    assert len(broker.events()) == 2
    outgoing.connected(spool.last_seq)
    outgoing.pump()
    assert broker.events()[2:] == [(LATE, 2, True), (LATE, 3, True)]


def test_a_full_window_at_the_network_keeps_the_event_for_later(
    outgoing: Outgoing, spool: Spool, broker: Broker
):
    outgoing.connected(0)
    outgoing.spooled(spool.add(3))
    broker.room = 1
    outgoing.pump()
    broker.room = 100
    outgoing.pump()
    assert [seq for _, seq, _ in broker.events()] == [1, 2, 3]


def test_a_state_is_told_on_change_and_at_most_once_an_interval(outgoing: Outgoing, broker: Broker):
    outgoing.connected(0)

    def states(now_s: int, **changes: object) -> int:
        outgoing.note([verdict(now_s, **changes)], now_s * S)  # type: ignore[arg-type]
        outgoing.pump()
        return sum(topic.endswith("/state") for topic, *_ in broker.sent)

    assert [states(0), states(1), states(2)] == [1, 1, 1]
    assert states(3, is_anomaly=True) == 2
    assert states(4) == 3
    assert [states(30), states(35)] == [3, 4]


def test_every_series_tells_its_meta_at_each_birth(outgoing: Outgoing, broker: Broker):
    for _ in range(2):
        outgoing.connected(0)
        outgoing.pump()
    metas = [(topic, payload["phase"], qos, retain) for topic, payload, qos, retain in broker.sent]
    assert metas == [("edgead/n/series/a/meta", "learning", 1, True)] * 2


def test_the_retained_meta_of_a_series_that_is_gone_is_taken_back(outgoing: Outgoing, broker: Broker):
    outgoing.connected(0)
    outgoing.changed({"gone"})
    outgoing.pump()
    assert ("edgead/n/series/gone/meta", {}, 1, True) in broker.sent
    assert ("edgead/n/series/gone/state", {}, 0, True) in broker.sent


def test_a_series_that_is_gone_tells_no_state_that_waited(outgoing: Outgoing, broker: Broker):
    outgoing.connected(0)
    outgoing.note([verdict()], 0)
    outgoing._engine.remove("a")
    outgoing.changed({"a"})
    outgoing.pump()
    assert [(topic, body) for topic, body, _, _ in broker.sent] == [
        ("edgead/n/series/a/meta", {}),
        ("edgead/n/series/a/state", {}),
    ]


def test_a_muted_series_says_until_when(outgoing: Outgoing, broker: Broker):
    outgoing.connected(0)
    outgoing._engine.command("mute", "a", 0, until_ns=3600 * S)
    outgoing.pump()
    metas = [payload for topic, payload, _, _ in broker.sent if topic.endswith("/meta")]
    assert (metas[-1]["phase"], metas[-1]["reason"]) == ("muted", "muted until 1970-01-01T01:00:00Z")


def test_an_event_in_the_log_says_what_was_measured_and_what_was_normal():
    told = Verdict("a", 3 * S, 27.827, 21.92, 21.42, 22.42, 32.5, 0.97, True, "ready")
    fields = event_fields(Event("id1", "open", 3 * S, told, "degC", "m@1"))
    assert fields == {
        "series": "a",
        "event": "open",
        "at": "1970-01-01T00:00:03Z",
        "value": "27.827 degC",
        "normal": "21.42..22.42",
        "severity": "0.97",
        "id": "id1",
    }


def test_an_event_of_a_group_in_the_log_names_its_causes():
    nan = float("nan")
    top = (Contribution("current", 0.8, ("current",)), Contribution("flow", 0.2, ("current",)))
    row = Verdict("group/pump1", 3 * S, nan, nan, nan, nan, 1.7, 0.41, True, "ready", top=top)
    fields = event_fields(Event("id1", "open", 3 * S, row, "", "pump@1.0.0"))
    assert fields["causes"] == "current 80%, flow 20%"
    assert "value" not in fields
