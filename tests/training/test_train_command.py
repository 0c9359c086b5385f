"""``edgead train`` on real files."""

import numpy as np
import pytest

from edgead.cli import call
from edgead.package import read_package
from edgead.simulate import PUMP, simulate

COLUMNS = simulate(PUMP, 700, seed=4)
START = np.datetime64("2026-01-01T00:00:00")


def stamps(rows=700):
    return [f"{START + np.timedelta64(row, 's')}Z" for row in range(rows)]


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "normal.csv"
    names = list(COLUMNS)
    lines = [",".join(["timestamp", *names])]
    for row, stamp in enumerate(stamps()):
        lines.append(",".join([stamp, *(f"{COLUMNS[name].values[row]:g}" for name in names)]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "normal"
    path.mkdir()
    for name, column in COLUMNS.items():
        rows = [
            f"{stamp},{value:g}"
            for stamp, value in zip(stamps(), column.values, strict=True)
            if value == value
        ]
        if name == "flow":
            del rows[10:80]
        (path / f"{name}.csv").write_text("\n".join(["timestamp,value", *rows]) + "\n")
    return path


def run(capsys, *arguments):
    code = call([str(argument) for argument in arguments])
    out = capsys.readouterr()
    return code, out.out, out.err


SHORT = ("--window", 60, "--epochs", 1)


def test_a_table_becomes_a_package(capsys, table, tmp_path):
    out = tmp_path / "pump.zip"
    code, told, err = run(capsys, "train", table, "--out", out, *SHORT)
    assert code == 0
    assert "epoch 1: loss" in err
    assert "trained numbers" in told
    manifest = read_package(out.read_bytes()).manifest
    assert manifest.name == "pump"
    assert manifest.names == tuple(COLUMNS)
    assert (manifest.training.start, manifest.training.rows) == ("2026-01-01T00:00:00Z", 700)


def test_variables_and_span_are_chosen(capsys, table, tmp_path):
    out = tmp_path / "x.zip"
    span = ("--start", "2026-01-01T00:01:00Z", "--end", "2026-01-01T00:09:59Z")
    code, _, _ = run(
        capsys, "train", table, "--out", out, *SHORT, *span, "--variables", "current,flow", "--budget", 2
    )
    manifest = read_package(out.read_bytes()).manifest
    assert code == 0
    assert manifest.names == ("current", "flow")
    assert manifest.training.rows == 540
    assert manifest.thresholds.budget == 0.002


def test_a_folder_is_joined_and_what_was_filled_is_told(capsys, folder, tmp_path):
    out = tmp_path / "x.zip"
    code, _, err = run(capsys, "train", folder, "--out", out, *SHORT)
    assert code == 0
    assert "note: flow: 10.0 % of the rows are filled" in err
    assert read_package(out.read_bytes()).manifest.names == tuple(sorted(COLUMNS))


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--window", 20], "window = 20: expected 28 to 2880"),
        (["--window", 700], "700 rows for a window of 700"),
        (["--variables", "nothing"], "nothing"),
        (["--start", "soon"], "--start 'soon': expected ISO 8601"),
        (["--start", "2030-01-01"], "no rows from 2030-01-01"),
        (["--budget", 0], "budget"),
    ],
)
def test_bad_data_and_options_are_told_and_nothing_is_written(capsys, table, tmp_path, arguments, told):
    out = tmp_path / "x.zip"
    code, _, err = run(capsys, "train", table, "--out", out, *arguments)
    assert code == 2
    assert told in err
    assert not out.exists()


def test_an_empty_folder_and_a_missing_file_are_told(capsys, folder, tmp_path):
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "no .csv file" in run(capsys, "train", empty, "--out", tmp_path / "x.zip")[2]
    code, _, err = run(capsys, "train", folder, "--out", tmp_path / "x.zip", "--variables", "flow,torque")
    assert code == 2
    assert "no file torque.csv" in err


def test_times_that_go_back_are_told(capsys, table, tmp_path):
    lines = table.read_text().splitlines()
    lines[100], lines[101] = lines[101], lines[100]
    table.write_text("\n".join(lines))
    code, _, err = run(capsys, "train", table, "--out", tmp_path / "x.zip", *SHORT)
    assert code == 2
    assert "times must rise" in err
