import sys

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy, align

S = 1_000_000_000


def column(times, values):
    return np.array(times, np.int64) * S, np.array(values, np.float64)


A = column([0, 1, 2, 3], [0.0, 1.0, 2.0, 3.0])
B = column([1, 3, 4], [10.0, 30.0, 40.0])


@pytest.mark.parametrize(
    ("fill", "a", "b"),
    [
        ("Linear", [0, 1, 2, 3, 3], [10, 10, 20, 30, 40]),
        ("Previous", [0, 1, 2, 3, 3], [10, 10, 10, 30, 40]),
        ("Subsequent", [0, 1, 2, 3, 3], [10, 10, 30, 30, 40]),
        ("Zero", [0, 1, 2, 3, 0], [0, 10, 0, 30, 40]),
        ("Fixed", [0, 1, 2, 3, -7], [-7, 10, -7, 30, 40]),
    ],
)
def test_outer_takes_every_time_and_fills(fill, a, b):
    table = align({"a": A, "b": B}, AlignPolicy(fill=fill, padding_value=-7.0))
    assert table.names == ("a", "b")
    assert (table.times_ns // S).tolist() == [0, 1, 2, 3, 4]
    np.testing.assert_allclose(table.rows.T, [a, b])


def test_inner_takes_common_times_alone():
    table = align({"a": A, "b": B}, AlignPolicy(mode="Inner"))
    assert (table.times_ns // S).tolist() == [1, 3]
    np.testing.assert_allclose(table.rows, [[1, 10], [3, 30]])


def test_states_name_what_was_filled_worst_first():
    table = align({"a": A, "b": B}, AlignPolicy())
    assert [(s.variable, round(s.filled_ratio, 3), s.count) for s in table.states] == [
        ("b", 0.4, 3),
        ("a", 0.2, 4),
    ]
    assert (table.states[0].first_ns, table.states[0].last_ns) == (1 * S, 4 * S)


def test_equal_shares_are_ordered_by_name():
    table = align({"z": A, "b": A}, AlignPolicy())
    assert [s.variable for s in table.states] == ["b", "z"]


def test_a_value_that_is_no_number_is_a_hole():
    table = align({"a": column([0, 1, 2], [0.0, np.nan, 4.0])}, AlignPolicy())
    np.testing.assert_allclose(table.rows[:, 0], [0.0, 4.0])
    table = align({"a": column([0, 1, 2], [0.0, np.nan, 4.0]), "b": column([1], [5.0])}, AlignPolicy())
    np.testing.assert_allclose(table.rows[:, 0], [0.0, 2.0, 4.0])


@pytest.mark.parametrize(
    ("columns", "code"),
    [
        ({}, "NoVariablesFound"),
        ({"a": column([], [])}, "NoData"),
        ({"a": column([0], [np.nan])}, "NoData"),
        ({"a": column([1, 1], [0.0, 0.0])}, "MergeDataFailed"),
        ({"a": column([2, 1], [0.0, 0.0])}, "MergeDataFailed"),
        ({"a": column([0, 1], [0.0])}, "MergeDataFailed"),
    ],
)
def test_bad_columns_are_refused_with_the_contracts_code(columns, code):
    with pytest.raises(InvalidInput) as refusal:
        align(columns, AlignPolicy())
    assert refusal.value.code == code


def test_no_common_time_is_refused():
    with pytest.raises(InvalidInput) as refusal:
        align({"a": column([0], [1.0]), "b": column([1], [1.0])}, AlignPolicy(mode="Inner"))
    assert refusal.value.code == "MergeDataFailed"


def test_more_rows_than_the_service_took_are_refused():
    many = np.arange(1_000_001, dtype=np.int64)
    with pytest.raises(InvalidInput) as refusal:
        align({"a": (many, many.astype(np.float64))}, AlignPolicy())
    assert refusal.value.code == "TooManyData"


def test_what_no_sensor_says_is_a_hole_as_it_is_on_the_device():
    table = align({"a": column([0, 1, 2, 3], [0.0, 1e300, -np.inf, 3.0])}, AlignPolicy(mode="Inner"))
    assert (table.times_ns // S).tolist() == [0, 3]
    with pytest.raises(InvalidInput, match="a: no readings"):
        align({"a": column([0, 1], [1.7e308, -1.7e308])}, AlignPolicy())


def test_more_rows_than_a_table_may_have_are_refused_before_they_are_made(monkeypatch):
    monkeypatch.setattr(sys.modules["edgead.multivariate.align"], "MAX_ROWS", 4)
    align({"a": A, "b": A}, AlignPolicy())
    with pytest.raises(InvalidInput, match="5 rows at the times of all variables, at most 4") as refusal:
        align({"a": A, "b": B}, AlignPolicy())
    assert refusal.value.code == "TooManyData"
