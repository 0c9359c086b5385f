"""The join, reading by reading and in any interleaving, makes the rows of `align` on the whole recording."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.multivariate import AlignPolicy, align
from edgead.stream.join import Join, JoinSettings

S = 10**9
T0 = 1_763_750_000 * S + 123_456_789
VALUES = st.floats(-1e18, 1e18, allow_nan=False)
Columns = list[list[tuple[int, float]]]


@st.composite
def recordings(draw: st.DrawFn) -> tuple[Columns, list[int], int]:
    """Variables with readings on a grid, an interleaving of them, and the step."""
    step = draw(st.sampled_from([1, 7, 10**6, S, 300 * S]))
    count = draw(st.integers(1, 5))
    columns = []
    for _ in range(count):
        slots = sorted(draw(st.sets(st.integers(0, 40), min_size=1, max_size=30)))
        columns.append([(T0 + slot * step, draw(VALUES)) for slot in slots])
    order = draw(st.permutations([v for v, column in enumerate(columns) for _ in column]))
    return columns, order, step


POLICIES = st.builds(
    AlignPolicy,
    mode=st.sampled_from(["Outer", "Inner"]),
    fill=st.sampled_from(["Linear", "Previous", "Subsequent", "Zero", "Fixed"]),
    padding_value=VALUES,
)


def make_join(count: int, step: int, policy: AlignPolicy, max_gap: int) -> Join:
    return Join(
        JoinSettings(
            variables=count,
            step_ns=step,
            mode=policy.mode,
            fill=policy.fill,
            padding_value=policy.padding_value,
            max_gap_ns=max_gap,
        )
    )


def joined(columns: Columns, order: list[int], join: Join, *, dumping: bool) -> list[tuple[int, tuple]]:
    rows, places = [], [iter(column) for column in columns]
    for variable in order:
        rows += join.take(variable, *next(places[variable]))
        if dumping:
            dumped, join = join.dump(), Join(join.settings)
            join.load(dumped)
    return rows + join.flush()


@settings(max_examples=300, deadline=None)
@given(recording=recordings(), policy=POLICIES, dumping=st.booleans())
def test_the_rows_are_those_of_align(recording: tuple, policy: AlignPolicy, dumping: bool):
    columns, order, step = recording
    made = joined(columns, order, make_join(len(columns), step, policy, 10**6 * step), dumping=dumping)
    arrays = {
        str(v): (np.array([t for t, _ in column]), np.array([value for _, value in column]))
        for v, column in enumerate(columns)
    }
    try:
        table = align(arrays, policy)
    except InvalidInput:
        assert made == []
    else:
        assert [time for time, _ in made] == table.times_ns.tolist()
        assert np.array_equal(np.array([row for _, row in made]), table.rows)


@settings(max_examples=100, deadline=None)
@given(recording=recordings(), policy=POLICIES, max_gap=st.integers(1, 20))
def test_no_row_is_told_twice_and_what_waits_is_bounded(recording: tuple, policy: AlignPolicy, max_gap: int):
    columns, order, step = recording
    join = make_join(len(columns), step, policy, max_gap * step)
    rows, places = [], [iter(column) for column in columns]
    for variable in order:
        rows += join.take(variable, *next(places[variable]))
        *_, held = join.dump()
        assert all(len(times) <= max_gap + 2 for times, _ in held)
    times = [time for time, _ in rows]
    assert times == sorted(set(times))


def test_of_two_readings_in_one_slot_the_first_counts_and_times_are_those_of_the_grid():
    join = make_join(2, S, AlignPolicy(), 60 * S)
    assert join.take(0, T0, 1.0) == []
    assert join.take(1, T0 + S // 10, 2.0) == [(T0, (1.0, 2.0))]
    assert join.take(1, T0 + S // 5, 3.0) == []
    assert join.take(0, T0 + S - S // 10, 4.0) == []
    assert join.take(1, T0 + S + S // 10, 5.0) == [(T0 + S, (4.0, 5.0))]


def test_a_variable_that_stays_away_is_waited_for_and_then_given_up():
    join = make_join(2, S, AlignPolicy(), 5 * S)
    join.take(0, T0, 0.0), join.take(1, T0, 0.0)
    restarts = join.restarts
    for second in range(1, 6):
        assert join.take(0, T0 + second * S, 1.0) == []
    assert not join.gave_up
    assert join.take(0, T0 + 6 * S, 1.0) == []
    assert join.gave_up
    assert join.restarts == restarts + 1
    assert join.take(0, T0 + 7 * S, 2.0) == []
    assert join.take(1, T0 + 7 * S, 3.0) == [(T0 + 6 * S, (1.0, 3.0)), (T0 + 7 * S, (2.0, 3.0))]
    assert not join.gave_up


@pytest.mark.parametrize("silent_for", [6, 600])
def test_no_hole_longer_than_the_limit_is_filled(silent_for: int):
    join = make_join(2, S, AlignPolicy(), 5 * S)
    join.take(0, T0, 0.0), join.take(1, T0, 0.0)
    later = T0 + silent_for * S
    assert join.take(0, later, 1.0) == []
    assert join.take(1, later + S, 2.0) == [(later, (1.0, 2.0))]  # nearest, not a line from the last reading
