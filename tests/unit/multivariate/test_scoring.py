import math

import msgspec
import numpy as np
import pytest

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import (
    AlignPolicy,
    Judgement,
    ModelSpec,
    Scaler,
    Scorer,
    Thresholds,
    Variable,
    changed_variables,
    check_spec,
    interpretation,
    severity,
    wire_score,
)

SPEC = ModelSpec(
    variables=(Variable("a"), Variable("b")),
    window=28,
    step_s=1.0,
    align=AlignPolicy(),
    scaler=Scaler((1.0, 0.0), (2.0, 1.0), 10.0),
    thresholds=Thresholds(2.0, 4.0, 0.5, 0.001),
)


class Told:
    """A network that answers what it was told and keeps what it was shown."""

    def __init__(self, joined, local, shares=(0.25, 0.75), changes=(0.1, 1.0)):
        self.answer = {
            "joined": np.array([joined], np.float32),
            "local": np.array([local], np.float32),
            "contributions": np.array(shares, np.float32),
            "correlation_change": np.array(changes, np.float32),
        }
        self.seen = []

    def run(self, window, /):
        self.seen.append(window)
        return self.answer


def test_the_score_is_the_greater_ratio():
    window = np.zeros((28, 2))
    assert Scorer(SPEC, Told(3.0, 1.0)).judge(window).score == 1.5
    assert Scorer(SPEC, Told(1.0, 12.0)).judge(window).score == 3.0


def test_the_window_is_scaled_and_clipped():
    network = Told(0.0, 0.0)
    window = np.zeros((28, 2))
    window[-1] = (5.0, 1e9)
    Scorer(SPEC, network).judge(window)
    assert network.seen[0].dtype == np.float32
    assert network.seen[0][-1].tolist() == [2.0, 10.0]
    assert network.seen[0][0].tolist() == [-0.5, 0.0]


def test_shares_add_up_to_one():
    judged = Scorer(SPEC, Told(3.0, 1.0, shares=(0.2, 0.7))).judge(np.zeros((28, 2)))
    assert math.isclose(sum(judged.contributions), 1.0, abs_tol=1e-12)


@pytest.mark.parametrize(
    ("changed", "reason"),
    [
        ({"joined": np.float32(1.0)}, "shapes"),
        ({"local": np.zeros(0, np.float32)}, "shapes"),
        ({"contributions": np.ones(3, np.float32)}, "shapes"),
        ({"correlation_change": np.ones((2, 2), np.float32)}, "shapes"),
        ({"joined": np.array([np.nan], np.float32)}, "not finite"),
        ({"local": np.array([np.nan], np.float32)}, "not finite"),
        ({"contributions": np.array([np.nan, 1.0], np.float32)}, "not finite"),
        ({"correlation_change": np.array([np.inf, -np.inf], np.float32)}, "not finite"),
        ({"contributions": np.zeros(2, np.float32)}, "all zero"),
        ({"contributions": np.array([2.0, -1.0], np.float32)}, "negative"),
    ],
)
def test_an_answer_that_says_nothing_is_refused(changed, reason):
    network = Told(1.0, 1.0)
    network.answer |= changed
    with pytest.raises(ModelPackageError, match=reason):
        Scorer(SPEC, network).judge(np.zeros((28, 2)))


@pytest.mark.parametrize("shape", [(27, 2), (28, 3), (28,)])
def test_a_window_of_other_shape_is_refused(shape):
    with pytest.raises(InvalidInput, match="window of shape"):
        Scorer(SPEC, Told(0.0, 0.0)).judge(np.zeros(shape))


def test_a_window_with_a_hole_is_refused():
    window = np.zeros((28, 2))
    window[3, 1] = np.nan
    with pytest.raises(InvalidInput, match="finite"):
        Scorer(SPEC, Told(0.0, 0.0)).judge(window)


def test_every_whole_window_of_a_table_is_judged():
    network = Told(0.0, 0.0)
    rows = np.arange(60.0).reshape(30, 2)
    assert len(list(Scorer(SPEC, network).judge_table(rows))) == 3
    assert network.seen[2][-1, 1] == 10.0
    assert list(Scorer(SPEC, network).judge_table(rows[:27])) == []


def test_the_wire_mapping():
    assert math.isclose(wire_score(1.0), 0.5, abs_tol=1e-6)
    assert wire_score(0.0) == 0.0
    assert wire_score(1e12) < math.e - 1.0
    assert severity(0.999) == 0.0
    assert math.isclose(severity(1.0), 0.5 / (math.e - 1.0), abs_tol=1e-6)
    judged = Judgement(3.0, (1.0,), (0.0,))
    assert math.isclose(judged.severity * (math.e - 1.0), judged.wire_score)


def test_a_normal_row_is_not_interpreted():
    assert Judgement(0.9, (0.5, 0.5), (2.0, 2.0)).interpretation(("a", "b")) == ()


def test_contributors_come_greatest_first_and_at_most_so_many():
    told = interpretation(("a", "b", "c"), (0.2, 0.6, 0.2), (0.0, 1.5, 1.0), 2)
    assert [c.variable for c in told] == ["b", "a"]
    assert [c.contribution for c in told] == [0.6, 0.2]
    assert all(c.changed == ("b", "c") for c in told)


def test_changed_variables_pass_the_edge_and_are_ranked():
    assert changed_variables(("a", "b", "c", "d"), (1.0, 3.0, 0.99, 1.0)) == ("b", "a", "d")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"window": 27}, "window = 27"),
        ({"window": 2881}, "window = 2881"),
        ({"variables": ()}, "variables = 0"),
        ({"variables": (Variable("a"), Variable("a"))}, "different names"),
        ({"step_s": 0.0}, "step_s"),
        ({"scaler": Scaler((0.0,), (1.0, 1.0), 10.0)}, "scaler.center"),
        ({"scaler": Scaler((0.0, 0.0), (1.0, -1.0), 10.0)}, "above 0"),
        ({"scaler": Scaler((0.0, math.inf), (1.0, 1.0), 10.0)}, "finite"),
        ({"scaler": Scaler((0.0, 0.0), (1.0, 1.0), 0.0)}, "scaler.limit"),
        ({"thresholds": Thresholds(1.0, 0.0, 1.0, 0.1)}, "thresholds.local"),
        ({"thresholds": Thresholds(1.0, 1.0, 1.0, 1.0)}, "thresholds.budget"),
    ],
)
def test_an_impossible_spec_is_refused_by_name(changed, named):
    check_spec(SPEC)
    with pytest.raises(InvalidInput, match=named):
        check_spec(msgspec.structs.replace(SPEC, **changed))


def test_what_is_not_finite_stays_visible_when_scaled():
    scaled = Scorer(SPEC, Told(0.0, 0.0)).scale(np.array([[3.0, np.inf], [np.nan, -1e9]]))
    np.testing.assert_array_equal(scaled, np.array([[1.0, np.nan], [np.nan, -10.0]], np.float32))


def test_a_row_scaled_alone_is_the_row_scaled_in_a_table():
    rows = np.random.default_rng(0).standard_normal((40, 2)) * 30
    scorer = Scorer(SPEC, Told(0.0, 0.0))
    assert np.array_equal(np.stack([scorer.scale(row) for row in rows]), scorer.scale(rows))
