"""Each code of the REST contract that bad training data can have, out of the command that trains."""

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from edgead.cli import call
from edgead.errors import DATA_CODES
from edgead.recording import variables

#: Codes of detection and of sources that a server reads; they have tests of their own.
ELSEWHERE = {"RedundantFile", "InsufficientHistoricalData", "GetDataError"}

HEAD = "timestamp,flow,current"
GOOD = [HEAD, *(f"{1_700_000_000 + row},{row % 7},{row % 5}" for row in range(150))]


def table(folder: Path, lines: list[str]) -> Path:
    (folder / "normal.csv").write_text("\n".join(lines) + "\n")
    return folder / "normal.csv"


def variable(folder: Path, name: str, lines: list[str]) -> Path:
    (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return folder


def _wide(folder: Path) -> Path:
    lines = ["timestamp," + ",".join(f"v{at}" for at in range(301))]
    values = np.random.default_rng(0).integers(0, 9, (130, 301))
    lines += [",".join(map(str, [1_700_000_000 + at, *row])) for at, row in enumerate(values.tolist())]
    return table(folder, lines)


def _huge(folder: Path) -> Path:
    with open(folder / "normal.csv", "wb") as file:
        file.truncate(variables.MAX_BYTES + 1)  # a hole: takes no room
    return folder / "normal.csv"


def _binary(folder: Path) -> Path:
    (folder / "normal.csv").write_bytes(b"\xff\xfe\x00\x01" * 50)
    return folder / "normal.csv"


def _long(folder: Path) -> Path:
    return table(folder, ["timestamp,a", *(f"{1_700_000_000 + row},{row % 3}" for row in range(1_000_001))])


#: Code -> what makes the data, options of the command, and a part of the message.
CASES: dict[str, tuple[Callable[[Path], Path], list[str], str]] = {
    "FileNotExist": (lambda p: p / "none.csv", [], "no such file"),
    "ReadingFileError": (_binary, [], "not UTF-8, expected text in UTF-8"),
    "FileSizeTooLarge": (_huge, [], "at most 2000000000"),
    "NoVariablesFound": (lambda p: table(p, ["timestamp,a", "1,x", "2,y"]), [], "no column of numbers"),
    "DuplicatedVariables": (lambda p: table(p, ["timestamp,a,a", "1,2,3"]), [], "more than one column a"),
    "ColumnNotFound": (lambda p: table(p, GOOD), ["--variables", "heat"], "no column 'heat'"),
    "FileColumnsNotExist": (
        lambda p: variable(p, "flow", ["timestamp,reading", "1700000000,2"]),
        [],
        "no column 'value'",
    ),
    "NumColumnsMismatch": (lambda p: table(p, [*GOOD, "1700000999,4"]), [], "2 cells, expected 3"),
    "VariableParseError": (
        lambda p: table(p, [*GOOD, "1700000999,4,high"]),
        [],
        "normal.csv:152: current = 'high'",
    ),
    "MergeDataFailed": (
        lambda p: variable(
            variable(p, "a", ["timestamp,value", "1700000000,1"]), "b", ["timestamp,value", "1700000001,1"]
        ),
        ["--align", "Inner"],
        "no time is common to all variables",
    ),
    "NoData": (lambda p: table(p, GOOD), ["--start", "1800000000"], "no rows between start and end"),
    "TooManyData": (_long, [], "1000001 rows, at most 1000000"),
    "DataExceedsLimit": (_wide, [], "301 variables: at most 300"),
    "NotEnoughInput": (lambda p: table(p, GOOD), ["--window", "150"], "150 rows for a window of 150"),
}


def test_every_code_of_training_data_has_a_case():
    assert set(CASES) == set(DATA_CODES) - ELSEWHERE


@pytest.mark.parametrize("code", CASES)
def test_bad_training_data_are_refused_with_the_services_code(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], code: str
):
    make, options, message = CASES[code]
    (tmp_path / "data").mkdir()
    source = make(tmp_path / "data")
    out = tmp_path / "model.zip"
    window = [] if "--window" in options else ["--window", "60"]
    assert call(["train", str(source), "--out", str(out), "--epochs", "0", *window, *options]) == 2
    told = capsys.readouterr().err.splitlines()[-1]
    assert re.search(rf"\b{code}: ", told), told
    assert message in told
    assert not out.exists()


@pytest.mark.parametrize("code", DATA_CODES)
def test_every_code_is_documented(code: str):
    text = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    assert f"`{code}`" in text
