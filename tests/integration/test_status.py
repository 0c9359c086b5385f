"""``edgead status`` reads what the agent last committed, whether it runs or not."""

import json
from pathlib import Path

import pytest

from edgead.agent.groups import Groups
from edgead.agent.intake import Intake
from edgead.agent.saving import Saving
from edgead.bridge.inbox import Incoming
from edgead.bridge.topics import Topics
from edgead.cli import call
from edgead.config import Config, load
from edgead.registry.shelf import Shelf
from edgead.simulate import PUMP, simulate
from edgead.stream import Engine
from edgead.uplink.reasons import Refusal
from edgead.uplink.record import SyncRecord, write_record
from tests import packages

S = 10**9
START_NS = 1_700_000_000 * S
CONFIG = """
[node]
id = "gw1"
state_dir = "state"
[[series]]
topic = "plant/{machine}/{variable}"
id = "{machine}.{variable}"
unit = "degC"
[[series]]
topic = "raw/{name}"
value = ""
"""


class Device:
    """The parts of an agent that keep state, without a broker."""

    def __init__(self, config: Config) -> None:
        self.engine = Engine(config.engine)
        self.saving = Saving(Path(config.node.state_dir), config.store, self.engine, now_ns=START_NS)
        self.intake = Intake(config, Topics(config.node.id), self.engine)

    def take(self, topic: str, payload: str, second: int) -> None:
        """One message, judged."""
        now_ns = START_NS + second * S
        message = Incoming(topic, payload.encode(), False, now_ns, 0)
        outcome = self.engine.feed(self.intake.read(message, now_ns), now_ns)
        self.saving.add(outcome.events)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gw.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def device(config: Path):
    made = Device(load(config))
    yield made
    made.saving.close()


def status(config: Path, capfd: pytest.CaptureFixture[str]) -> dict:
    assert call(["status", "-c", str(config), "--json"]) == 0
    return json.loads(capfd.readouterr().out)


