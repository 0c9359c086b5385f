"""Columns of CSV files: what is found by looking, what is read, and what is refused with its place."""

from pathlib import Path

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.recording import START_NS, Recording, read_recording
from edgead.recording.csv_file import BLOCK_ROWS

S = 10**9


@pytest.fixture
def read(tmp_path: Path):
    def read_text(text: str, **options: object) -> Recording:
        path = tmp_path / "r.csv"
        path.write_bytes(text.encode())
        return read_recording(path, **options)  # type: ignore[arg-type]

    return read_text


def test_header_times_and_all_columns_of_numbers(read):
    got = read("timestamp,temp,state,rpm\n1700000000,1.5,on,10\n1700000002,2.5,off,20\n")
    assert got.times_ns.tolist() == [1700000000 * S, 1700000002 * S]
    assert {name: column.tolist() for name, column in got.columns.items()} == {
        "temp": [1.5, 2.5],
        "rpm": [10, 20],
    }
    assert (got.step_ns, got.timed) == (2 * S, True)
    assert got.notes == ("not numbers and left out: state",)


def test_without_header_and_times_rows_are_an_interval_apart(read):
    got = read("1,2\n3,4\n", interval_ns=5 * S)
    assert list(got.columns) == ["column1", "column2"]
    assert got.times_ns.tolist() == [START_NS, START_NS + 5 * S]
    assert (got.step_ns, got.timed) == (5 * S, False)


@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
def test_delimiters(read, delimiter: str):
    got = read(f"a{delimiter}b\n1{delimiter}2\n3{delimiter}4\n")
    assert got.columns["b"].tolist() == [2, 4]


def test_decimal_commas_between_semicolons(read):
    got = read("datetime;p\n2020-03-09 12:14:36;0,25\n2020-03-09 12:14:37;-1,5e3\n")
    assert got.columns["p"].tolist() == [0.25, -1500]


def test_gaps_are_nan(read):
    got = read("v,w\n1,1\n,1\nNaN,1\n null ,1\nunavailable,1\ninf,1\n1e999,1\n")
    assert np.isnan(got.columns["v"]).tolist() == [False] + [True] * 6


@pytest.mark.parametrize(
    ("cells", "ns"),
    [
        (["1700000000", "1700000001"], [1700000000 * S, 1700000001 * S]),
        (["1700000000123", "1700000000124"], [1700000000123 * 10**6, 1700000000124 * 10**6]),
        (["1700000000123456", "1700000000123457"], [1700000000123456 * 1000, 1700000000123457 * 1000]),
        (["1700000000123456789", "1700000000123456790"], [1700000000123456789, 1700000000123456790]),
        (["1700000000.25", "1700000001"], [1700000000250000000, 1700000001 * S]),
        (["1.7e9", "1700000001"], [1700000000 * S, 1700000001 * S]),
        (["2023-11-14T22:13:20", "2023-11-14 22:13:21"], [1700000000 * S, 1700000001 * S]),
        (["2023-11-14T22:13:20Z", "2023-11-14T22:13:21.5Z"], [1700000000 * S, 1700000001500000000]),
        (["2023-11-14T22:13:20Z", "2023-11-14T22:13:21"], [1700000000 * S, 1700000001 * S]),
        (["2023-11-14T23:13:20+01:00", "2023-11-14T22:13:21Z"], [1700000000 * S, 1700000001 * S]),
        (["2023-11-14T23:13:20+0100", "2023-11-14T23:13+0100"], [1700000000 * S, 1699999980 * S]),
        (["2023-11-14T23:13:20+01:00", "2023-11-14T22:13:21"], [1700000000 * S, 1700000001 * S]),
        (["2023-11-14", "2023-11-15"], [1699920000 * S, 1700006400 * S]),
        (["2023/11/14 22:13:20", "2023/11/14 22:13"], [1700000000 * S, 1699999980 * S]),
        (["2023-11-14T22:13:20.123456789Z", "2023-11-15"], [1700000000123456789, 1700006400 * S]),
    ],
)
def test_times(read, cells: list[str], ns: list[int]):
    got = read("ts,v\n" + "".join(f"{cell},1\n" for cell in cells))
    assert got.times_ns.tolist() == ns


def test_a_column_of_dates_is_the_time_whatever_it_is_called(read):
    got = read("v,Zeit\n1,2023-11-14T22:13:20\n2,2023-11-14T22:13:21\n")
    assert got.times_ns[0] == 1700000000 * S
    assert list(got.columns) == ["v"]


def test_times_from_before_1970_are_moved_with_a_note(read):
    got = read("time,v\n0,1\n1,1\n2,1\n")
    assert got.times_ns.tolist() == [START_NS, START_NS + S, START_NS + 2 * S]
    assert "2000-01-01" in got.notes[0]


