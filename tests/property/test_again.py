"""A restart judges the journal series by series, many readings at a time: it comes to the same state, bit for bit."""

import math
import random
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, GroupSettings, SeriesSettings, again
from edgead.stream.recent import Recent
from edgead.univariate.networks import in_use
from edgead.univariate.streaming import DetectorSettings
from tests.toy_model import ToyModel

S = 1_000_000_000
T0 = 1_763_750_000 * S
IDS = ("a", "b", "c", "d")
DETECTORS = {"a": "srcnn", "b": "srcnn", "c": "srcnn", "d": "spectral-residual"}


def settings_for(series_id: str, source: str) -> SeriesSettings:
    return SeriesSettings(
        detector=DETECTORS[series_id],
        judging=DetectorSettings(window=32),
        close_after=2,
        update_every_ns=5 * S,
        late="replay" if series_id == "b" else "learn",
        allowed_lateness_ns=0 if series_id == "c" else 2 * S,
    )


class World:
    """An engine that lives, and what it stored."""

    def __init__(self, seed: int, *, group: bool) -> None:
        self.rng = random.Random(seed)
        self.group = group
        self.engine = self.fresh()
        self.now_ns, self.row = T0, 0
        self.entries: list[tuple[int, bytes]] = []
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.commit(10**6)

    def fresh(self) -> Engine:
        engine = Engine(EngineSettings(node="gw1"))
        if self.group:
            variables = GroupSettings(variables={"y": "a", "x": "d"}, max_gap_ns=20 * S)
            assert engine.add_group("g", variables, ToyModel()) is None
        return engine

    def feed(self, count: int, *, every: int = 1, jitter_s: float = 0.0) -> None:
        """Some rows of all series, `every` so many, with what goes wrong in life."""
        rng, batch, lift = self.rng, [], 9 * (self.rng.random() < 0.1)
        for _ in range(count):
            self.row += every
            self.now_ns += every * S
            for series_id in IDS:
                value = math.sin(self.row / 3) + rng.gauss(0, 0.1) + lift + 9 * (rng.random() < 0.05)
                if rng.random() < 0.01:
                    value = rng.choice([math.nan, 1e300])
                if rng.random() < 0.97:
                    batch.append(
                        Reading(series_id, T0 + self.row * S, value, rng.choice(["good", "ts_replaced"]))
                    )
        if jitter_s:
            batch.sort(key=lambda reading: reading.time_ns + rng.random() * jitter_s * S)
        self.engine.feed(batch, self.now_ns)

    def step(self, verb: str, number: int) -> None:
        if verb == "add":
            if (series_id := IDS[number % 4]) not in self.engine.series:
                self.engine.add(series_id, "t", settings_for(series_id, "t"), self.now_ns)
        elif verb == "feed":
            self.feed(number)
        elif verb == "sparse":
            self.feed(number, every=3)
        elif verb == "shuffled":
            self.feed(number, jitter_s=4.0)
        elif verb == "late":
            first = max(self.row - 2 * number, 1)
            late = [
                Reading(IDS[number % 4], T0 + (first + i) * S, self.rng.gauss(0, 1))
                for i in range(number // 4)
            ]
            self.engine.feed(late, self.now_ns)
        elif verb == "tick":
            self.now_ns += number * number * S // 10
            self.engine.tick(self.now_ns)
        elif verb == "commit":
            self.commit(number * 10)
        elif (series_id := IDS[number % 4]) in self.engine.series:
            self.engine.command(verb, series_id, self.now_ns, until_ns=self.now_ns + number * S)  # type: ignore[arg-type]

    def commit(self, journal_readings: int) -> None:
        entry = self.engine.journal_entry()
        saved = self.engine.checkpoint(journal_readings)
        seq = self.entries[-1][0] + 1 if self.entries else 1
        self.entries.append((seq, entry if entry is not None else b"\x90"))
        self.snapshots.update({name: (seq, blob) for name, blob in saved.items()})
        self.engine.settle(seq, saved)

    def restored(self, ask: again.Ask | None = None) -> Engine:
        engine = self.fresh()
        saved = [(name, *each) for name, each in self.snapshots.items()]
        assert engine.restore(saved, self.entries, settings_for, ask) == []
        return engine


VERBS = [
    "feed",
    "feed",
    "feed",
    "sparse",
    "shuffled",
    "late",
    "tick",
    "tick",
    "mute",
    "unmute",
    "relearn",
    "add",
    "commit",
]
plans = st.lists(st.tuples(st.sampled_from(VERBS), st.integers(1, 40)), min_size=20, max_size=60)


@settings(max_examples=60, deadline=None)
@given(
    plan=plans,
    seed=st.integers(0, 2**16),
    gathered=st.sampled_from([1, 70, 10**6]),
    most=st.sampled_from([7, 256]),
    group=st.booleans(),
    beside=st.booleans(),
)
def test_a_restart_comes_to_the_state_of_the_engine_that_lived(
    plan: list, seed: int, gathered: int, most: int, group: bool, beside: bool
):
    world = World(seed, group=group)
    for number in range(4):
        world.step("add", number)
    for verb, number in plan:
        world.step(verb, number)
    world.commit(10**6)
    with pytest.MonkeyPatch.context() as patch, ThreadPoolExecutor(1) as pool:
        patch.setattr(again, "GATHERED", gathered)
        patch.setattr(again, "MOST", most)
        engine = world.restored(pool.submit if beside else None)
    assert engine.save_all() == world.engine.save_all()
    assert engine._unsaved_readings == world.engine._unsaved_readings
    assert engine.forget_through == world.engine.forget_through
    phases = [{name: each.phase for name, each in e.series.items()} for e in (engine, world.engine)]
    assert phases[0] == phases[1]


def test_a_steady_source_is_judged_in_one_go(monkeypatch: pytest.MonkeyPatch):
    """Not one reading goes the way of every reading, whatever its ticks release."""
    world = World(1, group=False)
    for number in range(3):
        world.step("add", number)
    world.commit(0)
    readings = [Reading(series_id, T0 + i * S, math.sin(i / 3)) for i in range(1, 200) for series_id in "abc"]
    for first in range(0, len(readings), 3):
        world.engine.feed(readings[first : first + 3], T0 + first * S)
        world.engine.tick(T0 + first * S + 3 * S)
    world.commit(10**6)
    monkeypatch.setattr("edgead.stream.series.Series.feed", lambda *_: pytest.fail("a reading went alone"))
    assert world.restored().save_all() == world.engine.save_all()


def test_what_a_network_cannot_answer_keeps_the_verdict_of_the_core(monkeypatch: pytest.MonkeyPatch):
    """No score for some readings, no embedding for others; by what it sees, however readings are divided into calls."""
    network, judge = in_use(), in_use().judge

    def failing(histories: np.ndarray) -> tuple[list[float], np.ndarray]:
        scores, embeddings = judge(histories)
        seen = np.modf(np.abs(histories).sum(axis=(1, 2)) * 1000)[0]
        told = np.array(scores)
        told[seen < 0.2] = np.nan
        embeddings[seen > 0.8, 3] = np.nan
        return told.tolist(), embeddings

    monkeypatch.setattr(network, "judge", failing)
    world = World(2, group=False)
    for number in range(4):
        world.step("add", number)
    world.commit(0)
    world.feed(400)
    assert network.failure
    world.commit(10**6)
    failure, network.failure = network.failure, ""
    assert world.restored().save_all() == world.engine.save_all()
    assert network.failure == failure
    network.failure = ""


@settings(max_examples=50, deadline=None)
@given(rows=st.integers(1, 9), before=st.integers(0, 40), more=st.integers(0, 60), wider=st.booleans())
def test_rows_added_together_are_kept_as_rows_added_one_by_one(
    rows: int, before: int, more: int, wider: bool
):
    first = Recent(4 * rows if wider else rows)
    for at in range(before):
        first.append(at, float(at))
    one, other = Recent(rows), Recent(rows)
    one.load(first.dump())
    other.load(first.dump())
    times = np.arange(before, before + more, dtype=np.int64)
    other.extend(times, times.astype(float))
    for at in times.tolist():
        one.append(at, float(at))
    assert one.dump() == other.dump()
