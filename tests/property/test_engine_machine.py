"""Whatever happens to an engine, kills and reloads among it, it says and knows what an undisturbed one does."""

import math
import os
import random

import msgspec
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from edgead.records import Event, Reading
from edgead.stream import Engine, EngineSettings, SeriesSettings, journal
from edgead.stream.engine import SERIES_OVERHEAD_BYTES
from edgead.univariate.streaming import DetectorSettings

S = 1_000_000_000
T0 = 1_763_750_000 * S
IDS = ("a", "b", "c")
SOAK = bool(os.environ.get("EDGEAD_SOAK"))
ids = st.sampled_from(IDS)


def settings_of(sensitivity: int, window: int, unit: str, late: str) -> SeriesSettings:
    return SeriesSettings(
        judging=DetectorSettings(window=window, sensitivity=sensitivity),
        close_after=2,
        update_every_ns=5 * S,
        stale_after_ns=60 * S,
        unit=unit,
        late=late,  # type: ignore[arg-type]
    )


def known(engine: Engine) -> dict[str, bytes]:
    """All that an engine knows of its series but their numbers in the journal, which a restart may give again."""
    taken = {series_id: msgspec.msgpack.decode(blob) for series_id, blob in engine.save_all().items()}
    for state in taken.values():
        for each in (state, state[-1] or state):
            each[1] = 0
    return {series_id: msgspec.msgpack.encode(state) for series_id, state in taken.items()}


class Disk:
    """Journal, snapshots and spool as the store keeps them, whole transactions only."""

    def __init__(self) -> None:
        self.seq = 0
        self.entries: list[tuple[int, bytes]] = []
        self.snapshots: dict[str, tuple[int, bytes]] = {}
        self.events: list[Event] = []

    def commit(self, engine: Engine, events: list[Event], retired: list[str], journal_readings: int) -> None:
        entry = engine.journal_entry()
        saved = engine.checkpoint(journal_readings)
        forget = engine.forget_through
        if entry is not None:
            self.seq += 1
            self.entries.append((self.seq, entry))
        self.snapshots.update({series_id: (self.seq, blob) for series_id, blob in saved.items()})
        for series_id in retired:
            self.snapshots.pop(series_id, None)
        engine.settle(self.seq, saved)
        self.entries = [each for each in self.entries if each[0] > forget]
        self.events += events

    def unsaved_readings(self, engine: Engine) -> int:
        """Readings that a restart would judge again."""
        names = {series.key: series.series_id for series in engine.series.values()}
        included = {series_id: seq for series_id, (seq, _) in self.snapshots.items()}
        return sum(
            key in names and included.get(names[key], 0) < seq
            for seq, entry in self.entries
            for noted in journal.decode(entry)
            if isinstance(noted, journal.Fed)
            for key, _ in journal.rows(noted)
        )


