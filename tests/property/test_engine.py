"""Order within the lateness does not matter, and neither does stopping anywhere: the engine is deterministic."""

import math
import random

from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from edgead.records import Event, Reading, Verdict
from edgead.stream import Engine, EngineSettings, GroupSettings, SeriesSettings
from edgead.univariate.streaming import DetectorSettings
from tests.toy_model import ToyModel

S = 1_000_000_000
T0 = 1_763_750_000 * S
IDS = ("a", "b", "c")
SETTINGS = SeriesSettings(
    detector="spectral-residual",
    judging=DetectorSettings(window=32),
    close_after=2,
    update_every_ns=5 * S,
    late="replay",
)
#: Detectors of the series: alike, or with two that share a network and one that has none between them.
DETECTORS = st.sampled_from([("spectral-residual",) * 3, ("srcnn", "spectral-residual", "srcnn")])


#: Id and two series of each group: none, one, two that share a series and with it their saving.
GROUPS = st.sampled_from([(), (("g", "a", "b"),), (("g", "a", "b"), ("h", "c", "b"))])


def add_groups(engine: Engine, groups: tuple) -> None:
    for group_id, x, y in groups:
        settings = GroupSettings(
            variables={"y": y, "x": x}, close_after=2, update_every_ns=3 * S, max_gap_ns=20 * S
        )
        assert engine.add_group(group_id, settings, ToyModel()) is None


def settings_of(series_id: str, detectors: tuple) -> SeriesSettings:
    return replace(SETTINGS, detector=detectors[IDS.index(series_id)])


def make_engine(groups: tuple = (), detectors: tuple = ("spectral-residual",) * 3) -> Engine:
    engine = Engine(EngineSettings(node="gw1"))
    add_groups(engine, groups)
    for series_id in IDS:
        engine.add(series_id, f"t/{series_id}", settings_of(series_id, detectors), T0)
    return engine


def recording(seed: int, length: int) -> list[Reading]:
    rng = random.Random(seed)
    return [
        Reading(sid, T0 + i * S, math.sin(i / 3) + rng.gauss(0, 0.1) + (9 if rng.random() < 0.02 else 0))
        for i in range(length)
        for sid in IDS
    ]


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**32), length=st.integers(1, 150), groups=GROUPS, detectors=DETECTORS)
def test_any_order_within_the_lateness_gives_the_same_verdicts_and_events(
    seed: int, length: int, groups: tuple, detectors: tuple
):
    rng = random.Random(seed)
    readings = recording(seed, length)
    shuffled = sorted(readings, key=lambda r: r.time_ns + rng.random() * SETTINGS.allowed_lateness_ns * 0.999)

    def run(order: list[Reading]) -> tuple[list[str], list[str]]:
        engine = make_engine(groups, detectors)
        outcomes = [engine.feed([r], T0) for r in order] + [engine.flush()]
        verdicts = [repr(v) for out in outcomes for v in sorted(out.verdicts, key=lambda v: v.time_ns)]
        return sorted(verdicts), sorted(repr(e) for out in outcomes for e in out.events)

    assert run(readings) == run(shuffled)


class Disk:
    """Journal and snapshots as a store would keep them, with transactions."""

    def __init__(self) -> None:
        self.seq = 0
        self.entries: list[tuple[int, bytes]] = []
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.events: list = []

    def commit(self, engine: Engine, events: list, journal_readings: int) -> None:
        entry = engine.journal_entry()
        saved = engine.checkpoint(journal_readings)
        if entry is not None:
            self.seq += 1
            self.entries.append((self.seq, entry))
        self.snapshots.update({sid: (self.seq, blob) for sid, blob in saved.items()})
        engine.settle(self.seq, saved)
        self.entries = [(seq, entry) for seq, entry in self.entries if seq > engine.forget_through]
        self.events += events

    def restore(self, groups: tuple = (), detectors: tuple = ("spectral-residual",) * 3) -> Engine:
        engine = Engine(EngineSettings(node="gw1"))
        add_groups(engine, groups)
        settings_for = lambda series_id, source: settings_of(series_id, detectors)  # noqa: E731
        saved = [(name, *each) for name, each in self.snapshots.items()]
        assert engine.restore(saved, self.entries, settings_for) == []
        return engine


@st.composite
def plans(draw: st.DrawFn) -> list[tuple[str, int]]:
    step = st.tuples(
        st.sampled_from(
            [
                *("feed", "feed", "feed", "late", "tick", "mute", "relearn", "group mute", "group relearn"),
                *("commit", "commit", "kill"),
            ]
        ),
        st.integers(0, 40),
    )
    return draw(st.lists(step, min_size=1, max_size=60))


