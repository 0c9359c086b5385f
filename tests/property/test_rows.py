"""Rows for a network: C equals its obvious twin, and what a network and its training rely on."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.native import ROW_CHANNELS, RowHistory
from tests.naive_rows import Rows
from tests.property.test_spectral import seeds, series


def daily(seed: int, count: int, day: int) -> np.ndarray:
    """One of the series of the streaming detector, on top of a shape that repeats."""
    shape = np.random.default_rng([seed, 1]).standard_normal(day) * 4
    return series(seed, count) + np.resize(shape, count)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=seeds, window=st.sampled_from([48, 59]), day=st.sampled_from([0, 24, 31]))
def test_rows_equal_their_twin(seed: int, window: int, day: int):
    x = daily(seed, 420, day or 24)
    gaps = np.where(np.random.default_rng(seed).random(420) < 0.02, 3, 0)
    twin, rows = Rows(window, day), RowHistory(window, rows_per_day=day, length=1, single=False)
    for i, (value, missing) in enumerate(zip(x.tolist(), gaps.tolist())):
        channels, score = twin.row(value, missing)
        facts = rows.judge(value, missing)
        got = rows.history()[:, 0]
        wrong = [
            (name, a, b)
            for name, a, b in zip(ROW_CHANNELS, got, channels)
            if abs(a - b) > 1e-5 + 1e-5 * abs(b)
        ]
        assert not wrong, (i, wrong)
        assert facts[8] == pytest.approx(score, rel=1e-6, abs=1e-9)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, day=st.sampled_from([0, 24]), single=st.booleans())
def test_an_overflow_code_among_the_first_readings_is_forgotten(seed: int, day: int, single: bool):
    x = daily(seed, 700, 24)
    x[600] += 1000
    rows, fresh = (RowHistory(50, rows_per_day=day, length=20, single=single) for _ in range(2))
    rows.judge(x[0])
    rows.judge(3.4e38)
    got, want = rows.rows(x[2:]), fresh.rows(x[2:])
    assert np.isfinite(got).all()
    assert np.abs(got - want)[-1].max() < 0.5  # limits are fitted at other readings: nearly the same
    assert np.argmax(got[24:, ROW_CHANNELS.index("score")]) == np.argmax(
        want[24:, ROW_CHANNELS.index("score")]
    )


@settings(max_examples=15, deadline=None)
@given(seed=seeds, day=st.sampled_from([0, 24, 40]), cut=st.integers(0, 299), single=st.booleans())
def test_stopping_and_continuing_anywhere_changes_nothing(seed: int, day: int, cut: int, single: bool):
    x = daily(seed, 300, 24).tolist()
    whole, first, second = (RowHistory(50, rows_per_day=day, length=20, single=single) for _ in range(3))
    want = [whole.judge(value) for value in x]
    for value in x[:cut]:
        first.judge(value)
    second.load(first.dump())
    got = [second.judge(value) for value in x[cut:]]
    assert np.array_equal(np.array(got, float), np.array(want[cut:], float).reshape(-1, 10), equal_nan=True)
    assert second.dump() == whole.dump()


@given(seed=seeds, length=st.integers(1, 70), single=st.booleans())
def test_the_history_holds_the_newest_rows_and_zeros_before_the_first(seed: int, length: int, single: bool):
    x = daily(seed, 60, 24)
    made = RowHistory(40, rows_per_day=24, length=1, single=single).rows(x)
    kept, history = (
        RowHistory(40, rows_per_day=24, length=length, single=single),
        np.empty((14, length), "f4"),
    )
    for i, value in enumerate(x.tolist()):
        kept.judge(value, 0, history)
        held = np.zeros((length, 14), np.float32)
        held[max(0, length - i - 1) :] = made[max(0, i + 1 - length) : i + 1]
        assert np.array_equal(history.T, held)
    assert np.array_equal(kept.history(), history)


@settings(max_examples=20, deadline=None)
@given(seed=seeds, sensitivity=st.integers(0, 100))
def test_no_channel_depends_on_the_sensitivity_or_the_gates(seed: int, sensitivity: int):
    x = daily(seed, 400, 24)
    one = RowHistory(50, rows_per_day=24, sensitivity=sensitivity, min_abs=3.0, direction="above")
    assert np.array_equal(one.rows(x), RowHistory(50, rows_per_day=24).rows(x))


@settings(max_examples=20, deadline=None)
@given(seed=seeds, scale=st.floats(1e-6, 1e6), offset=st.floats(-1e3, 1e3))
def test_the_unit_of_the_series_does_not_matter(seed: int, scale: float, offset: float):
    # drifts and counters apart: what is a tie or no tie there is decided by rounding
    x = np.random.default_rng(seed).standard_normal(300) + np.resize(np.arange(24.0) % 7, 300)
    made = [
        RowHistory(50, rows_per_day=24, single=False).rows(values) for values in (x, scale * (x + offset))
    ]
    assert np.allclose(*made, rtol=1e-3, atol=1e-3)


def test_a_step_away_from_the_day_is_seen_where_nothing_else_stands_out():
    rng, day = np.random.default_rng(5), 96
    shape = np.where(np.arange(day) % 12 == 0, 9.0, 0.0)  # jumps that are part of the day
    x = np.resize(shape, 20 * day) + 0.3 * rng.standard_normal(20 * day)
    x[18 * day + 24] = 0.0  # one of them does not come
    with_day, without = (RowHistory(200, rows_per_day=d) for d in (day, 0))
    scores = [[rows.judge(value)[0] for value in x.tolist()] for rows in (with_day, without)]
    assert scores[0][18 * day + 24] > 1.3
    assert scores[1][18 * day + 24] < 1.0
    assert max(scores[0][10 * day : 18 * day]) < 1.0


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"window": 11}, "window 11"),
        ({"window": 50, "rows_per_day": 1441}, "rows_per_day 1441"),
        ({"window": 50, "length": 0}, "length 0"),
        ({"window": 50, "length": 513}, "length 513"),
        ({"window": 50, "sensitivity": 101}, "sensitivity 101"),
        ({"window": 50, "direction": "up"}, "direction 'up'"),
    ],
)
def test_what_is_out_of_range_is_named(arguments, words):
    with pytest.raises(InvalidInput, match=words):
        RowHistory(**arguments)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_a_value_that_is_not_finite_changes_nothing(value):
    rows = RowHistory(50, rows_per_day=24)
    rows.rows(daily(1, 120, 24))
    before = rows.dump()
    with pytest.raises(InvalidInput, match="finite"):
        rows.judge(value)
    with pytest.raises(InvalidInput, match="missing -1"):
        rows.judge(1.0, -1)
    with pytest.raises(InvalidInput, match="shape"):
        rows.judge(1.0, 0, np.empty((14, 3), np.float32))
    assert rows.dump() == before


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 3000), new=st.integers(0, 255), single=st.booleans())
def test_a_damaged_state_is_refused_or_harmless(at: int, new: int, single: bool):
    rows = RowHistory(30, rows_per_day=24, length=8, single=single)
    rows.rows(daily(2, 200, 24))
    good = rows.dump()
    bad = bytearray(good)
    bad[at % len(bad)] = new
    try:
        rows.load(bytes(bad))
    except InvalidInput:
        assert rows.dump() == good
    for value in daily(3, 60, 24).tolist():
        rows.judge(value, 1)
    for wrong in (b"", good[:-1], good + b"0"):
        with pytest.raises(InvalidInput, match="bytes"):
            rows.load(wrong)
