"""Readings in over a real broker, anomalies out, equal to those of the same recording judged as a file."""

import json
import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from tests.agent_process import AgentProcess, Heard, bare, wait_for
from tests.mosquitto import Mosquitto
from tests.recordings import write_csv

CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
state_every = "1s"
[http]
listen = ""
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
interval = "{interval}"
window = 256
sensitivity = 100
unit = "bar"
"""


def edgead(*arguments: object) -> str:
    """Output of a command that has to succeed."""
    done = subprocess.run(
        [sys.executable, "-m", "edgead", *map(str, arguments)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def detected(csv: Path, config: Path, series_id: str, column: str) -> list[dict[str, object]]:
    """Events of the recording judged as a file."""
    lines = edgead("detect", csv, "--events", "-c", config, "--series", series_id, "--column", column)
    return [bare(msgspec.json.decode(line)) for line in lines.splitlines()]


@pytest.fixture
def broker(tmp_path: Path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(folder, shipped=True) as broker:
        yield broker


@pytest.mark.parametrize(
    ("data_set", "name", "interval", "rows", "columns"),
    [
        ("SKAB", "valve1__0", "1s", None, 8),
        ("NAB", "realKnownCause__ec2_request_latency_system_failure", "5min", None, 1),
        ("KPI", "0efb375b-b902-3661-ab23-9a0bb799f4e3", "1min", 5000, 1),
    ],
)
def test_a_recording_replayed_over_the_broker_gives_the_events_of_the_file(
    tmp_path: Path, broker: Mosquitto, data_set: str, name: str, interval: str, rows: int | None, columns: int
):
    csv, config = tmp_path / "recording.csv", tmp_path / "gateway.toml"
    names = write_csv(csv, data_set, name, rows, columns)
    config.write_text(CONFIG.format(folder=tmp_path, port=broker.port, interval=interval))
    expected = {column: detected(csv, config, f"press.{column}", column) for column in names}
    assert any(expected.values()), "a recording without any event shows nothing"

    with Heard(broker.port, ["edgead/#"]) as heard, AgentProcess(config, tmp_path / "agent.log") as agent:
        edgead("replay", csv, "--topic", "plant/press/{column}", "--port", broker.port)
        wait_for(lambda: _told(heard) >= sum(map(len, expected.values())), "all events told")
        wait_for(lambda: json.loads(_last(heard, "edgead/gw1/health") or "{}") != {}, "health told")
        assert agent.stop() == 0
        for column in names:
            assert heard.events(f"press.{column}") == expected[column]
        wait_for(lambda: _state(heard, "edgead/gw1/status") == "offline", "offline said")
        meta = json.loads(_last(heard, f"edgead/gw1/series/press.{names[0]}/meta"))
    assert meta["topic"] == f"plant/press/{names[0]}"
    assert meta["unit"] == "bar"
    assert meta["phase"] == "ready"


def _told(heard: Heard) -> int:
    return sum(topic.endswith("/anomaly") for topic, _ in heard.messages)


def _last(heard: Heard, topic: str) -> bytes:
    return next((payload for each, payload in reversed(heard.messages) if each == topic), b"")


def _state(heard: Heard, topic: str) -> str:
    return str(json.loads(_last(heard, topic) or b"{}").get("state"))
