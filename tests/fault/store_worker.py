"""A process that uses the store under tests/fault/store_faults.c.  Started by tests/fault/store_faults.py.

python tests/fault/store_worker.py work DIRECTORY SEED STEPS       does a seeded script, tells each step done
python tests/fault/store_worker.py refuse DIRECTORY SEED STEPS ERRNO STRIDE   fails changes one by one, in place
python tests/fault/store_worker.py refuse-opening DIRECTORY ERRNO             the same while the store is opened
"""

import ctypes
import errno
import json
import os
import random
import sys
from pathlib import Path
from typing import Any

from edgead.errors import StoreError
from edgead.store import Store, StoreLimits
from edgead.store import store as store_module
from tests.store_model import Model, make_event, state_of

NOW = 1_763_750_000_000_000_000
LIMITS = StoreLimits(spool_rows=40)
CHECKPOINT_BYTES = 150_000  # so that a short script folds its log several times
PUT_OFF = 7

Step = tuple[str, Any]
FAULTS = ctypes.CDLL(None)


def script(seed: int, steps: int) -> list[Step]:
    """A seeded life: batches, events, deliveries, snapshots, trimming, restarts."""
    rng = random.Random(seed)
    made = journal_seq = records = 0
    result: list[Step] = []
    for _ in range(steps):
        kind = rng.choices(["commit", "snapshots", "acknowledge", "forwarded", "reopen"], [12, 3, 5, 2, 1])[0]
        if kind == "commit":
            entries = [rng.randbytes(rng.choice([30, 800, 6000])) for _ in range(rng.choice([0, 1, 1, 2]))]
            events = list(range(made, made + rng.choice([0, 0, 1, 3, 20])))
            made += len(events)
            bodies = [rng.randbytes(rng.choice([60, 900])) for _ in range(rng.choice([0, 0, 1, 6]))]
            records += len(bodies)
            work = {"events": [make_event(number) for number in events], "outbox": bodies}
            result.append((kind, {"journal": entries} | work))
            journal_seq += len(entries)
        elif kind == "snapshots":
            names = rng.sample(["a", "b", "c", "d", "e", "f"], 4)
            blobs = {name: rng.randbytes(rng.choice([200, 5000, 30_000])) for name in names[:3]}
            entries = [rng.randbytes(50)]
            journal_seq += 1
            forget = max(journal_seq - rng.randrange(4), 0)
            work = {"journal": entries, "snapshots": blobs, "retired": names[3:], "forget_through": forget}
            result.append(("commit", work))
        elif kind == "acknowledge":
            result.append((kind, sorted(rng.sample(range(1, made + 3), min(made + 2, rng.randrange(1, 12))))))
        elif kind == "forwarded":
            result.append((kind, list(range(1, rng.randrange(1, records + 2)))))
        else:
            result.append((kind, None))
    return result


def apply_to_model(model: Model, step: Step) -> None:
    kind, work = step
    if kind == "commit":
        model.commit(**work, now_ns=NOW)
    elif kind == "acknowledge":
        model.acknowledge(work)
    elif kind == "forwarded":
        model.acknowledge_outbox(work)
    else:
        model.flush()


def new_model() -> Model:
    return Model(LIMITS, put_off=PUT_OFF)


def quicken() -> None:
    store_module.CHECKPOINT_BYTES = CHECKPOINT_BYTES
    store_module.ACKNOWLEDGED_MAX = PUT_OFF


def open_store(directory: Path) -> Store:
    return Store.open(directory, LIMITS, now_ns=NOW)


def work(directory: Path, seed: int, steps: int) -> None:
    """Do the script; after each step print how many changes the disk has seen, and keep the log's index."""
    store = open_store(directory)
    kept = open_index(directory)
    print(json.dumps([-1, FAULTS.store_faults_changes(), store.fsyncs, store.bytes_written]), flush=True)
    for number, (kind, given) in enumerate(script(seed, steps)):
        if kind == "reopen":
            store.close()
            store = open_store(directory)
            kept = open_index(directory)
        else:
            do(store, kind, given)
        if os.environ.get("STORE_FAULTS_TRACE"):
            # opened once and never closed: closing it would drop the locks SQLite holds on the file
            Path(f"{directory}.index-{number}").write_bytes(os.pread(kept, 32768, 0))
        print(
            json.dumps([number, FAULTS.store_faults_changes(), store.fsyncs, store.bytes_written]), flush=True
        )
    store.close()
    print(json.dumps(["closed", FAULTS.store_faults_changes(), 0, 0]), flush=True)


def do(store: Store, kind: str, given: Any) -> None:
    if kind == "commit":
        store.commit(**given, now_ns=NOW)
    elif kind == "acknowledge":
        store.acknowledge(given)
    else:
        store.acknowledge_outbox(given)


def open_index(directory: Path) -> int:
    return os.open(directory / "state.db-shm", os.O_RDONLY)


