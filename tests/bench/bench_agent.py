"""What the agent costs: CPU a QoS 1 message against a bare paho receive loop, memory a series, restarts, bytes written.

Interleaved rounds against one real mosquitto; every figure is of whole processes (/proc).  ``python
tests/bench/bench_agent.py [--messages N] [--rounds N]``.
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import msgspec  # noqa: E402

from edgead.bridge.tools import Publisher  # noqa: E402
from tests.agent_process import AgentProcess, wait_for  # noqa: E402
from tests.mosquitto import Mosquitto  # noqa: E402

TICKS = os.sysconf("SC_CLK_TCK")
START_MS = 1_763_683_200_000

CONFIG = """
[node]
id = "bench"
state_dir = "{folder}/state"
[mqtt]
port = {port}
[http]
listen = "127.0.0.1:{http}"
[limits]
max_series = 20000
memory_budget = "2GiB"
[store]
[[series]]
topic = "plant/{{machine}}/{{variable}}"
window = {window}
detector = "{detector}"
interval = "1s"
"""

BARE = """
import sys
import paho.mqtt.client as mqtt
seen = 0
def on_message(client, data, message):
    global seen
    seen += 1
    if message.topic == "plant/end/end":
        print(seen, flush=True)
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, "bare", clean_session=False)
client.on_connect = lambda c, *rest: c.subscribe("plant/#", 1)
client.on_subscribe = lambda *rest: print("ready", flush=True)
client.on_message = on_message
client.connect("127.0.0.1", int(sys.argv[1]))
client.loop_forever()
"""


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far (proc(5), stat)."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def rss_bytes(pid: int) -> int:
    """Resident memory of a process."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def messages(count: int, series: int, batch: int, start: int) -> list[tuple[str, bytes]]:
    """Payloads of a plant: a slow swing with a little noise; one topic a series."""
    out = []
    for i in range(count):
        row, which = divmod(i, series)
        at = start + row * batch
        values = [math.sin((at + j) / 20) + ((at + j) * 7919 % 100) / 500 for j in range(batch)]
        body: dict[str, object] = {"value": values[0], "ts": START_MS + at * 1000}
        if batch > 1:
            body = {"value": values, "ts": START_MS + at * 1000, "dt": 1000}
        out.append((f"plant/m{which}/v", msgspec.json.encode(body)))
    return out


def publish(port: int, load: list[tuple[str, bytes]]) -> None:
    """Send all, at QoS 1, as fast as the broker takes them."""
    with Publisher("127.0.0.1", port) as publisher:
        for topic, payload in load:
            publisher.publish(topic, payload)
        publisher.drain()


def bare_round(broker: Mosquitto, load: list[tuple[str, bytes]]) -> float:
    """CPU seconds of a bare paho receive loop for a load."""
    with subprocess.Popen(
        [sys.executable, "-c", BARE, str(broker.port)], stdout=subprocess.PIPE, text=True
    ) as bare:
        assert bare.stdout is not None
        bare.stdout.readline()
        before = cpu_seconds(bare.pid)
        publish(broker.port, load)
        publish(broker.port, [("plant/end/end", b"0")])
        bare.stdout.readline()
        spent = cpu_seconds(bare.pid) - before
        bare.kill()
    return spent


def metric(http: int, name: str) -> float:
    """One sample of the agent's /metrics."""
    from urllib.request import urlopen

    text = urlopen(f"http://127.0.0.1:{http}/metrics", timeout=5).read().decode()
    return next(
        (float(line.split()[1]) for line in text.splitlines() if line.startswith(f"edgead_{name} ")), 0.0
    )


class Watched:
    """One agent on the broker."""

    def __init__(self, folder: Path, broker: Mosquitto, http: int, window: int, detector: str) -> None:
        self.http = http
        config = folder / "bench.toml"
        config.write_text(
            CONFIG.format(folder=folder, port=broker.port, http=http, window=window, detector=detector)
        )
        self.process = AgentProcess(config, folder / "agent.log")
        self.process.start()

    def load(self, broker: Mosquitto, load: list[tuple[str, bytes]], readings: int) -> float:
        """CPU seconds of the agent for a load."""
        time.sleep(1.2)
        before, seen = cpu_seconds(self.process.pid), metric(self.http, "readings_total")
        publish(broker.port, load)
        wait_for(lambda: metric(self.http, "readings_total") >= seen + readings, "all judged", within_s=300)
        return cpu_seconds(self.process.pid) - before


