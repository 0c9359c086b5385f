"""Steps of the wall clock and a suspend, of the whole agent: told, judged on, recovered without a restart."""

import json
import time
from pathlib import Path

import pytest

from edgead.bridge.tools import Publisher
from tests.agent_process import AgentProcess, Heard, in_order, wait_for
from tests.fault.agent_world import SEED, metrics, problems, signal_with_peaks
from tests.fault.clock_steps import Clocks
from tests.integration.test_main_job import detected
from tests.mosquitto import Mosquitto, free_port
from tests.recordings import START_MS

DAY_S = 86_400
CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
[http]
listen = "127.0.0.1:{http}"
[store]
commit_interval = "200ms"
[[series]]
topic = "plant/{{machine}}/own"
window = 64
sensitivity = 100
lateness = "0s"
[[series]]
topic = "plant/{{machine}}/bare"
value = ""
interval = "1h"
stale_after = "2s"
window = 64
sensitivity = 100
lateness = "0s"
"""


class Plant:
    """One signal, sent with times of its own on one topic and without on the other."""

    def __init__(self, rows: list[float], publisher: Publisher, heard: Heard, http: int) -> None:
        self.rows, self.sent = rows, 0
        self._publisher, self._heard, self._http = publisher, heard, http

    def publish(self, count: int) -> list[float]:
        """Send the next rows; returns the values of their peaks."""
        part = self.rows[self.sent : self.sent + count]
        assert len(part) == count
        for value in part:
            at = START_MS + self.sent * 1000
            self.sent += 1
            self._publisher.publish("plant/press/own", json.dumps({"ts": at, "value": value}).encode())
            self._publisher.publish("plant/press/bare", repr(value).encode())
        self._publisher.drain()
        return [value for value in part if value > 20]

    def problems(self) -> list[str]:
        """See `problems`."""
        return problems(self._http)

    def trust(self) -> str:
        """What the retained info says of the clock."""
        infos = [payload for topic, payload in self._heard.messages if topic == "edgead/gw1/info"]
        return str(json.loads(infos[-1])["clock"])

    def wait_until(self, problem: str) -> None:
        """Wait until the clock is doubted for this reason, and that is shown everywhere; "" = no more."""
        if problem:
            wait_for(lambda: any(problem in each for each in self.problems()), f"told: {problem}")
        else:
            wait_for(lambda: self.problems() == [], "recovered")
        wait_for(lambda: self.trust() == ("untrusted" if problem else "trusted"), "info tells the trust")

    def opened(self, series_id: str) -> list[float]:
        """Values that opened an episode, in the order they were told."""
        anomalies = [p for t, p in list(self._heard.messages) if t.endswith(f"/series/{series_id}/anomaly")]
        events = [json.loads(payload) for payload in anomalies]
        return [event["value"] for event in events if event["event"] == "open"]

    def expect(self, peaks: list[float], what: str) -> None:
        """Every one of these peaks is told, of both series."""
        for name in ("plant.press.own", "plant.press.bare"):
            wait_for(lambda name=name: set(peaks) <= set(self.opened(name)), f"{what}: {name} told")


@pytest.mark.campaign
def test_clock_steps_and_a_suspend_are_told_and_change_no_event(tmp_path: Path):
    print(f"seed {SEED}")
    rows = signal_with_peaks(5000)
    (tmp_path / "broker").mkdir()
    config, csv, http = tmp_path / "gateway.toml", tmp_path / "recording.csv", free_port()
    clocks = Clocks(tmp_path)
    with Mosquitto(tmp_path / "broker", shipped=True) as broker:
        config.write_text(CONFIG.format(folder=tmp_path, port=broker.port, http=http))
        with (
            Heard(broker.port, ["edgead/gw1/#"]) as heard,
            AgentProcess(config, tmp_path / "agent.log", clocks.env) as agent,
            Publisher("127.0.0.1", broker.port) as publisher,
        ):
            plant = Plant(rows, publisher, heard, http)
            plant.expect(plant.publish(400), "before")
            plant.wait_until("")

            clocks.step_by(-DAY_S)
            plant.wait_until("was stepped back")
            plant.expect(plant.publish(200), "a day back")
            clocks.right()
            plant.wait_until("")
            plant.expect(plant.publish(150), "right again")

            for second, doubt in ((100, "was never set"), (4_102_444_800, "is decades ahead")):
                clocks.step_to(second)
                plant.wait_until(doubt)
                plant.expect(plant.publish(150), doubt)
                assert agent.stop() == 0  # and a restart changes nothing of it
                agent.start()
                plant.wait_until(doubt)
                plant.expect(plant.publish(150), f"{doubt}, restarted")
                clocks.right()
                plant.wait_until("")
                plant.expect(plant.publish(150), f"after: {doubt}")
            untouched = len(plant.opened("plant.press.own"))
            assert plant.opened("plant.press.bare")[:untouched] == plant.opened("plant.press.own")

            clocks.suspend(7 * DAY_S)
            assert plant.problems() == []
            plant.publish(100)  # a window that has forgotten the week
            plant.expect(plant.publish(200), "after a week's suspend")

            clocks.step_by(-DAY_S)  # and this time it stays
            plant.wait_until("was stepped back")
            plant.expect(plant.publish(150), "back to stay")
            clocks.suspend(700)  # ten minutes pass
            plant.wait_until("")
            wait_for(
                lambda: not plant.publish(1) and 'edgead_dropped_total{cause="rejoined"}' in metrics(http),
                "bare readings believed",
            )
            plant.publish(200)
            plant.expect(plant.publish(200), "believed")
            assert agent.stop() == 0
        csv.write_text(
            "ts,v0\n" + "".join(f"{START_MS + i * 1000},{v!r}\n" for i, v in enumerate(rows[: plant.sent]))
        )
        expected = detected(csv, config, "plant.press.own", "v0")
    assert len(expected) >= 40
    assert heard.events("plant.press.own") == sorted(expected, key=in_order)
    times = [event["ts"] for event in heard.events("plant.press.bare")]
    assert max(times) < (time.time() + 7 * DAY_S) * 1000, "a time from the future was told"
