"""The same back-test on the workers of a real Dask cluster."""

import json
from pathlib import Path

import pytest
from distributed import LocalCluster

from edgead.backtest import Answer, Task, run_scheduler, run_task
from edgead.cli import call
from edgead.errors import InvalidInput, OuterWorldError

ROWS = "".join(f"{1700000000 + row},{row % 7}\n" for row in range(100))


@pytest.fixture(scope="module")
def scheduler():
    """Address of a scheduler with two workers on loopback."""
    with LocalCluster(
        n_workers=2,
        threads_per_worker=1,
        processes=False,
        protocol="tcp",
        host="127.0.0.1",
        dashboard_address=None,
    ) as cluster:
        yield cluster.scheduler_address


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(7):
        (tmp_path / f"r{number}.csv").write_text("time,v\n" + ROWS)
    (tmp_path / "r3.csv").write_text("time,v\n1700000000,x\n")
    return tmp_path


def raise_on_r5(task: Task) -> Answer:
    if task.path.endswith("r5.csv"):
        raise RuntimeError("a fault of the worker")
    return run_task(task)


def test_a_cluster_gives_what_processes_give(
    scheduler: str, folder: Path, capsys: pytest.CaptureFixture[str]
):
    out = folder / "out"
    assert call(["detect", str(folder / "*.csv"), "--out", str(out), "--scheduler", scheduler]) == 2
    printed = capsys.readouterr()
    assert "7 files (0 judged before), 6 series, 600 readings" in printed.out
    assert "no result: " in printed.err
    local = run_task(Task(path=str(folder / "r1.csv")))
    assert (
        json.loads((out / "r1.csv.json").read_bytes())["columns"]["v"]["readings"]
        == local.columns["v"].readings
    )


def test_a_task_that_fails_on_a_worker_is_an_answer(scheduler: str, folder: Path):
    tasks = [Task(path=str(path)) for path in sorted(folder.glob("*.csv"))]
    answers = {Path(a.file).name: a.error for a in run_scheduler(tasks, address=scheduler, run=raise_on_r5)}
    assert len(answers) == len(tasks)
    assert "a fault of the worker" in answers["r5.csv"]
    assert answers["r1.csv"] == ""


def test_a_scheduler_that_is_not_there_is_told(folder: Path, capsys: pytest.CaptureFixture[str]):
    code = call(["detect", str(folder), "--out", str(folder / "out"), "--scheduler", "tcp://127.0.0.1:1"])
    assert code == 1
    assert (
        "edgead: error: --scheduler tcp://127.0.0.1:1: no Dask scheduler answers" in capsys.readouterr().err
    )
    with pytest.raises(OuterWorldError):
        next(run_scheduler([], address="nonsense"))


def test_a_cluster_without_the_extra_is_refused(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "distributed", None)
    with pytest.raises(InvalidInput, match="pip install 'edgead\\[fleet\\]'"):
        next(run_scheduler([], address="tcp://127.0.0.1:1"))
