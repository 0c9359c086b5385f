"""New models of a group in the engine, the real packages and the real shelf: shadow, activation, watch, roll-back."""

from pathlib import Path

import pytest

from edgead.agent import crashes
from edgead.agent.crashes import settle_crashes, watch_over
from edgead.agent.groups import MODELS, Groups
from edgead.agent.network import NetworkInUse
from edgead.agent.updates import Tally
from edgead.errors import ModelPackageError
from edgead.package import read_package
from edgead.records import Reading
from edgead.simulate import PUMP, simulate
from edgead.stream import Engine, SeriesSettings
from tests import packages
from tests.rollout import T0, RolloutDevice, S

NAMES = read_package(packages.PUMP).manifest.names
WINDOW = read_package(packages.PUMP).manifest.window
V = {number: packages.id_of(number) for number in (1, 2, 3)}
SHADOW = 60
NERVOUS = packages.nervous(9)
NERVOUS_ID = read_package(NERVOUS).manifest.id

CONFIG = """
[node]
id = "gw1"
state_dir = "{state}"
[uplink]
shadow = {shadow}
watch = "10min"
[[series]]
topic = "{{machine}}/{{variable}}"
id = "{{machine}}.{{variable}}"
[[group]]
id = "pump1"
model = "pump"
variables = {{ {variables} }}
"""


class Device(RolloutDevice):
    """An engine with a group, fed one row a second, and its shelf."""

    def __init__(self, state: Path, *, shadow: int = SHADOW) -> None:
        variables = ", ".join(f'{name} = "pump1.{name}"' for name in NAMES)
        super().__init__(state, CONFIG.format(state=state, shadow=shadow, variables=variables))
        self.rows = {name: column.values for name, column in simulate(PUMP, 3000, seed=21).items()}
        if not self.shelf.active_id("pump"):
            self.shelf.propose(packages.variant(1))

    def start(self) -> None:
        self.updates += settle_crashes(self.config, self.shelf, self.now_ns)
        self.engine = Engine(self.config.engine)
        self.network = NetworkInUse(self.config)
        self.groups = Groups(self.config, self.engine)
        settings = SeriesSettings(detector="spectral-residual", allowed_lateness_ns=0)
        self.engine.restore([(name, *each) for name, each in self.snapshots.items()], [], lambda *_: settings)
        for name in NAMES:
            if f"pump1.{name}" not in self.engine.series:
                self.engine.add(f"pump1.{name}", name, settings, T0)
        self.begin()

    def run(self, seconds: int, scale: float = 1.0) -> list[float]:
        """Feed rows and look, as the agent's loop does; the scores of the group."""
        scores: list[float] = []
        for _ in range(seconds):
            row = self.second % 3000
            readings = [
                Reading(f"pump1.{name}", self.now_ns, float(self.rows[name][row]) * scale) for name in NAMES
            ]
            verdicts = self.engine.feed(readings, self.now_ns).verdicts
            scores += [each.score for each in verdicts if each.series_id == "group/pump1"]
            self.rollout.look(self.now_ns)
            self.second += 1
        return scores

    @property
    def active(self) -> str:
        """Version at work, which must be the one on the shelf."""
        model = self.engine.groups["group/pump1"].model.name
        assert model == f"pump@{self.shelf.active('pump').manifest.version}"
        return model


@pytest.fixture
def device(tmp_path: Path) -> Device:
    device = Device(tmp_path / "state")
    device.start()
    device.run(WINDOW)
    return device


