"""A second model beside a group's: it sees the same rows, changes nothing, and can take its place."""

from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, GroupSettings, Outcome, SeriesSettings
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
    assert (shadow.rows, shadow.beside) == (0, (0, 0))
    feed(engine, range(28, 58))
    assert (shadow.rows, shadow.alarms) == (30, 10)
    assert shadow.beside == (30, 0)


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
    assert (engine.shadows[NAME].rows, engine.shadows[NAME].beside) == (1, (1, 1))
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
    again.restore({name: (1, blob) for name, blob in saved.items()}, [], lambda *_: settings)
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
