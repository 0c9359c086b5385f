"""``edgead detect`` says what the engine says."""

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest

from edgead.backtest import Plan, judge
from edgead.cli.results import Row, row_of
from edgead.errors import InvalidInput
from edgead.recording import read_recording
from edgead.stream import SeriesSettings

START_MS = 1_700_000_000_000
ROWS = 600


@pytest.fixture
def recording(tmp_path: Path) -> Path:
    """Two columns of noise, a spike in each, a gap in the first."""
    random = np.random.default_rng(5)
    temp, flow = 20 + 0.1 * random.standard_normal(ROWS), 3 + 0.01 * random.standard_normal(ROWS)
    temp[400:410] += 15
    flow[500:503] -= 2
    lines = ["ts,temp,flow"]
    lines += [f"{START_MS + 1000 * row},{temp[row]},{flow[row]}" for row in range(ROWS)]
    lines[101] = f"{START_MS + 100_000},,{flow[100]}"
    path = tmp_path / "pump.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gw.toml"
    path.write_text(
        '[node]\nid = "gw7"\n[[series]]\ntopic = "plant/{machine}/{variable}"\nid = "{machine}.{variable}"\n'
        'window = 240\nunit = "degC"\nclose_after = 3\n'
    )
    return path


def test_json_is_one_object_a_reading_and_column(edgead, recording: Path):
    rows = [json.loads(line) for line in edgead("detect", recording, "--format", "json").out.splitlines()]
    assert len(rows) == 2 * ROWS - 1
    assert list(rows[0]) == list(Row.__struct_fields__)
    first = rows[0]
    assert (first["series"], first["ts"], first["expected"], first["phase"]) == (
        "temp",
        START_MS,
        None,
        "learning",
    )
    assert {row["series"] for row in rows if row["is_anomaly"]} == {"temp", "flow"}


def test_json_holds_the_verdicts_of_the_engine(edgead, recording: Path):
    read = read_recording(recording)
    plans = [Plan(name, name, SeriesSettings()) for name in read.columns]
    verdicts = [verdict for _, outcome in judge(read, plans, node="edge") for verdict in outcome.verdicts]
    lines = edgead("detect", recording, "--format", "json").out.splitlines()
    for verdict, line in zip(verdicts, lines, strict=True):
        row, want = json.loads(line), row_of(verdict)
        for name in Row.__struct_fields__:
            value = getattr(want, name)
            assert row[name] == (None if isinstance(value, float) and math.isnan(value) else value)


def test_csv_and_json_agree(edgead, recording: Path):
    printed = edgead("detect", recording, "--format", "csv").out.splitlines()
    rows = list(csv.DictReader(printed))
    objects = [json.loads(line) for line in edgead("detect", recording, "--format", "json").out.splitlines()]
    assert len(rows) == len(objects)
    for row, want in zip(rows, objects, strict=True):
        assert row["expected"] == ("" if want["expected"] is None else repr(want["expected"]))
        assert row["is_anomaly"] == str(int(want["is_anomaly"]))
        assert (row["series"], int(row["ts"]), float(row["value"])) == (
            want["series"],
            want["ts"],
            want["value"],
        )


def test_the_table_lists_events_and_sums(edgead, recording: Path):
    out = edgead("detect", recording, "--sensitivity", "95").out
    assert f"{ROWS} rows every 1s, 2023-11-14T22:13:20Z to 2023-11-14T22:23:19Z" in out
    assert "temp    2023-11-14T22:20:00Z" in out
    assert "flow    2023-11-14T22:21:40Z" in out
    assert "180 for learning, 1 without value" in out


def test_too_few_rows_to_judge_are_told(edgead, tmp_path: Path):
    (tmp_path / "r.csv").write_text("v\n1\n2\n3\n")
    assert (
        "v: 3 readings, all of them taken for learning: too few to judge"
        in edgead("detect", tmp_path / "r.csv").out
    )


