"""A second model beside a group's or a series': it sees the same, changes nothing, and can take its place."""

import numpy as np
import pytest
from msgspec.structs import replace

from edgead.errors import InvalidInput
from edgead.package import open_package
from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, GroupSettings, Outcome, SeriesSettings
from edgead.stream.shadow import MOST_UNHEARD, Counts, SeriesShadow, Unheard
from edgead.univariate import DetectorSettings, networks
from edgead.univariate.srcnn import SrcnnDetector
from tests import packages
from tests.toy_model import ToyModel

S = 10**9
T0 = 1_763_750_000 * S
SETTINGS = GroupSettings(variables={"x": "a", "y": "b"}, close_after=2, max_gap_ns=30 * S)
NAME = "group/g"


class Nervous(ToyModel):
    """Finds every third row abnormal."""

    def __init__(self, variables: tuple[str, ...] = ("y", "x")) -> None:
        super().__init__(variables, digest="nervous")
        self.name = "toy@2.0.0"
        self.judged = 0

    def judge(self, row: tuple[float, ...]):
        judged = super().judge(row)
        if judged is None:
            return None
        self.judged += 1
        return judged._replace(score=2.0 if self.judged % 3 == 0 else 0.5, severity=0.2)


def make_engine(**limits: int) -> Engine:
    engine = Engine(EngineSettings(node="gw1", **limits))
    for series_id in ("a", "b"):
        engine.add(series_id, series_id, SeriesSettings(allowed_lateness_ns=0), T0)
    assert engine.add_group("g", SETTINGS, ToyModel()) is None
    return engine


def feed(engine: Engine, seconds: range, value: float = 1.0) -> Outcome:
    readings = [Reading(each, T0 + second * S, value) for second in seconds for each in "ab"]
    return engine.feed(readings, readings[-1].time_ns)


def of_group(out: Outcome) -> tuple[list, list]:
    verdicts = [each for each in out.verdicts if each.series_id == NAME]
    return verdicts, [each for each in out.events if each.verdict.series_id == NAME]


def test_a_shadow_changes_nothing_that_is_told_and_is_not_saved():
    plain, shadowed = make_engine(), make_engine()
    assert shadowed.add_shadow("g", Nervous()) is None
    for seconds, value in ((range(40), 1.0), (range(40, 43), 9.0), (range(43, 60), 1.0)):
        a, b = feed(plain, seconds, value), feed(shadowed, seconds, value)
        assert of_group(a) == of_group(b)
        assert a.changed == b.changed
    assert plain.tick(T0 + 600 * S).changed == shadowed.tick(T0 + 600 * S).changed
    assert plain.checkpoint(0) == shadowed.checkpoint(0)
    assert plain.save_all() == shadowed.save_all()


def test_both_are_counted_from_the_shadows_first_row():
    engine = make_engine()
    feed(engine, range(20))
    feed(engine, range(20, 21), 9.0)
    engine.add_shadow("g", Nervous())
    shadow = engine.shadows[NAME]
    feed(engine, range(21, 28))
    assert shadow.counts == Counts()
    feed(engine, range(28, 58))
    assert shadow.counts == Counts(30, 10, 30, 0)


def test_a_swap_gives_the_group_the_other_model_with_a_full_window_and_an_open_episode_goes_on():
    engine = make_engine()
    engine.add_shadow("g", Nervous())
    feed(engine, range(20))
    (opened,) = of_group(feed(engine, range(20, 21), 9.0))[1]
    engine.swap_shadow("g")
    verdicts, _ = of_group(feed(engine, range(21, 22)))
    assert [each.score for each in verdicts] == [2.0]
    assert engine.groups[NAME].model.name == "toy@2.0.0"
    assert engine.groups[NAME].phase == "ready"
    assert engine.groups[NAME].series == ("b", "a")
    assert engine.groups[NAME].episode.since_ns == opened.since_ns
    assert engine.shadows[NAME].model.name == "toy@1.0.0"
    assert engine.shadows[NAME].counts == Counts(1, 0, 1, 1)
    engine.swap_shadow("g")
    feed(engine, range(24, 40))
    assert engine.groups[NAME].model.name == "toy@1.0.0"


def test_after_a_swap_the_group_is_saved_with_its_new_model():
    engine = make_engine()
    engine.add_shadow("g", Nervous())
    feed(engine, range(20))
    engine.settle(1, engine.checkpoint(0))
    engine.swap_shadow("g")
    saved = engine.checkpoint(1_000_000)
    assert NAME in saved
    again = Engine(EngineSettings(node="gw1"))
    again.add_group("g", SETTINGS, Nervous())
    settings = SeriesSettings(allowed_lateness_ns=0)
    again.restore([(name, 1, blob) for name, blob in saved.items()], [], lambda *_: settings)
    assert again.groups[NAME].phase == "ready"


