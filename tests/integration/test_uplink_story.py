"""One story: a server trains and publishes, two devices of different groups try and take the model, three weeks
without a cable, and a newer model.

Three processes, each on an address of its own, and a broker; their clocks are moved together.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import paho.mqtt.client as mqtt
import pytest
from paho.mqtt.enums import CallbackAPIVersion

from edgead.package import read_package
from edgead.registry.shelf import Shelf
from edgead.simulate import PUMP, simulate
from edgead.uplink.publish import Keyring, Publisher
from tests import packages
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.cable import Cable
from tests.fault.clock_steps import Clocks
from tests.mosquitto import Mosquitto, free_port
from tests.recordings import START_MS
from tests.served import ModelServer
from tests.uplink import Vendor

MACHINE = {name: column.values for name, column in simulate(PUMP, 3000, seed=33).items()}
NAMES = tuple(MACHINE)
LEARNED, SHADOW = 2000, 80
#: Rows that the first model needs, and those to come.
FIRST, WINDOW = read_package(packages.PUMP).manifest.window, 60
DAY_S = 86_400
DEVICES = {"gw1": "east", "gw2": "west"}
KEY = "key-of-the-factory"

GATEWAY = """
[node]
id = "{node}"
state_dir = "{folder}"
[mqtt]
port = {port}
state_every = "1s"
[http]
listen = "{http}"
[uplink]
url = "{url}"
root = "{root}"
group = "{group}"
credentials_file = "{key}"
shadow = {shadow}
interval = "6h"
jitter = 0
[[series]]
topic = "{node}/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 256
lateness = 0
[[group]]
id = "pump1"
model = "pump"
variables = {{ {variables} }}
close_after = 3
"""


class Server(ModelServer):
    """Trains, publishes, takes records; on an address of its own."""

    def __init__(self, folder: Path, vendor: Vendor, clocks: Clocks) -> None:
        (folder / "devices").write_text("".join(f"{name}:secret-of-{name}\n" for name in DEVICES))
        settings = f'repository = "{vendor.repo}"\nrepository_keys = "{vendor.keys}"\n'
        settings += 'device_keys_file = "devices"\npublishers = ["test"]'
        super().__init__(folder, settings, ["--host", "127.0.0.2"], key=KEY, env=clocks.env)
        self.clocks = clocks

    def train_pump(self, rows: int) -> str:
        """A model of a pump from its first normal rows; its id."""
        table = {name: values[:rows] for name, values in MACHINE.items()}
        lines = ["timestamp," + ",".join(table)]
        for row in range(rows):
            moment = np.datetime64(START_MS, "ms") + np.timedelta64(row, "s")
            lines.append(f"{moment}Z," + ",".join(repr(float(values[row])) for values in table.values()))
        (self.data / f"{rows}.csv").write_text("\n".join(lines) + "\n")
        end = np.datetime64(START_MS, "ms") + np.timedelta64(rows - 1, "s")
        model = self.train(
            f"{rows}.csv",
            startTime=f"{np.datetime64(START_MS, 'ms')}Z",
            endTime=f"{end}Z",
            slidingWindow=WINDOW,
            displayName="pump",
        )
        assert self.wait(f"models/{model}")["modelInfo"]["status"] == "READY"
        return model

    def publish(self, model: str, *groups: str) -> dict[str, Any]:
        answer = self.ask("POST", f"/edgead/v1/models/{model}/publish", {"groups": list(groups)})
        assert answer.status == 201, answer
        return answer.json()

    def records(self, device: str, kind: str) -> list[dict[str, Any]]:
        return self.ask("GET", f"/edgead/v1/devices/{device}/records?kind={kind}").json()["records"]

    def updates(self, version: str) -> dict[str, int]:
        found = self.ask("GET", "/edgead/v1/updates?model=pump").json()["updates"]
        return next((each["counts"] for each in found if each["id"] == version), {})


class Device:
    """An agent with its own address and machine."""

    def __init__(
        self, node: str, folder: Path, broker: Mosquitto, heard: Heard, vendor: Vendor, server: Server
    ) -> None:
        self.node, self._heard = node, heard
        self.folder = folder / node
        self.folder.mkdir()
        host, port = server.url.removeprefix("http://").split(":")
        self.cable = Cable(host, int(port))
        self.state = self.folder / "state"
        Shelf(self.state / "models", trial=lambda data: None).propose(packages.variant(7))
        (self.folder / "root.json").write_bytes(vendor.first_root)
        (self.folder / "key").write_text(f"secret-of-{node}\n")
        text = GATEWAY.format(
            node=node,
            folder=self.state,
            port=broker.port,
            http=f"127.0.0.{3 + list(DEVICES).index(node)}:{free_port()}",
            url=self.cable.url,
            root=self.folder / "root.json",
            group=DEVICES[node],
            key=self.folder / "key",
            shadow=SHADOW,
            variables=", ".join(f'{name} = "pump1.{name}"' for name in NAMES),
        )
        (self.folder / "gateway.toml").write_text(text)
        self.process = AgentProcess(self.folder / "gateway.toml", self.folder / "log", server.clocks.env)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, f"machine of {node}")
        self._client.connect("127.0.0.1", broker.port)
        self._client.loop_start()
        self.second = 0
        self.requests = 0

    def run(self, rows: int, *, fault: bool = False) -> None:
        """So many seconds of the machine; with a fault its current is three times too large."""
        for _ in range(rows):
            for name in NAMES:
                value = float(MACHINE[name][self.second]) * (3.0 if fault and name == "current" else 1.0)
                body = json.dumps({"value": value, "ts": START_MS + 1000 * self.second})
                self._client.publish(f"{self.node}/pump1/{name}", body, qos=1)
            self.second += 1
        assert self.command("ping")[-1]["status"] == "successful"  # behind the rows, so they are judged

    def command(self, verb: str, payload: str = "") -> list[dict[str, Any]]:
        """Ask, and wait for the last answer."""
        self.requests += 1
        topic = f"edgead/{self.node}/cmd/{verb}/{self.requests}"
        self._client.publish(topic, payload, qos=1)
        answers: list[dict[str, Any]] = []

        def done() -> bool:
            found = [body for name, body in self.told() if name == f"{topic}/status"]
            answers[:] = [json.loads(body) for body in found]
            return bool(answers) and answers[-1]["status"] in ("successful", "failed")

        wait_for(done, lambda: f"the end of {verb}: {answers}", within_s=90)
        return answers

    def info(self) -> dict[str, Any]:
        return json.loads([body for topic, body in self.told() if topic.endswith("/info")][-1])

    def told(self) -> list[tuple[str, bytes]]:
        """Everything this node told."""
        return [each for each in list(self._heard.messages) if each[0].startswith(f"edgead/{self.node}/")]

    def events(self) -> list[dict[str, Any]]:
        """Events of the group as the broker was told them, each once, in order."""
        found: dict[tuple[Any, ...], dict[str, Any]] = {}
        for topic, body in self.told():
            if topic.endswith("/anomaly"):
                event = json.loads(body)
                found.setdefault((event["id"], event["event"], event["ts"]), event)
        return list(found.values())

    def __enter__(self) -> "Device":
        self.process.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.__exit__(*exc)
        self._client.loop_stop()
        self.cable.cut()


@pytest.fixture
def world(tmp_path: Path) -> Iterator[tuple[Server, Vendor, dict[str, Device], Clocks]]:
    clocks, vendor = Clocks(tmp_path), Vendor(tmp_path / "vendor")
    (tmp_path / "server").mkdir()
    (tmp_path / "broker").mkdir()
    server = Server(tmp_path / "server", vendor, clocks)
    with (
        server,
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        Heard(broker.port, ["edgead/#"]) as heard,
    ):
        devices = {node: Device(node, tmp_path, broker, heard, vendor, server) for node in DEVICES}
        with devices["gw1"], devices["gw2"]:
            yield server, vendor, devices, clocks


def keys_of(records: list[dict[str, Any]]) -> list[tuple[Any, ...]]:
    return [tuple(each["record"][key] for key in ("id", "event", "ts")) for each in records]


def named(release: dict[str, Any]) -> str:
    """Name and version of what was released."""
    return f"{release['name']}@{release['version']}"


def until_active(device: Device, identity: str) -> None:
    """Run the machine until the shadow run is over and the new model is at work."""
    shelf = Shelf(device.state / "models")
    device.run(WINDOW + SHADOW + 10)
    wait_for(lambda: shelf.active_id("pump") == identity, f"{identity} active on {device.node}")


def test_the_story(world: tuple[Server, Vendor, dict[str, Device], Clocks]) -> None:
    server, vendor, devices, clocks = world
    gw1, gw2 = devices.values()
    for device in devices.values():
        device.run(FIRST + 20)
        assert device.info()["sync"]["state"] in ("never", "current")

    # the server trains and publishes, for one group first
    model = server.train_pump(LEARNED)
    release = server.publish(model, "east")
    package = server.ask("GET", f"/edgead/v1/models/{model}/package").body
    digest = hashlib.sha256(package).hexdigest()
    assert gw1.command("sync")[-1]["status"] == "successful"
    assert gw2.command("sync")[-1]["reason"] != ""
    until_active(gw1, release["id"])
    wait_for(lambda: gw1.info()["models"].get(named(release)) == digest, "the new model told")
    assert "pump@1.0.7" in gw2.info()["models"]

    # then for the other
    publisher = Publisher(vendor.repo, Keyring([vendor.keys]))
    publisher.rollout(release["target"], groups=["east", "west"])
    assert gw2.command("sync")[-1]["status"] == "successful"
    until_active(gw2, release["id"])

    # what is read now gets verdicts of the new model
    for device in devices.values():
        device.run(6, fault=True)
        device.run(20)
        wait_for(lambda device=device: len(device.events()) >= 2, "an episode")
        assert {event["model"] for event in device.events() if "group" in event} == {named(release)}
    for device in devices.values():
        device.command("sync")
    assert server.updates(release["id"]) == {"offered": 2, "activated": 2}
    before = keys_of(server.records("gw1", "event"))
    assert len(before) >= 3
    assert before == [(event["id"], event["event"], event["ts"]) for event in gw1.events()]
    assert not any(each["replay"] for each in server.records("gw1", "event"))

    # three weeks without a cable: every week the machine has a fault, and every attempt to sync fails
    gw1.cable.cut()
    for _ in range(3):
        attempts = gw1.process.log.read_text().count("sync state=unreachable")
        gw1.run(6, fault=True)
        gw1.run(20)
        clocks.suspend(7 * DAY_S)
        wait_for(
            lambda attempts=attempts: gw1.process.log.read_text().count("sync state=unreachable") > attempts,
            "an attempt to sync",
            within_s=60,
        )
    wait_for(lambda: gw1.info()["sync"]["state"] == "unreachable", "the outage told")
    assert keys_of(server.records("gw1", "event")) == before

    # the cable is mended: what happens now goes first, and the weeks follow, once, in order, marked
    mended = START_MS + 1000 * gw1.second
    gw1.run(6, fault=True)
    gw1.run(20)
    gw1.cable.mend()
    assert gw1.command("sync")[-1]["status"] == "successful"
    told = [(event["id"], event["event"], event["ts"]) for event in gw1.events()][len(before) :]
    missed, live = [each for each in told if each[2] < mended], [each for each in told if each[2] >= mended]
    assert len(missed) >= 6, missed
    assert len(live) >= 2, live
    after = server.records("gw1", "event")[len(before) :]
    assert keys_of(after) == [*live, *missed]
    assert [each["replay"] for each in after] == [False] * len(live) + [True] * len(missed)
    assert any(each["replay"] for each in server.records("gw1", "health"))
    wait_for(lambda: gw1.info()["sync"]["state"] == "current", "the sync told")

    # and a newer model comes
    newer = server.publish(server.train_pump(LEARNED - 200))
    for device in devices.values():
        assert device.command("sync")[-1]["status"] == "successful"
        until_active(device, newer["id"])
        device.command("sync")
    assert server.updates(newer["id"]) == {"offered": 2, "activated": 2}
    assert server.updates(release["id"])["kept"] == 2
    listed = server.ask("GET", "/edgead/v1/devices").json()["devices"]
    assert [each["device"] for each in listed] == ["gw1", "gw2"]
    for each in listed:
        assert named(newer) in each["models"]
        assert named(release) not in each["models"]
