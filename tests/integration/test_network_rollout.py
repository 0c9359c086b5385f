"""New networks of single series in the engine, the real packages and shelf: shadow, activation, watch, way back."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from msgspec.structs import replace

from edgead.agent import beside
from edgead.agent.crashes import settle_crashes, watch_over
from edgead.agent.groups import MODELS, Groups
from edgead.agent.network import NetworkInUse
from edgead.config import parse
from edgead.package import open_package
from edgead.records import Event, Reading, Verdict
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.univariate import DetectorSettings, networks
from tests import packages
from tests.rollout import RolloutDevice, S

SHADOW = 60
#: Readings until a network that never saw a series has a say.
COLD = 88
SETTINGS = SeriesSettings(
    detector="srcnn", judging=DetectorSettings(window=64), allowed_lateness_ns=0, step_ns=S
)
V = {number: open_package(packages.network(number)).manifest.id for number in (1, 2, 3)}
TWITCHY = packages.twitchy(9)
TWITCHY_ID = open_package(TWITCHY).manifest.id

CONFIG = """
[node]
id = "gw1"
state_dir = "{state}"
[uplink]
shadow = {shadow}
watch = "10min"
[[series]]
topic = "t/{{name}}"
id = "{{name}}"
detector = "srcnn"
"""


class Device(RolloutDevice):
    """An engine with series that share a network, fed one row a second, and its shelf."""

    def __init__(self, state: Path, *, series: int = 3, shadow: int = SHADOW, budget: int = 2**26) -> None:
        super().__init__(state, CONFIG.format(state=state, shadow=shadow))
        self.names = [f"s{number}" for number in range(series)]
        self.limits = EngineSettings(node="gw1", memory_budget_bytes=budget)
        self.values = np.random.default_rng(5).normal(20.0, 1.0, (4000, series)).round(6)

    def start(self) -> None:
        """As a process does, from what was saved."""
        self.updates += settle_crashes(self.config, self.shelf, self.now_ns)
        self.network = NetworkInUse(self.config)
        self.engine = Engine(self.limits)
        self.groups = Groups(self.config, self.engine)
        self.engine.restore([(name, *each) for name, each in self.snapshots.items()], [], lambda *_: SETTINGS)
        for name in self.names:
            if name not in self.engine.series:
                assert self.engine.add(name, name, SETTINGS, self.now_ns) is None
        self.begin()

    def run(
        self, seconds: int, *, repeat: int = 0, only: tuple[str, ...] = ()
    ) -> tuple[list[Verdict], list[Event]]:
        """Feed rows and look, as the agent's loop does; every `repeat` rows the row before comes again."""
        verdicts, events = [], []
        for _ in range(seconds):
            row = self.second - bool(repeat and self.second % repeat == 0)
            out = self.engine.feed(
                [
                    Reading(name, self.now_ns, float(self.values[row, at]))
                    for at, name in enumerate(self.names)
                    if name in (only or self.names)
                ],
                self.now_ns,
            )
            verdicts += out.verdicts
            events += out.events
            self.rollout.look(self.now_ns)
            self.second += 1
        return verdicts, events

    @property
    def active(self) -> str:
        """What every series has, which must be what the shelf, the config's network and the process say."""
        (name,) = {series.detector.model for series in self.engine.series.values()}
        assert name == networks.in_use().name
        assert list(self.network.models) == [name]
        return name


@pytest.fixture(autouse=True)
def shipped_again() -> Iterator[None]:
    yield
    networks.use_shipped()


@pytest.fixture
def device(tmp_path: Path) -> Device:
    device = Device(tmp_path / "state")
    device.start()
    device.run(200)
    return device


