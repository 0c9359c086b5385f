"""A state file damaged under the running agent: set aside and all saved anew, also where the disk first refuses."""

import random
from pathlib import Path

import pytest

from edgead.agent import saving
from edgead.agent.saving import Saving
from edgead.config import StoreConfig
from edgead.errors import StoreError
from edgead.records import Reading
from edgead.store import Store
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.univariate.streaming import DetectorSettings

S = 10**9
T0 = 1_763_750_000 * S
SETTINGS = SeriesSettings(judging=DetectorSettings(window=64, sensitivity=100), allowed_lateness_ns=0)


class World:
    """An engine with one series and its store on a real disk."""

    def __init__(self, folder: Path) -> None:
        self.engine = Engine(EngineSettings(node="gw1"))
        self.saving = Saving(folder, StoreConfig(), self.engine, now_ns=T0)
        assert self.engine.add("a", "t/a", SETTINGS, T0) is None
        self._rng = random.Random(3)
        self._row = 0

    def feed(self, count: int) -> None:
        for _ in range(count):
            self._row += 1
            peak = 40.0 if self._row % 100 == 99 else 0.0
            value = self._rng.gauss(0, 1) + peak
            out = self.engine.feed([Reading("a", T0 + self._row * S, value)], T0)
            self.saving.add(out.events)
            self.saving.receive(self._row)

    def commit(self) -> list[int]:
        return self.saving.commit(T0)


def damage(folder: Path) -> None:
    """Overwrite all of the database and its log, as a dying card does."""
    for name in ("state.db", "state.db-wal"):
        size = (folder / name).stat().st_size
        with open(folder / name, "r+b") as file:
            file.write(b"\xa5" * size)


@pytest.fixture
def hasty(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(saving, "RETRY_S", 0.0)


@pytest.mark.usefixtures("hasty")
def test_a_file_damaged_while_the_agent_runs_is_set_aside_and_nothing_learned_is_lost(tmp_path: Path):
    world = World(tmp_path)
    world.feed(500)
    assert len(world.commit()) == 500
    waiting = world.saving.spool_stats().rows
    assert waiting >= 4
    damage(tmp_path)
    world.saving._store._connection.execute(
        "PRAGMA shrink_memory"
    )  # pages in memory would hide it for a while
    world.feed(100)
    (tmp_path / "state.lock").unlink()
    (tmp_path / "state.lock").mkdir()  # what makes opening fail, as root too
    assert world.commit() == []
    assert world.commit() == []
    assert "store:" in world.saving.problems[0]
    with pytest.raises(StoreError):
        world.saving.peek()
    world.saving.acknowledge([1])
    assert world.saving.spool_stats().rows == waiting
    assert world.saving.unsaved(), "events of now can be told meanwhile"
    world.feed(50)  # judging goes on in memory
    (tmp_path / "state.lock").rmdir()
    acknowledged = world.commit()
    assert len(acknowledged) == 150
    assert world.saving.problems == []
    assert list(tmp_path.glob("state.db.corrupt-*"))
    world.saving.close()

    store = Store.open(tmp_path, world.saving._limits, now_ns=T0)
    again = Engine(EngineSettings(node="gw1"))
    again.restore(store.snapshots(), store.journal(), lambda series_id, source: SETTINGS)
    store.close()
    assert again.save_all() == world.engine.save_all()


def test_delivered_events_are_deleted_on_disk_although_nothing_else_is_to_be_saved(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    world = World(tmp_path)
    world.feed(500)
    world.commit()
    assert not world.saving.due(quiet=False)
    world.saving.acknowledge([row.seq for row in world.saving.peek()])
    assert not world.saving.due(quiet=False)
    monkeypatch.setattr(saving, "TIDY_S", 0.0)
    assert world.saving.due(quiet=False)
    world.commit()
    assert not world.saving.due(quiet=False)
    assert Store.read_only(tmp_path).spool_stats().rows == 0
    world.saving.close()
