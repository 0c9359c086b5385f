"""A model over a table: rows, holes, and a network that fails."""

import numpy as np
import pytest

from edgead.backtest.group import judge_group
from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import AlignPolicy, ModelSpec, Scaler, Thresholds, Variable

WINDOW = 28
SPEC = ModelSpec(
    variables=(Variable("a"), Variable("b")),
    window=WINDOW,
    step_s=1.0,
    align=AlignPolicy(),
    scaler=Scaler((0.0, 0.0), (1.0, 1.0), 1e5),
    thresholds=Thresholds(2.0, 2.0, 1.0, 0.001),
)


class Last:
    """A network that says the last value of the first variable."""

    def run(self, window):
        last = window[-1, :1]
        share = np.array([0.75, 0.25], np.float32)
        return {"joined": last, "local": 0 * last, "contributions": share, "correlation_change": share}


def columns(rows=40, hole=()):
    times = np.arange(1, rows + 1, dtype=np.int64) * 10**9
    a, b = np.arange(rows, dtype=float), np.ones(rows)
    b[list(hole)] = np.nan
    return {"b": (times, b), "a": (times, a)}


def test_every_row_that_ends_a_whole_window_is_judged():
    steps = []
    group = judge_group(SPEC, Last(), columns(), start=lambda rows: steps.append(rows) or steps.append)
    assert (group.names, group.learning, len(group.times_ns)) == (("a", "b"), 27, 40)
    np.testing.assert_array_equal(group.scores, np.arange(27, 40) / 2)
    np.testing.assert_array_equal(group.contributions, [[0.75, 0.25]] * 13)
    assert steps[0] == 13 == sum(steps[1:])


def test_holes_are_told_by_variable():
    states = judge_group(SPEC, Last(), columns(hole=[3, 4])).states
    assert [(state.variable, state.filled_ratio) for state in states] == [
        ("b", pytest.approx(0.05)),
        ("a", 0.0),
    ]


def test_fewer_rows_than_a_window_are_not_judged():
    group = judge_group(SPEC, Last(), columns(rows=20))
    assert (group.learning, group.judged, group.contributions.shape) == (20, [], (0, 2))


def test_a_variable_without_readings_is_refused():
    with pytest.raises(InvalidInput) as refusal:
        judge_group(SPEC, Last(), columns(hole=range(40)))
    assert refusal.value.code == "NoData"


def test_a_network_that_gives_no_number_is_told_with_its_row():
    class Bad(Last):
        def run(self, window):
            out = super().run(window)
            return {**out, "joined": out["joined"] * (np.nan if window[-1, 0] == 30 else 1)}

    with pytest.raises(ModelPackageError, match="row 31: the network gave a number that is not finite"):
        judge_group(SPEC, Bad(), columns())