def test_a_good_network_takes_over_from_the_shipped_one_after_its_shadow_run_and_is_kept(
    device: Device,
) -> None:
    device.offer(packages.network(2))
    assert (device.shelf.active_id("srcnn"), device.active) == ("", "srcnn@1.0.0")
    device.run(COLD + 10)
    assert device.rollout.progress("srcnn") == f"shadow run: 10 of {SHADOW} readings of 3 series"
    assert device.active == "srcnn@1.0.0"
    verdicts, _ = device.run(SHADOW - 10)
    assert device.active == "srcnn@1.0.2"
    assert len(verdicts) == 3 * (SHADOW - 10)
    assert {each.phase for each in verdicts} == {"ready"}
    assert device.changed == [{"s0", "s1", "s2"}]
    assert device.saves == 2
    assert device.rollout.watched == {"srcnn": "1.0.2 is watched"}
    done = device.updates[1]
    assert (done.rows, done.rows_beside, done.id) == (3 * SHADOW, 3 * SHADOW, V[2])
    assert done.alarms == done.alarms_beside  # the same network under another version
    device.run(601)
    assert device.story == [("offered", "1.0.2"), ("activated", "1.0.2"), ("kept", "1.0.2")]
    assert (device.engine.series_shadows, device.shelf.watch("srcnn")) == ({}, None)
    assert not (device.state / MODELS / "srcnn" / "progress").exists()


def test_what_is_told_is_the_same_with_a_shadow_and_without(tmp_path: Path) -> None:
    told = []
    for name in ("alone", "beside"):
        device = Device(tmp_path / name)
        device.start()
        device.run(200)
        if name == "beside":
            device.offer(TWITCHY)
            assert len(device.engine.series_shadows) == 3
        told.append(device.run(140, repeat=50))
        told.append(device.engine.save_all())  # type: ignore[arg-type]
        told.append(device.engine.journal_entry())  # type: ignore[arg-type]
    assert told[:3] == told[3:]


def test_a_network_that_alarms_too_much_is_rejected_with_the_numbers(device: Device) -> None:
    device.offer(TWITCHY)
    device.run(COLD + 10)
    device.run(50, repeat=6)
    assert device.story == [("offered", "1.0.9"), ("rejected", "1.0.9")]
    reason = device.updates[-1].reason
    assert reason.startswith("too many alarms: on ")
    assert "readings of 3 series, the other model on 0 of" in reason
    assert (device.active, device.engine.series_shadows) == ("srcnn@1.0.0", {})
    assert device.shelf.rejections("srcnn")[0].id == TWITCHY_ID


def activate(device: Device, data: bytes, identity: str) -> None:
    """As one becomes active that is only bad on readings to come."""
    device.shelf.propose(data)
    watch = watch_over(identity, device.shelf.active_id("srcnn"), device.now_ns + 600 * S, 0)
    device.shelf.accept("srcnn", identity, watch=replace(watch, boot=""))
    device.stop()
    device.start()


def test_an_explosion_in_the_watch_goes_back_to_the_shipped_network_with_what_it_knows(
    device: Device,
) -> None:
    activate(device, TWITCHY, TWITCHY_ID)
    assert device.active == "srcnn@1.0.9"
    device.run(COLD + 10)
    device.run(60, repeat=6)
    assert device.story == [("rolled-back", "1.0.9")]
    assert (device.active, device.shelf.active_id("srcnn")) == ("srcnn@1.0.0", "")
    assert all(series.ready for series in device.engine.series.values())
    assert all(series.detector.heeded for series in device.engine.series.values())
    device.stop()
    device.start()
    assert device.active == "srcnn@1.0.0"


def test_two_ends_without_a_farewell_go_back_before_the_network_is_loaded(device: Device) -> None:
    activate(device, packages.network(2), V[2])
    device.save()
    device.start()  # killed
    assert device.active == "srcnn@1.0.2"
    device.start()
    assert device.active == "srcnn@1.0.0"
    assert device.story[-1] == ("rolled-back", "1.0.2")


def test_on_request_it_goes_back_to_the_one_before_and_then_to_the_shipped_one(device: Device) -> None:
    for number in (2, 3):
        device.offer(packages.network(number))
        device.run(COLD + SHADOW + 601)
        assert device.story[-1] == ("kept", f"1.0.{number}")
    assert device.rollout.roll_back("srcnn", device.now_ns) == "srcnn is 1.0.2 again"
    assert device.active == "srcnn@1.0.2"
    assert device.rollout.roll_back("srcnn", device.now_ns) == "srcnn is 1.0.0 again"
    assert device.active == "srcnn@1.0.0"
    assert all(series.ready for series in device.engine.series.values())