def test_a_good_model_takes_over_after_its_shadow_run_without_a_gap_and_is_kept_after_the_watch(
    device: Device,
) -> None:
    device.offer(packages.variant(2))
    scores = device.run(WINDOW + SHADOW - 2)
    assert (device.story, device.active) == ([("offered", "1.0.2")], "pump@1.0.1")
    assert device.rollout.progress("pump") == f"shadow run: {SHADOW - 1} of {SHADOW} rows"
    scores += device.run(3)
    assert device.active == "pump@1.0.2"
    assert len(scores) == WINDOW + SHADOW + 1
    assert device.saves == 2
    assert device.groups.models.keys() == {"pump@1.0.2"}
    assert device.changed == [{"group/pump1"}]
    assert device.rollout.watched == {"pump": "1.0.2 is watched"}
    device.run(601)
    assert device.story == [("offered", "1.0.2"), ("activated", "1.0.2"), ("kept", "1.0.2")]
    assert (device.engine.shadows, device.rollout.watched, device.shelf.watch("pump")) == ({}, {}, None)
    done = device.updates[1]
    assert (done.rows, done.rows_beside, done.alarms, done.id) == (SHADOW, SHADOW, 0, V[2])


def test_a_model_that_alarms_too_much_is_rejected_early_with_the_numbers(device: Device) -> None:
    device.offer(NERVOUS)
    device.run(WINDOW + 10)
    assert (device.story[-1], device.active) == (("rejected", "1.0.9"), "pump@1.0.1")
    assert device.updates[-1].reason == "too many alarms: on 4 of 4 rows, the other model on 0 of 4"
    assert (device.shelf.candidates(), device.engine.shadows) == ([], {})
    assert device.shelf.rejections("pump")[0].id == NERVOUS_ID


def test_a_fault_of_the_machine_during_the_shadow_run_does_not_speak_against_the_model(
    device: Device,
) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW)
    device.run(40, scale=3.0)
    device.run(SHADOW)
    assert device.active == "pump@1.0.2"
    assert device.updates[-1].alarms > 10


def make_bad_on_the_way(device: Device) -> None:
    """Activate a model that finds everything abnormal, as one would be that is only bad on rows to come."""
    device.shelf.propose(NERVOUS)
    device.shelf.accept(
        "pump",
        NERVOUS_ID,
        watch=watch_over(NERVOUS_ID, V[1], device.now_ns + 600 * S, 0),
    )


def test_an_explosion_of_alarms_in_the_watch_takes_the_model_back(device: Device) -> None:
    make_bad_on_the_way(device)
    device.start()
    device.run(WINDOW)
    assert device.active == "pump@1.0.9"
    device.run(10)
    assert device.active == "pump@1.0.1"
    assert device.story[-1] == ("rolled-back", "1.0.9")
    assert "the other model on 0 of" in device.updates[-1].reason
    assert device.shelf.watch("pump") is None
    scores = device.run(10)
    assert max(scores) < 1.0  # its window was full all the time
    assert len(scores) == 10


def test_the_watch_goes_on_after_a_restart(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    device.rollout.leave()
    device.start()
    assert device.rollout.watched == {"pump": "1.0.2 is watched"}
    device.run(700)
    assert device.story[-1] == ("kept", "1.0.2")


def test_a_shadow_run_goes_on_after_restarts_with_its_rows_and_counts(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + 8)
    for _ in range(5):  # each far too short for a window
        device.stop()
        device.start()
        device.run(10)
    assert device.active == "pump@1.0.1"
    assert device.rollout.progress("pump") == f"shadow run: {SHADOW - 1} of {SHADOW} rows"
    device.run(2)
    assert device.active == "pump@1.0.2"
    assert (device.updates[-1].rows, device.updates[-1].rows_beside) == (SHADOW, SHADOW)


def test_the_counts_of_a_watch_go_on_after_a_restart(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW + 20)
    counts = device.rollout._runs["pump"].pair.counts
    assert counts.rows > 10
    device.stop()
    device.start()
    assert device.rollout._runs["pump"].pair.counts == counts


def test_alarms_from_before_a_restart_speak_against_a_model(device: Device) -> None:
    device.offer(NERVOUS)
    device.run(WINDOW + 1)
    assert device.rollout._runs["pump"].pair.counts.alarms == 2
    device.stop()
    device.start()
    device.run(3)
    assert device.story[-1] == ("rejected", "1.0.9")
    assert device.updates[-1].reason == "too many alarms: on 4 of 4 rows, the other model on 0 of 4"


def test_progress_is_of_one_package_and_of_shadow_run_or_watch(device: Device, caplog) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + 20)
    progress = device.state / MODELS / "pump" / "progress"
    device.stop()
    kept = progress.read_bytes()
    device.start()
    device.run(SHADOW)
    assert device.active == "pump@1.0.2"
    progress.write_bytes(kept)  # as after a cut between activation and the new progress
    device.start()
    assert device.rollout._runs["pump"].pair.counts.rows == 0
    device.rollout.roll_back("pump", device.now_ns)
    assert not progress.exists()
    progress.write_bytes(kept)
    device.rollout.forgive("pump")
    device.offer(packages.variant(2))
    assert device.rollout._runs["pump"].pair.counts.rows == 0
    assert "anew" not in caplog.text


