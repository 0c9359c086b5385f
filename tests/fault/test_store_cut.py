"""The store cut off at change 1, 2, 3, ... of its files: what is left is a state before or after a commit."""

import json
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from edgead.store import Store
from tests.fault import store_faults as faults
from tests.fault import store_worker as worker
from tests.store_model import State, state_of

SEED = 20_260
STEPS = 60

pytestmark = pytest.mark.campaign


class Recording(NamedTuple):
    lines: list[list]  # as the worker told them: step, changes seen, flushes counted, bytes counted
    changes: list[faults.Change]
    done: list[int]  # changes the disk had seen when step i was done; the first is the opening
    states: list[State]  # on disk after the opening and after each step
    folder: Path


@pytest.fixture(scope="module")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return faults.build(tmp_path_factory.mktemp("shim"))


def states_of_script() -> list[State]:
    model = worker.new_model()
    states = [model.on_disk()]
    for step in worker.script(SEED, STEPS):
        worker.apply_to_model(model, step)
        states.append(model.on_disk())
    model.flush()
    return [*states, model.on_disk()]


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    with faults.scratch() as folder:
        yield folder


@pytest.fixture(scope="module")
def recording(shim: Path) -> Iterator[Recording]:
    with faults.scratch() as folder:
        yield record(shim, folder)


def record(shim: Path, folder: Path) -> Recording:
    trace = folder / "trace"
    done = faults.run_worker(shim, "work", SEED, STEPS, directory=folder / "state", STORE_FAULTS_TRACE=trace)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    marks = [changes for _, changes, *_ in lines]
    return Recording(lines, faults.read_trace(trace), marks, states_of_script(), folder)


def allowed(recording: Recording, position: int) -> list[State]:
    """States before and after the step that was under way when change number `position` was the last."""
    finished = sum(mark <= position for mark in recording.done)
    return recording.states[max(finished - 1, 0) : finished + 1]


def reopened(directory: Path) -> tuple[State, list[str]]:
    store = Store.open(directory, worker.LIMITS, now_ns=worker.NOW)
    state, notices = state_of(store), list(store.notices)
    store.commit(journal=[b"works again"], now_ns=worker.NOW)
    store.close()
    shutil.rmtree(directory)
    return state, notices


def cuts(recording: Recording) -> Iterator[tuple[int, faults.Disk, random.Random]]:
    rng = random.Random(SEED)
    chosen = set(faults.part(range(1, len(recording.changes) + 1), rng))
    disk = faults.Disk()
    for position, change in enumerate(recording.changes, 1):
        disk.feed(change)
        if position in chosen:
            yield position, disk, rng


def with_index(
    recording: Recording, files: dict[str, bytes], position: int, rng: random.Random
) -> dict[str, bytes]:
    """Give the log's index the content that a disk may hold after a power cut: of any step since it was made."""
    made = int(files.pop(faults.INDEX, b"0"))
    steps = [step for step, mark in enumerate(recording.done[1:-1]) if made < mark <= position]
    if made and steps and rng.random() < 0.8:
        step = rng.choice([steps[-1], rng.choice(steps)])
        files[faults.INDEX] = (recording.folder / f"state.index-{step}").read_bytes()
    return files


def test_the_whole_recording_ends_in_the_last_state(recording: Recording) -> None:
    disk = faults.Disk()
    for change in recording.changes:
        disk.feed(change)
    assert disk.after_kill().keys() == {"state.db"}
    assert recording.done[-1] == len(recording.changes)
    assert sum(change.kind == faults.UNLINK for change in recording.changes) > 2  # logs folded in at a close


def test_flushes_are_counted_as_the_disk_sees_them(recording: Recording) -> None:
    steps = worker.script(SEED, STEPS)
    last = max(number for number, (kind, _) in enumerate(steps) if kind == "reopen")
    begin, end = recording.done[last + 1], recording.done[-2]
    flushes = [c for c in recording.changes[begin:end] if c.kind in (faults.SYNC, faults.SYNC_DIRECTORY)]
    assert recording.lines[-2][2] == len(flushes) - 2  # the first commit made a new log


def test_power_cuts_that_lose_all_unsynced_writes(recording: Recording, tmp_path: Path) -> None:
    for position, disk, rng in cuts(recording):
        files = with_index(recording, disk.after_power_cut(None), position, rng)
        faults.lay_out(tmp_path / "cut", files)
        state, notices = reopened(tmp_path / "cut")
        assert notices == [], position
        assert state in allowed(recording, position), position


def test_power_cuts_that_keep_any_sectors_of_unsynced_writes(recording: Recording, tmp_path: Path) -> None:
    for position, disk, rng in cuts(recording):
        for _ in range(3):
            files = with_index(recording, disk.after_power_cut(rng), position, rng)
            faults.lay_out(tmp_path / "cut", files)
            state, notices = reopened(tmp_path / "cut")
            assert notices == [], position
            assert state in allowed(recording, position), position


def test_writes_torn_in_the_middle(recording: Recording, tmp_path: Path) -> None:
    for position, disk, rng in cuts(recording):
        following = recording.changes[position % len(recording.changes)]
        files = disk.torn(following, rng)
        files.pop(faults.INDEX, None)
        faults.lay_out(tmp_path / "cut", files)
        state, notices = reopened(tmp_path / "cut")
        assert notices == [], position
        assert state in allowed(recording, position), position


def test_kills_of_the_real_process(recording: Recording, shim: Path, tmp_path: Path) -> None:
    rng = random.Random(SEED)
    for position in faults.part(range(1, len(recording.changes) + 1), rng, share=40):
        directory = tmp_path / "killed"
        done = faults.run_worker(shim, "work", SEED, STEPS, directory=directory, STORE_FAULTS_KILL=position)
        assert done.returncode == 137, (position, done.stderr)
        finished = len(done.stdout.splitlines())
        state, notices = reopened(directory)
        assert notices == [], position
        assert state in recording.states[max(finished - 1, 0) : finished + 1], position
