"""Order, lateness, gaps, phases, limits and commands of the engine, with a detector whose answers are plain to see."""

import math
from collections.abc import Iterator

import pytest

from edgead.errors import InvalidInput
from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.univariate.streaming import DetectorSettings

S = 1_000_000_000
T0 = 1_763_750_000 * S


def make_engine(**changes: object) -> Engine:
    settings = SeriesSettings(**{"judging": DetectorSettings(window=64), **changes})
    engine = Engine(EngineSettings(node="gw1"))
    assert engine.add("pump.flow", "plant/pump/flow", settings, T0) is None
    return engine


class Threshold:
    """A detector that calls every value above 10 abnormal."""

    model, needed, nbytes = "threshold@1", 0, 0

    def judge(self, value: float, missing: int) -> tuple[float, float, float, float, float, bool]:
        return value / 10, min(value / 100, 1.0), 0.0, -10.0, 10.0, value > 10


def reading(second: float, value: float = 1.0) -> Reading:
    return Reading("pump.flow", T0 + int(second * S), value)


def feed(engine: Engine, *readings: Reading, now: int = T0) -> list[tuple[float, float]]:
    """The (second, value) pairs that became final."""
    out = engine.feed(readings, now)
    return [((v.time_ns - T0) / S, v.value) for v in out.verdicts]


def test_a_reading_waits_for_the_allowed_lateness_and_is_then_judged_in_time_order():
    engine = make_engine()
    assert feed(engine, reading(0), reading(2, 3.0), reading(1, 2.0)) == [(0, 1.0)]
    assert feed(engine, reading(4)) == [(1, 2.0), (2, 3.0)]
    assert engine.counts["reordered"] == 1


def test_without_allowed_lateness_a_reading_is_judged_at_once():
    engine = make_engine(allowed_lateness_ns=0)
    assert feed(engine, reading(0)) == [(0, 1.0)]


def test_the_last_reading_is_judged_when_nothing_came_for_the_allowed_lateness():
    engine = make_engine()
    feed(engine, reading(0), now=T0)
    assert engine.tick(T0 + 2 * S - 1).verdicts == []
    assert len(engine.tick(T0 + 2 * S).verdicts) == 1


def test_the_same_time_and_value_is_a_duplicate_before_and_after_judging():
    engine = make_engine()
    feed(engine, reading(0), reading(0))
    assert engine.counts["duplicate"] == 1
    assert feed(engine, reading(5)) == [(0, 1.0)]
    assert feed(engine, reading(0)) == []
    assert engine.counts["duplicate"] == 2
    assert engine.counts["late"] == 0


def test_the_same_time_with_another_value_is_a_revision_and_the_last_wins():
    engine = make_engine()
    assert feed(engine, reading(0), reading(0, 7.0), reading(5)) == [(0, 7.0)]
    assert engine.counts["revision"] == 1


@pytest.mark.parametrize(("policy", "kept"), [("learn", 9.0), ("drop", 1.0)])
def test_a_late_revision_corrects_the_history_only_when_told_to_learn(policy: str, kept: float):
    engine = make_engine(late=policy)
    feed(engine, reading(0), reading(5))
    assert feed(engine, reading(0, 9.0)) == []
    assert engine.counts["late"] == 1
    assert engine.series["pump.flow"].recent.last(1) == [(T0, kept)]


def test_late_readings_are_judged_in_their_own_order_when_told_to_replay():
    engine = make_engine(late="replay")
    feed(engine, *(reading(100 + i, math.sin(i)) for i in range(200)))
    verdicts = feed(engine, *(reading(10 + i, math.sin(i)) for i in range(20)))
    assert verdicts == [(10 + i, math.sin(i)) for i in range(18)]
    assert engine.series["pump.flow"].judged_ns == T0 + 297 * S


def test_a_late_reading_is_replayed_when_nothing_else_came_for_the_allowed_lateness():
    engine = make_engine(late="replay")
    feed(engine, reading(100), now=T0)
    engine.tick(T0 + 3 * S)
    feed(engine, reading(50), now=T0 + 3 * S)
    assert engine.tick(T0 + 5 * S - 1).verdicts == []
    assert [v.time_ns for v in engine.tick(T0 + 5 * S).verdicts] == [T0 + 50 * S]


def test_events_of_late_readings_are_marked_as_replay():
    engine = make_engine(late="replay", close_after=1)
    feed(engine, *(reading(100 + i, math.sin(i)) for i in range(300)))
    late = [reading(10 + i, math.sin(298 + i) + (50.0 if i == 9 else 0.0)) for i in range(20)]
    events = engine.feed(late, T0).events
    assert [(e.event, e.replay, e.since_ns) for e in events][:1] == [("open", True, T0 + 19 * S)]


@pytest.mark.parametrize(
    ("value", "cause"), [(math.nan, "gap"), (1e300, "out_of_range"), (-math.inf, "out_of_range")]
)
def test_a_value_that_is_none_is_a_counted_gap_not_a_zero(value: float, cause: str):
    engine = make_engine()
    assert feed(engine, reading(0, value), reading(9)) == []
    assert engine.counts[cause] == 1
    assert engine.series["pump.flow"].pending == [(T0 + 9 * S, 1.0, "good")]


