"""The queue with a launcher of the test: turns, dead workers, a disk that refuses, deletion, a stop."""

import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from edgead.errors import InvalidInput, StoreError
from edgead.multivariate import VariableState
from edgead.server import orders
from edgead.server.answers import Answer, Row, encode_answer
from edgead.server.jobs import Jobs
from edgead.server.launch import WorkerDied
from edgead.server.quotas import Quotas
from edgead.server.requests import detect_request, train_request
from edgead.server.runner import package_name, package_version
from edgead.server.shelf import Shelf
from edgead.server.sources import SourceSettings
from edgead.store.jobs import JobStore
from tests.packages import PUMP

BODY = {"dataSource": "a.csv", "startTime": "2021-01-01T00:00:00Z", "endTime": "2021-01-02T00:00:00Z"}
STATE = VariableState("flow", 0.5, 3, 0, 10**9)
ANSWER = encode_answer(Answer(("flow",), 28, (Row(0, 0.5),)))
DAY_NS = 86_400 * 10**9
Act = Callable[[orders.Order, Callable[[object], None], threading.Event], orders.Outcome | None]


class Launcher:
    """Does what the test says, and keeps the orders."""

    def __init__(self, act: Act) -> None:
        self.act = act
        self.orders: list[orders.Order] = []

    def run(self, order, tell, unwanted):
        self.orders.append(order)
        return self.act(order, tell, unwanted)

    def close(self) -> None:
        pass


def succeed(order, tell, unwanted) -> orders.Outcome:
    tell(orders.Seen((STATE,)))
    if isinstance(order, orders.DetectOrder):
        return orders.Detected((STATE,), (ANSWER,))
    tell(orders.Epochs(10, 0.5, 0.25, 0.125))
    return orders.Trained(PUMP)


@pytest.fixture
def make(tmp_path: Path):
    """Jobs of a state directory, started; a second call takes the state of the first."""
    made: list[Jobs] = []

    def build(
        act: Act = succeed,
        *,
        start: bool = True,
        trainer: str = "some.module",
        meanwhile=lambda: None,
        now_ns: Callable[[], int] = time.time_ns,
        **quotas: object,
    ) -> Jobs:
        for jobs in made:
            jobs.stop()
        made.clear()
        meanwhile()
        jobs = Jobs(
            JobStore.open(tmp_path, now_ns=1),
            Shelf(tmp_path / "models", tmp_path / "installed", memory_bytes=2**20),
            Launcher(act),
            quotas=msgspec.structs.replace(Quotas(), **quotas),
            work=tmp_path / "work",
            sources=SourceSettings(),
            trainer=trainer,
            now_ns=now_ns,
        )
        if start:
            jobs.start()
        made.append(jobs)
        return jobs

    yield build
    for jobs in made:
        jobs.stop()


def train(jobs: Jobs, client: str = "a") -> str:
    return jobs.train(client, train_request(BODY)).id


def ended(jobs: Jobs, *, model: str = "", result: str = "") -> tuple[str, list[dict[str, str]]]:
    """Status and errors, once there is an end."""
    until = time.monotonic() + 20
    while time.monotonic() < until:
        row = jobs.store.model(model) if model else jobs.store.result(result)
        assert row is not None
        if row.status in ("READY", "FAILED"):
            return row.status, msgspec.json.decode(row.errors or b"[]")
        time.sleep(0.01)
    raise AssertionError("no end")


def test_a_model_is_trained_kept_and_judges(make):
    jobs = make()
    model = train(jobs)
    assert ended(jobs, model=model) == ("READY", [])
    known = msgspec.json.decode(jobs.model("a", model).diagnostics)
    assert known["model_state"] == {
        "epochIds": [10],
        "trainLosses": [0.5],
        "validationLosses": [0.25],
        "latenciesInSeconds": [0.125],
    }
    assert known["states"][0]["variable"] == "flow"
    assert jobs.shelf.read(model) == PUMP
    result = jobs.detect("a", model, detect_request(BODY)).id
    assert ended(jobs, result=result) == ("READY", [])
    assert jobs.store.part(result, 0) == ANSWER
    assert jobs._runner._launcher.orders[-1].package == PUMP
    with pytest.raises(InvalidInput, match="does not exist") as caught:
        jobs.result("b", result)
    assert caught.value.code == "ResultNotExist"


