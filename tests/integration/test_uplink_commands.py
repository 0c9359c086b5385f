"""The commands of the uplink over a real broker: progress, ends, and what the server is told meanwhile."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from edgead.package import read_package
from edgead.registry.shelf import Shelf
from tests import packages
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.cloud import Cloud
from tests.fault.test_uplink_kills import CONFIG, MACHINE, SHADOW, WINDOW, Machine
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS
from tests.uplink import RepositoryServer, Vendor

DATA = '[uplink.data]\nseries = ["pump1.flow", "*.current"]\nwindow = "5s"\nevery = "20s"\n'
V = {number: packages.id_of(number) for number in (1, 2)}
#: Readings until a network that never saw a series has a say.
NETWORK_COLD = 88


class World:
    def __init__(
        self, folder: Path, cloud: Cloud, vendor: Vendor, heard: Heard, machine: Machine, agent: AgentProcess
    ) -> None:
        self.agent = agent
        self.cloud, self.vendor, self.heard, self.machine = cloud, vendor, heard, machine
        self.shelf = Shelf(folder / "state" / "models")

    def answers(self, topic: str) -> list[tuple[str, str]]:
        found = [json.loads(body) for name, body in list(self.heard.messages) if name == topic]
        return [(each["status"], each["reason"]) for each in found]

    def ask(self, verb: str, payload: str = "", *, rows: bool = False) -> list[tuple[str, str]]:
        """Ask, and go on with the machine until the last answer."""
        topic = self.machine.ask(verb, payload.encode())

        def over() -> bool:
            if rows and not self.machine.ended(topic):
                self.machine.run(5)
            return bool(self.machine.ended(topic))

        wait_for(over, lambda: f"the end of {verb}: {self.answers(topic)}", within_s=90)
        return self.answers(topic)

    def newest(self, leaf: str) -> dict[str, Any]:
        """The last message of a topic."""
        found = [body for topic, body in list(self.heard.messages) if topic == f"edgead/gw1/{leaf}"]
        return dict(json.loads(found[-1])) if found else {}

    def records(self, kind: str) -> list[dict[str, Any]]:
        return [line["record"] for line in list(self.cloud.records.values()) if line["kind"] == kind]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    vendor = Vendor(tmp_path / "vendor")
    (tmp_path / "root.json").write_bytes(vendor.first_root)
    (tmp_path / "broker").mkdir()
    Shelf(tmp_path / "state" / "models", trial=lambda data: None).propose(packages.variant(1))
    with (
        Cloud() as cloud,
        RepositoryServer(vendor.repo) as repository,
        Mosquitto(tmp_path / "broker", shipped=True) as broker,
        Heard(broker.port, ["edgead/#"]) as heard,
    ):
        variables = ", ".join(f'{name} = "pump1.{name}"' for name in MACHINE)
        places = {"folder": tmp_path, "port": broker.port, "url": cloud.url, "repository": repository.url}
        text = CONFIG.format(**places, shadow=SHADOW, variables=variables).replace(
            "[uplink]", '[uplink]\nsend = "2s"'
        )
        (tmp_path / "gateway.toml").write_text(text.replace("[[series]]", f"{DATA}[[series]]", 1))
        machine = Machine(broker, heard)
        with AgentProcess(tmp_path / "gateway.toml", tmp_path / "log") as agent:
            machine.run(WINDOW + 5)
            yield World(tmp_path, cloud, vendor, heard, machine, agent)
        machine.close()


def test_a_model_is_installed_and_rolled_back_by_command(world: World) -> None:
    # a release for one device in a million: not for this one, unless somebody asks
    world.vendor.add(packages.variant(2), share=1e-6)
    assert world.ask("sync")[-1] == ("successful", "nothing new")
    told = world.ask("model-install", "pump", rows=True)
    states = [state for state, _ in told]
    assert (states[0], states[1], states[-1]) == ("init", "executing", "successful")
    assert any(reason.startswith("shadow run: ") for _, reason in told)
    assert told[-1][1] == "pump 1.0.2 activated"
    assert world.shelf.active_id("pump") == V[2]

    assert world.ask("model-rollback", "pump")[-1] == ("successful", "pump is 1.0.1 again")
    assert world.shelf.active_id("pump") == V[1]
    assert world.ask("model-rollback", "pump")[-1][0] == "failed"
    assert world.ask("model-rollback", "fan")[-1][0] == "failed"
    # turned down here, so no sync brings it again, and a command does
    world.vendor.publisher.rollout("pump", share=1.0)
    assert world.ask("sync")[-1][0] == "successful"
    assert world.shelf.candidates() == []
    assert world.ask("model-install", "pump", rows=True)[-1] == ("successful", "pump 1.0.2 activated")
    world.ask("sync")
    steps = [update["event"] for update in world.records("update")]
    assert steps == ["offered", "activated", "rolled-back", "offered", "activated"]


def test_a_bad_model_fails_the_command_and_windows_of_readings_go_up(world: World) -> None:
    world.vendor.add(packages.nervous(9))
    told = world.ask("model-install", "pump", rows=True)
    assert told[-1][0] == "failed"
    assert told[-1][1].startswith("pump 1.0.9 rejected: too many alarms")
    world.cloud.faults += ["403"] * 100  # events go up by themselves meanwhile
    told = world.ask("sync")
    assert told[-1][0] == "failed"
    assert "records not sent: the server answered 403" in told[-1][1]
    wait_for(
        lambda: any(
            "records are not taken" in str(json.loads(body)["reasons"])
            for topic, body in list(world.heard.messages)
            if topic.endswith("/health")
        ),
        "a degraded health",
    )
    world.cloud.faults.clear()
    assert world.ask("sync")[-1][0] == "successful"
    windows = world.records("data")
    assert {each["series"] for each in windows} == {"pump1.flow", "pump1.current"}
    assert all(len(each["values"]) == 5 for each in windows[2:])
    window = next(each for each in windows[2:] if each["series"] == "pump1.flow")
    rows = [time_us // 10**6 - START_MS // 1000 for time_us in window["times_us"]]
    assert window["values"] == [float(MACHINE["flow"][row]) for row in rows]
    world.machine.run(8, fault=True)  # nobody asks, and the next sync is hours away
    wait_for(lambda: bool(world.records("event")), "an event at the server", within_s=30)
    infos = world.records("info")
    assert infos[-1]["models"]["pump@1.0.1"] == read_package(world.shelf.read("pump", V[1])).sha256


def test_a_network_of_single_series_is_compared_over_restarts_takes_over_and_goes_back(world: World) -> None:
    new = "srcnn@1.0.2"
    world.vendor.add(packages.network(2))
    assert world.ask("sync")[-1][0] == "successful"  # the one at the start may have brought it
    assert [each.name for each in world.shelf.candidates()] == ["srcnn"]
    world.machine.run(NETWORK_COLD + 4)

    def trial() -> str:
        return str(world.newest("info").get("sync", {}).get("trials", {}).get("srcnn", ""))

    series = len(MACHINE)
    assert world.ask("ping")[-1][0] == "successful"  # the rows before it are judged
    world.agent.stop()
    world.agent.start()
    wait_for(lambda: trial() == f"1.0.2: shadow run: 4 of {SHADOW} readings of {series} series", trial)
    world.agent.reload()
    world.machine.run(SHADOW - 4)

    def detectors() -> set[str]:
        return {str(world.newest(f"series/pump1.{name}/meta").get("detector")) for name in MACHINE}

    wait_for(lambda: detectors() == {new}, lambda: f"{detectors()}")
    assert new in world.newest("info")["models"]
    world.agent.kill()  # undisturbed: what is active is at work, and no series learns anew
    world.agent.start()
    world.machine.run(3)
    wait_for(lambda: detectors() == {new}, lambda: f"{detectors()}")
    assert {world.newest(f"series/pump1.{name}/meta")["phase"] for name in MACHINE} == {"ready"}
    world.machine.run(4, fault=True)

    def judges() -> set[str]:
        return {str(each["model"]) for each in world.heard.events("pump1.current") if each["event"] == "open"}

    wait_for(lambda: new in judges(), lambda: f"{judges()}")
    assert world.ask("model-rollback", "srcnn")[-1] == ("successful", "srcnn is 1.0.0 again")
    wait_for(lambda: detectors() == {"srcnn@1.0.0"}, lambda: f"{detectors()}")
    world.ask("sync")
    steps = [(each["event"], each["rows"]) for each in world.records("update")]
    assert [step for step, _ in steps if step != "offered"] == ["activated", "rolled-back"]
    assert dict(steps)["activated"] == series * SHADOW
