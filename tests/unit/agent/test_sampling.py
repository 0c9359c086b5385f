"""Windows of readings: the same stretch of time of every series asked for, in order, within the budget."""

import msgspec
import pytest

from edgead.agent import sampling
from edgead.agent.sampling import Readings, Sampler
from edgead.config import UplinkDataConfig
from edgead.records import Reading

S = 10**9
T0 = 1_763_748_000 * S  # a whole number of hours


def sampler(**settings: object) -> Sampler:
    return Sampler(UplinkDataConfig(**{"window": 10 * S, "every": 60 * S, **settings}))


def feed(sampler: Sampler, seconds: range, series: tuple[str, ...] = ("a.x",)) -> list[Readings]:
    readings = [Reading(each, T0 + s * S, float(s)) for s in seconds for each in series]
    found = [body for reading in readings for body in sampler.take([reading], reading.time_ns)]
    return [msgspec.json.decode(body, type=Readings) for body in found]


def test_every_series_gives_the_same_windows():
    found = feed(sampler(), range(130), ("a.x", "a.y"))
    assert [(each.series, each.values) for each in found] == [
        (series, [float(s) for s in range(start, start + 10)])
        for start in (0, 60, 120)
        for series in ("a.x", "a.y")
    ][: len(found)]
    assert len(found) == 4
    assert found[0].ts == T0 // 10**6
    assert found[0].times_us[:2] == [T0 // 1000, T0 // 1000 + 10**6]


def test_a_window_is_complete_with_the_first_reading_after_it_however_late():
    assert [each.values for each in feed(sampler(), [*range(4), 200])] == [[0.0, 1.0, 2.0, 3.0]]


def test_only_the_series_asked_for():
    found = feed(sampler(series=("pump*.x", "fan")), range(20), ("pump1.x", "pump1.y", "fan", "fan2"))
    assert sorted(each.series for each in found) == ["fan", "pump1.x"]


def test_a_gap_is_null():
    one = sampler()
    one.take([Reading("a", T0, float("nan"))], T0)
    (body,) = one.take([Reading("a", T0 + 30 * S, 1.0)], T0)
    assert msgspec.json.decode(body)["values"] == [None]


def test_the_budget_of_a_day_bounds_what_is_sent_and_the_rest_is_counted():
    one = sampler(daily=1024)
    found = feed(one, range(600))
    assert 0 < len(found) < 9
    assert one.left_out == 10 * (10 - len(found))
    day = 86_400
    assert feed(one, range(day, day + 70))


def test_windows_are_bounded_in_readings_and_series(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(sampling, "MAX_READINGS", 5)
    monkeypatch.setattr(sampling, "MAX_SERIES", 2)
    one = sampler()
    found = feed(one, range(20), ("a", "b", "c"))
    assert [(each.series, len(each.values)) for each in found] == [("a", 5), ("b", 5)]
    assert one.left_out == 5 + 5 + 10


def test_a_reading_of_an_earlier_window_is_left_alone():
    one = sampler()
    assert feed(one, range(60, 65)) == []
    assert one.take([Reading("a.x", T0, 1.0)], T0) == []
    (found,) = feed(one, range(75, 76))
    assert found.values == [60.0, 61.0, 62.0, 63.0, 64.0]
