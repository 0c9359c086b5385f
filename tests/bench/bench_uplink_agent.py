"""Memory of an agent before, during and after a sync that brings a model of a megabyte and sends what waits.

Resident memory of the agent's process and, apart, of the process that syncs, looked at every 20 ms; and the longest
time a reading waited for its verdict meanwhile.  ``python tests/bench/bench_uplink_agent.py [--rounds N]``.
"""

import argparse
import json
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

import paho.mqtt.client as mqtt  # noqa: E402
import psutil  # noqa: E402
from paho.mqtt.enums import CallbackAPIVersion  # noqa: E402

from edgead.registry.shelf import Shelf  # noqa: E402
from edgead.simulate import PUMP, simulate  # noqa: E402
from tests import packages  # noqa: E402
from tests.agent_process import AgentProcess, Heard, wait_for  # noqa: E402
from tests.bench.bench_uplink import large_package  # noqa: E402
from tests.cloud import Cloud  # noqa: E402
from tests.mosquitto import Mosquitto  # noqa: E402
from tests.uplink import RepositoryServer, Vendor  # noqa: E402

MIB = 2**20
NAMES = tuple(simulate(PUMP, 10, seed=1))
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
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
[[group]]
id = "pump1"
model = "pump"
variables = {{ {variables} }}
"""


class Machine:
    """Publishes rows and commands."""

    def __init__(self, port: int, heard: Heard) -> None:
        self._heard = heard
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, "machine")
        self._client.connect("127.0.0.1", port)
        self._client.loop_start()
        self._second = self._asked = 0

    def rows(self, count: int) -> None:
        table = simulate(PUMP, self._second + count, seed=3)
        for row in range(self._second, self._second + count):
            for name in NAMES:
                body = json.dumps(
                    {"value": float(table[name].values[row]), "ts": 1_763_750_000_000 + 1000 * row}
                )
                self._client.publish(f"plant/pump1/{name}", body, qos=1)
        self._second += count
        self.ended(self.ask("ping"))

    def ask(self, verb: str) -> str:
        self._asked += 1
        topic = f"edgead/gw1/cmd/{verb}/{self._asked}"
        self._client.publish(topic, b"", qos=1)
        return f"{topic}/status"

    def is_over(self, topic: str) -> bool:
        states = [json.loads(body)["status"] for name, body in list(self._heard.messages) if name == topic]
        return bool(states) and states[-1] in ("successful", "failed")

    def ended(self, topic: str) -> None:
        wait_for(lambda: self.is_over(topic), f"the end of {topic}", within_s=120)

    def close(self) -> None:
        self._client.disconnect()
        self._client.loop_stop()


def sync(machine: Machine, agent: psutil.Process) -> tuple[int, int, float, float]:
    """One sync: most memory of the agent and of its child, seconds, and the slowest answer of a ping meanwhile."""
    topic, began = machine.ask("sync"), time.perf_counter()
    own = child = 0
    slowest = 0.0
    while not machine.is_over(topic):
        own = max(own, agent.memory_info().rss)
        for process in agent.children(recursive=True):
            try:
                child = max(child, process.memory_info().rss)
            except psutil.NoSuchProcess:
                continue
        asked = time.perf_counter()
        machine.ended(machine.ask("ping"))
        slowest = max(slowest, time.perf_counter() - asked)
        time.sleep(0.02)
    return own, child, time.perf_counter() - began, slowest


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    rounds = parser.parse_args().rounds
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        vendor = Vendor(folder / "vendor")
        (folder / "root.json").write_bytes(vendor.first_root)
        (folder / "broker").mkdir()
        Shelf(folder / "state" / "models", trial=lambda data: None).propose(packages.variant(1))
        with (
            Cloud() as cloud,
            RepositoryServer(vendor.repo) as repository,
            Mosquitto(folder / "broker", shipped=True) as broker,
            Heard(broker.port, ["edgead/#"]) as heard,
        ):
            variables = ", ".join(f'{each} = "pump1.{each}"' for each in NAMES)
            places = {"folder": folder, "port": broker.port, "url": cloud.url, "repository": repository.url}
            (folder / "gateway.toml").write_text(CONFIG.format(**places, variables=variables))
            machine = Machine(broker.port, heard)
            with AgentProcess(folder / "gateway.toml", folder / "log") as process:
                measure(machine, psutil.Process(process.pid), vendor, rounds)
            machine.close()


def measure(machine: Machine, agent: psutil.Process, vendor: Vendor, rounds: int) -> None:
    """Syncs without news, then one that brings a model, and what is left of their memory."""
    machine.rows(400)
    machine.ended(machine.ask("sync"))
    time.sleep(1.0)
    print(f"{'':28}{'agent before':>14}{'during':>9}{'after':>9}{'sync process':>14}{'s':>7}{'ping, ms':>10}")
    for number in range(rounds + 1):
        what = "no news"
        if number == rounds:
            release = vendor.add(large_package())
            what = f"a model of {release.length / 1e6:.2f} MB"
        before = agent.memory_info().rss
        own, child, took, slowest = sync(machine, agent)
        time.sleep(1.0)
        after = agent.memory_info().rss
        figures = "".join(
            f"{value / MIB:>{width}.1f}" for value, width in ((before, 14), (own, 9), (after, 9))
        )
        print(f"{what:28}{figures}{child / MIB:>14.1f}{took:>7.1f}{1e3 * slowest:>10.0f}")


if __name__ == "__main__":
    main()
