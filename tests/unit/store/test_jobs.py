"""Models, detections and results in SQLite."""

import contextlib
import sqlite3
from pathlib import Path

import pytest

from edgead.errors import StoreError
from edgead.store.jobs import DATABASE, SCHEMA_VERSION, JobStore, ModelRow, Queued, ResultRow


@pytest.fixture
def store(tmp_path: Path):
    opened = JobStore.open(tmp_path, now_ns=1)
    yield opened
    opened.close()


def model(identity: str, client: str = "a", at: int = 1) -> ModelRow:
    return ModelRow(id=identity, client=client, created_ns=at, updated_ns=at, request=b"{}")


def result(identity: str, at: int = 1, model_id: str = "m") -> ResultRow:
    return ResultRow(id=identity, client="a", created_ns=at, updated_ns=at, model_id=model_id)


def test_a_model_lives_from_created_to_ready(store: JobStore):
    store.add_model(model("m"))
    [job] = store.queued("models")
    assert job == Queued("models", "m", "a", 0)
    assert store.begin(job, 2)
    assert not store.begin(job, 2)
    assert store.queued("models") == []
    assert store.running("models") == [Queued("models", "m", "a", 1)]
    assert store.tell("m", 3, diagnostics=b"[1]")
    assert store.finish_model("m", 4, status="READY", diagnostics=b"[2]")
    row = store.model("m")
    assert row is not None
    assert (row.status, row.updated_ns, row.attempts, row.diagnostics) == ("READY", 4, 1, b"[2]")
    assert store.running("models") == []


def test_what_is_finished_stays_as_it_is(store: JobStore):
    store.add_result(result("r"))
    assert store.finish_result("r", 2, status="READY", parts=[b"found", b"more"])
    assert not store.finish_result("r", 3, status="FAILED", errors=b"late")
    row = store.result("r")
    assert row is not None
    assert (row.status, row.errors, store.parts("r")) == ("READY", b"", 2)
    assert [store.part("r", n) for n in range(3)] == [b"found", b"more", None]


def test_models_are_listed_by_their_last_change_and_counted_by_client(store: JobStore):
    for at, identity in enumerate("xyz"):
        store.add_model(model(identity, client="a" if identity != "y" else "b", at=at + 1))
    store.tell("x", 9, diagnostics=b"1")
    assert store.models() == {"x": 9, "z": 3, "y": 2}
    assert list(store.models()) == ["x", "z", "y"]
    assert list(store.models("a")) == ["x", "z"]
    assert (
        store.count("models"),
        store.count("models", "b"),
        store.count("models", "a", unfinished=True),
    ) == (3, 1, 2)
    assert store.statuses("models") == {"CREATED": 3}
    assert store.delete_model("x")
    assert not store.delete_model("x")
    assert store.model("x") is None


def test_a_job_is_put_back_with_its_attempts(store: JobStore):
    store.add_model(model("m"))
    [job] = store.queued("models")
    store.begin(job, 2)
    assert store.requeue(job, 3, attempts=1)
    assert store.queued("models") == [Queued("models", "m", "a", 1)]
    assert not store.requeue(Queued("models", "gone", "a", 0), 3, attempts=1)


def test_old_results_go_with_their_answers_and_running_ones_stay(store: JobStore):
    for identity, at in (("old", 1), ("new", 10), ("running", 1)):
        store.add_result(result(identity, at))
    for identity in ("old", "new"):
        store.finish_result(identity, 11, status="READY", parts=[identity.encode()] * 12)
    assert store.expire(5) == 1
    assert (store.result("old"), store.parts("old"), store.parts("new")) == (None, 0, 12)
    assert store.result("running") is not None
    assert store.unfinished_of("m") == ["running"]


def test_beyond_a_size_the_oldest_finished_results_go(store: JobStore):
    for at, identity in enumerate("abcd"):
        store.add_result(result(identity, at + 1))
    for identity in "bcd":
        store.finish_result(identity, 9, status="READY", parts=[b"x" * 500] * 2)
    assert store.trim(10**6) == 0
    assert store.trim(5000) == 1
    assert [store.result(identity) is None for identity in "abcd"] == [False, True, False, False]
    assert (store.parts("b"), store.trim(0)) == (0, 2)
    assert store.result("a") is not None


def test_what_is_known_of_variables_counts_as_part_of_a_result(store: JobStore):
    for at, identity in enumerate("ab"):
        store.add_result(result(identity, at + 1))
        store.finish_result(identity, 9, status="READY", states=b"x" * 5000, parts=[b"x"])
    assert store.trim(8000) == 1


def test_a_file_of_the_first_format_keeps_its_answers(tmp_path: Path):
    store = JobStore.open(tmp_path, now_ns=1)
    store.add_result(result("r"))
    store.finish_result("r", 2, status="READY", parts=[b"whole"])
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        database.execute("PRAGMA user_version = 1")
    store = JobStore.open(tmp_path, now_ns=3)
    assert (store.notices, store.parts("r"), store.part("r", 0)) == ([], 1, b"whole")
    store.close()
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_all_is_there_after_opening_again(tmp_path: Path):
    store = JobStore.open(tmp_path, now_ns=1)
    store.add_model(model("m"))
    with pytest.raises(StoreError, match="in use by another edgead"):
        JobStore.open(tmp_path, now_ns=1)
    store.close()
    again = JobStore.open(tmp_path, now_ns=2)
    assert again.model("m") is not None
    assert (again.notices, again.problems()) == ([], [])
    again.close()


@pytest.mark.parametrize("content", [b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 4000])
def test_a_damaged_file_is_set_aside(tmp_path: Path, content: bytes):
    (tmp_path / "jobs.db").write_bytes(content)
    store = JobStore.open(tmp_path, now_ns=0)
    assert "is set aside as jobs.db.corrupt-19700101T000000Z" in store.notices[0]
    assert store.models() == {}
    store.close()
    assert (tmp_path / "jobs.db.corrupt-19700101T000000Z").read_bytes() == content


def test_a_newer_file_is_refused_and_left_alone(tmp_path: Path):
    store = JobStore.open(tmp_path, now_ns=1)
    store._connection.execute("PRAGMA user_version = 99")
    store.close()
    with pytest.raises(StoreError, match="newer edgead") as caught:
        JobStore.open(tmp_path, now_ns=1)
    assert caught.value.kind == "version"