def test_times_that_go_back_or_repeat_are_noted(read):
    got = read("time,v\n1700000005,1\n1700000001,1\n1700000002,1\n1700000002,1\n1700000002,1\n")
    assert got.notes == ("times go back at 1 of 5 rows", "2 rows repeat the time of the row before")
    assert got.step_ns == S


def test_columns_are_chosen_by_name_or_number_once_each(read):
    got = read("t,a,b\n1,2,3\n2,3,4\n", columns=["b", "1", "b"])
    assert list(got.columns) == ["b", "t"]


def test_names_are_made_unique(read):
    got = read(",v,v\n1,2,3\n2,3,4\n")
    assert list(got.columns) == ["column1", "v", "v.3"]


def test_quotes_line_ends_and_byte_order_mark(read):
    got = read('\ufeff"time","a, b"\r\n"1700000000","1"\r\n\r\n"1700000001","2"\r\n')
    assert got.columns["a, b"].tolist() == [1, 2]


def test_a_file_longer_than_a_block_is_whole(read):
    rows = 2 * BLOCK_ROWS + 7
    seen: list[int] = []
    text = "t,v\n" + "".join(f"{1700000000 + row},{row}\n" for row in range(rows))
    got = read(text, time="t", progress=seen.append)
    assert got.columns["v"].tolist() == list(range(rows))
    assert (np.diff(got.times_ns) == S).all()
    assert sum(seen) == len(text)


@pytest.mark.parametrize(
    ("text", "options", "message"),
    [
        ("", {}, r"r\.csv: empty"),
        ("a,b\n", {}, r"r\.csv: no rows, expected at least one below the header"),
        ("a\nx\ny\n", {}, "no column of numbers among a: a has 'x'"),
        ("ts,v\ns,degC\n1,2\n", {}, "no column of numbers among ts, v: v has 'degC'"),
        ("a,b\n1,2\n", {"columns": ["c"]}, "no column 'c', expected one of a, b"),
        ("a,b\n1,2\n", {"columns": ["3"]}, "no column '3'"),
        ("a,b\n1,2\n3\n", {}, r"r\.csv:3: 1 cells, expected 2"),
        ("t,b\n1,2\n\n\nx,2\n", {"columns": ["t"]}, r"r\.csv:5: t = 'x': expected a number or an empty cell"),
        ("ts,b\n1700000000,2\n,2\n", {}, r"r\.csv:3: ts = '': expected epoch"),
        ("ts,b\nnow,2\nnow,2\n", {}, r"r\.csv:2: ts = 'now': expected epoch"),
        ("ts,b\n04/07/2014 00:00,2\n04/07/2014 00:01,2\n", {}, r"r\.csv:2: ts = '04/07/2014 00:00'"),
        ("ts,b\n2023-02-30,2\n2023-02-31,2\n", {}, r"r\.csv:2: ts = '2023-02-30'"),
        ("ts,b\n9999-01-01,2\n9999-01-02,2\n", {}, r"r\.csv:2: ts = '9999-01-01'"),
        ("ts,b\n99999999999,2\n99999999998,2\n", {}, r"r\.csv:2: ts = '99999999999'"),
        ("ts,b\n99999999999,2\n1700000000000,2\n", {}, r"r\.csv:2: ts = '99999999999'"),
        ("a\n1\n1_0\n", {"columns": ["a"]}, r"r\.csv:3: a = '1_0'"),
        ("ts,b\n1e30,2\n1e31,2\n", {}, r"r\.csv:2: ts = '1e30'"),
        ("ts,b\nnan,2\nnan,2\n", {}, r"r\.csv:2: ts = 'nan'"),
        ("a,b\n1,2\n" + "x" * 200_000 + ",2\n", {}, r"r\.csv:3: not CSV \(field larger"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_place(
    read, text: str, options: dict[str, object], message: str
):
    with pytest.raises(InvalidInput, match=message):
        read(text, **options)


def test_a_bad_cell_far_down_is_found(read):
    text = "v\n" + "1\n" * 30_000 + "oops\n"
    with pytest.raises(InvalidInput, match=r"r\.csv:30002: v = 'oops'"):
        read(text)


def test_no_text_file_and_no_file(tmp_path: Path):
    (tmp_path / "x").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidInput, match="not UTF-8"):
        read_recording(tmp_path / "x")
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(InvalidInput, match="cannot be read"):
            read_recording(path)


def test_a_delimiter_at_the_end_of_each_line_makes_no_column(tmp_path):
    (tmp_path / "a.csv").write_text("timestamp,flow,\n1700000000,1,\n1700000001,2,\n")
    found = read_recording(tmp_path / "a.csv")
    assert list(found.columns) == ["flow"]
    assert found.notes == ("not numbers and left out: column3",)
    assert read_recording(tmp_path / "a.csv", columns=["flow"]).others == ()