def test_a_shadow_of_other_variables_or_without_room_is_refused():
    engine = make_engine()
    assert "variables = x, y: expected those of the model" in str(engine.add_shadow("g", Nervous(("x", "z"))))
    engine = make_engine(memory_budget_bytes=1024**2)
    big = Nervous()
    big.nbytes = 2 * 1024**2
    before = engine.memory_bytes
    assert "no room for its window" in str(engine.add_shadow("g", big))
    assert (engine.memory_bytes, engine.shadows) == (before, {})


def test_memory_of_a_shadow_is_counted_and_given_back():
    engine = make_engine()
    before = engine.memory_bytes
    engine.add_shadow("g", Nervous())
    assert engine.memory_bytes == before + 64
    engine.add_shadow("g", Nervous())
    assert engine.memory_bytes == before + 64
    engine.swap_shadow("g")
    engine.remove_shadow("g")
    engine.remove_shadow("g")
    assert engine.memory_bytes == before
    feed(engine, range(10))


def test_a_group_that_is_added_anew_or_removed_loses_its_shadow():
    engine = make_engine()
    before = engine.memory_bytes
    engine.add_shadow("g", Nervous())
    engine.add_group("g", SETTINGS, ToyModel())
    assert (engine.shadows, engine.memory_bytes) == ({}, before)
    engine.add_shadow("g", Nervous())
    engine.remove_group("g")
    assert engine.shadows == {}
    feed(engine, range(3))


def test_a_clock_that_was_set_back_begins_the_shadows_rows_anew_too():
    engine = make_engine()
    engine.add_shadow("g", Nervous())
    feed(engine, range(20))
    engine.resume(T0 - 4000 * S)
    readings = [Reading(each, T0 - 3600 * S + s * S, 1.0) for s in range(30) for each in "ab"]
    for reading in readings:
        engine.feed([reading], reading.time_ns)
    assert engine.groups[NAME].model.needed == engine.shadows[NAME].model.needed


# ---------------------------------------------------------------------- of series

SRCNN = SeriesSettings(
    detector="srcnn", judging=DetectorSettings(window=64), allowed_lateness_ns=2 * S, step_ns=S
)


@pytest.fixture(scope="module")
def other() -> networks.Network:
    """The network in use under another version."""
    return networks.load(open_package(packages.network(2)))


def make_series(other: networks.Network, *, most: int = 10_000, settings: SeriesSettings = SRCNN) -> Engine:
    engine = Engine(EngineSettings(node="gw1"))
    engine.add("a", "a", settings, T0)
    detector = SrcnnDetector(settings.detecting, other)
    assert engine.add_series_shadow("a", detector, most=most) is None
    return engine


def told(detector: SrcnnDetector) -> bytes:
    """A dump without the name of the network."""
    return detector.dump()[16:]


def noise(rows: int) -> list[float]:
    return np.random.default_rng(3).normal(20.0, 1.0, rows).round(6).tolist()


def feed_one(engine: Engine, times: list[float], values: list[float]) -> None:
    for second, value in zip(times, values, strict=True):
        now_ns = T0 + round(second * S)
        engine.feed([Reading("a", now_ns, value)], now_ns)
        engine.tick(now_ns)
    engine.judge_unheard()


def test_the_detector_beside_sees_what_the_series_judges_with_its_gaps_and_disorder(other):
    engine = make_series(other)
    rng = np.random.default_rng(4)
    steps = rng.choice([1.0, 1.0, 1.0, 0.6, 1.4, 2.0, 5.0], 600)
    times = np.cumsum(steps)
    at = rng.choice(599, 60, replace=False)
    times[at], times[at + 1] = times[at + 1].copy(), times[at].copy()
    values = noise(600)
    values[100] = values[200] = float("nan")
    feed_one(engine, times.tolist(), values)
    series, shadow = engine.series["a"], engine.series_shadows["a"]
    assert told(shadow.detector) == told(series.detector)
    assert shadow.counts.rows > 300
    assert shadow.counts.alarms == shadow.counts.alarms_beside
    feed_one(engine, [times[-1] + 200 + second for second in range(60)], noise(60))
    assert told(shadow.detector) == told(series.detector)


