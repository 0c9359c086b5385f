"""Variables of one machine from one table or a folder, and each way that fails, with the service's code."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy, align
from edgead.recording.variables import read_variables

NOON = 1_700_000_000 * 10**9


def table(path: Path, text: str) -> Path:
    (path / "all.csv").write_text(text)
    return path / "all.csv"


def folder(path: Path, **files: str) -> Path:
    for name, text in files.items():
        (path / f"{name}.csv").write_text(text)
    return path


GOOD = "timestamp,flow,current\n1700000000,1,5\n1700000001,2,\n1700000002,3,7\n"


def test_a_table(tmp_path: Path):
    found = read_variables(table(tmp_path, GOOD))
    assert list(found.columns) == ["flow", "current"]
    times, values = found.columns["current"]
    assert times.tolist() == [NOON, NOON + 10**9, NOON + 2 * 10**9]
    np.testing.assert_array_equal(values, [5, np.nan, 7])


def test_variables_in_the_order_asked_for(tmp_path: Path):
    assert list(read_variables(table(tmp_path, GOOD), names=["current", "flow"]).columns) == [
        "current",
        "flow",
    ]


def test_a_folder_with_times_of_their_own(tmp_path: Path):
    found = read_variables(
        folder(
            tmp_path,
            flow="timestamp,value\n2023-11-14T22:13:20Z,1\n2023-11-14T22:13:22Z,3\n",
            current="timestamp,value\n2023-11-14T22:13:21Z,5\n",
        )
    )
    assert list(found.columns) == ["current", "flow"]
    assert align(found.columns, AlignPolicy()).rows.tolist() == [[5, 1], [5, 2], [5, 3]]


def test_both_ends_are_inclusive(tmp_path: Path):
    found = read_variables(table(tmp_path, GOOD), start_ns=NOON + 10**9, end_ns=NOON + 2 * 10**9)
    assert found.columns["flow"][1].tolist() == [2, 3]


def test_rows_out_of_order_are_put_in_order(tmp_path: Path):
    found = read_variables(table(tmp_path, "timestamp,a\n1700000002,2\n1700000001,1\n"))
    assert found.columns["a"][1].tolist() == [1, 2]


def test_a_table_without_times_needs_an_interval(tmp_path: Path):
    path = table(tmp_path, "a,b\n1,2\n3,4\n")
    assert read_variables(path, interval_ns=10**9).columns["b"][1].tolist() == [2, 4]


def test_a_table_without_a_header_may_repeat_numbers(tmp_path: Path):
    assert list(read_variables(table(tmp_path, "1,1\n2,2\n"), interval_ns=1).columns) == [
        "column1",
        "column2",
    ]


Make = Callable[[Path], Path]
BAD: dict[str, tuple[Make, dict[str, object], str, str]] = {
    "no such file": (lambda p: p / "none.csv", {}, "FileNotExist", "no such file"),
    "no file of a variable": (
        lambda p: folder(p, a="timestamp,value\n1,2\n"),
        {"names": ["b"]},
        "FileNotExist",
        "no file of the variable 'b'",
    ),
    "not text": (lambda p: _binary(p), {}, "ReadingFileError", "all.csv: not UTF-8, expected text in UTF-8"),
    "a column too many": (
        lambda p: table(p, GOOD),
        {"names": ["flow"], "exact": True},
        "RedundantFile",
        "no variables of the model: current",
    ),
    "a file too many": (
        lambda p: folder(p, a="timestamp,value\n1,2\n", b="timestamp,value\n1,2\n"),
        {"names": ["a"], "exact": True},
        "RedundantFile",
        "no variables of the model: b",
    ),
    "a column of words, where all are variables": (
        lambda p: table(p, "timestamp,flow,heat\n1700000001,1,2\n1700000002,3,high\n1700000003,5,6\n"),
        {"exact": True},
        "VariableParseError",
        "all.csv:3: heat = 'high'",
    ),
    "huge": (lambda p: _huge(p), {}, "FileSizeTooLarge", "2000000001 bytes, at most 2000000000"),
    "an empty folder": (lambda p: p, {}, "NoVariablesFound", "no files of variables"),
    "no numbers": (
        lambda p: table(p, "timestamp,a\n1,x\n2,y\n"),
        {},
        "NoVariablesFound",
        "no column of numbers",
    ),
    "a name twice": (
        lambda p: table(p, "timestamp,a,a\n1,2,3\n"),
        {},
        "DuplicatedVariables",
        "more than one column a",
    ),
    "no such column": (lambda p: table(p, GOOD), {"names": ["heat"]}, "ColumnNotFound", "no column 'heat'"),
    "no times": (lambda p: table(p, "a,b\n1,2\n3,4\n"), {}, "ColumnNotFound", "no column of times"),
    "a file without value": (
        lambda p: folder(p, a="timestamp,values\n1,2\n3,4\n"),
        {},
        "FileColumnsNotExist",
        "no column 'value'",
    ),
    "a file without timestamp": (
        lambda p: folder(p, a="time,value\n1,2\n3,4\n"),
        {},
        "FileColumnsNotExist",
        "no column 'timestamp'",
    ),
    "a ragged row": (
        lambda p: table(p, GOOD + "1700000003,4\n"),
        {},
        "NumColumnsMismatch",
        "all.csv:5: 2 cells, expected 3",
    ),
    "a word for a number": (
        lambda p: table(p, GOOD + "1700000003,4,high\n"),
        {"names": ["current"]},
        "VariableParseError",
        "all.csv:5: current = 'high'",
    ),
    "a word for a time": (
        lambda p: table(p, GOOD + "yesterday,4,5\n"),
        {},
        "VariableParseError",
        "timestamp = 'yesterday'",
    ),
    "a time twice": (
        lambda p: table(p, GOOD + "1700000002,4,5\n"),
        {},
        "MergeDataFailed",
        "1 times occur twice, the first 2023-11-14T22:13:22",
    ),
    "an empty file": (lambda p: table(p, ""), {}, "NoData", "empty"),
    "a header alone": (lambda p: folder(p, a="timestamp,value\n"), {}, "NoData", "no rows"),
    "nothing between start and end": (
        lambda p: table(p, GOOD),
        {"end_ns": 5},
        "NoData",
        "between start and end; there are some from 2023-11-14T22:13:2.Z to 2023-11-14T22:13:2.Z",
    ),
}


def _binary(path: Path) -> Path:
    (path / "all.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    return path / "all.csv"


def _huge(path: Path) -> Path:
    with open(path / "all.csv", "wb") as file:
        file.truncate(2_000_000_001)  # a hole: takes no room
    return path / "all.csv"


@pytest.mark.parametrize("name", BAD)
def test_what_cannot_be_read_has_its_code_and_says_where(tmp_path: Path, name: str):
    make, options, code, message = BAD[name]
    with pytest.raises(InvalidInput, match=message) as refusal:
        read_variables(make(tmp_path), **options)  # type: ignore[arg-type]
    assert refusal.value.code == code


def test_no_time_in_common_and_no_reading(tmp_path: Path):
    found = read_variables(folder(tmp_path, a="timestamp,value\n1e9,2\n", b="timestamp,value\n1100000000,\n"))
    with pytest.raises(InvalidInput) as refusal:
        align(found.columns, AlignPolicy())
    assert refusal.value.code == "NoData"
    (tmp_path / "b.csv").write_text("timestamp,value\n1100000000,3\n")
    with pytest.raises(InvalidInput) as refusal:
        align(read_variables(tmp_path).columns, AlignPolicy(mode="Inner"))
    assert refusal.value.code == "MergeDataFailed"
