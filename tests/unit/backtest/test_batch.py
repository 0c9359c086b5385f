"""The service's operations over recordings: grids, results, printing."""

import csv
import io
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from edgead.backtest import Task, judge_column, run_task
from edgead.backtest.batch import guess_granularity
from edgead.cli import call
from edgead.errors import InvalidInput
from edgead.recording import read_recording
from edgead.univariate import Request, detect_change_points, detect_entire, detect_last

HOUR_NS = 3600 * 10**9
START = datetime(2024, 1, 1, tzinfo=UTC)


def ns(moment: datetime) -> int:
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1) * 1000


@pytest.mark.parametrize(
    ("times", "granularity"),
    [
        ([START + timedelta(hours=h) for h in range(20)], ("hourly", 1)),
        ([START + timedelta(minutes=5 * m) for m in range(20) if m not in (3, 4, 9)], ("minutely", 5)),
        ([START + timedelta(seconds=90 * s) for s in range(20)], ("secondly", 90)),
        ([START + timedelta(milliseconds=250 * s) for s in range(20)], ("microsecond", 250)),
        ([START + timedelta(days=d) for d in range(20)], ("daily", 1)),
        ([START + timedelta(days=14 * d) for d in range(20)], ("weekly", 2)),
        ([datetime(2020 + m // 12, m % 12 + 1, 15, 8, tzinfo=UTC) for m in range(20)], ("monthly", 1)),
        ([datetime(2020, 1 + 3 * m, 1, tzinfo=UTC) for m in range(4)], ("monthly", 3)),
        ([datetime(2000 + y, 6, 1, tzinfo=UTC) for y in range(20)], ("yearly", 1)),
        (
            [datetime(2020, m, 1, tzinfo=UTC) - timedelta(days=1) for m in range(2, 13)],
            ("monthly", 1),
        ),
        ([START + timedelta(seconds=s * s) for s in range(20)], ("none", 1)),
        ([START + timedelta(microseconds=7 * s) for s in range(20)], ("none", 1)),
        ([START, START], ("none", 1)),
        ([START], ("none", 1)),
    ],
)
def test_the_grid_of_times_is_found(times: list[datetime], granularity: tuple[str, int]):
    assert guess_granularity(np.array([ns(moment) for moment in times])) == granularity


@pytest.fixture
def hourly(tmp_path: Path) -> Path:
    """Two weeks of a day's swing with a spike and a step, and a cell without a value."""
    random = np.random.default_rng(4)
    hours = np.arange(330)
    values = 50 + 10 * np.sin(hours * 2 * np.pi / 24) + 0.3 * random.standard_normal(330)
    values[300] += 30
    steps = np.where(hours < 150, 0.0, 20.0) + 0.1 * random.standard_normal(330)
    cells = [f"{value}" for value in values]
    cells[100] = ""
    rows = [
        f"{(START + timedelta(hours=int(hour))):%Y-%m-%dT%H:%M:%SZ},{cells[hour]},{steps[hour]}"
        for hour in hours
    ]
    path = tmp_path / "plant.csv"
    path.write_text("\n".join(["time,load,level", *rows]) + "\n")
    return path


def series(path: Path, column: str) -> tuple[np.ndarray, np.ndarray]:
    recording = read_recording(path)
    known = ~np.isnan(recording.columns[column])
    return recording.columns[column][known], recording.times_ns[known]


def printed(capfd: pytest.CaptureFixture[str], *arguments: object) -> str:
    assert call(["detect", *map(str, arguments)]) == 0
    return capfd.readouterr().out


def test_entire_prints_what_the_function_says(hourly: Path, capfd):
    out = printed(
        capfd, hourly, "--mode", "entire", "--column", "load", "--sensitivity", "95", "--format", "json"
    )
    rows = [json.loads(line) for line in out.splitlines()]
    values, times = series(hourly, "load")
    want = detect_entire(Request.of(values, times, granularity="hourly", sensitivity=95))
    assert len(rows) == len(values) == 329
    assert [row["is_anomaly"] for row in rows] == want.is_anomaly.tolist()
    assert [row["expected"] for row in rows] == want.expected.tolist()
    assert [row["upper"] for row in rows] == (want.expected + want.upper_margin).tolist()
    assert {(row["period"], row["model"]) for row in rows} == {(want.period, want.model)}
    assert rows[299]["is_anomaly"]


def test_last_judges_the_newest_point(hourly: Path, capfd):
    out = printed(capfd, hourly, "--mode", "last", "--column", "load", "--format", "json")
    (row,) = [json.loads(line) for line in out.splitlines()]
    values, times = series(hourly, "load")
    want = detect_last(Request.of(values, times, granularity="hourly"))
    assert (row["expected"], row["is_anomaly"], row["period"]) == (
        want.expected,
        want.is_anomaly,
        want.period,
    )
    assert row["lower"] == want.expected - want.lower_margin


def test_change_points(hourly: Path, capfd):
    out = printed(
        capfd, hourly, "--mode", "changepoint", "--column", "level", "--format", "csv", "--threshold", "0.8"
    )
    rows = list(csv.DictReader(io.StringIO(out)))
    values, times = series(hourly, "level")
    want = detect_change_points(Request.of(values, times, granularity="hourly", threshold=0.8))
    assert [row["is_change_point"] == "1" for row in rows] == want.is_change_point.tolist()
    assert want.is_change_point.any()


def test_the_table_tells_period_model_and_grid(hourly: Path, capfd):
    out = printed(capfd, hourly, "--mode", "entire")
    assert "load    2024-01-13T12:00:00Z" in out
    assert "of 329 readings; period 24, model Seasonal" in out
    assert "granularity hourly" in out
    assert "is normal (expected" in printed(capfd, hourly, "--mode", "last", "--column", "load")
    assert "change point in 330 readings" in printed(
        capfd, hourly, "--mode", "changepoint", "--column", "level"
    )


@pytest.mark.parametrize("mode", ["entire", "last", "changepoint"])
def test_every_mode_can_be_drawn(hourly: Path, tmp_path: Path, capfd, mode: str):
    printed(capfd, hourly, "--mode", mode, "--plot", tmp_path / "p.png")
    assert (tmp_path / "p.png").stat().st_size > 10_000


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["--period", "24"], "--period is for --mode entire or last or changepoint, got stream"),
        (["--mode", "entire", "--window", "24"], "--window is for --mode stream, got entire"),
        (["--mode", "entire", "--threshold", "0.5"], "--threshold is for --mode changepoint, got entire"),
        (["--mode", "entire", "--events"], "--events are a device's"),
        (["--mode", "entire", "--sensitivity", "101"], "plant.csv: load: The 'sensitivity' field must be"),
        (
            ["--mode", "entire", "--granularity", "daily"],
            "plant.csv: load: The 'timestamp' at index 1 is invalid",
        ),
        (
            ["--mode", "entire", "--impute-mode", "fixed"],
            "plant.csv: load: The 'imputeFixedValue' field must be",
        ),
        (["--mode", "changepoint", "--stable-trend-window", "2"], "The 'stableTrendWindow' field must be"),
    ],
)
def test_wrong_options_are_told(hourly: Path, capfd, arguments: list[str], error: str):
    assert call(["detect", str(hourly), *arguments]) == 2
    assert error in capfd.readouterr().err