def test_rows_missing_between_two_readings_reach_the_detector():
    engine = make_engine(allowed_lateness_ns=0)
    seen = []

    class Spy:
        model, needed, nbytes = "spy@1", 0, 0

        def judge(self, value: float, missing: int):
            seen.append(missing)
            return 0.0, 0.0, 0.0, 0.0, 0.0, False

    engine.series["pump.flow"].detector = Spy()
    feed(engine, reading(0), reading(1.2), reading(1.9), reading(7), reading(8.4))
    assert seen == [0, 0, 0, 4, 0]


def test_an_unknown_series_is_counted_and_left_out():
    engine = make_engine()
    assert engine.feed([Reading("other", T0, 1.0)], T0).verdicts == []
    assert engine.counts["unknown_series"] == 1


def test_a_series_learns_then_is_ready_then_stale_then_ready_again():
    engine = make_engine(allowed_lateness_ns=0)
    series = engine.series["pump.flow"]
    assert series.phase == "learning"
    while series.phase == "learning":
        second = series.detector.needed
        feed(engine, reading(1000 - second, math.sin(second)), now=T0)
    assert series.phase == "ready"
    out = engine.tick(T0 + 60 * S)
    assert out.changed == {"pump.flow"}
    assert series.phase == "stale"
    assert engine.tick(T0 + 600 * S).changed == set()
    assert engine.feed([reading(2000)], T0 + 700 * S).changed == {"pump.flow"}
    assert series.phase == "ready"


def test_a_series_beyond_the_limit_is_refused_with_the_reason():
    engine = Engine(EngineSettings(node="gw1", max_series=1))
    assert engine.add("a", "t/a", SeriesSettings(), T0) is None
    assert engine.add("b", "t/b", SeriesSettings(), T0) == "more than max_series = 1 series"


def test_a_series_that_would_not_fit_the_memory_budget_is_refused_with_the_reason():
    engine = Engine(EngineSettings(node="gw1", memory_budget_bytes=1000))
    refusal = engine.add("a", "t/a", SeriesSettings(), T0)
    assert refusal is not None
    assert "memory_budget = 1000" in refusal


def spike_run(engine: Engine, seconds: range, spike: range) -> list:
    events = []
    for i in seconds:
        events += engine.feed([reading(i, math.sin(i) + (50.0 if i in spike else 0.0))], T0 + i * S).events
    return events


def test_an_anomaly_is_one_episode_with_one_computed_id():
    settings = {"allowed_lateness_ns": 0, "update_every_ns": 2 * S, "close_after": 3}
    events = spike_run(make_engine(**settings), range(600), range(500, 501))
    again = spike_run(make_engine(**settings), range(600), range(500, 501))
    assert [e.event for e in events][0 :: len(events) - 1] == ["open", "close"]
    assert len({e.id for e in events}) == 1
    assert {e.since_ns for e in events} == {T0 + 500 * S}
    assert events == again


def test_a_muted_series_judges_on_but_tells_nothing_until_the_time_is_over():
    engine = make_engine(allowed_lateness_ns=0)
    spike_run(engine, range(400), range(0))
    engine.command("mute", "pump.flow", T0 + 400 * S, until_ns=T0 + 450 * S)
    assert spike_run(engine, range(400, 440), range(420, 422)) == []
    assert engine.series["pump.flow"].phase == "muted"
    engine.tick(T0 + 450 * S)
    assert engine.series["pump.flow"].phase == "ready"
    assert [e.event for e in spike_run(engine, range(500, 560), range(540, 541))][:1] == ["open"]


def test_muting_closes_the_open_episode():
    engine = make_engine(allowed_lateness_ns=0)
    events = spike_run(engine, range(402), range(400, 402))
    assert [e.event for e in events] == ["open"]
    out = engine.command("mute", "pump.flow", T0, until_ns=T0 + S)
    assert [(e.event, e.id) for e in out.events] == [("close", events[0].id)]


def test_relearn_forgets_what_was_learned():
    engine = make_engine(allowed_lateness_ns=0)
    spike_run(engine, range(400), range(0))
    assert engine.series["pump.flow"].phase == "ready"
    out = engine.command("relearn", "pump.flow", T0)
    assert out.changed == {"pump.flow"}
    assert engine.series["pump.flow"].phase == "learning"


def test_a_command_for_an_unknown_series_names_it():
    with pytest.raises(InvalidInput, match="'nothing' is unknown on this device"):
        make_engine().command("mute", "nothing", T0)


