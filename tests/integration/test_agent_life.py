"""The agent's life: commands, reload, restart, a broker that comes late, a second agent."""

import json
import math
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from edgead.bridge.tools import Publisher
from edgead.store import Store
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS

CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
state_every = "100ms"
[http]
listen = ""
[[series]]
topic = "plant/{{machine}}/temp"
window = 32
lateness = "0s"
unit = "{unit}"
"""


class Plant:
    """A broker, an agent, somebody who listens, and a sensor."""

    def __init__(self, folder: Path, broker: Mosquitto, heard: Heard, publisher: Publisher) -> None:
        self.folder, self.broker, self.heard, self.publisher = folder, broker, heard, publisher
        self.config = folder / "gateway.toml"
        self.configure()
        self.agent = AgentProcess(self.config, folder / "agent.log")
        self._row = 0

    def configure(self, *, unit: str = "degC", text: str = CONFIG) -> None:
        self.config.write_text(text.format(folder=self.folder, port=self.broker.port, unit=unit))

    def send(self, count: int, machine: str = "press") -> None:
        """Readings of a quiet machine, and wait until they were taken in."""
        for _ in range(count):
            self._row += 1
            body = {"ts": START_MS + self._row * 1000, "value": math.sin(self._row) + self._row % 7 / 10}
            self.publisher.publish(f"plant/{machine}/temp", json.dumps(body).encode())
        self.publisher.drain()
        self.command("ping")

    def command(self, verb: str, payload: str = "") -> dict[str, str]:
        """Send a command and return its last status."""
        request = f"r{len(self.heard.messages)}"
        self.publisher.publish(f"edgead/gw1/cmd/{verb}/{request}", payload.encode())
        topic = f"edgead/gw1/cmd/{verb}/{request}/status"
        done = ("successful", "failed")
        wait_for(lambda: self.last(topic).get("status") in done, f"{verb} answered")
        return self.last(topic)

    def last(self, topic: str) -> dict[str, str]:
        """The newest message on a topic, {} before the first."""
        found = [payload for each, payload in self.heard.messages if each == topic]
        return json.loads(found[-1]) if found and found[-1] else {}

    def meta(self, machine: str = "press") -> dict[str, str]:
        return self.last(f"edgead/gw1/series/plant.{machine}.temp/meta")


@pytest.fixture
def plant(tmp_path: Path) -> Iterator[Plant]:
    (tmp_path / "broker").mkdir()
    with (
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        Heard(broker.port, ["edgead/#"]) as heard,
        Publisher("127.0.0.1", broker.port) as publisher,
    ):
        plant = Plant(tmp_path, broker, heard, publisher)
        with plant.agent:
            yield plant


def test_birth_is_told_in_order_and_a_clean_stop_says_offline(plant: Plant):
    wait_for(lambda: plant.last("edgead/gw1/health") != {}, "health told")
    topics = [topic for topic, _ in plant.heard.messages]
    assert topics[:2] == ["edgead/gw1/status", "edgead/gw1/info"]
    assert plant.last("edgead/gw1/status")["state"] == "online"
    assert plant.agent.stop() == 0
    wait_for(lambda: plant.last("edgead/gw1/status")["state"] == "offline", "offline said")


def test_without_a_series_that_wants_it_no_network_is_loaded(plant: Plant):
    def loaded() -> list[str]:
        mapped = Path(f"/proc/{plant.agent.pid}/maps").read_text()
        return [each for each in ("onnxruntime", "numpy") if each in mapped]

    plant.send(3)
    assert loaded() == ["onnxruntime", "numpy"]
    assert plant.last("edgead/gw1/info")["default_detector"] == "srcnn"
    plant.agent.stop()
    plant.configure(text=CONFIG + 'detector = "spectral-residual"\n')
    plant.heard.messages.clear()
    plant.agent.start()
    plant.send(3)
    assert loaded() == []
    assert plant.last("edgead/gw1/info")["default_detector"] == ""


def test_a_killed_agent_is_offline_by_its_last_will(plant: Plant):
    plant.agent.kill()
    wait_for(lambda: plant.last("edgead/gw1/status").get("state") == "offline", "offline said")


def test_mute_unmute_and_relearn_change_the_phase_and_answer(plant: Plant):
    plant.send(200)
    wait_for(lambda: plant.meta().get("phase") == "ready", "ready")
    assert plant.command("mute", "plant.press.temp")["status"] == "successful"
    wait_for(lambda: plant.meta()["phase"] == "muted", "muted")
    answer = plant.command("mute", '{"series": "plant.press.temp", "for": 3600}')
    assert answer["reason"].startswith("plant.press.temp is muted until 20")
    assert plant.command("unmute", "plant.press.temp")["status"] == "successful"
    wait_for(lambda: plant.meta()["phase"] == "ready", "ready again")
    assert plant.command("relearn", '{"series": "plant.press.temp"}')["status"] == "successful"
    wait_for(lambda: plant.meta()["phase"] == "learning", "learning")


def test_a_command_for_an_unknown_series_fails_with_the_reason(plant: Plant):
    answer = plant.command("mute", "nothing")
    assert answer["status"] == "failed"
    assert "'nothing' is unknown" in answer["reason"]


def test_a_mute_outlives_a_kill(plant: Plant):
    plant.send(100)
    assert plant.command("mute", "plant.press.temp")["status"] == "successful"
    plant.send(20)
    wait_for(lambda: plant.last("edgead/gw1/health") != {}, "a commit")
    plant.agent.stop()
    plant.heard.messages.clear()
    plant.agent.start()
    wait_for(lambda: plant.meta().get("phase") == "muted", "still muted")


def test_what_was_learned_outlives_a_kill(plant: Plant):
    plant.send(200)
    wait_for(lambda: plant.meta().get("phase") == "ready", "ready")
    plant.agent.kill()
    plant.heard.messages.clear()
    plant.agent.start()
    # what was not committed comes from the broker again; no sensor sends
    wait_for(lambda: plant.meta().get("phase") == "ready", "ready again")


def test_sighup_takes_the_file_again_and_keeps_what_was_learned(plant: Plant):
    plant.send(200)
    wait_for(lambda: plant.meta().get("phase") == "ready", "ready")
    plant.configure(unit="K")
    os.kill(plant.agent.pid, signal.SIGHUP)
    wait_for(lambda: plant.meta().get("unit") == "K", "the new unit told")
    assert plant.meta()["phase"] == "ready"


def test_a_bad_file_changes_nothing(plant: Plant):
    plant.send(50)
    plant.configure(text="[[series]]\ntopic = 7\n")
    os.kill(plant.agent.pid, signal.SIGHUP)
    wait_for(lambda: "configuration refused" in plant.agent.log.read_text(), "refused")
    plant.send(50)
    assert plant.meta()["unit"] == "degC"


def test_what_needs_a_restart_stays_as_it_runs_and_is_told_once(plant: Plant):
    wait_for(lambda: plant.last("edgead/gw1/info") != {}, "info told")
    before = plant.last("edgead/gw1/info")["config_sha256"]
    plant.configure(text=CONFIG.replace('"gw1"', '"gw2"') + '[log]\nformat = "json"\n')
    os.kill(plant.agent.pid, signal.SIGHUP)
    wait_for(lambda: plant.agent.log.read_text().count("configuration taken") == 1, "taken")
    assert "these sections need a restart sections=node,log" in plant.agent.log.read_text()
    plant.broker.restart()
    wait_for(lambda: plant.last("edgead/gw1/info")["config_sha256"] != before, "info told anew")
    assert plant.last("edgead/gw1/info")["node"] == "gw1"
    plant.configure()
    os.kill(plant.agent.pid, signal.SIGHUP)
    wait_for(lambda: plant.agent.log.read_text().count("configuration taken") == 2, "taken again")
    assert plant.agent.log.read_text().count("need a restart") == 1


def test_a_series_that_left_the_file_is_forgotten_and_unsubscribed(plant: Plant):
    plant.send(50)
    wait_for(lambda: plant.meta() != {}, "meta told")
    plant.configure(text=CONFIG.replace("{{machine}}/temp", "{{machine}}/pressure"))
    os.kill(plant.agent.pid, signal.SIGHUP)
    wait_for(lambda: "configuration taken" in plant.agent.log.read_text(), "taken")
    wait_for(lambda: plant.meta() == {}, "the meta taken back")
    plant.command("ping")
    held = json.loads((plant.folder / "state/subscriptions.json").read_text())
    assert "plant/+/pressure" in held
    wait_for(
        lambda: "plant/+/temp" not in (plant.folder / "state/subscriptions.json").read_text(), "unsubscribed"
    )
    assert {path.stat().st_mode & 0o777 for path in (plant.folder / "state").iterdir()} == {0o600}


@pytest.mark.parametrize("end", ["stop", "kill"])
def test_what_left_the_file_between_two_runs_is_taken_back_at_the_broker(plant: Plant, end: str):
    plant.send(50)
    wait_for(lambda: plant.last("edgead/gw1/series/plant.press.temp/state") != {}, "state told")
    wait_for(lambda: _journal_rows(plant) > 0, "the series is on the disk")
    getattr(plant.agent, end)()
    plant.configure(text=CONFIG.replace("{{machine}}/temp", "{{machine}}/pressure"))
    plant.heard.messages.clear()
    plant.agent.start()
    gone = {(f"edgead/gw1/series/plant.press.temp/{leaf}", b"") for leaf in ("meta", "state")}
    wait_for(lambda: gone <= set(plant.heard.messages), "meta and state taken back")
    assert "no longer configured, and forgotten count=1 names=plant.press.temp" in plant.agent.log.read_text()


def _journal_rows(plant: Plant) -> int:
    view = Store.read_only(plant.folder / "state")
    try:
        return view.journal_rows
    finally:
        view.close()


def test_an_agent_waits_for_a_broker_that_comes_late(plant: Plant):
    plant.agent.stop()
    plant.broker.kill()
    log = plant.folder / "late.log"
    with open(log, "ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", "edgead", "run", "-c", str(plant.config)], stderr=stderr
        )
    wait_for(lambda: "broker not connected" in log.read_text(), "waiting")
    plant.broker.start()
    wait_for(lambda: "broker connected" in log.read_text(), "connected")
    process.send_signal(signal.SIGTERM)
    assert process.wait(20) == 0


def test_a_second_agent_on_the_same_state_is_refused_with_a_plain_sentence(plant: Plant):
    done = subprocess.run(
        [sys.executable, "-m", "edgead", "run", "-c", str(plant.config)],
        capture_output=True,
        text=True,
        timeout=30,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "state" in done.stderr
