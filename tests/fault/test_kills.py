"""Kills of agent and broker, and a bad network, at random moments of a replay: the events are as undisturbed."""

import json
import os
import random
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

from edgead.bridge.tools import Publisher
from edgead.errors import BridgeError
from tests.agent_process import AgentProcess, Heard, in_order, wait_for
from tests.integration.test_main_job import CONFIG, detected
from tests.mosquitto import Mosquitto
from tests.proxy import KINDS, FlakyProxy
from tests.recordings import write_csv

ROWS = 4000
#: What the broker may queue and send at once, as in firmware-config/mosquitto.
QUEUES = "max_queued_messages 100000\nmax_inflight_messages 0\n"
#: Rows that the sensor sends again when the broker died: what the broker acknowledged and had neither passed on nor
#: saved is lost with it, and no client can know.
SENT_AGAIN = 1500
#: Rows that an agent may be behind when a broker that keeps nothing is killed; the rest of the rows that are sent again
#: is what it takes in between two commits.
BEHIND = 300
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
        self.may_connect = threading.Event()
        self.may_connect.set()

    def run(self) -> None:
        self.row = self._safe = self._farthest = 0
        try:
            while self.row < len(self._rows):
                assert self.may_connect.wait(60)
                try:
                    self._publish_on()
                except BridgeError:
                    self.row = self._safe = max(0, self._safe - SENT_AGAIN)
                    time.sleep(0.2)
        except BaseException as error:
            self.failure = error

    def _publish_on(self) -> None:
        with Publisher("127.0.0.1", self._port) as publisher:
            while self.row < len(self._rows):
                stamp, value = self._rows[self.row]
                payload = json.dumps({"ts": int(stamp), "value": float(value)})
                publisher.publish(self._topic, payload.encode())
                self.row += 1
                if self.row % 50 == 0:
                    publisher.drain()
                    self._safe = self.row
                if self.row > self._farthest:
                    self._farthest = self.row
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


SOAK = bool(os.environ.get("EDGEAD_SOAK"))
SEED = int(os.environ.get("EDGEAD_SEED", "20251121"))


class Run(NamedTuple):
    """One replay of the recording into a real agent, while things happen to it."""

    broker: Mosquitto
    proxy: FlakyProxy
    heard: Heard
    agent: AgentProcess
    replay: Replay
    persistent: bool


Disturb = Callable[[Run, random.Random], None]


def run_through(folder: Path, seed: int, disturb: Disturb, *, persistent: bool = True) -> None:
    """Replay while `disturb` does its worst; the events must be those of an undisturbed run."""
    print(f"seed {seed}")
    (folder / "broker").mkdir(parents=True)
    rng = random.Random(seed)
    with (
        Mosquitto(folder / "broker", persistence=persistent, config=QUEUES) as broker,
        FlakyProxy(broker.port, rng) as proxy,
        Heard(broker.port, ["edgead/gw1/#"]) as heard,
    ):
        csv, config, expected = undisturbed(folder, proxy.port)
        agent = AgentProcess(config, folder / "agent.log")
        agent.start()
        wait_for_subscription(broker.port, heard)
        replay = Replay(csv, broker.port, "plant/press/v0")
        replay.start()
        disturb(Run(broker, proxy, heard, agent, replay, persistent), rng)
        replay.join(120)
        assert replay.failure is None

        def missing() -> list[dict[str, object]]:
            told = heard.events("press.v0")
            return [event for event in expected if event not in told]

        wait_for(lambda: not missing(), lambda: f"all events told; missing: {missing()}", within_s=90)
        time.sleep(1.0)
        assert agent.stop() == 0
        assert heard.events("press.v0") == sorted(expected, key=in_order)


def wait_for_subscription(port: int, heard: Heard) -> None:
    """Wait until the agent answers a command: what is published before it has subscribed reaches nobody."""
    topic = f"edgead/gw1/cmd/ping/r{len(heard.messages)}"

    def answered() -> bool:
        with Publisher("127.0.0.1", port) as publisher:
            publisher.publish(topic, b"")
            publisher.drain()
        time.sleep(0.2)
        return any(each == f"{topic}/status" for each, _ in heard.messages)

    wait_for(answered, "the agent has subscribed", within_s=90)


def wait_until_near(run: Run) -> None:
    """Wait until the agent has nearly all that was sent: what waits for it dies with a broker that keeps nothing."""

    def near() -> bool:
        row = run.replay.row
        wait_for_subscription(run.broker.port, run.heard)
        return 0 <= run.replay.row - row <= BEHIND

    wait_for(near, "the agent is near", within_s=90)


def kill_broker(run: Run, away_s: float) -> None:
    """SIGKILL the broker and bring it back.

    A broker passes nothing on to nobody: who listens must be back before the agent tells, and where sessions are not
    kept, the agent before the sensor sends.
    """
    if not run.persistent:
        wait_until_near(run)
        run.replay.may_connect.clear()
    run.proxy.open = False
    run.broker.pause()  # what it has passed on was passed on: the test is not about who listens
    run.heard.wait_read()
    run.broker.kill()
    time.sleep(away_s)
    run.broker.start()
    run.heard.wait_listening()
    run.proxy.open = True
    if not run.persistent:
        wait_for_subscription(run.broker.port, run.heard)
        run.replay.may_connect.set()


def kills(agents: int, brokers: int) -> Disturb:
    """SIGKILL agent and broker so many times, at random moments."""

    def disturb(run: Run, rng: random.Random) -> None:
        victims = ["agent"] * agents + ["broker"] * brokers
        rng.shuffle(victims)
        for victim in victims:
            time.sleep(rng.uniform(0.0, 0.5))
            if victim == "agent":
                run.agent.kill()
                run.agent.start()
                continue
            kill_broker(run, rng.uniform(0.0, 0.3))

    return disturb


def cuts(count: int) -> Disturb:
    """So many troubles of the network between agent and broker."""

    def disturb(run: Run, rng: random.Random) -> None:
        for _ in range(count):
            time.sleep(rng.uniform(0.1, 0.6))
            run.proxy.trouble(rng.choice(KINDS))

    return disturb


@pytest.mark.campaign
@pytest.mark.timeout(0 if SOAK else 900)
@pytest.mark.parametrize("persistent", [True, False])
def test_kills_of_agent_and_broker_lose_no_event_and_tell_none_twice_differently(
    tmp_path: Path, persistent: bool
):
    rounds, agents, brokers = (25, 20, 2) if SOAK else (1, 20 if persistent else 10, 5)
    for each in range(rounds):
        run_through(tmp_path / str(each), SEED + each, kills(agents, brokers), persistent=persistent)


@pytest.mark.campaign
@pytest.mark.timeout(0 if SOAK else 900)
def test_a_bad_network_loses_no_event_and_tells_none_twice_differently(tmp_path: Path):
    for each in range(5 if SOAK else 1):
        run_through(tmp_path / str(each), SEED + each, cuts(20 if SOAK else 10))