def test_a_hold_time_keeps_short_excursions_quiet():
    engine = make_engine(allowed_lateness_ns=0, hold_ns=3 * S)
    engine.series["pump.flow"].detector = Threshold()
    assert spike_run(engine, range(100), range(50, 53)) == []
    events = spike_run(engine, range(100, 200), range(150, 160))
    assert [(e.event, (e.verdict.time_ns - T0) // S) for e in events] == [("open", 153), ("close", 164)]
    assert {e.since_ns for e in events} == {T0 + 150 * S}


def test_new_settings_keep_what_was_learned_while_detector_and_window_stay():
    engine = make_engine(allowed_lateness_ns=0)
    spike_run(engine, range(400), range(0))
    engine.configure(
        "pump.flow", SeriesSettings(judging=DetectorSettings(window=64, sensitivity=50), unit="bar")
    )
    assert engine.series["pump.flow"].phase == "ready"
    engine.configure("pump.flow", SeriesSettings(judging=DetectorSettings(window=128)))
    assert engine.series["pump.flow"].phase == "learning"
    assert engine.series["pump.flow"].judged_ns == T0 + 399 * S


def test_a_removed_series_gives_its_memory_back():
    engine = make_engine()
    engine.remove("pump.flow")
    assert engine.memory_bytes == 0
    assert engine.series == {}


def test_a_source_whose_clock_was_set_back_is_believed_after_a_while():
    engine = make_engine(allowed_lateness_ns=0, late="drop")
    feed(engine, *(reading(90_000 + i) for i in range(5)))
    judged = [feed(engine, reading(i), now=T0 + i * S) for i in range(100)]
    assert judged.index([(60, 1.0)]) == 60
    assert [len(each) for each in judged] == [0] * 60 + [1] * 40
    assert engine.counts["rejoined"] == 1


def test_when_processing_time_was_set_back_a_series_without_times_of_its_own_rejoins_after_its_silence():
    engine = make_engine(allowed_lateness_ns=0, stale_after_ns=60 * S)
    day = 86_400 * S
    for second in range(5):
        feed(engine, reading(second), now=T0 + second * S)
    engine.resume(T0 - day)
    judged = [feed(engine, reading(s - 86_400), now=T0 - day + s * S) for s in range(70)]
    assert [bool(each) for each in judged] == [False] * 60 + [True] * 10
    assert engine.counts["rejoined"] == 1


def test_an_interval_that_the_source_never_keeps_is_replaced_by_its_own():
    engine = make_engine(allowed_lateness_ns=0)
    feed(engine, *(reading(300 * i, math.sin(i)) for i in range(16)))
    series = engine.series["pump.flow"]
    assert series.step_ns == S
    assert feed(engine, reading(300 * 16, 0.0)) == [(4800, 0.0)]
    assert series.step_ns == 300 * S
    assert series.stale_after_ns == 3000 * S
    needed = series.detector.needed
    feed(engine, *(reading(300 * i, math.sin(i)) for i in range(17, 17 + needed)))
    assert series.phase == "ready"


def test_a_few_gaps_do_not_change_the_interval():
    engine = make_engine(allowed_lateness_ns=0)
    feed(engine, *(reading(i + 50 * (i // 10), math.sin(i)) for i in range(200)))
    assert engine.series["pump.flow"].step_ns == S


def test_a_series_given_other_settings_still_becomes_stale_in_silence():
    engine = make_engine(stale_after_ns=60 * S)
    feed(engine, reading(0))
    engine.configure("pump.flow", SeriesSettings(judging=DetectorSettings(window=64), unit="K"))
    engine.tick(T0 + 61 * S)
    assert engine.series["pump.flow"].phase == "stale"


def test_a_mute_outlives_a_second_restart():
    def restore(entries: list[tuple[int, bytes]]) -> Engine:
        engine = Engine(EngineSettings(node="gw1"))
        engine.restore([], entries, lambda series_id, source: SeriesSettings())
        return engine

    engine = make_engine()
    engine.command("mute", "pump.flow", T0, until_ns=T0 + 3600 * S)
    entries = [(1, engine.journal_entry() or b"")]
    again = restore(entries)
    again.settle(1)  # a commit with nothing new
    assert again.forget_through == 0, "the entry with the mute is still needed"
    assert restore(entries).series["pump.flow"].phase == "muted"


@pytest.mark.parametrize("detector", ["spectral-residual", "srcnn"])
def test_a_late_reading_from_before_the_detector_began_a_new_window_stops_nothing(detector: str):
    engine = make_engine(detector=detector, allowed_lateness_ns=0, judging=DetectorSettings(window=48))
    values = [(1e18 if second < 300 else 1.0) * (0.1 + second * 0.618 % 0.9) for second in range(400)]
    for second, value in enumerate(values):
        feed(engine, reading(second, value))
        if second >= 40:
            feed(engine, *(reading(second - age, value / 2) for age in (1, 5, 40)))
    assert engine.counts["late"] == 3 * 360
    state = engine.series["pump.flow"].detector.dump()
    engine.series["pump.flow"].detector.load(state)


def test_a_restart_takes_snapshots_one_after_another_and_does_not_hold_them_all():
    engine = Engine(EngineSettings(node="gw1"))
    for name in ("a", "b", "c"):
        assert engine.add(name, "t", SeriesSettings(), 0) is None
    other = Engine(EngineSettings(node="gw1"))

    def saved() -> Iterator[tuple[str, int, bytes]]:
        for taken, (name, blob) in enumerate(engine.save_all().items()):
            assert len(other.series) == taken
            yield name, 1, blob

    assert other.restore(saved(), [], lambda series_id, source: SeriesSettings()) == []
    assert other.save_all() == engine.save_all()