def test_a_disk_that_takes_no_progress_costs_only_that(device: Device, monkeypatch, caplog) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + 20)

    def refuse(*given: object) -> None:
        raise ModelPackageError("progress cannot be written: No space left on device")

    monkeypatch.setattr(device.shelf, "keep", refuse)
    device.stop()
    assert "progress not kept" in caplog.text
    device.start()
    device.run(WINDOW + SHADOW)
    assert device.active == "pump@1.0.2"


def test_another_configuration_keeps_the_counts(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + 20)
    counts = device.rollout._runs["pump"].pair.counts
    device.rollout.rest()  # as the agent does before it takes a configuration
    assert (device.rollout.watched, device.engine.shadows) == ({}, {})
    device.groups.load(device.config)
    device.rollout.begin(device.config, device.now_ns)
    assert device.rollout._runs["pump"].pair.counts == counts


def test_two_ends_without_a_farewell_take_an_active_model_back(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    assert device.active == "pump@1.0.2"
    device.start()  # killed once
    assert device.active == "pump@1.0.2"
    device.start()  # and again
    assert device.active == "pump@1.0.1"
    assert device.story[-1] == ("rolled-back", "1.0.2")
    assert "the process ended 2 times without a farewell" in device.updates[-1].reason


def test_two_ends_without_a_farewell_reject_a_candidate(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(5)
    device.start()
    assert device.shelf.candidates()
    device.start()
    assert (device.shelf.candidates(), device.active) == ([], "pump@1.0.1")
    assert device.story[-1] == ("rejected", "1.0.2")


def test_farewells_and_power_cuts_are_no_crashes(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    for boot in ("a", "b", "c"):
        monkeypatch.setattr(crashes, "_boot", lambda boot=boot: boot)
        device.start()  # after a cut
        device.rollout.leave()
        device.start()
    assert device.active == "pump@1.0.2"


def test_a_candidate_damaged_on_disk_is_not_held_against_the_model(device: Device, tmp_path: Path) -> None:
    device.shelf.propose(packages.variant(2))
    path = tmp_path / "state" / MODELS / "pump" / f"{V[2]}.zip"
    path.write_bytes(path.read_bytes()[:-100])
    device.rollout.refresh(device.now_ns)
    assert (device.story, device.active) == ([], "pump@1.0.1")
    assert [each.id for each in device.shelf.candidates()] == [V[2]]
    device.shelf.mend(packages.variant(2))  # as the next sync does
    device.rollout.refresh(device.now_ns)
    assert device.story == [("offered", "1.0.2")]


def test_a_disk_that_refuses_the_activation_is_asked_again(device: Device, monkeypatch) -> None:
    device.offer(packages.variant(2))
    accept, refused = device.shelf.accept, []

    def refuse(*given: object, **more: object) -> object:
        refused.append(given)
        raise ModelPackageError("active cannot be written: No space left on device")

    monkeypatch.setattr(device.shelf, "accept", refuse)
    device.run(WINDOW + SHADOW + 12)
    assert (device.active, len(refused)) == ("pump@1.0.1", 3)  # every five seconds
    monkeypatch.setattr(device.shelf, "accept", accept)
    device.run(6)
    assert device.active == "pump@1.0.2"


def test_a_newer_candidate_takes_the_place_of_one_in_its_shadow_run(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW)
    device.offer(packages.variant(3))
    device.run(WINDOW + SHADOW)
    assert device.story == [("offered", "1.0.2"), ("offered", "1.0.3"), ("activated", "1.0.3")]


def test_the_shadow_run_of_a_candidate_that_was_taken_back_ends(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + 10)
    device.shelf.forget("pump", V[2])  # as the process of the sync does
    device.rollout.refresh(device.now_ns)
    assert (device.rollout.watched, device.engine.shadows) == ({}, {})
    assert device.story == [("offered", "1.0.2"), ("rejected", "1.0.2")]
    assert device.updates[-1].reason == "taken back by the publisher"
    device.run(SHADOW + 10)
    assert (device.active, device.saves) == ("pump@1.0.1", 0)


def test_a_watch_that_began_under_a_clock_of_2100_ends(device: Device) -> None:
    true, device.second = device.second, 2_400_000_000
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    assert device.rollout.watched == {"pump": "1.0.2 is watched"}
    device.second = true
    device.rollout.look(device.now_ns)
    device.second += 601
    device.rollout.look(device.now_ns)
    assert device.story[-1] == ("kept", "1.0.2")


def test_a_candidate_waits_while_the_last_one_is_watched(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    device.offer(packages.variant(3))
    assert device.rollout.watched == {"pump": "1.0.2 is watched"}
    device.run(601)
    assert device.story[-2:] == [("kept", "1.0.2"), ("offered", "1.0.3")]


def test_a_candidate_that_waited_for_the_watch_is_tried_after_a_roll_back(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    device.offer(packages.variant(3))
    device.rollout.roll_back("pump", device.now_ns)
    assert device.story[-2:] == [("rolled-back", "1.0.2"), ("offered", "1.0.3")]
    device.run(WINDOW + SHADOW)
    assert device.active == "pump@1.0.3"


def test_roll_back_on_request_in_the_watch_and_after_it(device: Device) -> None:
    device.offer(packages.variant(2))
    device.run(WINDOW + SHADOW)
    assert device.rollout.roll_back("pump", device.now_ns) == "pump is 1.0.1 again"
    assert (device.story[-1], device.active) == (("rolled-back", "1.0.2"), "pump@1.0.1")
    device.offer(packages.variant(3))
    device.run(WINDOW + SHADOW + 601)
    assert device.story[-1] == ("kept", "1.0.3")
    assert device.rollout.roll_back("pump", device.now_ns) == "pump is 1.0.1 again"
    assert device.active == "pump@1.0.1"


def test_what_nobody_uses_is_taken_without_comparison(device: Device) -> None:
    other = packages.with_manifest(lambda manifest: manifest.update(name="fan", version="1.0.0"))
    device.shelf.propose(other)
    newer = packages.with_manifest(lambda manifest: manifest.update(name="fan", version="1.1.0"))
    device.offer(newer)
    assert device.shelf.active("fan").manifest.version == "1.1.0"
    assert device.updates[-1].reason == "nothing here to compare it with"


def test_a_group_that_was_off_for_want_of_a_model_comes_with_the_first_one(tmp_path: Path) -> None:
    device = Device(tmp_path / "state")
    path = tmp_path / "state" / MODELS / "pump"
    for each in path.iterdir():
        each.unlink()
    device.start()
    assert "group/pump1" not in device.engine.groups
    device.offer(packages.variant(1))
    assert device.active == "pump@1.0.1"
    assert device.changed == [{"group/pump1"}]


@pytest.mark.parametrize(
    ("tally", "explodes"),
    [
        (Tally(1000, 10, 1000, 0), False),
        (Tally(1000, 11, 1000, 0), True),
        (Tally(1000, 70, 1000, 20), False),
        (Tally(1000, 71, 1000, 20), True),
        (Tally(100, 3, 0, 0), False),
        (Tally(1000, 40, 500, 5), False),  # a model of half the step: twice the rows
        (Tally(1000, 41, 500, 5), True),
    ],
)
def test_what_an_explosion_is(tally: Tally, explodes: bool) -> None:
    assert bool(tally.explosion(1000, 3.0)) is explodes