def test_series_phases_and_waiting_events_are_shown(device: Device, config: Path, capfd):
    for second in range(300):
        value = 80 if 200 <= second < 210 else 20 + second % 3 / 10
        device.take(
            "plant/press1/temp", json.dumps({"ts": START_NS // 10**6 + second * 1000, "value": value}), second
        )
        if second < 20:
            device.take("raw/flow", "3.5", second)
    device.saving.commit(START_NS)
    shown = status(config, capfd)
    flow, temp = sorted(shown["series"], key=lambda series: series["series"], reverse=True)
    assert (temp["series"], temp["source"], temp["phase"]) == ("press1.temp", "plant/press1/temp", "ready")
    assert (flow["series"], flow["phase"], flow["last"]["value"]) == ("raw.flow", "learning", 3.5)
    assert flow["needed"] > 0
    assert shown["spool"]["rows"] > 0
    assert shown["journal"]["entries"] == 1
    assert call(["status", "-c", str(config)]) == 0
    printed = capfd.readouterr().out
    assert "series  2: 1 learning, 1 ready" in printed
    assert "wait for the broker, the oldest for" in printed
    assert "press1.temp  ready" in printed


def test_an_open_anomaly_is_shown_and_what_was_not_committed_is_not(device: Device, config: Path, capfd):
    for second in range(205):
        value = 80 if second >= 200 else 20 + second % 3 / 10
        device.take(
            "plant/press1/temp", json.dumps({"ts": START_NS // 10**6 + second * 1000, "value": value}), second
        )
    device.saving.commit(START_NS, everything=True)
    device.take("plant/press2/temp", "1", 206)
    (shown,) = status(config, capfd)["series"]
    assert shown["open_since"] == START_NS // 10**6 + 200_000
    call(["status", "-c", str(config)])
    assert "anomaly since 2023-11-14T22:16:40Z" in capfd.readouterr().out


def test_a_device_that_never_ran_is_told(config: Path, capfd):
    assert call(["status", "-c", str(config)]) == 1
    assert "no state in" in capfd.readouterr().err


def test_a_series_no_longer_configured_is_left_out(device: Device, config: Path, capfd):
    device.take("raw/flow", "3.5", 0)
    device.take("plant/press1/temp", "1", 0)
    device.saving.commit(START_NS)
    config.write_text(CONFIG.split('[[series]]\ntopic = "raw')[0])
    assert [series["series"] for series in status(config, capfd)["series"]] == ["press1.temp"]


def test_groups_are_shown_with_their_phase_and_what_is_off(config: Path, capfd):
    (config.parent / "pump.zip").write_bytes(packages.PUMP)
    variables = ", ".join(f'{name} = "pump1.{name}"' for name in PUMP.sensors)
    group = 'variables = {{ {0} }}\nmodel = "{1}.zip"\n'
    config.write_text(
        f'{CONFIG}[[group]]\nid = "pump1"\n{group.format(variables, "pump")}'
        f'[[group]]\nid = "gone"\n{group.format(variables, "none")}'
    )
    loaded = load(config)
    device = Device(loaded)
    Groups(loaded, device.engine)
    columns = simulate(PUMP, 310, seed=3)
    for second in range(310):
        for name, column in columns.items():
            body = {"ts": START_NS // 10**6 + second * 1000, "value": float(column.values[second])}
            device.take(f"plant/pump1/{name}", json.dumps(body), second)
        if second == 100:
            device.saving.commit(START_NS)
    device.saving.commit(START_NS)
    shown = status(config, capfd)
    (pump,) = shown["groups"]
    assert (pump["group"], pump["model"], pump["phase"], pump["needed"]) == (
        "pump1",
        "pump@1.0.0",
        "ready",
        0,
    )
    assert pump["last"]["ts"] == START_NS // 10**6 + 307_000  # the last two seconds may still be under way
    assert [notice for notice in shown["notices"] if notice.startswith("group gone: off: ")]
    call(["status", "-c", str(config)])
    assert "group/pump1" in capfd.readouterr().out
    call(["check", "-c", str(config)])
    printed = capfd.readouterr().out
    assert "group    pump1: 5 variables judged together by the model" in printed
    assert "note: group gone: off: " in printed
    device.saving.close()


def uplink_of(config: Path) -> Path:
    config.write_text('[uplink]\nurl = "http://127.0.0.1:9"\n' + CONFIG)
    return config


def test_the_uplink_is_shown_with_models_on_trial_and_what_was_turned_down(
    config: Path, device: Device, capsys, tmp_path: Path
):
    shelf = Shelf(tmp_path / "state" / "models", trial=lambda data: None)
    for number in (1, 2, 3):
        shelf.propose(packages.variant(number))
        if number == 2:
            shelf.reject("pump", packages.id_of(2), "too many alarms: on 9 of 9 rows")
    shelf.propose(packages.network(2))
    record = SyncRecord(
        attempt_ms=1_700_000_000_000,
        success_ms=1_600_000_000_000,
        state="refused",
        ends={"timestamp": "2024-01-01T00:00:00Z"},
        refused=[Refusal("expired", "what was signed as timestamp ended", "", 1_700_000_000_000)],
    )
    (tmp_path / "state" / "uplink").mkdir()
    write_record(tmp_path / "state", record)
    device.saving.add_records([b"{}"] * 3)
    device.saving.commit(START_NS)
    assert call(["status", "-c", str(uplink_of(config))]) == 0
    out = capsys.readouterr().out
    assert "outbox  3 records (6 B) wait for the server, 0 were dropped" in out
    assert "model   pump 1.0.1; 1.0.3 is tried" in out
    assert "model   srcnn 1.0.0; 1.0.2 is tried" in out  # beside the shipped one
    assert "        turned down: 1.0.2: too many alarms: on 9 of 9 rows" in out
    assert "expired: what was signed as timestamp ended" in out
    assert call(["status", "-c", str(config), "--json"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["uplink"]["state"], told["outbox"]["rows"]) == ("refused", 3)
    assert told["models"][0]["candidate"] == "1.0.3"
    assert told["models"][0]["rejected"][0]["version"] == "1.0.2"


def test_without_an_uplink_nothing_is_said_of_one(config: Path, device: Device, capsys):
    assert call(["status", "-c", str(config)]) == 0
    assert "\nuplink" not in capsys.readouterr().out
