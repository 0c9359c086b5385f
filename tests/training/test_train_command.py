"""``edgead train`` from files to a package, and every way it refuses."""

import errno
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from edgead.cli import call
from edgead.package import read_package
from edgead.simulate import PUMP, simulate

ROWS = 700
QUICK = ("--window", "60", "--epochs", "2")


def write_table(path: Path, rows: int = ROWS, hole: int = 0) -> Path:
    columns = {name: sensor.values for name, sensor in simulate(PUMP, rows, seed=4).items()}
    lines = ["timestamp," + ",".join(columns)]
    for row in range(rows):
        cells = [repr(float(values[row])) for values in columns.values()]
        cells[0] = "" if row == hole > 0 else cells[0]
        lines.append(",".join([str(1_700_000_000 + row), *cells]))
    path.write_text("\n".join(lines) + "\n")
    return path


@pytest.fixture(scope="module")
def normal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_table(tmp_path_factory.mktemp("data") / "normal.csv", hole=50)


@pytest.fixture(scope="module")
def package(normal: Path) -> Path:
    out = normal.with_name("pump.zip")
    assert call(["train", str(normal), "--out", str(out), *QUICK]) == 0
    return out


def test_a_table_becomes_a_package_and_a_few_words(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    out = tmp_path / "press.zip"
    assert (
        call(
            [
                "train",
                str(normal),
                "--out",
                str(out),
                "--variables",
                "current,flow",
                "--unit",
                "flow=m3/h",
                *QUICK,
            ]
        )
        == 0
    )
    manifest = read_package(out.read_bytes()).manifest
    assert (manifest.name, manifest.version, manifest.names) == ("press", "1.0.0", ("current", "flow"))
    assert (manifest.window, manifest.step_s) == (60, 1.0)
    assert [variable.unit for variable in manifest.variables] == ["", "m3/h"]
    told = capsys.readouterr()
    assert "700 rows of 2 variables, 2023-11-14T22:13:20Z to 2023-11-14T22:24:59Z" in told.out
    assert "flow: 0.14 % of the rows filled" in told.out
    assert "press 1.0.0, id" in told.out
    assert "epoch 1: loss 0." in told.err
    assert [path.name for path in tmp_path.iterdir()] == ["press.zip"]


def test_same_data_and_seed_give_the_same_package_but_for_its_time(
    normal: Path, package: Path, tmp_path: Path
):
    out = tmp_path / "pump.zip"
    assert call(["train", str(normal), "--out", str(out), *QUICK]) == 0
    one, two = read_package(package.read_bytes()), read_package(out.read_bytes())
    assert one.manifest.id == two.manifest.id
    assert one.model == two.model
    assert one.manifest.files == two.manifest.files


def test_a_folder_and_a_span(package: Path, normal: Path, tmp_path: Path):
    rows = [line.split(",") for line in normal.read_text().splitlines()]
    for at, name in enumerate(rows[0][1:], start=1):
        lines = [f"{row[0]},{row[at]}" for row in rows[1:]]
        (tmp_path / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    out = tmp_path / "folder.zip"
    span = ["--start", "2023-11-14T22:14:20Z", "--end", "1700000599"]
    assert call(["train", str(tmp_path), "--out", str(out), *QUICK, *span]) == 0
    manifest = read_package(out.read_bytes()).manifest
    assert manifest.names == tuple(sorted(rows[0][1:]))
    assert manifest.training.rows == 540
    assert (manifest.training.start, manifest.training.end) == (
        "2023-11-14T22:14:20Z",
        "2023-11-14T22:23:19Z",
    )


REFUSED = {
    "few rows": (["--end", "1700000040"], "NotEnoughInput: 41 rows for a window of 60"),
    "short window": (["--window", "27"], "InvalidSlidingWindow: window = 27: expected 28 to 2880"),
    "no such variable": (["--variables", "heat"], "ColumnNotFound: "),
    "odd time": (["--start", "soon"], "InvalidTimestampFormat: --start 'soon'"),
    "end before start": (["--start", "1700000040", "--end", "1700000020"], "before --start"),
    "no padding": (["--fill", "Fixed"], "RequiredPaddingValue: --fill Fixed"),
    "needless padding": (["--padding", "1"], "--padding is for --fill Fixed, got Linear"),
    "odd name": (["--name", "../pump"], "--name '../pump': expected"),
    "odd version": (["--version", "new"], "--version 'new': expected three numbers"),
    "budget": (["--budget", "500"], "--budget 500: expected above 0, at most 100 of 1000 rows"),
    "no budget": (["--budget", "nan"], "--budget nan: expected above 0"),
    "negative seed": (["--seed", "-1"], "seed = -1: expected 0 to 2**63 - 1"),
    "endless seed": (["--seed", str(2**64)], f"seed = {2**64}: expected 0 to"),
    "negative epochs": (["--epochs", "-1"], "epochs = -1: expected 0 or more"),
    "padding that is no number": (
        ["--fill", "Fixed", "--padding", "inf"],
        "--padding inf: expected a finite",
    ),
    "endless version": (["--version", "1.2.99999999999"], "at most 9 digits"),
    "odd unit": (["--unit", "flow"], "--unit 'flow': expected NAME=UNIT"),
    "unit of none": (["--unit", "heat=K"], "--unit heat: no such variable, expected one of flow, "),
    "nothing there": (["--start", "1800000000"], "NoData: "),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_refusal_is_one_line_and_writes_nothing(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str
):
    options, reason = REFUSED[name]
    out = tmp_path / "pump.zip"
    assert call(["train", str(normal), "--out", str(out), *QUICK, *options]) == 2
    told = capsys.readouterr().err
    assert reason in told
    assert len(told.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_place_where_no_package_can_be_is_refused_before_the_training(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """A device (``--out /dev/null`` as root) or a pipe would be replaced by a file."""
    os.mkfifo(tmp_path / "pipe.zip")
    (tmp_path / "folder.zip").mkdir()
    for out, reason in (
        (tmp_path / "pipe.zip", "expected a file, and it is something else"),
        (tmp_path / "folder.zip", "expected a file, and it is something else"),
        (Path("/proc/pump.zip"), "cannot be written there"),
        (tmp_path / "none" / "pump.zip", "there is no such folder"),
    ):
        assert call(["train", str(normal), "--out", str(out), *QUICK]) == 2
        told = capsys.readouterr()
        assert f"--out {out}: {reason}" in told.err
        assert not told.out  # nothing was read yet
    assert (tmp_path / "pipe.zip").is_fifo()


def test_a_full_disk_is_told_with_the_file(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    assert call(["train", str(normal), "--out", str(tmp_path / "pump.zip"), *QUICK]) == 1
    assert f"{tmp_path}/pump.zip: cannot be written: No space left on device" in capsys.readouterr().err
    assert not list(tmp_path.iterdir())


def test_gaps_that_no_device_fills_are_told(normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    lines = normal.read_text().splitlines()
    moved = [f"{int(line.split(',')[0]) + 600},{line.partition(',')[2]}" for line in lines[400:]]
    (tmp_path / "gap.csv").write_text("\n".join([*lines[:400], *moved]) + "\n")
    assert call(["train", str(tmp_path / "gap.csv"), "--out", str(tmp_path / "x.zip"), *QUICK]) == 0
    assert "note: flow has 1 gap that a device would not fill" in capsys.readouterr().out


def test_a_card_does_not_take_the_place_of_its_package(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    recipe = Path(__file__).parents[2] / "models" / "recipes" / "simulation.toml"
    assert call(["train", "--univariate", str(recipe), "--out", str(tmp_path / "srcnn.md")]) == 2
    assert "that is the name of the card beside the package" in capsys.readouterr().err


def test_variables_that_share_no_times_are_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    for shift, name in enumerate(("a", "b", "c")):
        lines = [f"{1_700_000_000 + row + 0.2 * shift:.1f},{row % 7}" for row in range(150)]
        (tmp_path / f"{name}.csv").write_text("\n".join(["timestamp,value", *lines]) + "\n")
    assert call(["train", str(tmp_path), "--out", str(tmp_path / "x.zip"), *QUICK]) == 0
    assert "note: the variables seldom share a time" in capsys.readouterr().out


def test_more_variables_than_a_model_may_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    values = np.random.default_rng(0).standard_normal((130, 301)).round(3)
    lines = ["timestamp," + ",".join(f"v{i}" for i in range(301))]
    lines += [",".join(map(str, [1_700_000_000 + i, *row])) for i, row in enumerate(values.tolist())]
    (tmp_path / "wide.csv").write_text("\n".join(lines))
    assert call(["train", str(tmp_path / "wide.csv"), "--out", str(tmp_path / "x.zip"), *QUICK]) == 2
    assert "DataExceedsLimit: 301 variables: at most 300" in capsys.readouterr().err


def test_more_rows_than_a_variable_may_have(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "long.csv").write_text("a\n" + "1\n2\n" * 500_001)
    options = ["--out", str(tmp_path / "x.zip"), "--interval", "1s", *QUICK]
    assert call(["train", str(tmp_path / "long.csv"), *options]) == 2
    assert "TooManyData: a: 1000002 rows, at most 1000000" in capsys.readouterr().err


def test_a_package_that_fails_a_check_is_not_written(
    normal: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    from edgead.training import export

    monkeypatch.setattr(export, "PARITY", 0.0)
    monkeypatch.setattr(export, "ROUNDINGS", 0.0)
    (tmp_path / "pump.zip").write_bytes(b"the old one")
    assert call(["train", str(normal), "--out", str(tmp_path / "pump.zip"), *QUICK]) == 1
    assert "differs from torch" in capsys.readouterr().err
    assert (tmp_path / "pump.zip").read_bytes() == b"the old one"


def test_without_torch_the_extra_is_named(normal: Path, tmp_path: Path):
    code = (
        "import sys; sys.modules['torch'] = None\n"
        f"from edgead.cli import call; sys.exit(call(['train', {str(normal)!r}, '--out', 'x.zip']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, cwd=Path(__file__).parents[2]
    )
    assert done.returncode == 2
    assert "training needs torch: pip install 'edgead[train]'" in done.stderr
