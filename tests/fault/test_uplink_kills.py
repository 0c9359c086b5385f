"""An agent with an uplink, killed at random moments of sync, shadow run, activation and upload, while the server fails:
the old model is at work or the new one, in the end the newest, and every event reached the cloud once.
"""

import json
import os
import random
import signal
import time
from pathlib import Path
from typing import Any

import paho.mqtt.client as mqtt
import psutil
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgead.package import read_package
from edgead.registry.shelf import Shelf
from edgead.simulate import PUMP, simulate
from tests import packages
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.cloud import Cloud
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS
from tests.uplink import RepositoryServer, Vendor

pytestmark = pytest.mark.campaign

SEED = 881
KILLS = 100 if os.environ.get("EDGEAD_SOAK") else 6
FAULTS = ["ok", "500", "silent", "cut", "page", "503"]
MACHINE = {name: column.values for name, column in simulate(PUMP, 3000, seed=33).items()}
WINDOW = read_package(packages.PUMP).manifest.window
SHADOW = 10
#: Moments of a kill, seconds after the command: a sync and a short shadow run take about as long.
WITHIN_S = 4.0

CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
[http]
listen = ""
[uplink]
url = "{url}"
repository = "{repository}"
root = "{folder}/root.json"
shadow = {shadow}
watch = 0
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 128
lateness = 0
[[group]]
id = "pump1"
model = "pump"
variables = {{ {variables} }}
close_after = 3
"""


class Machine:
    """What is measured, one row after the other, and the commands of its operator."""

    def __init__(self, broker: Mosquitto, heard: Heard) -> None:
        self.second = self.requests = 0
        self._heard = heard
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "machine")
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()

    def run(self, rows: int, *, fault: bool = False) -> None:
        for _ in range(rows):
            for name, values in MACHINE.items():
                value = float(values[self.second % 3000]) * (3.0 if fault and name == "current" else 1.0)
                body = json.dumps({"value": value, "ts": START_MS + 1000 * self.second})
                self._client.publish(f"plant/pump1/{name}", body, qos=1).wait_for_publish(30)
            self.second += 1

    def ask(self, verb: str, payload: bytes = b"") -> str:
        self.requests += 1
        topic = f"edgead/gw1/cmd/{verb}/{self.requests}"
        self._client.publish(topic, payload, qos=1).wait_for_publish(30)
        return f"{topic}/status"

    def ended(self, topic: str) -> str:
        """How a command ended; "" = not yet."""
        states = [json.loads(body)["status"] for name, body in list(self._heard.messages) if name == topic]
        return states[-1] if states and states[-1] in ("successful", "failed") else ""

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def events_of(heard: Heard) -> set[tuple[Any, ...]]:
    told = [json.loads(body) for topic, body in list(heard.messages) if topic.endswith("/anomaly")]
    return {(event["id"], event["event"], event["ts"]) for event in told}


def kill(agent: AgentProcess, rng: random.Random) -> None:
    """SIGKILL: the agent, its sync, or both."""
    children = psutil.Process(agent.pid).children(recursive=True)
    whom = rng.choice(["agent", "child", "both"])
    if whom != "agent":
        for child in children:
            child.send_signal(signal.SIGKILL)
    if whom != "child" or not children:
        agent.kill()
        agent.start()


def test_whatever_is_killed_the_newest_model_is_at_work_and_every_event_arrived_once(tmp_path: Path) -> None:
    rng = random.Random(SEED)
    vendor = Vendor(tmp_path / "vendor")
    (tmp_path / "root.json").write_bytes(vendor.first_root)
    (tmp_path / "broker").mkdir()
    shelf = Shelf(tmp_path / "state" / "models", trial=lambda data: None)
    shelf.propose(packages.variant(1))
    with (
        Cloud() as cloud,
        RepositoryServer(vendor.repo) as repository,
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        Heard(broker.port, ["edgead/#"]) as heard,
    ):
        variables = ", ".join(f'{name} = "pump1.{name}"' for name in MACHINE)
        text = CONFIG.format(
            folder=tmp_path,
            port=broker.port,
            url=cloud.url,
            repository=repository.url,
            shadow=SHADOW,
            variables=variables,
        )
        (tmp_path / "gateway.toml").write_text(text)
        machine = Machine(broker, heard)
        with AgentProcess(tmp_path / "gateway.toml", tmp_path / "log") as agent:
            machine.run(WINDOW + 5)
            for number in range(KILLS):
                print(f"seed {SEED}, kill {number}")
                vendor.add(packages.variant(2 + number))
                old, new = packages.id_of(1 + number), packages.id_of(2 + number)
                machine.run(4, fault=True)
                cloud.faults += rng.choices(FAULTS, k=2)
                machine.ask("sync")
                until = time.monotonic() + rng.uniform(0.0, WITHIN_S)
                while time.monotonic() < until:
                    machine.run(5)
                kill(agent, rng)
                assert shelf.active("pump").manifest.id in (old, new)
                heal(machine, shelf, cloud, new)
            missing: set[tuple[Any, ...]] = set()

            def all_there() -> bool:
                missing.clear()
                missing.update(events_of(heard) - keys_of(cloud))
                return not missing

            last = machine.ask("sync")
            wait_for(lambda: machine.ended(last) == "successful", "the last sync", within_s=90)
            wait_for(all_there, lambda: f"missing in the cloud: {missing}")
            assert keys_of(cloud) == events_of(heard)
        machine.close()
    assert len(keys_of(cloud)) >= 2 * KILLS
    outcomes = [line["record"]["event"] for line in cloud.records.values() if line["kind"] == "update"]
    assert (
        outcomes.count("activated") >= KILLS // 2
    )  # a kill right behind an activation may take its record along


def heal(machine: Machine, shelf: Shelf, cloud: Cloud, new: str) -> None:
    """Nothing fails any more: run until the newest model is at work."""
    cloud.faults.clear()
    topic, until = machine.ask("sync"), time.monotonic() + 120
    while shelf.active("pump").manifest.id != new:
        assert time.monotonic() < until, "the newest model did not come to work"
        if machine.ended(topic):
            machine.run(10)
            if not shelf.candidates() and shelf.active("pump").manifest.id != new:
                topic = machine.ask("sync")
        else:
            time.sleep(0.1)


def keys_of(cloud: Cloud) -> set[tuple[Any, ...]]:
    records = [line["record"] for line in list(cloud.records.values()) if line["kind"] == "event"]
    keys = [(each["id"], each["event"], each["ts"]) for each in records]
    assert len(keys) == len(set(keys))
    return set(keys)
