"""When a sync is due, what its end means to who asked, and what is told of it: without a process or a network."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from edgead.agent import uplink as uplink_module
from edgead.agent.saving import Saving
from edgead.agent.syncing import Delivered, Order, Said
from edgead.agent.updates import Update
from edgead.agent.uplink import Uplink
from edgead.bridge.commands import Command
from edgead.config import Config, parse
from edgead.errors import InvalidInput
from edgead.records import Event, Reading, Verdict
from edgead.stream import Engine
from edgead.uplink.reasons import Refusal
from edgead.uplink.record import SyncRecord, Taken, write_record

S = 10**9
NOW = 1_763_750_000 * S
HOUR = 3600 * S


class Process:
    """Stands in for the process that syncs: says what the test says."""

    def __init__(self) -> None:
        self.orders: list[Order] = []
        self.said: list[Said] = []
        self.running = False
        self.problem = ""

    def start(self, order: Order) -> str:
        self.orders.append(order)
        self.running = not self.problem
        return self.problem

    def listen(self) -> list[Said]:
        said, self.said = self.said, []
        self.running = self.running and not any(each.state for each in said)
        return said

    def stop(self) -> None:
        self.running = False


class World:
    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
        self.folder = folder
        self.process = Process()
        monkeypatch.setattr(uplink_module, "Syncing", lambda: self.process)
        self.config: Config = parse(f'[node]\nid = "gw1"\nstate_dir = "{folder}/state"\n{text}'.encode())
        self.saving = Saving(folder / "state", self.config.store, Engine(self.config.engine), now_ns=NOW)
        self.answers: list[tuple[str, str, str]] = []
        self.reloads = self.introduced = 0
        self.uplink = Uplink(self.config, self.saving, self.answer, self.reload)

    def answer(self, command: Command, state: str, reason: str) -> None:
        self.answers.append((command.request, state, reason))

    def reload(self) -> None:
        self.reloads += 1

    def introduce(self) -> None:
        self.introduced += 1

    def look(self, now_ns: int) -> int:
        """How many processes were started by now."""
        self.uplink.look(now_ns, self.introduce)
        return len(self.process.orders)

    def end(self, now_ns: int, state: str = "current", **said: Any) -> None:
        self.process.said.append(Said(state=state, **said))
        self.uplink.listen(now_ns)

    def records(self) -> list[dict[str, Any]]:
        self.saving.commit(NOW)
        return [msgspec.json.decode(row.body) for row in self.saving._store.peek_outbox(limit=1000)]


ON = '[uplink]\nurl = "http://127.0.0.1:9"\njitter = 0\n'


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    world = World(tmp_path, monkeypatch, ON)
    yield world
    world.saving.close()


def command(verb: str, request: str = "1", model: str = "") -> Command:
    return Command(verb=verb, request=request, model=model)


def test_a_sync_is_due_at_the_start_and_then_every_interval(world: World) -> None:
    assert world.look(NOW) == 1
    assert world.introduced == 1
    assert world.look(NOW + S) == 1  # it runs
    world.end(NOW + 2 * S)
    assert world.look(NOW + 5 * HOUR) == 1
    assert world.look(NOW + 6 * HOUR) == 2


def test_while_the_cloud_is_away_it_is_asked_every_quarter_of_an_hour(world: World) -> None:
    world.look(NOW)
    world.end(NOW + S, "unreachable")
    assert world.look(NOW + 890 * S) == 1
    assert world.look(NOW + 900 * S) == 2
    world.end(NOW + 901 * S)
    assert world.look(NOW + 3 * HOUR) == 2


def test_what_was_not_sent_in_time_goes_on_at_once(world: World) -> None:
    world.look(NOW)
    world.process.said.append(Said(forwarded=Delivered(state="more")))
    world.end(NOW + S)
    assert world.look(NOW + 2 * S) == 2


def happen(world: World, count: int = 1) -> None:
    world.uplink.events([Event(f"id-{n}", "open", NOW, VERDICT, "", "m") for n in range(count)])
    world.saving.commit(NOW)


def test_an_event_goes_up_without_waiting_for_the_next_sync(world: World) -> None:
    world.look(NOW)
    world.end(NOW + S)
    happen(world)
    assert world.look(NOW + 60 * S) == 1
    happen(world)
    assert world.look(NOW + 60 * S + 149 * S) == 1  # not before half of `send`
    assert world.look(NOW + 60 * S + 300 * S) == 2
    assert [order.models for order in world.process.orders] == [True, False]
    world.end(NOW + 400 * S, "sent", delivered=[1, 2])
    assert world.look(NOW + 6 * HOUR - S) == 2  # nothing waits
    assert world.look(NOW + 6 * HOUR) == 3  # the syncs go on as before
    assert world.uplink.info is not None


def test_what_a_process_before_left_goes_up_soon(world: World) -> None:
    happen(world)
    world.look(NOW)
    world.end(NOW + S, "refused", forwarded=Delivered(state="refused", reason="403"))
    assert world.look(NOW + 3 * HOUR) == 1  # it asks again with a sync, or when more happens
    happen(world)
    world.look(NOW + 3 * HOUR)
    assert world.look(NOW + 3 * HOUR + 300 * S) == 2


def test_while_the_cloud_is_away_events_wait_for_the_syncs(world: World) -> None:
    world.look(NOW)
    world.end(NOW + S, "unreachable")
    happen(world)
    assert world.look(NOW + 2 * S) == 1
    assert world.look(NOW + 890 * S) == 1
    assert world.look(NOW + 900 * S) == 2
    assert world.process.orders[-1].models


def test_with_send_off_events_wait_for_the_next_sync(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch, f"{ON}send = 0\n")
    world.look(NOW)
    world.end(NOW + S)
    happen(world)
    world.look(NOW + 2 * S)
    assert world.look(NOW + 5 * HOUR) == 1
    world.saving.close()


def test_nothing_happens_without_an_uplink(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    world = World(tmp_path, monkeypatch, "")
    world.uplink.events([Event("id", "open", 1, VERDICT, "", "m")])
    assert (world.look(NOW), world.records(), world.uplink.info) == (0, [], None)
    assert (world.uplink.problems(NOW), world.uplink.dropped) == ([], {})
    for verb in (world.uplink.sync, world.uplink.install):
        with pytest.raises(InvalidInput, match="there is no uplink"):
            verb(command("sync"))
    world.saving.close()


VERDICT = Verdict("a.b", NOW, 1.0, float("nan"), 0.0, 2.0, 1.5, 0.3, True, "ready")


def test_events_are_put_in_the_outbox_as_they_are_told(world: World) -> None:
    world.uplink.events([Event("id-1", "open", NOW, VERDICT, "degC", "m@1")])
    (record,) = world.records()
    assert record["kind"] == "event"
    assert (record["record"]["id"], record["record"]["event"], record["record"]["ts"]) == (
        "id-1",
        "open",
        NOW // 10**6,
    )
    assert record["record"]["expected"] is None


def test_what_arrived_leaves_the_outbox(world: World) -> None:
    world.uplink.events([Event(f"id-{n}", "open", NOW, VERDICT, "", "m") for n in range(3)])
    assert len(world.records()) == 3
    world.look(NOW)
    world.process.said.append(Said(delivered=[1, 3]))
    world.uplink.listen(NOW)
    assert [each["record"]["id"] for each in world.records()] == ["id-1"]


def test_a_command_is_a_sync_of_its_own_with_its_steps_and_its_end(world: World) -> None:
    world.look(NOW)
    world.uplink.sync(command("sync", "a"))
    assert world.answers == []
    world.end(NOW + S)
    assert (world.answers, world.look(NOW + 2 * S)) == ([], 2)
    world.process.said += [Said(progress="refreshing"), Said(progress="refreshing")]
    world.end(NOW + 3 * S, detail="nothing new")
    assert world.answers == [("a", "executing", "refreshing"), ("a", "successful", "nothing new")]


@pytest.mark.parametrize(
    ("delivered", "state", "told"),
    [
        ("done", "refused", "refused: why"),
        ("done", "unreachable", "unreachable: why"),
        ("unreachable", "current", "why; records not sent: no cable"),
        ("refused", "current", "why; records not sent: no cable"),
    ],
)
def test_a_command_fails_when_one_way_fails(world: World, delivered: Any, state: str, told: str) -> None:
    world.uplink.sync(command("sync", "a"))
    world.look(NOW)
    world.process.said.append(Said(forwarded=Delivered(state=delivered, reason="no cable")))
    world.end(NOW + S, state, detail="why")
    assert world.answers == [("a", "failed", told)]


def test_no_process_fails_the_command(world: World) -> None:
    world.process.problem = "no process for the uplink: Cannot allocate memory"
    world.uplink.sync(command("sync", "a"))
    world.look(NOW)
    assert world.answers == [("a", "failed", f"failed: {world.process.problem}")]


def taken(state: Any = "offered", kind: str = "model") -> list[Taken]:
    return [Taken(kind, "pump", "1.0.1", "abc", "models/pump.zip", state)]


def test_installations_wait_for_the_shadow_run_and_each_model_has_a_sync_of_its_own(world: World) -> None:
    world.uplink.install(command("model-install", "a", "pump"))
    world.uplink.install(command("model-install", "b", "fan"))
    world.uplink.install(command("model-install", "c", "pump"))
    world.look(NOW)
    assert [order.only for order in world.process.orders] == ["pump"]
    world.end(NOW + S, "offered", taken=taken())
    world.look(NOW + 2 * S)
    assert [order.only for order in world.process.orders] == ["pump", "fan"]
    world.end(NOW + 3 * S, detail="nothing new")
    assert world.answers == [("b", "successful", "nothing new")]
    told = {"id": "abc", "ts": 1, "model": "pump", "version": "1.0.1"}
    world.uplink.update(Update(event="offered", **told))
    assert len(world.answers) == 1
    world.uplink.update(Update(event="rejected", reason="too many alarms", **told))
    ends = [("failed", "pump 1.0.1 rejected: too many alarms")] * 2
    assert [(state, reason) for _, state, reason in world.answers[1:]] == ends


@pytest.mark.parametrize(
    ("event", "state", "told"),
    [
        ("activated", "successful", "pump 1.0.2 activated"),
        ("rejected", "failed", "pump 1.0.2 rejected: loud"),
    ],
)
@pytest.mark.parametrize("running", [True, False])
def test_an_installation_is_told_of_a_trial_that_ended_before_its_sync_did(
    event: Any, state: str, told: str, running: bool, world: World
) -> None:
    if running:  # another sync is under way, the one at the start
        world.look(NOW)
    world.uplink.install(command("model-install", "1", "pump"))
    world.uplink.install(command("model-install", "2", "fan"))
    if not running:
        world.look(NOW)
    reason = "loud" if event == "rejected" else ""
    world.uplink.update(Update(id="a", event=event, ts=1, model="pump", version="1.0.2", reason=reason))
    if running:
        world.end(NOW + S)
        world.look(NOW + 2 * S)
    assert world.answers == []
    world.end(NOW + 3 * S, detail="nothing new")
    world.look(NOW + 4 * S)
    world.end(NOW + 5 * S, detail="nothing new")
    assert world.answers == [("1", state, told), ("2", "successful", "nothing new")]


def test_a_model_that_is_active_at_once_ends_its_installation(world: World) -> None:
    world.uplink.install(command("model-install", "a", "pump"))
    world.look(NOW)
    world.end(NOW + S, "installed", taken=taken("installed"))
    assert world.answers == [("a", "successful", "pump 1.0.1 activated: the first of its name")]
    assert [each["record"]["event"] for each in world.records()] == ["activated"]


def test_a_config_fragment_reloads_the_agent(world: World) -> None:
    world.look(NOW)
    world.end(NOW + S, "installed", taken=taken("installed", "config"))
    assert world.reloads == 1


def test_a_refusal_is_told_to_the_server_once(world: World) -> None:
    for turn in range(3):
        world.look(NOW + 6 * turn * HOUR)
        world.end(NOW + S, "refused", refused=[Refusal("expired", "it ended", "")])
    (record,) = world.records()
    assert (record["kind"], record["record"]["event"]) == ("update", "refused")
    assert record["record"]["reason"] == "expired: it ended"


def test_an_expired_repository_degrades_and_being_offline_does_not(world: World) -> None:
    (world.folder / "state" / "uplink").mkdir()
    write_record(
        world.folder / "state",
        SyncRecord(attempt_ms=5, state="unreachable", ends={"timestamp": "2024-01-01T00:00:00Z"}),
    )
    world.look(NOW)
    world.end(NOW + S, "unreachable")
    (problem,) = world.uplink.problems(NOW)
    assert "what was signed as timestamp ended on 2024-01-01" in problem
    info = world.uplink.info
    assert info is not None
    assert (info.state, info.last) == ("unreachable", 5)


def test_windows_of_readings_leave_half_of_the_outbox_to_events(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = f'{ON}[uplink.data]\nwindow = "10s"\nevery = "10s"\n[store]\nspool_bytes = "64KiB"\n'
    world = World(tmp_path, monkeypatch, text)
    for second in range(6000):
        world.uplink.readings([Reading("a", NOW + second * S, second / 7)], NOW)
        if second % 100 == 0:
            world.saving.commit(NOW)
    sizes = sum(len(msgspec.json.encode(each)) for each in world.records())
    assert 0.4 * 65536 < sizes < 0.62 * 65536
    assert world.uplink.dropped["uplink_data"] > 10
    world.saving.close()


def test_fragments_that_changed_without_a_word_are_taken_with_the_configuration(world: World) -> None:
    folder = world.folder / "state" / "uplink" / "config"
    folder.mkdir(parents=True)
    reloads = []
    for change in (
        lambda: (folder / "lines.toml").write_text("# brought by a process that was killed"),
        lambda: (folder / "lines.toml").unlink(),  # taken back by the publisher
        lambda: None,
    ):
        world.look(NOW + len(reloads) * 7 * HOUR)
        change()
        world.end(NOW + len(reloads) * 7 * HOUR + S)
        reloads.append(world.reloads)
        world.uplink.load(world.config)
    assert reloads == [1, 2, 2]


@pytest.mark.parametrize("event", ["kept", "rolled-back"])
def test_the_end_of_a_watch_is_no_answer_to_an_installation_that_waits_for_it(
    world: World, event: Any
) -> None:
    world.uplink.install(command("model-install", "7", "pump"))
    world.look(NOW)
    world.end(NOW + S, "offered", taken=taken("offered"))
    world.uplink.update(Update(id="a", event=event, ts=1, model="pump", version="1.0.2"))
    assert [state for _, state, _ in world.answers if state in ("successful", "failed")] == []
    world.uplink.update(Update(id="b", event="activated", ts=2, model="pump", version="1.0.3"))
    assert world.answers[-1] == ("7", "successful", "pump 1.0.3 activated")
