"""Groups in the engine: rows from judged readings, staleness, refusals, other models."""

import pytest

from edgead.errors import InvalidInput
from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, GroupSettings, Outcome, SeriesSettings
from edgead.stream.series import NEVER
from tests.toy_model import ToyModel

S = 10**9
T0 = 1_763_750_000 * S
SETTINGS = GroupSettings(variables={"x": "a", "y": "b"}, close_after=2, max_gap_ns=30 * S)
NAME = "group/g"


def make_engine(settings: GroupSettings = SETTINGS) -> Engine:
    engine = Engine(EngineSettings(node="gw1"))
    for series_id in ("a", "b"):
        engine.add(series_id, series_id, SeriesSettings(allowed_lateness_ns=0), T0)
    assert engine.add_group("g", settings, ToyModel()) is None
    return engine


def feed(engine: Engine, seconds: range, series: str = "ab", value: float = 1.0) -> Outcome:
    readings = [Reading(each, T0 + second * S, value) for second in seconds for each in series]
    return engine.feed(readings, readings[-1].time_ns)


def group_verdicts(out: Outcome) -> list:
    return [verdict for verdict in out.verdicts if verdict.series_id == NAME]


def test_a_group_learns_until_its_window_is_full_and_then_judges_every_row():
    engine = make_engine()
    assert engine.groups[NAME].phase == "learning"
    assert group_verdicts(feed(engine, range(7))) == []
    out = feed(engine, range(7, 10))
    assert [verdict.time_ns for verdict in group_verdicts(out)] == [T0 + s * S for s in (7, 8, 9)]
    assert all(verdict.top == () and not verdict.is_anomaly for verdict in group_verdicts(out))
    assert NAME in out.changed
    assert engine.groups[NAME].phase == "ready"


def test_an_anomaly_is_one_episode_with_its_contributors():
    engine = make_engine()
    feed(engine, range(20))
    opened = feed(engine, range(20, 21), value=9.0)
    (event,) = [event for event in opened.events if event.verdict.series_id == NAME]
    assert (event.event, event.model, event.unit, event.since_ns) == ("open", "toy@1.0.0", "", T0 + 20 * S)
    assert [each.variable for each in event.verdict.top] == ["x", "y"]
    closed = feed(engine, range(21, 30))
    (event,) = [event for event in closed.events if event.verdict.series_id == NAME]
    assert (event.event, event.verdict.time_ns, event.verdict.top) == ("close", T0 + 22 * S, ())


def test_a_variable_that_is_missing_makes_the_group_stale_and_not_abnormal():
    engine = make_engine()
    feed(engine, range(20))
    out = feed(engine, range(20, 50), "a", value=500.0)
    assert group_verdicts(out) == []
    assert engine.groups[NAME].phase == "ready"
    out = feed(engine, range(50, 60), "a", value=500.0)
    assert engine.groups[NAME].phase == "stale"
    assert NAME in out.changed
    assert not [event for event in out.events if event.verdict.series_id == NAME]
    back = feed(engine, range(60, 67), value=500.0)
    assert engine.groups[NAME].phase == "ready"  # its window is of rows since the gap only
    assert not any(verdict.is_anomaly for verdict in group_verdicts(back))


def test_silence_of_a_series_makes_the_group_stale_until_the_next_row():
    engine = make_engine()
    feed(engine, range(20))
    out = engine.tick(T0 + 600 * S)
    assert engine.groups[NAME].phase == "stale"
    assert NAME in out.changed
    feed(engine, range(25, 26))
    assert engine.groups[NAME].phase == "ready"


def test_a_clock_that_was_set_back_starts_the_rows_anew():
    engine = make_engine()
    feed(engine, range(20))
    for second in range(20):
        at = T0 + (second - 3600) * S
        engine.feed([Reading(each, at, 1.0) for each in "ab"], T0 + (second + 300) * S)
    assert engine.groups[NAME].verdict.time_ns < T0
    assert engine.groups[NAME].phase == "ready"


@pytest.mark.parametrize("late", ["learn", "replay"])
def test_late_readings_do_not_disturb_the_rows(late: str):
    engine = Engine(EngineSettings(node="gw1"))
    for series_id in ("a", "b"):
        engine.add(series_id, series_id, SeriesSettings(allowed_lateness_ns=0, late=late), T0)  # type: ignore[arg-type]
    engine.add_group("g", SETTINGS, ToyModel())
    feed(engine, range(20))
    assert group_verdicts(feed(engine, range(3, 9), value=77.0)) == []
    assert [verdict.score for verdict in group_verdicts(feed(engine, range(20, 21)))] == [0.0]


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        (GroupSettings(variables={"x": "a"}), "variables = x: expected those of the model toy@1.0.0: x, y"),
        (GroupSettings(variables={"x": "a", "z": "b"}), "variables = x, z: expected those of the model"),
    ],
)
def test_variables_that_are_not_the_models_are_refused(settings: GroupSettings, reason: str):
    refusal = Engine(EngineSettings()).add_group("g", settings, ToyModel())
    assert refusal is not None
    assert refusal.startswith(reason)


def test_a_window_that_does_not_fit_the_budget_is_refused():
    engine = Engine(EngineSettings(memory_budget_bytes=100))
    assert engine.add_group("g", SETTINGS, ToyModel(window=10)) is None
    refusal = engine.add_group("h", SETTINGS, ToyModel(window=10))
    assert refusal == "its window would bring memory to 160 of memory_budget = 100 bytes"
    engine.remove_group("g")
    assert engine.memory_bytes == 0
    assert engine.add_group("h", SETTINGS, ToyModel(window=10)) is None


