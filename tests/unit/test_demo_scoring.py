import random

import pytest

from edgead import simulate as sim
from edgead.demo.scoring import Episode, grade
from edgead.simulate import Label

S = 10**9
GRACE, SETTLING = 10 * S, 30 * S
LABELS = (
    Label("pump.flow", "step", 100 * S, 160 * S, 5.0),
    Label("pump.flow", "spike", 500 * S, 500 * S, 6.0),
    Label("tank.level", "drift", 200 * S, 350 * S, -7.0),
)


def judge(*episodes, labels=LABELS, readings=1000):
    told = [Episode(series_id, at_s * S) for series_id, at_s in episodes]
    return grade(labels, told, readings=readings, grace_ns=GRACE, settling_ns=SETTLING)


def test_an_alarm_that_opens_within_the_fault_finds_it_and_its_delay_is_counted_from_the_first_faulty_reading():
    result = judge(("pump.flow", 103), ("pump.flow", 120), ("pump.flow", 500), ("tank.level", 290))
    assert [(one.label, one.delay_ns) for one in result.found] == [
        (LABELS[0], 3 * S),
        (LABELS[1], 0),
        (LABELS[2], 90 * S),
    ]
    assert not result.missed
    assert not result.false_alarms
    assert result.passed


def test_an_alarm_of_another_series_or_time_finds_nothing_and_is_false():
    result = judge(("pump.pressure", 103), ("pump.flow", 99), ("tank.level", 500))
    assert result.missed == LABELS
    assert len(result.false_alarms) == 3
    assert not result.passed


def test_a_short_fault_may_be_found_within_the_grace_a_long_one_only_while_it_lasts():
    result = judge(("pump.flow", 510), ("tank.level", 351))
    assert [one.label.kind for one in result.found] == ["spike"]
    assert not result.false_alarms, "the jump back to normal after the drift is neither found nor false"
    assert judge(("pump.flow", 511)).found == ()


def test_the_settling_time_ends():
    assert not judge(("tank.level", 380)).false_alarms
    assert judge(("tank.level", 381)).false_alarms


def test_an_episode_that_was_open_before_the_fault_earns_nothing():
    result = judge(("pump.flow", 50))
    assert LABELS[0] in result.missed
    assert len(result.false_alarms) == 1


def test_found_share_and_rate_are_held_against_their_bounds():
    labels = [Label("a", "spike", 1000 * i * S, 1000 * i * S, 5.0) for i in range(1, 11)]
    nine = [("a", 1000 * i) for i in range(1, 10)]
    false = [("a", 1000 * i + 500) for i in range(1, 6)]
    assert judge(*nine, labels=labels, readings=5000).passed
    assert not judge(*nine[1:], labels=labels, readings=5000).passed
    assert judge(*nine, *false, labels=labels, readings=5000).passed
    assert not judge(*nine, *false, labels=labels, readings=4999).passed


def test_the_median_delay_is_told_by_kind():
    result = judge(("pump.flow", 101), ("tank.level", 260))
    assert result.by_kind() == {"spike": (0, 1, None), "step": (1, 1, 1.0), "drift": (1, 1, 60.0)}


@pytest.fixture(scope="module")
def scenario():
    return sim.make_scenario(1, 4500)


def grade_flags(scenario, is_anomaly, close_after=5):
    """Episodes as the engine makes them of a detector that only says yes or no."""
    episodes = []
    for series_id in scenario.columns:
        quiet = close_after
        for row in range(scenario.rows):
            if is_anomaly(series_id, row):
                if quiet >= close_after:
                    episodes.append(Episode(series_id, scenario.start_ns + row * scenario.step_ns))
                quiet = 0
            else:
                quiet += 1
    readings = scenario.rows * len(scenario.columns)
    return grade(scenario.labels, episodes, readings=readings, grace_ns=GRACE, settling_ns=SETTLING)


def test_a_detector_that_always_alarms_fails(scenario):
    result = grade_flags(scenario, lambda series_id, row: True)
    assert not result.found
    assert not result.passed


@pytest.mark.parametrize("every", [6, 7, 10, 50, 200])
def test_a_detector_that_alarms_again_and_again_fails(scenario, every):
    result = grade_flags(scenario, lambda series_id, row: row % every == 0)
    assert result.false_per_1000 > 1.0
    assert not result.passed


@pytest.mark.parametrize("share", [0.0005, 0.001, 0.003, 0.01, 0.1, 0.5])
def test_a_detector_that_guesses_fails(scenario, share):
    rng = random.Random(share)
    assert not grade_flags(scenario, lambda series_id, row: rng.random() < share).passed


def test_a_detector_that_never_alarms_fails(scenario):
    result = grade_flags(scenario, lambda series_id, row: False)
    assert result.missed == scenario.labels
    assert not result.passed


def test_a_detector_that_knows_the_labels_passes(scenario):
    faulty = {
        (label.series_id, row)
        for label in scenario.labels
        for row in range(label.start_ns // S, label.end_ns // S + 1)
    }
    result = grade_flags(scenario, lambda series_id, row: (series_id, row) in faulty)
    assert result.found_share == 1.0
    assert not result.false_alarms
    assert result.passed
