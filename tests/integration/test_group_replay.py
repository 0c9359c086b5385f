"""Groups over a real broker: the events of the running agent are those of ``edgead detect --model`` on the file."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from edgead.package import read_package
from edgead.simulate import PUMP, simulate
from edgead.stream.episode import event_id
from tests import packages
from tests.agent_process import AgentProcess, Heard, bare, wait_for
from tests.integration.test_main_job import edgead
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS

PACKAGE = read_package(packages.PUMP)
NAMES = PACKAGE.manifest.names
ROWS, BREAK, HOLES = 700, (420, 520), range(350, 360)
CLOSE_AFTER, UPDATE_EVERY_S = 5, 20

CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
state_every = "1s"
[http]
listen = ""
[store]
journal_readings = 1000
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 256
[[group]]
id = "pump1"
model = "{model}"
variables = {{ {variables} }}
update_every = "20s"
[[group]]
id = "other"
model = "{folder}/none.zip"
variables = {{ flow = "pump1.flow" }}
"""


@pytest.fixture
def broker(tmp_path: Path):
    folder = tmp_path / "broker"
    folder.mkdir()
    with Mosquitto(folder, shipped=True) as broker:
        yield broker


def recording() -> dict[str, np.ndarray]:
    """A pump whose current is that of another run for a while (each variable stays in its range), with holes."""
    columns = {name: column.values.copy() for name, column in simulate(PUMP, ROWS, seed=21).items()}
    part = slice(*BREAK)
    columns["current"][part] = simulate(PUMP, ROWS, seed=22)["current"].values[part]
    columns["pressure"][list(HOLES)] = math.nan
    columns["flow"][605] = math.nan
    return {name: columns[name] for name in NAMES}


def write(path: Path, columns: dict[str, np.ndarray]) -> None:
    lines = ["time," + ",".join(columns)]
    for row in range(ROWS):
        cells = ("" if math.isnan(values[row]) else repr(float(values[row])) for values in columns.values())
        lines.append(f"{START_MS + 1000 * row}," + ",".join(cells))
    path.write_text("\n".join(lines) + "\n")


def judged(csv: Path) -> list[dict[str, Any]]:
    """Every judged row of ``edgead detect --model``."""
    lines = edgead("detect", csv, "--model", csv.parent / "pump.zip", "--format", "json").splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == ROWS
    return [row for row in rows if row["phase"] == "ready"]


def expected_events(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Episodes by the rule of the documents, written down once more."""
    events, since, told, quiet = [], 0, 0, 0
    for row in rows:
        kind, ts = "", row["ts"]
        if row["is_anomaly"]:
            quiet = 0
            if not since:
                kind, since, told = "open", ts, ts
            elif ts - told >= 1000 * UPDATE_EVERY_S:
                kind, told = "update", ts
        elif since:
            quiet += 1
            kind = "close" if quiet == CLOSE_AFTER else ""
        if kind:
            identity = event_id("gw1", "group/pump1", since * 10**6)
            events.append(row | {"v": 1, "id": identity, "group": "pump1", "event": kind, "since": since})
        since = 0 if kind == "close" else since
    return events


def told(heard: Heard, leaf: str) -> list[dict[str, Any]]:
    return [
        json.loads(body) for topic, body in list(heard.messages) if topic == f"edgead/gw1/group/pump1/{leaf}"
    ]


def events_of(heard: Heard) -> list[dict[str, Any]]:
    """Group events, each once, in order."""
    topics = ("edgead/gw1/group/pump1/anomaly", "edgead/gw1/replay/group/pump1/anomaly")
    found = [bare(json.loads(body)) for topic, body in list(heard.messages) if topic in topics]
    return [event for place, event in enumerate(found) if event not in found[:place]]


def configure(folder: Path, port: int) -> Path:
    model = folder / "pump.zip"
    model.write_bytes(packages.PUMP)
    variables = ", ".join(f'{name} = "pump1.{name}"' for name in reversed(NAMES))
    config = folder / "gateway.toml"
    config.write_text(CONFIG.format(folder=folder, port=port, model="pump.zip", variables=variables))
    return config


def test_a_replayed_recording_gives_the_group_events_of_the_whole_table(tmp_path: Path, broker: Mosquitto):
    csv, config = tmp_path / "recording.csv", configure(tmp_path, broker.port)
    columns = recording()
    write(csv, columns)
    expected = expected_events(judged(csv))
    assert {event["event"] for event in expected} == {"open", "update", "close"}
    assert {event["top"][0]["variable"] for event in expected if event["is_anomaly"]} == {"current"}
    assert all(len(event["top"]) == len(NAMES) for event in expected)
    assert any(event["top"][0]["changed"] for event in expected)

    with Heard(broker.port, ["edgead/#"]) as heard, AgentProcess(config, tmp_path / "agent.log") as agent:
        edgead("replay", csv, "--topic", "plant/pump1/{column}", "--port", broker.port)
        wait_for(lambda: len(events_of(heard)) >= len(expected), lambda: f"{events_of(heard)}")
        wait_for(lambda: told(heard, "state")[-1]["ts"] >= expected[-1]["ts"], "the last state")
        assert agent.stop() == 0
        info = json.loads(next(body for topic, body in heard.messages if topic == "edgead/gw1/info"))
        meta = told(heard, "meta")[-1]
        health = next(json.loads(body) for topic, body in heard.messages if topic == "edgead/gw1/health")
    assert events_of(heard) == expected
    assert info["models"]["pump@1.0.0"] == PACKAGE.sha256
    assert (meta["phase"], meta["model"]) == ("ready", "pump@1.0.0")
    assert meta["variables"] == {name: f"pump1.{name}" for name in NAMES}
    assert (
        health["state"] == "degraded"
    )  # the other group's package is not there: told, and no reason to stop
    assert [reason for reason in health["reasons"] if reason.startswith("group other: off: ")]


def test_a_killed_agent_tells_the_same_group_events(tmp_path: Path, broker: Mosquitto):
    config, columns = configure(tmp_path, broker.port), recording()
    write(tmp_path / "whole.csv", columns)
    expected = expected_events(judged(tmp_path / "whole.csv"))
    parts = [tmp_path / f"part{number}.csv" for number in range(3)]
    head, *lines = (tmp_path / "whole.csv").read_text().splitlines()
    for part, chosen in zip(parts, (lines[:430], lines[430:480], lines[480:]), strict=True):
        part.write_text("\n".join([head, *chosen]) + "\n")

    with Heard(broker.port, ["edgead/#"]) as heard:
        agent = AgentProcess(config, tmp_path / "agent.log")
        for part in parts:
            agent.start()
            edgead("replay", part, "--topic", "plant/pump1/{column}", "--port", broker.port)
            if part is parts[-1]:
                wait_for(lambda: len(events_of(heard)) >= len(expected), lambda: f"{events_of(heard)}")
            agent.kill()
        assert events_of(heard) == expected
