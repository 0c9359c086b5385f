"""From a recording to an alarm on the device: trained by the service's own client, installed, replayed over MQTT."""

import json
import os
import signal
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from azure.ai.anomalydetector import AnomalyDetectorClient
from azure.ai.anomalydetector.models import (
    AlignMode,
    AlignPolicy,
    FillNAMethod,
    ModelInfo,
    ModelStatus,
    MultivariateBatchDetectionOptions,
)
from azure.core.credentials import AzureKeyCredential

from edgead.multivariate import wire_score
from edgead.package import read_package
from edgead.simulate import PUMP, simulate
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.integration.test_main_job import edgead
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS
from tests.served import ModelServer

KEY = "0123456789abcdef"
#: The first rows are normal and learned from; the others are today's.
NORMAL, ROWS, WINDOW = 4000, 4600, 60
#: Rows of today in which the current is that of another run.
FAULT = (4300, 4360)
NAMES = tuple(simulate(PUMP, 10, seed=1))

GATEWAY = """
[node]
id = "gw1"
state_dir = "{folder}/device"
[mqtt]
port = {port}
state_every = "1s"
[http]
listen = ""
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 256
[[group]]
id = "pump1"
model = "Pump-1"
variables = {{ {variables} }}
"""


def run() -> dict[str, np.ndarray]:
    """A pump, normal but for the fault."""
    found = {name: column.values.copy() for name, column in simulate(PUMP, ROWS, seed=20).items()}
    part = slice(*FAULT)
    found["current"][part] = simulate(PUMP, ROWS, seed=21)["current"].values[part]
    return found


def write(path: Path, table: dict[str, np.ndarray], rows: range) -> None:
    lines = ["timestamp," + ",".join(table)]
    for row in rows:
        lines.append(
            f"{at(row).isoformat()}," + ",".join(repr(float(values[row])) for values in table.values())
        )
    path.write_text("\n".join(lines) + "\n")


def at(row: int) -> datetime:
    return datetime.fromtimestamp(START_MS / 1000 + row, UTC)


def trained(client: AnomalyDetectorClient, source: str) -> str:
    """Train and poll as a program of old did."""
    asked = ModelInfo(
        data_source=source,
        data_schema="OneTable",
        start_time=at(0),
        end_time=at(NORMAL - 1),
        display_name="Pump 1",
        sliding_window=WINDOW,
        align_policy=AlignPolicy(
            align_mode=AlignMode.OUTER, fill_n_a_method=FillNAMethod.LINEAR, padding_value=0
        ),
    )
    model_id = str(client.train_multivariate_model(asked).model_id)
    until = time.monotonic() + 180
    while (info := client.get_multivariate_model(model_id).model_info).status != ModelStatus.READY:
        assert info.status != ModelStatus.FAILED, info.errors
        assert time.monotonic() < until
        time.sleep(0.2)
    return model_id


def judged(client: AnomalyDetectorClient, model_id: str, source: str) -> dict[int, dict[str, Any]]:
    """What detect-batch says of each row of the whole recording, by epoch milliseconds."""
    asked = MultivariateBatchDetectionOptions(
        data_source=source,
        start_time=at(NORMAL + WINDOW - 1),
        end_time=at(ROWS - 1),
        top_contributor_count=30,
    )
    result_id = client.detect_multivariate_batch_anomaly(model_id, asked).result_id
    until = time.monotonic() + 180
    while (result := client.get_multivariate_batch_detection_result(result_id)).summary.status != "READY":
        assert result.summary.status != "FAILED", result.summary.errors
        assert time.monotonic() < until
        time.sleep(0.2)
    return {round(row.timestamp.timestamp() * 1000): dict(row.value) for row in result.results}


def heard_events(heard: Heard) -> list[dict[str, Any]]:
    return [json.loads(body) for topic, body in list(heard.messages) if topic.endswith("group/pump1/anomaly")]


def last_state(heard: Heard) -> int:
    states = [body for topic, body in list(heard.messages) if topic.endswith("group/pump1/state")]
    return int(json.loads(states[-1])["ts"]) if states else 0


def test_a_model_goes_from_the_service_client_to_the_device(tmp_path: Path):
    server = ModelServer(tmp_path, key=KEY)
    write(server.data / "normal.csv", run(), range(NORMAL))
    write(server.data / "today.csv", run(), range(NORMAL, ROWS))
    package = tmp_path / "pump.zip"
    with server:
        client = AnomalyDetectorClient(server.url, AzureKeyCredential(KEY))
        model_id = trained(client, str(server.data / "normal.csv"))
        rows = judged(client, model_id, str(server.data / "today.csv"))
        package.write_bytes(server.ask("GET", f"/edgead/v1/models/{model_id}/package").body)
    manifest = read_package(package.read_bytes()).manifest
    name = f"Pump-1@{manifest.version}"
    abnormal = [time_ms for time_ms, row in rows.items() if row["isAnomaly"]]
    first, last = (START_MS + 1000 * row for row in FAULT)
    found = [time_ms for time_ms in abnormal if first <= time_ms < last + 30_000]
    assert found
    assert found[0] < first + 20_000
    assert len(abnormal) - len(found) <= 5

    broker_folder = tmp_path / "broker"
    broker_folder.mkdir()
    gateway = tmp_path / "gateway.toml"
    variables = ", ".join(f'{name} = "pump1.{name}"' for name in NAMES)
    with Mosquitto(broker_folder, shipped=True) as broker:
        gateway.write_text(GATEWAY.format(folder=tmp_path, port=broker.port, variables=variables))
        with (
            Heard(broker.port, ["edgead/#"]) as heard,
            AgentProcess(gateway, tmp_path / "agent.log") as agent,
        ):
            assert f"installed {name.replace('@', ' ')}" in edgead("model", "install", package, "-c", gateway)
            os.kill(agent.pid, signal.SIGHUP)
            wait_for(lambda: _has_model(heard, name), "the agent took the model")
            edgead(
                "replay", server.data / "today.csv", "--topic", "plant/pump1/{column}", "--port", broker.port
            )
            wait_for(lambda: last_state(heard) >= START_MS + 1000 * (ROWS - 5), "the last rows judged")
            assert agent.stop() == 0
            events = heard_events(heard)

    opened = [event for event in events if event["event"] == "open"]
    assert {event["ts"] for event in opened} <= set(abnormal)
    assert any(first <= event["ts"] < first + 20_000 for event in opened)
    for event in events:
        row = rows[event["ts"]]
        assert event["is_anomaly"] == row["isAnomaly"]
        assert event["severity"] == row["severity"]
        assert wire_score(event["score"]) == row["score"]
        if event["is_anomaly"]:
            causes = [(each["variable"], each["contribution"]) for each in event["top"]]
            told = [(each["variable"], each["contributionScore"]) for each in row["interpretation"]]
            assert causes == told[: len(causes)]
    assert any(event["top"][0]["variable"] == "current" for event in opened)


def _has_model(heard: Heard, name: str) -> bool:
    metas = [body for topic, body in list(heard.messages) if topic == "edgead/gw1/group/pump1/meta"]
    return bool(metas) and json.loads(metas[-1])["model"] == name
