"""Back-tests of many files: results, summary, resume, and files that cannot be judged."""

import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import numpy as np
import pytest

from edgead.backtest import Answer, Task, find_files, run_local, run_task
from edgead.cli import call
from edgead.errors import InvalidInput

ROOT = Path(__file__).parents[3]
ROWS = 300


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five recordings in two folders, and two files that are none."""
    random = np.random.default_rng(3)
    (tmp_path / "in" / "deep").mkdir(parents=True)
    for name in ("a.csv", "b.csv", "c.csv", "deep/a.csv", "deep/d.tsv"):
        values = random.standard_normal(ROWS)
        values[200:210] += 40
        rows = "".join(f"{1700000000 + 60 * row}\t{value}\n" for row, value in enumerate(values))
        (tmp_path / "in" / name).write_text("time\tv\n" + rows)
    (tmp_path / "in" / "bad.csv").write_text("time,v\n1700000000,1\n1700000060\n")
    (tmp_path / "in" / "notes.txt").write_text("not a recording")
    return tmp_path / "in"


@pytest.fixture
def backtest(folder: Path, capfd: pytest.CaptureFixture[str]):
    """Runs ``edgead detect`` over the folder; gives exit code, stdout, stderr."""

    def run(*options: str) -> tuple[int, str, str]:
        code = call(["detect", str(folder), "--out", str(folder.parent / "out"), "--jobs", "2", *options])
        return code, *capfd.readouterr()

    return run


def results(folder: Path) -> dict[str, dict]:
    out = folder.parent / "out"
    paths = [path for path in out.rglob("*.json") if path.name != "summary.json"]
    return {str(path.relative_to(out)): json.loads(path.read_bytes()) for path in paths}


def test_every_file_has_its_result_and_one_bad_file_stops_nothing(backtest, folder: Path):
    code, out, err = backtest()
    assert code == 2
    assert err == f"edgead: no result: {folder}/bad.csv:3: 1 cells, expected 2\n"
    made = results(folder)
    assert set(made) == {
        f"{n}.json" for n in ("a.csv", "b.csv", "c.csv", "bad.csv", "deep/a.csv", "deep/d.tsv")
    }
    for name, result in made.items():
        if name != "bad.csv.json":
            assert result["columns"]["v"]["readings"] == ROWS
            assert result["columns"]["v"]["events"] >= 1
            assert result["events"][0]["event"] == "open"
    assert "6 files (0 judged before), 5 series, 1500 readings" in out


def test_the_summary_has_a_row_for_each_file_and_column(backtest, folder: Path):
    backtest()
    made = results(folder)
    with open(folder.parent / "out" / "summary.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [Path(row["file"]).name for row in rows] == [
        "a.csv",
        "b.csv",
        "bad.csv",
        "c.csv",
        "a.csv",
        "d.tsv",
    ]
    totals = json.loads((folder.parent / "out" / "summary.json").read_bytes())
    assert totals["events"] == sum(int(row["events"] or 0) for row in rows)
    assert totals["failed"] == {str(folder / "bad.csv"): made["bad.csv.json"]["error"]}
    days = ROWS * 60 / 86_400
    assert float(rows[0]["alarms_per_day"]) == pytest.approx(int(rows[0]["events"]) / days)


def test_a_result_is_what_one_file_gives_alone(backtest, folder: Path, capfd: pytest.CaptureFixture[str]):
    backtest("--sensitivity", "80")
    for name in ("a.csv", "deep/d.tsv"):
        assert call(["detect", str(folder / name), "--sensitivity", "80", "--events"]) == 0
        alone = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
        assert results(folder)[f"{name}.json"]["events"] == alone


def test_a_second_run_judges_only_what_is_new_or_changed(backtest, folder: Path):
    backtest()
    before = results(folder)
    (folder / "b.csv").write_text((folder / "b.csv").read_text() + "1700100000\t1\n")
    (folder / "bad.csv").write_text("time,v\n1700000000,1\n1700000060,2\n")
    shutil.copy(folder / "a.csv", folder / "new.csv")
    code, out, _ = backtest()
    assert code == 0
    assert "7 files (4 judged before)" in out
    after = results(folder)
    assert {name for name in before if after[name] == before[name]} == {
        f"{n}.json" for n in ("a.csv", "c.csv", "deep/a.csv", "deep/d.tsv")
    }
    assert "7 files (0 judged before)" in backtest("--window", "100")[1]


def test_a_damaged_result_is_made_again(backtest, folder: Path):
    backtest()
    (folder.parent / "out" / "a.csv.json").write_text('{"file": "a.csv", "task"')
    assert "(4 judged before)" in backtest()[1]
    assert results(folder)["a.csv.json"]["columns"]


def test_patterns_and_several_names(folder: Path):
    assert find_files([str(folder / "*.csv"), str(folder / "a.csv")]) == [
        str(folder / name) for name in ("a.csv", "b.csv", "bad.csv", "c.csv")
    ]
    assert [Path(path).name for path in find_files([str(folder / "**" / "a.csv")])] == ["a.csv", "a.csv"]
    for pattern in (str(folder / "*.parquet"), str(folder / "none.csv")):
        with pytest.raises(InvalidInput, match="no files"):
            find_files([pattern])


def test_what_is_for_one_file_is_refused_for_many(backtest):
    code, _, err = backtest("--events")
    assert code == 2
    assert "are for one file" in err


def die_on_b(task: Task) -> Answer:
    """A fault that takes the process with it."""
    if task.path.endswith("b.csv"):
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.05)
    return run_task(task)


def test_a_file_that_takes_its_process_down_stops_nothing(folder: Path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    tasks = [Task(path=path) for path in find_files([str(folder)])]
    answers = {answer.file: answer.error for answer in run_local(tasks, jobs=2, run=die_on_b)}
    assert set(answers) == {task.path for task in tasks}
    assert answers[str(folder / "b.csv")].startswith("the process that judged it died")
    assert [error for file, error in answers.items() if not file.endswith("b.csv") and error] == [
        f"{folder}/bad.csv:3: 1 cells, expected 2"
    ]


def test_an_interruption_is_raised_between_answers_never_within_the_pool(folder: Path):
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        answers = run_local([Task(path=path) for path in find_files([str(folder)])], jobs=1)
        next(answers)
        os.kill(os.getpid(), signal.SIGINT)  # noted
        with pytest.raises(KeyboardInterrupt):
            list(answers)
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
        answers = run_local([Task(path=path) for path in find_files([str(folder)])], jobs=1)
        next(answers)
        os.kill(os.getpid(), signal.SIGINT)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)  # whoever asks twice does not wait
        answers.close()
    finally:
        signal.signal(signal.SIGINT, before)


def test_after_an_interruption_it_goes_on_where_it_was(folder: Path):
    for number in range(60):
        shutil.copy(folder / "a.csv", folder / f"copy{number:02}.csv")
    out = folder.parent / "out"
    command = [sys.executable, "-m", "edgead", "detect", str(folder), "--out", str(out), "--jobs", "1"]
    # whoever started the tests in the background had SIGINT ignored, and children inherit that
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    first = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    deadline = time.monotonic() + 30
    while len(list(out.rglob("*.json"))) < 5 and time.monotonic() < deadline:
        time.sleep(0.01)
    first.send_signal(signal.SIGINT)
    assert "Traceback" not in first.communicate(timeout=30)[1]
    assert first.returncode == 130
    done = len(list(out.rglob("*.csv.json")) + list(out.rglob("*.tsv.json")))
    assert 5 <= done < 66
    second = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    kept = int(second.stdout.split("files (")[1].split(" ")[0])
    assert done - 1 <= kept <= done  # the bad file is tried again