def refuse(directory: Path, seed: int, steps: int, error: int, stride: int) -> None:
    """In every step fail change 1, then 2, ... of it, until it goes through; each time the store must be as before.

    `stride` > 1 tries a part of the changes, offset by the step's number.
    """
    store, model = open_store(directory), new_model()
    refused: dict[str, int] = {}
    for number, (kind, given) in enumerate(script(seed, steps)):
        if kind == "reopen":
            store.close()
            model.flush()
            store = open_store(directory)
            continue
        shown = state_of(store)
        position = 1 + number % stride
        while True:
            FAULTS.store_faults_arm(position, 1 if number % 2 else 10**6, error)
            try:
                do(store, kind, given)
            except StoreError as failure:
                FAULTS.store_faults_arm(-1, 0, 0)
                refused[failure.kind] = refused.get(failure.kind, 0) + 1
                assert kind == "commit", "a delivery can always be noted"
                assert state_of(store) == shown, (number, position)
                position += stride
                assert position < 400, "never went through"
            else:
                FAULTS.store_faults_arm(-1, 0, 0)
                break
        apply_to_model(model, (kind, given))
        assert state_of(store) == model.shown(), number
    store.close()
    model.flush()
    store = open_store(directory)
    assert (state_of(store), store.notices) == (model.shown(), [])
    store.close()
    print(json.dumps(refused))


def refuse_opening(directory: Path, error: int) -> None:
    """Fail change 1, 2, ... of making the state, of opening it with a log to read, of rescuing what is damaged."""
    kinds: dict[str, int] = {}
    store, notices = open_at_last(directory, error, kinds)
    assert notices == []
    fill(store, 20)
    leave_as_killed(store, directory)
    store, notices = open_at_last(directory, error, kinds)
    assert notices == []
    fill(store, 20)
    expected = state_of(store)
    store.close()
    damage(directory / "state.db")
    store, notices = open_at_last(directory, error, kinds)
    assert len(notices) == 1
    assert "set aside" in notices[0]
    rescued = state_of(store)
    assert 30 < len(rescued.snapshots) < len(expected.snapshots)
    assert rescued.snapshots.items() < expected.snapshots.items()
    assert store.commit(journal=[b"on"], now_ns=NOW).journal_seq == 41
    store.close()
    print(json.dumps(kinds))


def open_at_last(directory: Path, error: int, kinds: dict[str, int]) -> tuple[Store, list[str]]:
    """Open with change 1 and all after it refused, then 2 and all after it, and so on, until it works."""
    for position in range(1, 1000):
        FAULTS.store_faults_arm(position, 10**6, error)
        try:
            store = open_store(directory)
        except StoreError as failure:
            kinds[failure.kind] = kinds.get(failure.kind, 0) + 1
        else:
            FAULTS.store_faults_arm(-1, 0, 0)
            return store, store.notices
    raise AssertionError("never opened")


def fill(store: Store, count: int) -> None:
    for number in range(count):
        blob = {f"series{store.journal_seq}": bytes([number + 1]) * 5000}
        store.commit(journal=[b"entry"], snapshots=blob, now_ns=NOW)


def damage(path: Path) -> None:
    """Zero some pages that hold a state, and with them the beginning of others."""
    content = bytearray(path.read_bytes())
    at = content.index(bytes([10]) * 900) // 1024 * 1024
    content[at : at + 3 * 1024] = bytes(3 * 1024)
    path.write_bytes(content)


def leave_as_killed(store: Store, directory: Path) -> None:
    """Close the store, but put its log back, as if the process had been killed."""
    log = (directory / "state.db-wal").read_bytes()
    database = (directory / "state.db").read_bytes()
    store.close()
    (directory / "state.db").write_bytes(database)
    (directory / "state.db-wal").write_bytes(log)


def unreadable(directory: Path) -> None:
    """Sectors go bad while the store is open, and stay bad."""
    store = open_store(directory)
    fill(store, 40)
    expected = state_of(store)
    store.close()
    store = open_store(directory)
    FAULTS.store_faults_unreadable((directory / "state.db").stat().st_size // 2048 * 1024, 2048)
    try:
        state_of(store)
    except StoreError as failure:
        print(json.dumps([failure.kind, str(failure)]))
    store.close()
    store = open_store(directory)
    print(json.dumps(store.notices))
    rescued = state_of(store)
    assert 30 < len(rescued.snapshots) < 40
    assert rescued.snapshots.items() < expected.snapshots.items()
    store.close()


def view(directory: Path) -> None:
    """Read a stopped agent's state, and a killed one's, while nothing can be made or changed."""
    store = open_store(directory)
    fill(store, 3)
    expected = state_of(store)
    store.close()
    FAULTS.store_faults_arm(1, 10**6, errno.EROFS)
    reader = Store.read_only(directory)
    assert state_of(reader) == expected
    reader.close()
    FAULTS.store_faults_arm(-1, 0, 0)
    store = open_store(directory)
    fill(store, 1)
    leave_as_killed(store, directory)
    FAULTS.store_faults_arm(1, 10**6, errno.EROFS)
    try:
        Store.read_only(directory)
    except StoreError as failure:
        print(json.dumps([failure.kind, str(failure)]))


if __name__ == "__main__":
    quicken()
    name, folder, *numbers = sys.argv[1:]
    if name == "work":
        work(Path(folder), *map(int, numbers))
    elif name == "unreadable":
        unreadable(Path(folder))
    elif name == "view":
        view(Path(folder))
    elif name == "refuse-opening":
        refuse_opening(Path(folder), getattr(errno, numbers[0]))
    else:
        seed, steps, code, stride = numbers
        refuse(Path(folder), int(seed), int(steps), getattr(errno, code), int(stride))
