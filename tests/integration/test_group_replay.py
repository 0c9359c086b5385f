"""Groups over a real broker: the events of the running agent are those of the model judging the whole table."""

import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgead.multivariate import AlignPolicy, Judgement, Scorer, align
from edgead.onnx import Session
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


def judged(columns: dict[str, np.ndarray]) -> list[tuple[int, Judgement]]:
    """Time in milliseconds and judgement of every row that ends a window, the whole table at once."""
    times = (START_MS + 1000 * np.arange(ROWS)) * 10**6
    table = align({name: (times, values) for name, values in columns.items()}, AlignPolicy())
    scorer = Scorer(PACKAGE.manifest, Session(PACKAGE.model))
    times_ms = (table.times_ns // 10**6).tolist()
    return list(zip(times_ms[PACKAGE.manifest.window - 1 :], scorer.judge_table(table.rows), strict=True))


def expected_events(rows: list[tuple[int, Judgement]]) -> list[dict[str, object]]:
    """Episodes by the rule of the documents, written down once more."""
    events, since, told, quiet = [], 0, 0, 0
    for ts, judgement in rows:
        kind = ""
        if judgement.is_anomaly:
            quiet = 0
            if not since:
                kind, since, told = "open", ts, ts
            elif ts - told >= 1000 * UPDATE_EVERY_S:
                kind, told = "update", ts
        elif since:
            quiet += 1
            kind = "close" if quiet == CLOSE_AFTER else ""
        if kind:
            events.append(_event(kind, since, ts, judgement))
        since = 0 if kind == "close" else since
    return events


def _event(kind: str, since: int, ts: int, judgement: Judgement) -> dict[str, object]:
    top = [
        {"variable": each.variable, "contribution": each.contribution, "changed": list(each.changed)}
        for each in judgement.interpretation(NAMES)
    ]
    return {
        "v": 1,
        "ts": ts,
        "id": event_id("gw1", "group/pump1", since * 10**6),
        "group": "pump1",
        "is_anomaly": judgement.is_anomaly,
        "severity": judgement.severity,
        "score": judgement.score,
        "phase": "ready",
        "event": kind,
        "since": since,
        "model": "pump@1.0.0",
        "top": top,
    }


def told(heard: Heard, leaf: str) -> list[dict[str, object]]:
    return [
        json.loads(body) for topic, body in list(heard.messages) if topic == f"edgead/gw1/group/pump1/{leaf}"
    ]


def events_of(heard: Heard) -> list[dict[str, object]]:
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
    expected = expected_events(judged(columns))
    assert {event["event"] for event in expected} == {"open", "update", "close"}
    assert any(event["top"] and event["top"][0]["variable"] == "current" for event in expected)  # type: ignore[index]

    with Heard(broker.port, ["edgead/#"]) as heard, AgentProcess(config, tmp_path / "agent.log") as agent:
        edgead("replay", csv, "--topic", "plant/pump1/{column}", "--port", broker.port)
        wait_for(lambda: len(events_of(heard)) >= len(expected), lambda: f"{events_of(heard)}")
        wait_for(lambda: told(heard, "state")[-1]["ts"] >= expected[-1]["ts"], "the last state")
        assert agent.stop() == 0
        info = json.loads(next(body for topic, body in heard.messages if topic == "edgead/gw1/info"))
        meta = told(heard, "meta")[-1]
        health = next(json.loads(body) for topic, body in heard.messages if topic == "edgead/gw1/health")
    assert events_of(heard) == expected
    assert info["models"] == {"pump@1.0.0": PACKAGE.sha256}
    assert (meta["phase"], meta["model"]) == ("ready", "pump@1.0.0")
    assert meta["variables"] == {name: f"pump1.{name}" for name in NAMES}
    assert (
        health["state"] == "degraded"
    )  # the other group's package is not there: told, and no reason to stop
    assert [reason for reason in health["reasons"] if reason.startswith("group other: off: ")]


def test_a_killed_agent_tells_the_same_group_events(tmp_path: Path, broker: Mosquitto):
    config, columns = configure(tmp_path, broker.port), recording()
    expected = expected_events(judged(columns))
    parts = [tmp_path / f"part{number}.csv" for number in range(3)]
    write(tmp_path / "whole.csv", columns)
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