def test_a_kill_after_the_activation_loses_nothing_of_what_series_know(tmp_path: Path) -> None:
    device = Device(tmp_path / "state", series=beside.SAMPLE + 2)
    device.start()
    device.run(200)
    device.offer(packages.network(2))
    device.run(COLD + SHADOW + 100, repeat=50)
    assert device.active == "srcnn@1.0.2"
    entry = device.engine.journal_entry()
    assert entry is not None
    again = Engine(device.limits)
    again.restore(
        [(name, *each) for name, each in device.snapshots.items()], [(2, entry)], lambda *_: SETTINGS
    )
    assert again.save_all() == device.engine.save_all()


def test_a_cut_between_the_rename_and_the_new_state_leaves_series_that_know_their_readings(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.offer(packages.network(2))
    accept = device.shelf.accept

    def cut(*given: str, **more: object) -> None:
        accept(*given, **more)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    monkeypatch.setattr(device.shelf, "accept", cut)
    with pytest.raises(KeyboardInterrupt):
        device.run(COLD + SHADOW)
    monkeypatch.setattr(device.shelf, "accept", accept)
    device.start()
    assert device.active == "srcnn@1.0.2"
    assert device.rollout.watched == {"srcnn": "1.0.2 is watched"}
    assert all(series.ready for series in device.engine.series.values())


def test_the_network_before_is_the_reference_of_the_watch_and_comes_back_in_it(device: Device) -> None:
    device.offer(packages.network(2))
    device.run(COLD + SHADOW)
    assert device.active == "srcnn@1.0.2"
    assert {each.detector.model for each in device.engine.series_shadows.values()} == {"srcnn@1.0.0"}
    assert device.rollout.roll_back("srcnn", device.now_ns) == "srcnn is 1.0.0 again"
    assert device.active == "srcnn@1.0.0"
    assert device.story[-1] == ("rolled-back", "1.0.2")


def test_restarts_lose_neither_counts_nor_what_the_candidate_knows(device: Device) -> None:
    device.offer(packages.network(2))
    device.run(COLD)
    for _ in range(6):  # each too short for a network that has to begin anew
        device.stop()
        device.start()
        device.run(10)
    assert device.active == "srcnn@1.0.2"
    assert (device.updates[-1].event, device.updates[-1].rows) == ("activated", 3 * SHADOW)


def test_the_watch_counts_on_after_a_restart(device: Device) -> None:
    device.offer(packages.network(2))
    device.run(COLD + SHADOW + 20)
    counts = device.rollout._runs["srcnn"].pair.counts
    assert counts.rows == 3 * 20
    device.stop()
    device.start()
    assert device.rollout._runs["srcnn"].pair.counts == counts
    device.run(1)
    assert device.rollout._runs["srcnn"].pair.counts.rows == 3 * 21


@pytest.mark.parametrize("damage", [lambda data: data[:-1], lambda data: b"", lambda data: data + b"x"])
def test_a_damaged_progress_begins_the_trial_anew_and_is_told(device: Device, damage, caplog) -> None:
    device.offer(packages.network(2))
    device.run(COLD + 10)
    device.stop()
    path = device.state / MODELS / "srcnn" / "progress"
    path.write_bytes(damage(path.read_bytes()))
    device.start()
    assert "trial begins anew" in caplog.text
    assert device.rollout._runs["srcnn"].pair.counts.rows == 0
    device.run(COLD + SHADOW)
    assert device.active == "srcnn@1.0.2"


def test_progress_is_written_down_every_quarter_of_an_hour(device: Device) -> None:
    device.config = parse(CONFIG.format(state=device.state, shadow=100_000).encode())
    device.start()
    device.offer(packages.network(2))
    path = device.state / MODELS / "srcnn" / "progress"
    device.run(1)
    assert not path.exists()
    device.second += 900
    device.run(1)
    before = path.stat().st_mtime_ns
    device.run(10)
    assert path.stat().st_mtime_ns == before


def test_a_sample_stands_for_many_series_and_is_the_same_after_a_restart(tmp_path: Path) -> None:
    device = Device(tmp_path / "state", series=beside.SAMPLE + 8)
    device.start()
    device.run(150)
    before = device.engine.memory_bytes
    device.offer(packages.network(2))
    sample = set(device.engine.series_shadows)
    assert len(sample) == beside.SAMPLE
    assert device.engine.memory_bytes - before == sum(
        shadow.detector.nbytes for shadow in device.engine.series_shadows.values()
    )
    device.stop()
    device.start()
    assert set(device.engine.series_shadows) == sample
    device.run(COLD + SHADOW)
    assert device.active == "srcnn@1.0.2"
    others = [series for name, series in device.engine.series.items() if name not in sample]
    assert all(series.ready for series in others)
    device.run(601)
    assert device.engine.memory_bytes == before


def test_series_without_room_are_left_out_and_without_any_the_network_is_rejected(tmp_path: Path) -> None:
    probe = Device(tmp_path / "probe")
    probe.start()
    each = probe.engine.series["s0"].detector.nbytes
    roomy = Device(tmp_path / "roomy", budget=probe.engine.memory_bytes + 2 * each)
    roomy.start()
    roomy.offer(packages.network(2))
    assert len(roomy.engine.series_shadows) == 2
    full = Device(tmp_path / "full", budget=probe.engine.memory_bytes + each - 1)
    full.start()
    full.offer(packages.network(2))
    assert full.story == [("rejected", "1.0.2")]
    assert "no room for its state in memory_budget" in full.updates[-1].reason


def test_series_that_come_later_join_and_those_that_are_gone_keep_nobody_waiting(tmp_path: Path) -> None:
    device = Device(tmp_path / "state", series=5)
    device.names, late = device.names[:2], device.names[2:]
    device.start()
    device.run(150)
    device.offer(packages.network(2))
    assert device.rollout.progress("srcnn") == f"shadow run: 0 of {SHADOW} readings of 2 series"
    for name in late:
        device.engine.add(name, name, SETTINGS, device.now_ns)
    device.names += late
    device.run(1)
    assert set(device.engine.series_shadows) == set(device.names)
    # three of five never say anything and are stale after a minute
    device.run(COLD + SHADOW, only=("s0", "s1"))
    assert device.active == "srcnn@1.0.0"
    device.engine.tick(device.now_ns)
    device.run(1, only=("s0", "s1"))
    assert device.active == "srcnn@1.0.2"


def test_a_machine_that_is_off_counts_on_where_it_was(device: Device) -> None:
    device.offer(packages.network(2))
    device.run(COLD + 10)
    device.second += 300
    device.engine.tick(device.now_ns)
    assert all(series.stale for series in device.engine.series.values())
    assert device.rollout.progress("srcnn") == f"shadow run: 10 of {SHADOW} readings of 3 series"
    device.run(SHADOW - 11)
    assert device.active == "srcnn@1.0.0"
    device.run(1)
    assert device.active == "srcnn@1.0.2"


def test_a_series_that_learns_anew_is_compared_anew(device: Device) -> None:
    device.offer(packages.network(2))
    device.run(COLD + 10)
    device.engine.command("relearn", "s0", device.now_ns)
    device.run(20)
    counts = {name: shadow.counts.rows for name, shadow in device.engine.series_shadows.items()}
    assert (counts["s0"], counts["s1"]) == (0, 30)
    device.run(SHADOW)
    assert device.active == "srcnn@1.0.2"


def test_a_network_that_fails_is_rejected(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.offer(packages.network(2))

    def fail(histories: object) -> None:
        raise networks.ModelPackageError("no memory")

    monkeypatch.setattr(device.rollout._runs["srcnn"].pair.unheard._session, "run", fail)
    verdicts, _ = device.run(2)
    assert len(verdicts) == 6
    assert device.story[-1] == ("rejected", "1.0.2")
    assert device.updates[-1].reason == "failed on a row: no memory"
    assert device.active == "srcnn@1.0.0"


def test_a_package_of_another_kind_under_the_name_is_rejected(device: Device) -> None:
    device.offer(packages.with_manifest(lambda manifest: manifest.update(name="srcnn")))
    assert device.story[-1][0] == "rejected"
    assert "a model of many variables, expected one of one variable" in device.updates[-1].reason


def test_without_a_series_that_asks_for_it_a_network_is_taken_at_once(tmp_path: Path) -> None:
    device = Device(tmp_path / "state", series=0)
    text = CONFIG.format(state=device.state, shadow=SHADOW).replace('"srcnn"', '"spectral-residual"')
    device.config = parse(text.encode())
    device.start()
    device.offer(packages.network(2))
    assert device.shelf.active_id("srcnn") == V[2]
    assert device.updates[-1].reason == "nothing here to compare it with"
