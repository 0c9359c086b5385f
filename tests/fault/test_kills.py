"""SIGKILL of agent and broker at random moments of a replay: the events are those of an undisturbed run."""

import json
import os
import random
import threading
import time
from pathlib import Path

import pytest

from edgead.bridge.tools import Publisher
from edgead.errors import BridgeError
from tests.agent_process import AgentProcess, Heard, in_order, wait_for
from tests.integration.test_main_job import CONFIG, detected
from tests.mosquitto import Mosquitto
from tests.recordings import write_csv

ROWS = 4000
#: Rows published a second: slow enough that kills fall into the replay.
RATE = 400


class Replay(threading.Thread):
    """Publishes a CSV row by row at QoS 1, and goes back to the last acknowledged rows when the broker dies."""

    def __init__(self, csv: Path, port: int, topic: str) -> None:
        super().__init__()
        lines = csv.read_text().splitlines()[1:]
        self._rows = [line.split(",") for line in lines]
        self._port = port
        self._topic = topic
        self.failure: BaseException | None = None

    def run(self) -> None:
        self._row = self._safe = 0
        try:
            while self._row < len(self._rows):
                try:
                    self._publish_on()
                except BridgeError:
                    self._row = self._safe
                    time.sleep(0.2)
        except BaseException as error:
            self.failure = error

    def _publish_on(self) -> None:
        with Publisher("127.0.0.1", self._port) as publisher:
            while self._row < len(self._rows):
                stamp, value = self._rows[self._row]
                payload = json.dumps({"ts": int(stamp), "value": float(value)})
                publisher.publish(self._topic, payload.encode())
                self._row += 1
                if self._row % 50 == 0:
                    publisher.drain()
                    self._safe = self._row
                time.sleep(1 / RATE)
            publisher.drain()


def undisturbed(folder: Path, port: int) -> tuple[Path, Path, list[dict[str, object]]]:
    """CSV of a web KPI with a peak every two hundred rows, configuration, and the events that must come."""
    csv, config = folder / "recording.csv", folder / "gateway.toml"
    write_csv(
        csv, "KPI", "0efb375b-b902-3661-ab23-9a0bb799f4e3", ROWS, add=lambda row: 30.0 * (row % 200 == 199)
    )
    text = CONFIG.format(folder=folder, port=port, interval="1min").replace("window = 256", "window = 64")
    config.write_text(text.replace('unit = "bar"', 'unit = "bar"\nlateness = "0s"'))
    expected = detected(csv, config, "press.v0", "v0")
    assert len(expected) >= 20, "too few events to show anything"
    return csv, config, expected


@pytest.mark.campaign
@pytest.mark.timeout(0 if os.environ.get("EDGEAD_SOAK") else 300)
def test_kills_of_agent_and_broker_lose_no_event_and_tell_none_twice_differently(tmp_path: Path):
    soak = bool(os.environ.get("EDGEAD_SOAK"))
    seed = int(os.environ.get("EDGEAD_SEED", "20251121"))
    rounds, agent_kills, broker_kills = (50, 20, 2) if soak else (1, 20, 5)
    for each in range(rounds):
        print(f"seed {seed + each}")
        _one_round(tmp_path / str(each), random.Random(seed + each), agent_kills, broker_kills)


def _one_round(folder: Path, rng: random.Random, agent_kills: int, broker_kills: int) -> None:
    (folder / "broker").mkdir(parents=True)
    with Mosquitto(folder / "broker", shipped=True) as broker:
        csv, config, expected = undisturbed(folder, broker.port)
        kills = ["agent"] * agent_kills + ["broker"] * broker_kills
        rng.shuffle(kills)
        agent = AgentProcess(config, folder / "agent.log")
        agent.start()
        with Heard(broker.port, ["edgead/gw1/#"]) as heard:
            replay = Replay(csv, broker.port, "plant/press/v0")
            replay.start()
            for victim in kills:
                time.sleep(rng.uniform(0.0, 0.5))
                if victim == "agent":
                    agent.kill()
                    agent.start()
                else:
                    broker.kill()
                    time.sleep(rng.uniform(0.0, 0.3))
                    broker.start()
            replay.join(120)
            assert replay.failure is None
            wait_for(lambda: len(heard.events("press.v0")) >= len(expected), "all events told", within_s=60)
            time.sleep(1.0)
            assert agent.stop() == 0
            told = heard.events("press.v0")
        assert told == sorted(expected, key=in_order)
