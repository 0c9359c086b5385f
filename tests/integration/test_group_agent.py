"""Several groups with models of their own in a real agent: events apart, commands, memory."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest

from edgead.bridge.tools import Publisher
from edgead.multivariate import Scorer
from edgead.onnx import Session
from edgead.package import read_package
from edgead.registry import Registry
from edgead.registry.shelf import Shelf
from edgead.simulate import PUMP, simulate
from tests import packages
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.mosquitto import Mosquitto
from tests.recordings import START_MS

NAMES = read_package(packages.PUMP).manifest.names
ROWS, BREAK = 420, 380

HEAD = """
[node]
id = "gw1"
state_dir = "{folder}/state"
[mqtt]
port = {port}
state_every = "100ms"
[http]
listen = ""
[[series]]
topic = "plant/{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
window = 64
detector = "spectral-residual"
"""


def renamed(name: str, factor: float = 1.0) -> bytes:
    """The pump's package under another name, with its thresholds times a factor and self-test scores that fit."""
    package = read_package(packages.PUMP)

    def edit(manifest: dict[str, Any]) -> None:
        manifest["name"] = name
        for key in ("joined", "local"):
            manifest["thresholds"][key] *= factor

    if factor == 1.0:
        return packages.with_manifest(edit)
    scores = package.self_test.scores / factor
    files = packages.files_of(packages.with_file("selftest.npz", packages.arrays_with(scores=scores)))
    manifest = json.loads(files["manifest.json"])
    edit(manifest)
    files["manifest.json"] = packages._signed(manifest)
    return packages.zip_of(files)


def group(group_id: str, model: str, machine: str) -> str:
    variables = ", ".join(f'{name} = "{machine}.{name}"' for name in NAMES)
    return (
        f'[[group]]\nid = "{group_id}"\nmodel = "{model}"\nvariables = {{ {variables} }}\nclose_after = 2\n'
    )


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Mosquitto]:
    (tmp_path / "broker").mkdir()
    with Mosquitto(tmp_path / "broker", shipped=True) as broker:
        yield broker


def configure(folder: Path, broker: Mosquitto, *groups: str) -> Path:
    config = folder / "gateway.toml"
    config.write_text(HEAD.format(folder=folder, port=broker.port) + "".join(groups))
    return config


def rows_of(seed: int, *, broken: bool) -> np.ndarray[Any, Any]:
    """A run of the pump; where broken, its current is that of another run from `BREAK` on."""
    columns = simulate(PUMP, ROWS, seed=seed)
    rows = np.stack([columns[name].values for name in NAMES], axis=1)
    if broken:
        rows[BREAK:, NAMES.index("current")] = simulate(PUMP, ROWS, seed=seed + 1)["current"].values[BREAK:]
    return rows


def publish(publisher: Publisher, machine: str, rows: np.ndarray[Any, Any], first: int = 0) -> None:
    for at, row in enumerate(rows.tolist(), start=first):
        for name, value in zip(NAMES, row, strict=True):
            body = json.dumps({"ts": START_MS + 1000 * at, "value": value}).encode()
            publisher.publish(f"plant/{machine}/{name}", body)
    publisher.drain()


def last(heard: Heard, topic: str) -> dict[str, Any]:
    found = [body for each, body in list(heard.messages) if each == f"edgead/gw1/{topic}"]
    return json.loads(found[-1]) if found and found[-1] else {}


def judged(heard: Heard, group_id: str, rows: int) -> dict[str, Any]:
    """The state of a group near the end of so many rows; the last three come with one tick, and one of them is told."""
    topic = f"group/{group_id}/state"
    wait_for(lambda: last(heard, topic).get("ts", 0) >= START_MS + 1000 * (rows - 3), f"{group_id} judged")
    return last(heard, topic)


def opened(heard: Heard, group_id: str) -> list[dict[str, Any]]:
    topic = f"edgead/gw1/group/{group_id}/anomaly"
    events = [json.loads(body) for each, body in list(heard.messages) if each == topic]
    return [event for event in events if event["event"] == "open"]


def command(publisher: Publisher, heard: Heard, verb: str, payload: str, request: str) -> dict[str, Any]:
    publisher.publish(f"edgead/gw1/cmd/{verb}/{request}", payload.encode())
    topic = f"cmd/{verb}/{request}/status"
    wait_for(lambda: last(heard, topic).get("status") in ("successful", "failed"), f"{verb} answered")
    return last(heard, topic)