def test_a_clock_that_was_set_back_is_no_gap_for_the_detector_beside(other):
    engine = make_series(other)
    feed_one(engine, list(range(200)), noise(200))
    for second, value in enumerate(noise(100)):
        engine.feed([Reading("a", T0 - 5000 * S + second * S, value)], T0 + (300 + second) * S)
    engine.judge_unheard()
    series, shadow = engine.series["a"], engine.series_shadows["a"]
    assert series.judged_ns < T0
    assert told(shadow.detector) == told(series.detector)


def test_readings_count_up_to_a_bound_and_from_when_the_network_has_a_say(other):
    engine = make_series(other, most=50)
    feed_one(engine, list(range(90)), noise(90))
    assert engine.series_shadows["a"].counts.rows == 0  # the window is not full, and 88 for the network
    feed_one(engine, list(range(90, 130)), noise(40))
    assert 0 < engine.series_shadows["a"].counts.rows < 50
    feed_one(engine, list(range(130, 300)), noise(170))
    assert engine.series_shadows["a"].counts.rows == engine.series_shadows["a"].counts.rows_beside == 50


def test_what_is_told_does_not_wait_for_the_detector_beside_and_what_waits_is_bounded(other):
    engine = make_series(other)
    feed_one(engine, list(range(200)), noise(200))
    shadow = engine.series_shadows["a"]
    rows = shadow.counts.rows
    readings = [Reading("a", T0 + (200 + at) * S, value) for at, value in enumerate(noise(MOST_UNHEARD + 10))]
    assert len(engine.feed(readings[:100], T0 + 300 * S).verdicts) == 100
    assert shadow.counts.rows == rows
    engine.feed(readings[100:], T0 + 2000 * S)
    assert shadow.counts.rows > rows + 900  # more than may wait
    engine.judge_unheard()
    assert told(shadow.detector) == told(engine.series["a"].detector)


def test_a_series_goes_on_with_the_detector_beside_it_and_its_late_readings_too(other):
    settings = replace(SRCNN, late="replay")
    engine = make_series(other, settings=settings)
    feed_one(engine, list(range(300)), noise(300))
    engine.feed([Reading("a", T0 - 500 * S, 1.0)], T0 + 300 * S)
    heard, beside = engine.series["a"].detector, engine.series_shadows["a"].detector
    before = engine.memory_bytes - beside.nbytes
    networks.put(other)
    try:
        assert engine.promote_series_shadow("a") is heard
    finally:
        networks.use_shipped()
    series = engine.series["a"]
    assert (series.detector, series.ready, engine.memory_bytes) == (beside, True, before)
    assert series.backfill is not None
    assert series.backfill.detector.model == series.detector.model == other.name
    assert engine.series_shadows == {}
    assert "a" in engine.checkpoint(0)


def test_a_series_that_is_configured_anew_or_removed_loses_its_shadow(other):
    engine = make_series(other)
    engine.configure("a", replace(SRCNN, unit="m"))
    assert (engine.series_shadows, engine.series["a"].listeners) == ({}, ())
    before = engine.memory_bytes
    engine.add_series_shadow("a", SrcnnDetector(SRCNN.detecting, other), most=10)
    assert len(engine.series["a"].listeners) == 1
    assert engine.memory_bytes > before
    engine.remove("a")
    assert (engine.series_shadows, engine.memory_bytes) == ({}, 0)


def test_how_far_shadows_are_can_be_taken_up_again_and_nothing_else_can(other):
    engine, again = make_series(other), make_series(other)
    feed_one(engine, list(range(300)), noise(300))
    part = engine.series_shadows["a"].rest()
    resumed = again.series_shadows["a"]
    resumed.resume(part)
    assert resumed.counts == engine.series_shadows["a"].counts
    assert resumed.detector.heeded
    with pytest.raises(InvalidInput, match="not of the network"):
        SeriesShadow(again.series["a"], engine.series["a"].detector, Unheard(), 10).resume(part)
    for bad in (b"", part[:-3], part + b"x"):
        with pytest.raises(InvalidInput):
            resumed.resume(bad)
    assert resumed.counts == engine.series_shadows["a"].counts

    groups, later = make_engine(), make_engine()
    for each in (groups, later):
        each.add_shadow("g", Nervous())
    feed(groups, range(30))
    shadow = later.shadows[NAME]
    shadow.resume(groups.shadows[NAME].rest())
    assert shadow.counts == groups.shadows[NAME].counts == Counts(23, 7, 23, 0)
    for each in (groups, later):
        feed(each, range(30, 33))
    assert (shadow.counts.rows, groups.shadows[NAME].counts.rows) == (26, 26)
    with pytest.raises(InvalidInput, match="shadow: "):
        shadow.resume(b"\x00")