def compare(count: int, rounds: int, window: int, detector: str) -> None:
    """CPU per message, single readings and arrays of 64, against bare paho."""
    single, arrays, bare = [], [], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "broker").mkdir()
        with Mosquitto(folder / "broker", shipped=True) as broker:
            agent = Watched(folder, broker, free_port(), window, detector)
            start = 0
            for _ in range(rounds):
                load = messages(count, 10, 1, start)
                bare.append(bare_round(broker, load) / count)
                start += count
                single.append(agent.load(broker, messages(count, 10, 1, start), count) / count)
                start += count
                few = max(count // 16, 10)
                arrays.append(agent.load(broker, messages(few, 10, 64, start), few * 64) / (few * 64))
                start += few * 64
            agent.process.stop()
    print(f"bare paho receive                {1e6 * statistics.median(bare):8.1f} us of CPU a message")
    print(
        f"agent, single readings           {1e6 * statistics.median(single):8.1f} us a message, ratio to bare",
        f"{statistics.median(a / b for a, b in zip(single, bare, strict=True)):.2f}",
    )
    print(
        f"agent, arrays of 64              {1e6 * statistics.median(arrays):8.1f} us a reading, ratio to a single",
        f"{statistics.median(a / b for a, b in zip(arrays, single, strict=True)):.3f}",
    )


def free_port() -> int:
    """A loopback port that nobody listens on right now."""
    from tests.mosquitto import free_port as port

    return port()


def judging_again(agent: AgentProcess) -> float:
    """Seconds from SIGKILL until the agent is connected, with its journal judged again."""
    agent.kill()
    started = time.monotonic()
    agent.start()
    return time.monotonic() - started


def memory(counts: list[int], window: int, detector: str, restarts: int) -> None:
    """RSS by number of series, and how long a killed agent takes until it judges again, with that RSS."""
    sizes = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            (folder / "broker").mkdir()
            with Mosquitto(folder / "broker", shipped=True) as broker:
                agent = Watched(folder, broker, free_port(), window, detector)
                few = max(1, 64)
                load = messages(count * 5, count, few, 0)
                agent.load(broker, load, count * 5 * few)
                sizes.append(rss_bytes(agent.process.pid))
                back = [judging_again(agent.process) for _ in range(restarts)]
                print(
                    f"RSS at {count:6d} series, window {window}   {sizes[-1] / 2**20:7.1f} MiB;"
                    f" judging again {statistics.median(back):.2f} s ({min(back):.2f}..{max(back):.2f}) after SIGKILL,"
                    f" with {rss_bytes(agent.process.pid) / 2**20:.1f} MiB"
                )
                agent.process.stop()
    if len(counts) > 1:
        each = (sizes[-1] - sizes[0]) / (counts[-1] - counts[0])
        print(f"one more series                  {each / 1024:8.1f} KiB")


def wear(rates: list[int], seconds: float, detector: str) -> None:
    """Bytes and commits (one flush each, three more when the log is folded in) of a steady stream."""
    for rate in rates:
        with tempfile.TemporaryDirectory(dir=ROOT) as name:
            folder = Path(name)
            (folder / "broker").mkdir()
            with Mosquitto(folder / "broker", shipped=True) as broker:
                agent = Watched(folder, broker, free_port(), 1440, detector)
                load = messages(int(rate * seconds), max(rate, 1), 1, 0)
                began = time.monotonic()
                with Publisher("127.0.0.1", broker.port) as publisher:
                    for at, (topic, payload) in enumerate(load):
                        ahead = began + at / rate - time.monotonic()
                        if ahead > 0:
                            time.sleep(ahead)
                        publisher.publish(topic, payload)
                    publisher.drain()
                wait_for(lambda: metric(agent.http, "readings_total") >= len(load), "all judged", within_s=60)  # noqa: B023
                time.sleep(1.5)
                took = time.monotonic() - began
                written, commits = (
                    metric(agent.http, f"{each}_total") for each in ("bytes_written", "commits")
                )
                agent.process.stop()
            kib = written / 1024 / len(load) * 1000
            year = written / took * 86_400 * 365 / 1e9
            print(
                f"{rate:5d} readings a second        {kib:8.0f} KiB per 1000 readings,"
                f" {commits / took * 60:.0f} commits a minute, {year:.0f} GB a year without snapshots"
            )


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--messages", type=int, default=20_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--window", type=int, default=1440)
    parser.add_argument("--detector", default="default", help="of all series")
    parser.add_argument("--series", type=int, nargs="*", default=[1, 1000])
    parser.add_argument("--restarts", type=int, default=3, help="after a SIGKILL")
    parser.add_argument("--seconds", type=float, default=30.0, help="of each steady stream")
    options = parser.parse_args()
    print(json.dumps({"python": sys.version.split()[0], "cores": os.cpu_count()}))
    compare(options.messages, options.rounds, options.window, options.detector)
    memory(options.series, options.window, options.detector, options.restarts)
    wear([1, 1000], options.seconds, options.detector)


if __name__ == "__main__":
    main()