def test_events_are_the_payloads_of_the_configured_series(edgead, recording: Path, config: Path):
    options = ("--column", "temp", "--events", "-c", config, "--series", "pump1.temp")
    events = [json.loads(line) for line in edgead("detect", recording, *options).out.splitlines()]
    opened = events[0]
    assert (opened["v"], opened["series"], opened["event"], opened["unit"]) == (
        1,
        "pump1.temp",
        "open",
        "degC",
    )
    assert opened["ts"] == opened["since"] == START_MS + 400_000
    assert [event["seq"] for event in events] == list(range(1, len(events) + 1))
    assert {event["id"] for event in events if event["since"] == opened["since"]} == {opened["id"]}
    alone = [json.loads(line) for line in edgead("detect", recording, "--events").out.splitlines()]
    assert opened["id"] not in {event["id"] for event in alone}


def test_options_change_what_the_configuration_says(edgead, recording: Path, config: Path):
    options = (
        "detect",
        recording,
        "--column",
        "temp",
        "--format",
        "json",
        "-c",
        config,
        "--series",
        "pump1.temp",
    )
    assert edgead(*options).out == edgead(*options, "--window", "240").out
    assert edgead(*options).out != edgead(*options, "--sensitivity", "10").out


def test_a_series_the_configuration_does_not_make_is_told(edgead, recording: Path, config: Path):
    ran = edgead("detect", recording, "-c", config, "--series", "pump1")
    assert ran.code == 2
    assert f"--series pump1: no [[series]] of {config} makes this id" in ran.err


def test_a_series_needs_one_column(edgead, recording: Path, config: Path):
    ran = edgead("detect", recording, "-c", config, "--series", "pump1.temp")
    assert ran.code == 2
    assert "choose a --column of temp, flow" in ran.err


def test_two_columns_cannot_be_one_series(recording: Path):
    read = read_recording(recording)
    plans = [Plan(name, "one", SeriesSettings()) for name in read.columns]
    with pytest.raises(InvalidInput, match="'one' is the id of two columns"):
        next(judge(read, plans, node="edge"))


def test_the_interval_is_that_of_the_times(edgead, tmp_path: Path):
    rows = "".join(
        f"2024-01-01T{hour:02}:{minute:02},1\n" for hour in range(24) for minute in range(0, 60, 5)
    )
    (tmp_path / "r.csv").write_text("time,v\n" + rows)
    assert "288 rows every 5min" in edgead("detect", tmp_path / "r.csv").out


@pytest.mark.parametrize("form", ["png", "svg"])
def test_a_plot_is_drawn(edgead, recording: Path, tmp_path: Path, form: str):
    out = tmp_path / f"p.{form}"
    ran = edgead("detect", recording, "--plot", out)
    assert (ran.code, ran.err) == (0, f"{out}: drawn\n")
    assert out.stat().st_size > 10_000


def test_a_plot_of_unknown_form_is_told(edgead, recording: Path, tmp_path: Path):
    ran = edgead("detect", recording, "--plot", tmp_path / "p.xyz")
    assert ran.code == 2
    assert "--plot" in ran.err


def test_a_plot_without_matplotlib_is_refused_before_the_work(edgead, recording: Path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "matplotlib", None)
    ran = edgead("detect", recording, "--plot", "p.png")
    assert (ran.code, ran.out) == (2, "")
    assert "pip install 'edgead[plot]'" in ran.err


def test_a_recording_of_a_fast_sensor_is_judged(edgead, tmp_path):
    """25.6 kHz, as accelerometers have: more rows a day than 32 bits count."""
    start = 1_700_000_000_000_000_000
    lines = [f"{start + 39_062 * row},{row % 5}" for row in range(300)]
    (tmp_path / "fast.csv").write_text("\n".join(["timestamp,a", *lines]) + "\n")
    ran = edgead("detect", tmp_path / "fast.csv", "--window", "60")
    assert (ran.code, ran.err) == (0, "")
    assert "of 204 judged readings" in ran.out
