"""Files damaged while nobody looked: found, told, set aside; what is still shown is as it was written."""

import json
import os
import random
import shutil
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edgead.errors import StoreError
from edgead.store import Store
from edgead.store.database import PAGE_BYTES
from tests.fault import store_faults as faults
from tests.fault import store_worker as worker
from tests.store_model import Model, State, make_event, state_of

SEED = 5_504
STEPS = 70
TRIES = 3000 if faults.SOAK else 300

pytestmark = pytest.mark.campaign


class Killed(NamedTuple):
    """A state directory as a kill left it, with a log that holds several commits."""

    directory: Path
    state: State
    models: list[Model]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def killed() -> Iterator[Killed]:
    with faults.scratch() as folder:
        yield kill_late(folder)


def kill_late(folder: Path) -> Killed:
    shim = faults.build(folder)
    done = faults.run_worker(shim, "work", SEED, STEPS, directory=folder / "whole")
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    last = STEPS - 1 - worker.script(SEED, STEPS)[::-1].index(("reopen", None))
    position = max(mark for number, mark, *_ in steps if number != "closed")
    assert STEPS - last > 5, "the script should end with several commits in the log: take another seed"
    faults.run_worker(shim, "work", SEED, STEPS, directory=folder / "state", STORE_FAULTS_KILL=position + 1)
    models = []
    model = worker.new_model()
    for step in worker.script(SEED, STEPS):
        worker.apply_to_model(model, step)
        models.append(model.on_disk())
    assert (folder / "state/state.db-wal").stat().st_size > 50_000
    return Killed(folder / "state", models[-1], models)


def open_damaged(killed: Killed, directory: Path) -> str:
    """Open, check what is shown, use it; what was told: "nothing", "row", "log", "rescued" or "empty"."""
    store = Store.open(directory, worker.LIMITS, now_ns=worker.NOW)
    state, notices = state_of(store), list(store.notices)
    store.commit(journal=[b"works"], events=[make_event(1)], now_ns=worker.NOW)
    store.close()
    if not notices:
        assert state == killed.state
        return "nothing"
    assert shows_only_what_was_written(state, killed.models)
    if "set aside as state.db.corrupt" in notices[0]:
        assert any(".corrupt-" in name for name in os.listdir(directory))
        return "rescued" if "; rescued " in notices[0] else "empty"
    return "log" if "log was kept" in notices[0] else "row"


def shows_only_what_was_written(state: State, states: list[State]) -> bool:
    snapshots = [item for one in states for item in one.snapshots.items()]
    journal = {item for one in states for item in one.journal.items()}
    spool = {item for one in states for item in one.spool.items()}
    outbox = {item for one in states for item in one.outbox.items()}
    return (
        all(item in snapshots for item in state.snapshots.items())
        and state.journal.items() <= journal
        and state.spool.items() <= spool
        and state.outbox.items() <= outbox
    )


def campaign(killed: Killed, tmp_path: Path, tries: int, damage) -> Counter[str]:
    rng = random.Random(SEED)
    told: Counter[str] = Counter()
    for number in range(tries):
        directory = tmp_path / "damaged"
        shutil.copytree(killed.directory, directory)
        what = damage(rng, directory)
        try:
            told[open_damaged(killed, directory)] += 1
        except BaseException as error:
            raise AssertionError(f"seed {SEED}, try {number}: {what}") from error
        shutil.rmtree(directory)
    return told


def overwrite(path: Path, offset: int, data: bytes) -> None:
    with open(path, "r+b") as file:
        file.seek(offset)
        file.write(data)


@pytest.mark.parametrize("name", ["state.db", "state.db-wal", "state.db-shm"])
def test_flipped_bits(killed: Killed, tmp_path: Path, name: str) -> None:
    def flip(rng: random.Random, directory: Path) -> object:
        path = directory / name
        offset, bit = rng.randrange(path.stat().st_size), rng.randrange(8)
        overwrite(path, offset, bytes([path.read_bytes()[offset] ^ 1 << bit]))
        return name, offset, bit

    told = campaign(killed, tmp_path, TRIES, flip)
    print(name, told)
    if name == "state.db-wal":
        assert told["log"] > TRIES // 10
    if name == "state.db-shm":
        assert told == {"nothing": TRIES}  # it is rebuilt from the log


@pytest.mark.parametrize("filler", [b"\0", b"\xff", None])
def test_pages_overwritten(killed: Killed, tmp_path: Path, filler: bytes | None) -> None:
    def spoil(rng: random.Random, directory: Path) -> object:
        page = rng.randrange((directory / "state.db").stat().st_size // PAGE_BYTES)
        start = rng.choice([0, 512])  # a whole page, or torn at a sector
        data = rng.randbytes(PAGE_BYTES - start) if filler is None else filler * (PAGE_BYTES - start)
        overwrite(directory / "state.db", page * PAGE_BYTES + start, data)
        return page, start

    told = campaign(killed, tmp_path, TRIES // 3, spoil)
    print(told)
    assert told["empty"] <= TRIES // 30  # only where the first page, which names the tables, was hit


@pytest.mark.parametrize("name", ["state.db", "state.db-wal"])
def test_files_cut_short(killed: Killed, tmp_path: Path, name: str) -> None:
    def cut(rng: random.Random, directory: Path) -> object:
        size = rng.randrange((directory / name).stat().st_size)
        os.truncate(directory / name, size)
        return size

    told = campaign(killed, tmp_path, TRIES // 3, cut)
    print(told)
    assert told["nothing"] == 0 or name == "state.db-wal"


def test_a_log_that_is_gone_or_alone(killed: Killed, tmp_path: Path) -> None:
    def lose(rng: random.Random, directory: Path) -> object:
        name = rng.choice(["state.db", "state.db-wal"])
        (directory / name).unlink()
        return name

    told = campaign(killed, tmp_path, 6, lose)
    assert told.keys() == {"empty", "log"}


def test_damage_met_while_running_is_told_as_such_and_opening_again_sets_it_aside(tmp_path: Path) -> None:
    store = worker.open_store(tmp_path)
    store.commit(
        events=[make_event(number) for number in range(30)], journal=[bytes(400_000)], now_ns=worker.NOW
    )
    store.close()
    store = worker.open_store(tmp_path)
    size = (tmp_path / "state.db").stat().st_size
    overwrite(tmp_path / "state.db", PAGE_BYTES, b"\xee" * (size - PAGE_BYTES))
    with pytest.raises(StoreError, match="damaged") as caught:
        list(store.journal())
    assert caught.value.kind == "corrupt"
    store.close()
    store = worker.open_store(tmp_path)
    assert "set aside as state.db.corrupt-20251121T183320Z" in store.notices[0]
    store.close()