def test_a_worker_that_dies_is_followed_by_another_three_times(make):
    def die(order, tell, unwanted):
        raise WorkerDied("its process was ended by signal 9 (SIGKILL)")

    jobs = make(die)
    status, [error] = ended(jobs, model=train(jobs))
    assert (status, error["code"], len(jobs._runner._launcher.orders)) == ("FAILED", "UnexpectedError", 3)
    assert error["message"].startswith(
        "It was begun 3 times without an end; the last time its process was ended by"
    )


def test_a_fault_of_the_server_costs_one_job(make):
    seen = []

    def stumble(order, tell, unwanted):
        seen.append(order)
        if len(seen) == 1:
            raise RuntimeError("ours")
        return succeed(order, tell, unwanted)

    jobs = make(stumble)
    first, second = train(jobs), train(jobs)
    assert ended(jobs, model=first)[0] == "FAILED"
    assert ended(jobs, model=second)[0] == "READY"


def test_a_package_no_device_would_take_fails(make):
    jobs = make(lambda *_: orders.Trained(b"no zip"))
    status, [error] = ended(jobs, model=train(jobs))
    assert status == "FAILED"
    assert error["message"].startswith("the package of the model: ")


def test_an_end_is_saved_when_the_disk_takes_it_again(make, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edgead.server.runner.SAVE_AGAIN_S", 0.05)
    jobs = make(start=False)
    finish, refused = jobs.store.finish_model, []

    def refuse_twice(*given: object, **more: object) -> bool:
        if len(refused) < 2:
            refused.append(jobs.problem)
            raise StoreError("the disk is full", kind="full")
        refused.append(jobs.problem)
        return finish(*given, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(jobs.store, "finish_model", refuse_twice)
    jobs.start()
    assert ended(jobs, model=train(jobs))[0] == "READY"
    assert refused == ["", "the disk is full", "the disk is full"]
    until = time.monotonic() + 5
    while jobs.problem:
        assert time.monotonic() < until
        time.sleep(0.01)


@pytest.mark.parametrize("dies", [False, True])
def test_a_copy_that_fills_the_disk_is_gone_before_the_end_is_saved(
    make, monkeypatch: pytest.MonkeyPatch, dies: bool
):
    def copy(order, tell, unwanted):
        (Path(order.folder) / "source").write_bytes(b"all that there was room for")
        if dies:
            raise WorkerDied("the disk is full", "")
        return orders.Failed("StorageWriteError", "no room")

    jobs = make(copy, start=False)
    save = JobStore.finish_model

    def finish(store, identity, *given, **named):
        if list(jobs._runner._work.glob("*/source")):
            raise StoreError("the disk is full")
        return save(store, identity, *given, **named)

    monkeypatch.setattr(JobStore, "finish_model", finish)
    jobs.start()
    status, [error] = ended(jobs, model=train(jobs))
    assert (status, error["code"]) == ("FAILED", "UnexpectedError" if dies else "StorageWriteError")


def test_clients_take_turns(make):
    began, go = [], threading.Event()

    def wait(order, tell, unwanted):
        began.append(order.name)
        go.wait(20)
        return succeed(order, tell, unwanted)

    jobs = make(wait)
    names = {train(jobs, client): client for client in "aaabc"}
    go.set()
    for model in names:
        ended(jobs, model=model)
    clients = {package_name("", model): client for model, client in names.items()}
    assert [clients[name] for name in began] == ["a", "b", "c", "a", "a"]


def test_results_live_as_long_as_was_said(make):
    now = [10**18]
    jobs = make(now_ns=lambda: now[0], keep_results_ns=7 * DAY_NS)
    model = train(jobs)
    ended(jobs, model=model)
    result = jobs.detect("a", model, detect_request(BODY)).id
    ended(jobs, result=result)
    now[0] += 7 * DAY_NS
    assert jobs.result("a", result).status == "READY"
    now[0] += 1
    with pytest.raises(InvalidInput, match="has expired") as caught:
        jobs.result("a", result)
    assert caught.value.code == "ResultNotExist"
    assert jobs.model("a", model).status == "READY"
    jobs = make(now_ns=lambda: now[0])  # the sweep at a start
    until = time.monotonic() + 10
    while jobs.store.result(result) is not None:
        assert time.monotonic() < until
        time.sleep(0.01)
    assert jobs.store.parts(result) == 0


def test_quotas_are_those_of_a_client(make):
    jobs = make(lambda order, tell, unwanted: unwanted.wait(20) and None, trainings=1, models=2)
    train(jobs, "a")
    with pytest.raises(InvalidInput, match="1 trainings under way already") as caught:
        train(jobs, "a")
    assert caught.value.code == "TooManyRunningModels"
    train(jobs, "b")


def test_deleting_stops_the_training_and_the_detections(make):
    stopped: list[str] = []

    def linger(order, tell, unwanted):
        if isinstance(order, orders.TrainOrder):
            return succeed(order, tell, unwanted)
        assert unwanted.wait(20)
        stopped.append("detection")
        return None

    jobs = make(linger)
    model = train(jobs)
    ended(jobs, model=model)
    running = jobs.detect("a", model, detect_request(BODY)).id
    waiting = jobs.detect("a", model, detect_request(BODY)).id
    while not any(isinstance(order, orders.DetectOrder) for order in jobs._runner._launcher.orders):
        time.sleep(0.01)
    jobs.delete("a", model)
    for result in (running, waiting):
        status, [error] = ended(jobs, result=result)
        assert (status, error["code"]) == ("FAILED", "ModelNotExist")
    with pytest.raises(InvalidInput, match="does not exist"):
        jobs.shelf.read(model)
    until = time.monotonic() + 5
    while stopped != ["detection"]:
        assert time.monotonic() < until
        time.sleep(0.01)


def test_a_model_deleted_at_the_last_moment_fails_its_detection(make):
    jobs = make()
    model = train(jobs)
    ended(jobs, model=model)
    jobs.shelf.drop(model)  # as a deletion between the look at the model and the order of the detection
    status, [error] = ended(jobs, result=jobs.detect("a", model, detect_request(BODY)).id)
    assert (status, error["code"]) == ("FAILED", "ModelNotExist")


def test_a_stop_puts_a_job_back_without_counting_it(make, tmp_path: Path):
    jobs = make(lambda order, tell, unwanted: unwanted.wait(20) and None)
    model = train(jobs)
    while not jobs._runner._launcher.orders:
        time.sleep(0.01)
    jobs = make(start=False)
    [job] = jobs.store.queued("models")
    assert (job.id, job.attempts) == (model, 0)
    (tmp_path / "models" / "orphan.zip").write_bytes(b"of a kill")
    jobs.start()
    assert ended(jobs, model=model)[0] == "READY"
    assert [path.stem for path in (tmp_path / "models").iterdir()] == [model]


def test_a_kill_is_counted(make):
    jobs = make(start=False)
    model = train(jobs)
    for attempt in range(3):
        [job] = jobs.store.queued("models")
        assert job.attempts == attempt
        jobs.store.begin(job, 1)  # and then the lights go out
        jobs = make(lambda order, tell, unwanted: unwanted.wait(20) and None, start=False)
        jobs._runner.recover()
    status, [error] = ended(jobs, model=model)
    assert (status, error["message"].endswith("the last time the server ended while it ran.")) == (
        "FAILED",
        True,
    )


def test_a_server_without_a_trainer_says_so(make):
    with pytest.raises(InvalidInput, match=r"install edgead\[train\]") as caught:
        train(make(trainer=""))
    assert caught.value.code == "TrainingNotAvailable"


def test_a_damaged_store_does_not_cost_the_packages(make, tmp_path: Path, caplog: pytest.LogCaptureFixture):
    jobs = make()
    model = train(jobs)
    ended(jobs, model=model)
    jobs = make(meanwhile=lambda: (tmp_path / "jobs.db").write_bytes(b"no database" * 1000))
    assert jobs.models("a") == {}
    assert (tmp_path / "models.lost-1" / f"{model}.zip").read_bytes() == PUMP
    assert f"kept in {tmp_path}/models.lost-1" in caplog.text


def test_versions_rise():
    moments = [1_700_000_000, 1_700_000_001, 1_700_100_000, 1_800_000_000]
    versions = [package_version(moment * 10**9) for moment in moments]
    assert versions[0] == "2023.1114.221320"
    numbers = [tuple(map(int, version.split("."))) for version in versions]
    assert numbers == sorted(set(numbers))


@pytest.mark.parametrize(
    ("display", "name"),
    [("Press 3/b", "Press-3-b"), ("  ", "model-01234567"), ("é", "model-01234567"), ("x.1", "x.1")],
)
def test_a_package_has_a_plain_name(display: str, name: str):
    assert package_name(display, "01234567-89ab") == name