def test_a_long_recording_is_judged_with_its_newest_points_in_mode_last_only(tmp_path: Path):
    path = tmp_path / "long.csv"
    path.write_text("v\n" + "".join(f"{row % 7}\n" for row in range(9000)))
    recording = read_recording(path)
    last = judge_column(recording, "v", "last", {"period": 7})
    assert (len(last.values), last.notes) == (8640, ("judged with the newest 8640 points",))
    with pytest.raises(InvalidInput, match=r"long\.csv: v: .* 8640 points, it has 9000"):
        judge_column(recording, "v", "entire", {})


def test_uneven_times_are_a_plain_sequence_with_a_note(tmp_path: Path):
    path = tmp_path / "r.csv"
    path.write_text("ts,v\n" + "".join(f"{1700000000 + row * row},{row % 3}\n" for row in range(40)))
    judged = judge_column(read_recording(path), "v", "entire", {})
    assert judged.granularity == "none"
    assert "plain sequence" in judged.notes[0]


def test_a_back_test_takes_the_operations_too(hourly: Path):
    answer = run_task(Task(path=str(hourly), columns=("load",), mode="entire", options={"sensitivity": 95}))
    sums = answer.columns["load"]
    assert (answer.error, sums.period, sums.readings) == ("", 24, 329)
    assert len(answer.points) == sums.abnormal >= sums.events >= 1
    assert answer.points[0].expected is not None
    changes = run_task(Task(path=str(hourly), columns=("level",), mode="changepoint"))
    assert changes.columns["level"].events == len(changes.points)
    bad = run_task(Task(path=str(hourly), mode="entire", options={"period": -1}))
    assert "The 'period' field" in bad.error
