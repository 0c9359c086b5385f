"""Messages to readings: what a retained message is worth."""

import logging

from edgead.agent.intake import Intake
from edgead.bridge.inbox import Incoming
from edgead.bridge.topics import Topics
from edgead.config import parse
from edgead.stream import Engine, EngineSettings

MS = 1_763_750_000_123
RECEIVED_NS = (MS + 5000) * 10**6


def read(payload: bytes, *, retain: bool) -> tuple[list[tuple[float, int]], Intake]:
    config = parse(b'[[series]]\ntopic = "plant/{machine}/{variable}"\ntime = "ts"\n', "gw.toml")
    engine = Engine(EngineSettings(node="gw1"))
    intake = Intake(config, Topics("gw1"), engine)
    message = Incoming("plant/press1/temp", payload, retain, RECEIVED_NS, 1)
    return [(each.value, each.time_ns) for each in intake.read(message, RECEIVED_NS)], intake


def test_a_retained_message_of_unknown_age_is_no_reading():
    for payload in (b'{"value":21.5}', b'{"value":21.5,"ts":"yesterday"}', b"21.5"):
        readings, intake = read(payload, retain=True)
        assert readings == []
        assert intake.counts == {"retained": 1}
        assert read(payload, retain=False)[0] == [(21.5, RECEIVED_NS)]


def test_a_retained_message_with_its_time_is_a_reading():
    readings, intake = read(b'{"value":21.5,"ts":%d}' % MS, retain=True)
    assert readings == [(21.5, MS * 10**6)]
    assert not intake.counts


def test_a_failure_of_ours_costs_one_message_and_is_told(monkeypatch):
    config = parse(b'[[series]]\ntopic = "plant/{machine}/{variable}"\n', "gw.toml")
    intake = Intake(config, Topics("gw1"), Engine(EngineSettings(node="gw1")))

    def fail(payload: bytes, received_ns: int) -> list:
        if payload == b"bad":
            raise ZeroDivisionError("secret of the payload")
        return [("", received_ns, 1.0, "good")]

    monkeypatch.setattr(intake.rules[0], "decode", fail)
    assert intake.read(Incoming("plant/press1/temp", b"bad", False, RECEIVED_NS, 1), RECEIVED_NS) == []
    assert len(intake.read(Incoming("plant/press1/temp", b"1", False, RECEIVED_NS, 2), RECEIVED_NS)) == 1
    assert intake.counts == {"payload_internal": 1}
    assert intake.dead_letters[0].cause == "internal"
    assert "secret" not in intake.dead_letters[0].error


def message(topic: str, value: float = 1.0) -> Incoming:
    return Incoming(topic, b"%r" % value, False, RECEIVED_NS, 1)


def test_a_second_topic_of_the_same_id_is_refused_with_the_owner():
    config = parse(b'[[series]]\ntopic = "plant/{line}/{machine}/temp"\nid = "{machine}"\n', "gw.toml")
    intake = Intake(config, Topics("gw1"), Engine(EngineSettings(node="gw1")))
    assert len(intake.read(message("plant/a/press/temp"), RECEIVED_NS)) == 1
    assert intake.read(message("plant/b/press/temp"), RECEIVED_NS) == []
    assert intake.read(message("plant/b/press/temp"), RECEIVED_NS) == []
    assert len(intake.read(message("plant/a/press/temp"), RECEIVED_NS)) == 1
    assert intake.counts == {"refused": 2}
    ((series, reason),) = intake.refusals.items()
    assert series == "press of plant/b/press/temp"
    assert reason.startswith("plant/a/press/temp has this id already")


def test_a_series_of_a_topic_with_spaces_is_found_again_after_a_restart():
    config = parse(b'[[series]]\ntopic = "hall 1/{machine}"\nvalue = ["a b", "c"]\n', "gw.toml")
    engine = Engine(EngineSettings(node="gw1"))
    intake = Intake(config, Topics("gw1"), engine)
    payload = b'{"a b": 1, "c": 2}'
    intake.read(Incoming("hall 1/press 2", payload, False, RECEIVED_NS, 1), RECEIVED_NS)
    assert len(engine.series) == 2
    again = Intake(config, Topics("gw1"), Engine(EngineSettings(node="gw1")))
    for series_id, series in engine.series.items():
        assert series.topic == "hall 1/press 2"
        assert again.settings_for(series_id, series.source) is not None


class Lines(logging.Handler):
    """What came to the log."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


def warnings(intake: Intake, messages: list[Incoming]) -> list[dict[str, str]]:
    """Fields of the lines of the log that the messages made."""
    log, lines = logging.getLogger("edgead"), Lines()
    log.addHandler(lines)
    try:
        for each in messages:
            intake.read(each, RECEIVED_NS)
    finally:
        log.removeHandler(lines)
    return [record.__dict__["fields"] for record in lines.records if record.levelno == logging.WARNING]


def test_a_payload_that_cannot_be_read_is_in_the_log_once_for_each_block_and_cause():
    config = parse(b'[[series]]\ntopic = "tele/{plug}/SENSOR"\nvalue = "ENERGY.Power"\n', "gw.toml")
    intake = Intake(config, Topics("gw1"), Engine(EngineSettings(node="gw1")))
    told = warnings(
        intake,
        [
            Incoming(f"tele/{plug}/SENSOR", payload, False, RECEIVED_NS, 1)
            for plug in ("a", "b")
            for payload in (b'{"ENERGY":{"Total":3}}', b"secret", b'{"ENERGY":{"Power":1}}')
        ],
    )
    assert [(each["topic"], each["cause"]) for each in told] == [
        ("tele/a/SENSOR", "no_value"),
        ("tele/a/SENSOR", "not_json"),
    ]
    assert told[0]["value"] == "ENERGY.Power"
    assert told[0]["samples"] == "edgead/gw1/deadletter"
    assert "secret" not in str(told)
    assert intake.counts == {"payload_no_value": 2, "payload_not_json": 2}


def test_times_of_no_use_are_in_the_log_once_for_each_block():
    config = parse(b'[[series]]\ntopic = "tele/{plug}/SENSOR"\nvalue = "W"\ntime = "Time"\n', "gw.toml")
    intake = Intake(config, Topics("gw1"), Engine(EngineSettings(node="gw1")))
    messages = [
        Incoming("tele/a/SENSOR", body.encode(), False, RECEIVED_NS, 1)
        for body in (
            '{"W":1,"Time":"2025-11-21T18:33:20"}',
            '{"W":1,"Time":"2025-11-21T19:33:20"}',
            '{"W":1,"Time":"x"}',
        )
    ]
    told = warnings(intake, messages)
    assert [(each["topic"], each["time"]) for each in told] == [("tele/a/SENSOR", "Time")]
    assert "more than 10 minutes ahead" in told[0]["reason"]
