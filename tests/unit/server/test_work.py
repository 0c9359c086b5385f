"""What a job does, without its process: spans, states, schemas, trainers."""

from pathlib import Path

import msgspec
import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy
from edgead.package import read_package
from edgead.server import orders
from edgead.server.answers import PART_ROWS, decode_answer
from edgead.server.sources import SourceSettings
from edgead.server.work import do, judged_span, states_between
from tests import packages
from tests.served import machine, stamp, write_table

LIMITS = orders.Limits(2**30, 60.0)
SECOND = 10**9


def test_a_span_has_the_history_of_a_window_and_both_ends():
    times = np.arange(100) * SECOND
    span = judged_span(times, 50 * SECOND, 59 * SECOND, 30)
    assert (span.history, span.start, span.stop) == (21, 50, 60)
    clipped = judged_span(times, 10 * SECOND + 1, 10**12, 30)
    assert (clipped.history, clipped.start, clipped.stop) == (0, 11, 100)
    with pytest.raises(
        InvalidInput, match="there are some from 1970-01-01T00:00:00Z to 1970-01-01T00:01:39"
    ) as caught:
        judged_span(times, 10**12, 2 * 10**12, 30)
    assert caught.value.code == "NoData"


def test_states_count_what_was_measured_at_these_times():
    times = np.arange(10) * SECOND
    holed = np.where(np.arange(10) % 2, np.nan, 1.0)
    columns = {"whole": (times, np.ones(10)), "holed": (times, holed), "none": (times[:3], np.ones(3))}
    states = states_between(columns, AlignPolicy(), times[4:])
    assert [(state.variable, state.count) for state in states] == [("none", 0), ("holed", 3), ("whole", 6)]
    assert states[0].filled_ratio == 1.0
    assert (states[1].filled_ratio, states[1].first_ns, states[1].last_ns) == (0.5, 4 * SECOND, 8 * SECOND)


def order(folder: Path, name: str, **change: object) -> orders.TrainOrder:
    made = orders.TrainOrder(
        source=name,
        schema="OneTable",
        sources=msgspec.to_builtins(SourceSettings(roots=(str(folder),))),
        start_ns=0,
        end_ns=2**62,
        window=28,
        epochs=1,
        align=AlignPolicy(),
        name="x",
        version="1.0.0",
        trainer="no_such_trainer",
        created="2026-01-01T00:00:00Z",
        limits=LIMITS,
    )
    return msgspec.structs.replace(made, **change)


@pytest.mark.parametrize(
    ("name", "schema", "code", "words"),
    [
        ("table.csv", "MultiTable", "ReadingFileError", "expected a folder"),
        ("parts", "OneTable", "ReadingFileError", "expected one table"),
        ("parts", "MultiTable", "FileColumnsNotExist", "parts/heat.csv: no column 'value'"),
        ("words.csv", "OneTable", "VariableParseError", "words.csv:3: heat = 'high'"),
        ("none.csv", "OneTable", "FileNotExist", "none.csv"),
        ("untimed.csv", "OneTable", "ColumnNotFound", "'timestamp'"),
    ],
)
def test_data_of_another_shape_fail_with_their_code(
    tmp_path: Path, name: str, schema: str, code: str, words: str
):
    data, work = tmp_path / "data", tmp_path / "work"
    (data / "parts").mkdir(parents=True)
    work.mkdir()
    write_table(data / "table.csv", machine(60))
    (data / "parts" / "flow.csv").write_text(f"timestamp,value\n{stamp(0)},1\n")
    (data / "parts" / "heat.csv").write_text(f"timestamp,Value\n{stamp(0)},1\n")
    (data / "words.csv").write_text(f"timestamp,flow,heat\n{stamp(0)},1,2\n{stamp(1)},1,high\n")
    (data / "untimed.csv").write_text("when,flow\n2024-01-01T00:00:00Z,1\n2024-01-01T00:01:00Z,2\n")
    found = do(order(data, name, schema=schema, trainer="edgead.errors"), work, lambda told: None)
    assert isinstance(found, orders.Failed)
    assert found.code == code
    assert words in found.message
    assert str(work) not in found.message
    assert "tables" not in found.message


def test_a_trainer_that_is_not_installed_is_told(tmp_path: Path):
    found = do(order(tmp_path, "x"), tmp_path, lambda told: None)
    assert found == orders.Failed(
        "UnexpectedError", "no_such_trainer is not installed where the job ran: pip install 'edgead[train]'"
    )


def test_rows_are_judged_as_the_package_says(tmp_path: Path):
    manifest = read_package(packages.PUMP).manifest
    data, work = tmp_path / "data", tmp_path / "work"
    data.mkdir()
    work.mkdir()
    middle = [(variable.minimum + variable.maximum) / 2 for variable in manifest.variables]
    write_table(data / "pump.csv", np.tile(middle, (manifest.window + PART_ROWS, 1)), manifest.names)
    text = (data / "pump.csv").read_text()
    (data / "pump.csv").write_text(text.replace("\n", ",\n"))  # as some loggers end their lines
    told: list[orders.Told] = []
    asked = orders.DetectOrder(
        source="pump.csv",
        schema="",
        sources=msgspec.to_builtins(SourceSettings(roots=(str(data),))),
        start_ns=0,
        end_ns=2**62,
        package=packages.PUMP,
        limits=LIMITS,
    )
    found = do(orders.decode_order(orders.encode(asked)), work, told.append)
    assert isinstance(found, orders.Detected)
    answers = [decode_answer(part) for part in found.parts]
    assert {(answer.names, answer.window) for answer in answers} == {(manifest.names, manifest.window)}
    assert all(len(answer.rows) == PART_ROWS for answer in answers[:-1])
    judged = [row.score is not None for answer in answers for row in answer.rows]
    assert judged == [False] * (manifest.window - 1) + [True] * (PART_ROWS + 1)
    assert told == [orders.Seen(found.states)]
