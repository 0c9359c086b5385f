"""The agent on a real broker with a signal whose events are known, and what it shows of itself."""

import contextlib
import json
import os
import random
from collections.abc import Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

from edgead.bridge.tools import Publisher
from tests.agent_process import AgentProcess, Heard, in_order, wait_for
from tests.integration.test_main_job import detected
from tests.mosquitto import Mosquitto, free_port
from tests.recordings import START_MS

SOAK = bool(os.environ.get("EDGEAD_SOAK"))
SEED = int(os.environ.get("EDGEAD_SEED", "20251121"))
SPACING = 100  # rows between two peaks of the signal
CONFIG = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
keepalive = "{keepalive}"
[http]
listen = "127.0.0.1:{http}"
[limits]
max_series = 20
inbox = {inbox}
[[series]]
topic = "plant/{{machine}}/calm"
id = "{{machine}}.calm"
window = 64
sensitivity = 0
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 64
sensitivity = 100
lateness = "0s"
"""


def signal_with_peaks(rows: int) -> list[float]:
    """Noise with a peak every `SPACING` rows, each of another height, after the first 200."""
    rng = random.Random(SEED)
    return [
        rng.gauss(0, 1) + (40.0 + row / 1e4) * (row % SPACING == SPACING - 1 and row > 200)
        for row in range(rows)
    ]


def problems(http: int) -> list[str]:
    """What the agent says is wrong with it."""
    try:
        with urlopen(f"http://127.0.0.1:{http}/healthz", timeout=5) as answer:
            return list(json.loads(answer.read())["problems"])
    except HTTPError as unwell:
        with unwell as answer:
            return list(json.loads(answer.read())["problems"])
    except OSError:
        return ["no answer"]


def metrics(http: int) -> dict[str, float]:
    """Its metrics by name and labels, as in ``edgead_dropped_total{cause="late"}``."""
    with urlopen(f"http://127.0.0.1:{http}/metrics", timeout=5) as answer:
        lines = [line for line in answer.read().decode().splitlines() if not line.startswith("#")]
    return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}


def memory_bytes(pid: int, what: str = "VmRSS") -> int:
    """Resident memory of a process, or its highest so far (``VmHWM``), proc(5)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(f"{what}:"):
            return int(line.split()[1]) * 1024
    raise AssertionError(f"no {what} in /proc/{pid}/status")


class World:
    """Broker, agent, a listener and a publisher; the signal is series ``press.v0``."""

    def __init__(
        self,
        folder: Path,
        *,
        shipped: bool = True,
        rows: int = 20_000,
        inbox: int = 10_000,
        keepalive: str = "30s",
        env: dict[str, str] | None = None,
    ) -> None:
        print(f"seed {SEED}")
        (folder / "broker").mkdir()
        self.folder, self.http = folder, free_port()
        self.rng = random.Random(SEED)
        self.broker = Mosquitto(folder / "broker", shipped=shipped)
        self.config = folder / "gateway.toml"
        self.agent = AgentProcess(self.config, folder / "agent.log", env)
        self.heard = Heard(self.broker.port, ["edgead/gw1/#"])
        self.publisher = Publisher("127.0.0.1", self.broker.port)
        self._rows, self._sent = signal_with_peaks(rows), 0
        self.config.write_text(
            CONFIG.format(
                folder=folder, port=self.broker.port, http=self.http, inbox=inbox, keepalive=keepalive
            )
        )

    @contextlib.contextmanager
    def running(self) -> Iterator["World"]:
        """Everything started; at the end the events must be those of the signal judged as a file."""
        with self.broker, self.heard, self.agent, self.publisher:
            yield self
            self.publisher.drain()
            expected = self.expected()
            wait_for(
                lambda: len(self.heard.events("press.v0")) >= len(expected),
                lambda: f"{len(expected)} events told, {len(self.heard.events('press.v0'))} were",
                within_s=60,
            )
            assert self.agent.stop() == 0
        assert self.heard.events("press.v0") == sorted(expected, key=in_order)
        assert len(expected) >= 8

    def send(self, count: int) -> None:
        """Publish the next rows of the signal."""
        part = self._rows[self._sent : self._sent + count]
        assert len(part) == count, "the signal is too short"
        for value in part:
            body = {"ts": START_MS + self._sent * 1000, "value": value}
            self._sent += 1
            self.publisher.publish("plant/press/v0", json.dumps(body).encode())

    def expected(self) -> list[dict[str, object]]:
        """Events of the rows sent so far, judged as a file."""
        csv = self.folder / "recording.csv"
        lines = [f"{START_MS + i * 1000},{value!r}\n" for i, value in enumerate(self._rows[: self._sent])]
        csv.write_text("ts,v0\n" + "".join(lines))
        return detected(csv, self.config, "press.v0", "v0")

    def settle(self) -> None:
        """Wait until everything published so far was taken in."""
        self.publisher.drain()
        topic = f"edgead/gw1/cmd/ping/r{len(self.heard.messages)}"
        self.publisher.publish(topic, b"")
        wait_for(
            lambda: any(each == f"{topic}/status" for each, _ in list(self.heard.messages)),
            "the ping answered",
            within_s=120,
        )

    def problems(self) -> list[str]:
        """See `problems`."""
        return problems(self.http)

    def wait_for_problem(self, start: str) -> None:
        """Wait until a problem beginning like this is shown."""
        wait_for(
            lambda: any(each.startswith(start) for each in self.problems()),
            lambda: f"{start!r} in {self.problems()}",
        )

    def wait_until_well(self) -> None:
        """Wait until no problem is left."""
        wait_for(lambda: self.problems() == [], lambda: f"no problem left, there are {self.problems()}")

    def dropped(self, cause: str) -> int:
        """Count of a cause, once the look that is made every second has it."""
        return int(metrics(self.http).get(f'edgead_dropped_total{{cause="{cause}"}}', 0))

    def wait_for_dropped(self, cause: str, count: int) -> None:
        """Wait until a cause was counted so often, and no more."""
        wait_for(lambda: self.dropped(cause) >= count, lambda: f"{count} {cause}, got {self.dropped(cause)}")
        assert self.dropped(cause) == count

    def health(self) -> list[list[str]]:
        """The reasons of every ``health`` message so far."""
        return [json.loads(p)["reasons"] for t, p in list(self.heard.messages) if t == "edgead/gw1/health"]
