"""Parquet files give what CSV files give."""

from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from edgead.cli import call
from edgead.errors import InvalidInput
from edgead.recording import Recording, read_recording

S = 10**9
NOON = datetime(2024, 1, 1, 12, tzinfo=UTC)
NOON_NS = 1704110400 * S


@pytest.fixture
def read(tmp_path: Path):
    def read_table(table: dict[str, object], **options: object) -> Recording:
        path = tmp_path / "r.parquet"
        pq.write_table(pa.table(table), path)
        return read_recording(path, **options)  # type: ignore[arg-type]

    return read_table


def test_numbers_of_every_kind_and_gaps(read):
    got = read(
        {
            "t": pa.array([NOON, NOON.replace(second=1)], pa.timestamp("ms", "UTC")),
            "f": pa.array([1.5, None]),
            "g": pa.array([float("inf"), 2.0], pa.float32()),
            "i": pa.array([1, None], pa.int16()),
            "b": pa.array([True, False]),
            "text": ["x", "y"],
        }
    )
    assert got.times_ns.tolist() == [NOON_NS, NOON_NS + S]
    assert list(got.columns) == ["f", "g", "i", "b"]
    assert got.columns["i"][0] == 1
    assert np.isnan([got.columns["f"][1], got.columns["g"][0], got.columns["i"][1]]).all()
    assert got.columns["b"].tolist() == [1, 0]
    assert got.notes == ("not numbers and left out: text",)


@pytest.mark.parametrize(
    "times",
    [
        pa.array([NOON, NOON], pa.timestamp("ns", "Europe/Berlin")),
        pa.array([NOON.replace(tzinfo=None)] * 2, pa.timestamp("us")),
        pa.array([1704110400, 1704110400]),
        pa.array([1704110400_000, 1704110400_000]),
        pa.array([1704110400.0, 1704110400.0]),
        pa.array(["2024-01-01T12:00:00Z", "2024-01-01 13:00:00+01:00"]),
    ],
)
def test_times_of_every_kind(read, times: pa.Array):
    assert read({"time": times, "v": [1, 2]}).times_ns.tolist() == [NOON_NS, NOON_NS]


def test_dates_are_found_and_files_without_times_have_rows_an_interval_apart(read):
    got = read({"day": [date(2024, 1, 1), date(2024, 1, 2)], "v": [1, 2]})
    assert np.diff(got.times_ns).tolist() == [86_400 * S]
    assert not read({"v": [1, 2]}, interval_ns=S).timed


def test_columns_are_chosen_by_name_and_number(read):
    assert list(read({"time": [1700000000], "v": [1], "w": [2]}, columns=["3"]).columns) == ["w"]


@pytest.mark.parametrize(
    ("columns", "options", "message"),
    [
        ({"v": ["x"]}, {}, "no column of numbers among v"),
        ({"v": [1], "w": ["x"]}, {"columns": ["w"]}, "w holds string, expected numbers"),
        ({"v": [1]}, {"columns": ["x"]}, "no column 'x', expected one of v"),
        ({"v": pa.array([], pa.int32())}, {}, "no rows"),
        ({"time": [1700000000, None], "v": [1, 2]}, {}, "time has 1 rows without a time"),
        ({"time": ["soon"], "v": [1]}, {}, "time = 'soon' in row 1: expected a time"),
        ({"time": [99999999999], "v": [1]}, {}, "time reaches outside of the years 1678..2262"),
        ({"time": pa.array([2**60], pa.timestamp("ms")), "v": [1]}, {}, "time: Casting"),
    ],
)
def test_what_cannot_be_read_is_told(read, columns: dict, options: dict, message: str):
    with pytest.raises(InvalidInput, match=message):
        read(columns, **options)


def test_what_is_no_parquet_file_is_told(tmp_path: Path):
    (tmp_path / "r.parquet").write_bytes(b"PAR1 but no more")
    for path in (tmp_path / "r.parquet", tmp_path / "none.parquet"):
        with pytest.raises(InvalidInput, match="cannot be read as Parquet"):
            read_recording(path)


def test_without_pyarrow_the_extra_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(InvalidInput, match="pip install 'edgead\\[parquet\\]'"):
        read_recording(tmp_path / "r.parquet")


def test_detect_judges_it_as_the_csv_file_of_the_same_values(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    values = np.random.default_rng(1).standard_normal(200)
    times = [1700000000 + row for row in range(200)]
    pq.write_table(pa.table({"time": times, "v": values}), tmp_path / "r.parquet")
    (tmp_path / "r.csv").write_text(
        "time,v\n" + "".join(f"{t},{v!r}\n" for t, v in zip(times, values.tolist()))
    )
    printed = []
    for name in ("r.csv", "r.parquet"):
        assert call(["detect", str(tmp_path / name), "--format", "json"]) == 0
        printed.append(capfd.readouterr().out)
    assert printed[0] == printed[1]
