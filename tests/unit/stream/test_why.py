"""The explanation of a verdict is the verdict, with what it was made of, wherever the state was saved."""

import math
from collections.abc import Mapping

import pytest

from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.stream.why import Explanation, explain
from edgead.univariate.streaming import DetectorSettings

S = 1_000_000_000
T0 = 1_763_750_000 * S


class Device:
    """An engine, its disk, and every verdict it ever gave."""

    def __init__(
        self, save_at: int | None, spikes: Mapping[int, float] | None = None, **judging: object
    ) -> None:
        spikes = {450: 30.0} if spikes is None else spikes
        self.settings = SeriesSettings(judging=DetectorSettings(**{"window": 64, **judging}))
        self.engine = Engine(EngineSettings(node="gw1"))
        self.engine.add("a", "t/a", self.settings, T0)
        self.saved: tuple[int, bytes] | None = None
        self.entries: list[tuple[int, bytes]] = []
        self.verdicts = {}
        for i in range(500):
            value = math.sin(i / 5) + i * 7919 % 13 / 20 + spikes.get(i, 0.0)
            for out in (
                self.engine.feed([Reading("a", T0 + i * S, value)], T0 + i * S),
                self.engine.tick(T0 + i * S),
            ):
                self.verdicts.update({v.time_ns: v for v in out.verdicts})
            if i % 50 == 49:
                entry = self.engine.journal_entry()
                assert entry is not None
                seq = i // 50 + 1
                self.entries.append((seq, entry))
                if save_at is not None and i <= save_at:
                    self.saved = (seq, self.engine.checkpoint(0)["a"])
                self.engine.settle(seq)

    def why(self, second: int | None = None) -> Explanation | None:
        at_ns = None if second is None else T0 + second * S
        return explain("a", self.saved, self.entries, self.settings, "gw1", at_ns)


@pytest.mark.parametrize("save_at", [None, 100, 400])
@pytest.mark.parametrize("second", [420, 449, 450, 455, 490])
def test_an_explanation_is_of_the_verdict_that_was_given(save_at: int | None, second: int):
    device = Device(save_at)
    found = device.why(second)
    assert found is not None
    assert found.verdict == device.verdicts[T0 + second * S]
    assert found.parts["view"] in found.parts
    assert [at for at, _ in found.before] == [T0 + (second - k) * S for k in range(10, 0, -1)]


def test_an_alarm_says_which_view_went_over_its_bound():
    found = Device(100).why(450)
    assert found is not None
    assert found.verdict.is_anomaly
    view = str(found.parts["view"])
    assert found.parts[view] > found.parts[f"{view}_bound"]
    assert found.episode_since_ns == 0 or found.episode_since_ns == T0 + 450 * S


def test_without_a_time_the_newest_verdict_is_explained():
    found = Device(100).why()
    assert found is not None
    assert found.verdict.time_ns == T0 + 497 * S


def test_a_gate_that_held_an_anomaly_back_is_named():
    found = Device(100, min_abs=100.0).why(450)
    assert found is not None
    assert not found.verdict.is_anomaly
    assert found.held_back_by == "min_abs"
    assert found.gates["min_abs"] == 100.0


def test_what_louder_events_left_no_room_for_is_named():
    louder = {150 + 25 * k: 30.0 * 2**k for k in range(5)}
    found = Device(100, spikes=louder | {300: 500.0}).why(300)
    assert found is not None
    assert found.verdict.score > 1
    assert not found.verdict.is_anomaly
    assert found.held_back_by == "budget"


def test_what_lies_before_the_saved_state_is_not_guessed():
    assert Device(400).why(20) is None


def test_while_learning_the_readings_still_needed_are_told():
    found = Device(None).why(5)
    assert found is not None
    assert found.verdict.phase == "learning"
    assert found.needed > 0