class EngineMachine(RuleBasedStateMachine):
    """`engine` is killed and brought back from `disk`, `twin` is not; both are given the same."""

    def __init__(self) -> None:
        super().__init__()
        self.disk = Disk()
        self.twin, self.engine = (Engine(EngineSettings(node="gw1")) for _ in range(2))
        self.configured: dict[str, SeriesSettings] = {}
        self.told: list[Event] = []  # by the twin
        self.pending: list[Event] = []  # by the engine, since the last commit
        self.since: list[tuple] = []  # what the engine was given since
        self.retired: list[str] = []
        self.now_ns, self.row = T0, 0
        self.last: list[Reading] = []

    @initialize(seed=st.integers(0, 2**16))
    def begin(self, seed: int) -> None:
        self.rng = random.Random(seed)
        for series_id in IDS:
            self.add(series_id)

    # ------------------------------------------------------------------ what both are given

    def give(self, verb: str, *arguments: object) -> None:
        self.told += self.carry_out(self.twin, verb, *arguments)
        self.since.append((verb, *arguments))
        self.pending += self.carry_out(self.engine, verb, *arguments)

    def carry_out(self, engine: Engine, verb: str, *arguments) -> list[Event]:
        if verb == "add":
            assert engine.add(*arguments) is None
            return []
        if verb == "command":
            command, series_id, now_ns, until_ns = arguments
            return engine.command(command, series_id, now_ns, until_ns=until_ns).events
        return getattr(engine, verb)(*arguments).events

    @rule(series_id=ids)
    def add(self, series_id: str) -> None:
        if series_id not in self.configured:
            self.configured[series_id] = settings_of(80, 32, "", "replay" if series_id == "a" else "learn")
            self.give("add", series_id, f"t/{series_id}", self.configured[series_id], self.now_ns)

    @rule(count=st.integers(1, 40), jitter_s=st.sampled_from([0.0, 1.5, 4.0]))
    def feed(self, count: int, jitter_s: float) -> None:
        batch = []
        for _ in range(count):
            self.row += 1
            self.now_ns += S // 2
            for series_id in IDS:
                value = math.sin(self.row / 3) + self.rng.gauss(0, 0.1) + 9 * (self.rng.random() < 0.03)
                if self.rng.random() < 0.03:
                    value = math.nan
                batch.append(Reading(series_id, T0 + self.row * S, value))
        batch.sort(key=lambda reading: reading.time_ns + self.rng.random() * jitter_s * S)
        self.last = batch
        self.give("feed", batch, self.now_ns)

    @rule(age=st.integers(1, 200), count=st.integers(1, 12), series_id=ids)
    def feed_late(self, age: int, count: int, series_id: str) -> None:
        first = max(self.row - age, 0)
        times = [T0 + (first + place) * S for place in range(count) if first + place <= self.row]
        self.give("feed", [Reading(series_id, at, self.rng.gauss(0, 1)) for at in times], self.now_ns)

    @rule()
    def feed_again(self) -> None:
        self.give("feed", self.last, self.now_ns)

    @rule(seconds=st.sampled_from([0.1, 1.0, 3.0, 61.0, 3600.0]))
    def tick(self, seconds: float) -> None:
        self.now_ns += int(seconds * S)
        self.give("tick", self.now_ns)

    @rule(verb=st.sampled_from(["mute", "unmute", "relearn"]), series_id=ids, seconds=st.integers(1, 300))
    def command(self, verb: str, series_id: str, seconds: int) -> None:
        if series_id in self.configured:
            self.give("command", verb, series_id, self.now_ns, self.now_ns + seconds * S)

    # ------------------------------------------------------------------ what happens to the engine

    @rule(journal_readings=st.sampled_from([1, 50, 500, 10**6]))
    def commit(self, journal_readings: int) -> None:
        self.save(journal_readings)
        assert self.disk.unsaved_readings(self.engine) <= journal_readings

    def save(self, journal_readings: int) -> None:
        self.disk.commit(self.engine, self.pending, self.retired, journal_readings)
        self.pending, self.since, self.retired = [], [], []

    @rule()
    def kill(self) -> None:
        """All that was not committed is lost, and comes again."""
        self.engine = Engine(EngineSettings(node="gw1"))
        gone = self.engine.restore(
            [(name, *each) for name, each in self.disk.snapshots.items()],
            self.disk.entries,
            lambda series_id, source: self.configured.get(series_id),
        )
        assert set(gone) <= set(IDS) - set(self.configured)
        self.retired = gone
        self.engine.resume(self.now_ns)
        self.pending = [event for each in self.since for event in self.carry_out(self.engine, *each)]

    @rule(
        series_id=ids,
        sensitivity=st.sampled_from([0, 80, 100]),
        window=st.sampled_from([32, 32, 64]),
        unit=st.sampled_from(["", "bar"]),
    )
    def reload(self, series_id: str, sensitivity: int, window: int, unit: str) -> None:
        """As the agent does: all is saved before, so that no journal is judged with other settings, and after."""
        if series_id in self.configured:
            self.save(0)
            late = self.configured[series_id].late
            self.configured[series_id] = settings_of(sensitivity, window, unit, late)
            for engine in (self.engine, self.twin):
                engine.configure(series_id, self.configured[series_id])
            self.save(0)

    @precondition(lambda self: len(self.configured) > 0)
    @rule(series_id=ids)
    def remove(self, series_id: str) -> None:
        if self.configured.pop(series_id, None) is not None:
            self.save(0)
            for engine in (self.engine, self.twin):
                engine.remove(series_id)
            self.retired.append(series_id)
            self.save(0)

    # ------------------------------------------------------------------ what must hold

    @invariant()
    def both_tell_the_same(self) -> None:
        assert repr(self.disk.events + self.pending) == repr(self.told)  # NaN is no equal of itself

    @invariant()
    def both_know_the_same(self) -> None:
        phases = [{s.series_id: s.phase for s in e.series.values()} for e in (self.engine, self.twin)]
        assert phases[0] == phases[1]
        assert known(self.engine) == known(self.twin)

    @invariant()
    def memory_is_accounted_for(self) -> None:
        for engine in (self.engine, self.twin):
            needed = sum(each.detector.nbytes + SERIES_OVERHEAD_BYTES for each in engine.series.values())
            assert engine.memory_bytes == needed


TestEngineMachine = EngineMachine.TestCase
TestEngineMachine.pytestmark = [pytest.mark.campaign, pytest.mark.timeout(0 if SOAK else 900)]
TestEngineMachine.settings = settings(
    parent=settings.get_profile("edgead"), max_examples=3000 if SOAK else 100, stateful_step_count=50
)