def test_two_groups_with_two_packages_tell_each_its_own(tmp_path: Path, broker: Mosquitto):
    """One by its installed name, one by its file; the same machine judged by both, another by one."""
    strict = renamed("strict", 0.5)
    Registry(tmp_path / "state" / "models").install(renamed("press"))
    (tmp_path / "strict.zip").write_bytes(strict)
    blocks = [group("one", "press", "p1"), group("two", "strict.zip", "p1"), group("three", "press", "p2")]
    config = configure(tmp_path, broker, *blocks)
    broken, quiet = rows_of(40, broken=True), rows_of(50, broken=False)
    with (
        Heard(broker.port, ["edgead/#"]) as heard,
        Publisher("127.0.0.1", broker.port) as publisher,
        AgentProcess(config, tmp_path / "agent.log"),
    ):
        publish(publisher, "p1", broken)
        publish(publisher, "p2", quiet)
        states = {group_id: judged(heard, group_id, ROWS) for group_id in ("one", "two", "three")}
        info = last(heard, "info")
        events = {g: opened(heard, g) for g in ("one", "two", "three")}
    assert set(info["models"]) == {"press@1.0.0", "strict@1.0.0"}
    package = read_package(packages.PUMP)
    scores = [each.score for each in Scorer(package.manifest, Session(package.model)).judge_table(broken)]
    for group_id, factor in (("one", 1.0), ("two", 2.0)):
        row = (states[group_id]["ts"] - START_MS) // 1000 - package.manifest.window + 1
        assert states[group_id]["score"] == pytest.approx(factor * scores[row], rel=1e-6)
    assert events["one"][0]["model"] == "press@1.0.0"
    assert events["one"][0]["top"][0]["variable"] == "current"
    assert events["two"][0]["model"] == "strict@1.0.0"
    assert events["two"][0]["ts"] <= events["one"][0]["ts"]
    assert events["three"] == []


def test_a_group_is_muted_and_started_anew_by_command(tmp_path: Path, broker: Mosquitto):
    (tmp_path / "pump.zip").write_bytes(packages.PUMP)
    config, broken = configure(tmp_path, broker, group("one", "pump.zip", "p1")), rows_of(40, broken=True)
    phase = "group/one/meta"
    with (
        Heard(broker.port, ["edgead/#"]) as heard,
        Publisher("127.0.0.1", broker.port) as publisher,
        AgentProcess(config, tmp_path / "agent.log") as agent,
    ):
        publish(publisher, "p1", broken[:BREAK])
        wait_for(lambda: last(heard, phase).get("phase") == "ready", "ready")
        answer = command(publisher, heard, "mute", '{"group":"one","for":3600}', "1")
        assert answer["status"] == "successful"
        assert answer["reason"].startswith("group/one is muted until 20")
        wait_for(lambda: "muted until" in last(heard, phase).get("reason", ""), "until when")
        agent.kill()
        agent.start()
        publish(publisher, "p1", broken[BREAK:], BREAK)
        assert judged(heard, "one", ROWS)["is_anomaly"]
        assert last(heard, phase)["phase"] == "muted"
        assert opened(heard, "one") == []
        assert command(publisher, heard, "unmute", "group/one", "2")["reason"] == "group/one is ready"
        answer = command(publisher, heard, "relearn", "group/one", "3")
        assert answer["reason"] == "group/one is learning"
        wait_for(lambda: "300 more rows" in last(heard, phase).get("reason", ""), "begun anew")
        assert command(publisher, heard, "mute", "group/two", "4")["status"] == "failed"


def test_ten_models_fit_a_small_gateway(tmp_path: Path, broker: Mosquitto):
    """Ten packages, ten sessions, ten windows: the runtime is paid once, a model costs a few megabytes."""
    resident = {}
    for count in (1, 10):
        folder = tmp_path / f"models{count}"
        folder.mkdir()
        blocks = []
        for number in range(count):
            (folder / f"m{number}.zip").write_bytes(renamed(f"m{number}"))
            blocks.append(group(f"g{number}", f"m{number}.zip", "p1"))
        config = configure(folder, broker, *blocks)
        with (
            Heard(broker.port, ["edgead/#"]) as heard,
            Publisher("127.0.0.1", broker.port) as publisher,
            AgentProcess(config, folder / "agent.log") as agent,
        ):
            publish(publisher, "p1", rows_of(60, broken=False)[:320])
            judged(heard, f"g{count - 1}", 320)
            assert len(last(heard, "info")["models"]) == count
            resident[count] = psutil.Process(agent.pid).memory_info().rss / 2**20
    print(f"RSS of the agent: one model {resident[1]:.0f} MiB, ten {resident[10]:.0f} MiB")
    assert resident[1] < 120
    assert resident[10] - resident[1] < 9 * 6


def test_a_candidate_that_no_group_of_the_file_uses_becomes_active(tmp_path: Path, broker: Mosquitto):
    shelf = Shelf(tmp_path / "state" / "models")
    shelf.propose(packages.PUMP)
    newer = shelf.propose(packages.variant(1)).id
    config = configure(tmp_path, broker)
    with open(config, "a") as file:
        file.write('\n[uplink]\nrepository = "http://127.0.0.1:9/"\n')
    with AgentProcess(config, tmp_path / "agent.log"):
        assert shelf.active("pump").manifest.id == newer