def carry_out(
    plan: list[tuple[str, int]],
    seed: int,
    journal_readings: int,
    groups: tuple,
    detectors: tuple = ("spectral-residual",) * 3,
    *,
    killing: bool,
) -> list:
    """Events of a plan; with killing, `kill` loses all that was not committed and does it again, as a broker would."""
    disk = Disk()
    engine = make_engine(groups, detectors)
    readings = recording(seed, 2000)
    at, now = 0, T0
    uncommitted: list = []
    pending_events: list = []

    def do(verb: str, number: int) -> list:
        nonlocal at, now
        if verb == "feed":
            batch = readings[at : at + number]
            at += len(batch)
            now += number * S // 10
            return engine.feed(batch, now).events
        if verb == "late":
            return engine.feed(readings[max(at - 3 * number, 0) : max(at - 2 * number, 0)], now).events
        if verb == "tick":
            now += number * S
            return engine.tick(now).events
        if verb == "mute":
            return engine.command("mute", IDS[number % 3], now, until_ns=now + number * S).events
        if verb.startswith("group"):
            names = sorted(engine.groups)
            if not names:
                return []
            until_ns = now + number * S
            return engine.command(verb.split()[1], names[number % len(names)], now, until_ns=until_ns).events
        return engine.command("relearn", IDS[number % 3], now).events

    disk.commit(engine, [], journal_readings)
    start = (at, now)
    for verb, number in plan:
        if verb == "commit":
            disk.commit(engine, pending_events, journal_readings)
            uncommitted, pending_events, start = [], [], (at, now)
        elif verb == "kill":
            if killing:
                engine = disk.restore(groups, detectors)
                at, now = start
                pending_events = [event for args in uncommitted for event in do(*args)]
        else:
            uncommitted.append((verb, number))
            pending_events += do(verb, number)
    disk.commit(engine, pending_events, journal_readings)
    return disk.events


@settings(max_examples=120, deadline=None)
@given(
    plan=plans(),
    seed=st.integers(0, 1000),
    journal_readings=st.sampled_from([0, 1, 50, 500, 10**6]),
    groups=GROUPS,
    detectors=DETECTORS,
)
def test_stopping_and_restoring_anywhere_changes_no_event(
    plan: list, seed: int, journal_readings: int, groups: tuple, detectors: tuple
):
    whole = carry_out(plan, seed, journal_readings, groups, detectors, killing=False)
    assert repr(carry_out(plan, seed, journal_readings, groups, detectors, killing=True)) == repr(whole)


@settings(max_examples=40, deadline=None)
@given(plan=plans(), seed=st.integers(0, 1000), groups=GROUPS)
def test_a_network_judges_readings_together_as_it_would_one_by_one(plan: list, seed: int, groups: tuple):
    """Feeds of any size, late and repeated readings, silence and commands: the same verdicts and events, in order."""
    detectors = ("srcnn", "spectral-residual", "srcnn")
    together, alone = make_engine(groups, detectors), make_engine(groups, detectors)
    readings, at, now = recording(seed, 2000), 0, T0
    verdicts: list[list] = [[], []]
    for verb, number in plan:
        batch: list[Reading] = []
        if verb == "feed":
            batch, at = readings[at : at + 12 * number], at + 12 * number
        elif verb == "late":
            batch = readings[max(at - 3 * number, 0) : max(at - 2 * number, 0)]
        else:
            now += number * S
        outs = [together.feed(batch, now)] if batch else [together.tick(now)]
        ones = [alone.feed([reading], now) for reading in batch] or [alone.tick(now)]
        if verb == "relearn":
            for engine in (together, alone):
                engine.command("relearn", IDS[number % 3], now)
        for told, found in zip(verdicts, (outs, ones), strict=True):
            told += [
                each for out in found for each in (out.verdicts, out.events, sorted(out.changed)) if each
            ]
    flat = [[one for each in told for one in each if not isinstance(one, str)] for told in verdicts]
    by_kind = [
        [[repr(one) for one in told if isinstance(one, kind)] for told in flat] for kind in (Verdict, Event)
    ]
    for one, other in by_kind:
        assert one == other


@settings(max_examples=40, deadline=None)
@given(plan=plans(), seed=st.integers(0, 1000), journal_readings=st.sampled_from([1, 50, 500]), groups=GROUPS)
def test_the_journal_never_holds_more_readings_than_asked(
    plan: list, seed: int, journal_readings: int, groups: tuple
):
    from edgead.stream import journal

    disk, engine, at = Disk(), make_engine(groups), 0
    readings = recording(seed, 2000)
    for verb, number in plan:
        if verb == "feed":
            engine.feed(readings[at : at + number], T0 + at)
            at += number
            disk.commit(engine, [], journal_readings)
            included = {sid: seq for sid, (seq, _) in disk.snapshots.items()}
            unsaved = [
                row
                for seq, entry in disk.entries
                for noted in journal.decode(entry)
                if isinstance(noted, journal.Fed)
                for row in journal.rows(noted)
                if included.get(IDS[row[0] - 1], 0) < seq
            ]
            assert len(unsaved) <= journal_readings


@settings(max_examples=40, deadline=None)
@given(plan=plans(), seed=st.integers(0, 1000), journal_readings=st.sampled_from([1, 50, 500]))
def test_a_group_and_its_series_are_always_saved_in_one_commit(plan: list, seed: int, journal_readings: int):
    disk, engine, at = Disk(), make_engine((("g", "a", "b"),)), 0
    readings = recording(seed, 2000)
    for verb, number in plan:
        if verb == "feed":
            engine.feed(readings[at : at + number], T0 + at)
            at += number
            disk.commit(engine, [], journal_readings)
            assert len({disk.snapshots[name][0] for name in ("a", "b", "group/g")}) == 1