def test_other_settings_keep_the_rows_and_another_model_keeps_the_episode_only():
    engine = make_engine()
    feed(engine, range(20))
    feed(engine, range(20, 21), value=9.0)
    engine.add_group(
        "g", GroupSettings(variables=SETTINGS.variables, close_after=9, max_gap_ns=30 * S), ToyModel()
    )
    assert engine.groups[NAME].phase == "ready"
    engine.add_group("g", SETTINGS, ToyModel(digest="new"))
    assert engine.groups[NAME].phase == "learning"
    assert engine.groups[NAME].episode.is_open
    events = feed(engine, range(21, 40)).events
    assert [event.event for event in events if event.verdict.series_id == NAME] == ["close"]


def test_a_stored_group_that_left_the_configuration_is_retired():
    engine = make_engine()
    feed(engine, range(20))
    snapshots = [(name, 1, blob) for name, blob in engine.save_all().items()]
    other = Engine(EngineSettings(node="gw1"))
    assert other.restore(snapshots, [], lambda *_: SeriesSettings(allowed_lateness_ns=0)) == [NAME]


@pytest.mark.parametrize("blob", [b"", b"\xc1", b"\x90", b"\x01"])
def test_a_damaged_snapshot_makes_the_group_learn_anew(blob: bytes):
    engine = Engine(EngineSettings(node="gw1"))
    engine.add_group("g", SETTINGS, ToyModel())
    assert engine.restore([(NAME, 1, blob)], [], lambda *_: None) == []
    assert engine.groups[NAME].phase == "learning"
    assert set(engine.checkpoint(10**6)) == {NAME}


def events_of(out: Outcome) -> list[str]:
    return [event.event for event in out.events if event.verdict.series_id == NAME]


def test_a_muted_group_judges_on_and_tells_nothing_until_its_time():
    engine = make_engine()
    feed(engine, range(20))
    assert events_of(feed(engine, range(20, 21), value=9.0)) == ["open"]
    muted = engine.command("mute", NAME, T0 + 21 * S, until_ns=T0 + 100 * S)
    assert events_of(muted) == ["close"]
    assert NAME in muted.changed
    assert engine.groups[NAME].phase == "muted"
    assert engine.series["a"].phase != "muted"
    out = feed(engine, range(21, 40), value=9.0)
    assert events_of(out) == []
    assert {verdict.phase for verdict in group_verdicts(out)} == {"muted"}
    assert group_verdicts(out)[0].is_anomaly
    engine.tick(T0 + 99 * S)
    assert engine.groups[NAME].phase == "muted"
    assert NAME in engine.tick(T0 + 100 * S).changed
    assert engine.groups[NAME].phase != "muted"


def test_a_mute_without_end_lasts_until_told_otherwise():
    engine = make_engine()
    feed(engine, range(20))
    engine.command("mute", NAME, T0 + 21 * S, until_ns=NEVER)
    engine.tick(T0 + 10**6 * S)
    assert engine.groups[NAME].phase == "muted"
    assert engine.mutes() == {}
    engine.command("unmute", NAME, T0 + 10**6 * S)
    assert engine.groups[NAME].phase != "muted"


def test_relearning_closes_the_episode_and_fills_the_window_anew():
    engine = make_engine()
    feed(engine, range(20))
    feed(engine, range(20, 21), value=9.0)
    assert events_of(engine.command("relearn", NAME, T0 + 21 * S)) == ["close"]
    group = engine.groups[NAME]
    assert (group.phase, group.episode.is_open, group.model.needed) == ("learning", False, 8)
    assert engine.series["a"].ready == engine.series["b"].ready
    assert group_verdicts(feed(engine, range(21, 28), value=9.0)) == []
    assert len(group_verdicts(feed(engine, range(28, 30), value=9.0))) == 2


def test_relearning_ends_that_a_group_is_stale():
    engine = make_engine()
    feed(engine, range(20))
    engine.tick(T0 + 600 * S)
    assert engine.groups[NAME].phase == "stale"
    engine.command("relearn", NAME, T0 + 601 * S)
    assert engine.groups[NAME].phase == "learning"


def test_a_mute_outlives_a_restart_a_reload_and_another_model():
    engine = make_engine()
    feed(engine, range(20))
    snapshots = [(name, 1, blob) for name, blob in engine.save_all().items()]
    engine.settle(1, [name for name, *_ in snapshots])
    engine.command("mute", NAME, T0 + 21 * S, until_ns=T0 + 100 * S)
    entry = engine.journal_entry()
    assert entry is not None
    other = Engine(EngineSettings(node="gw1"))
    other.add_group("g", SETTINGS, ToyModel(digest="new"))
    other.restore(snapshots, [(2, entry)], lambda *_: SeriesSettings(allowed_lateness_ns=0))
    other.resume(T0 + 30 * S)
    other.add_group("g", SETTINGS, ToyModel(digest="newer"))
    assert other.groups[NAME].phase == "muted"
    assert other.mutes() == {NAME: T0 + 100 * S}
    other.tick(T0 + 100 * S)
    assert other.groups[NAME].phase != "muted"


def test_a_command_for_an_unknown_group_is_refused():
    with pytest.raises(InvalidInput, match="group: 'h' is unknown"):
        make_engine().command("mute", "group/h", T0)
