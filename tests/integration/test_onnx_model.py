"""The shipped model in the real onnxruntime."""

import numpy as np
import pytest

from edgead.errors import ModelPackageError
from edgead.multivariate import Scorer
from edgead.onnx import Session
from edgead.package import read_package, self_test
from edgead.simulate import PUMP, Fault, inject, simulate
from tests import packages

PACKAGE = read_package(packages.PUMP)
NAMES = PACKAGE.manifest.names


@pytest.fixture(scope="module")
def scorer():
    return Scorer(PACKAGE.manifest, Session(PACKAGE.model))


def rows_of(columns):
    return np.stack([columns[name].values for name in NAMES], axis=1)


def test_the_self_test_passes():
    self_test(PACKAGE, Session(PACKAGE.model))


def test_a_self_test_with_other_answers_fails():
    arrays = packages.arrays_with(scores=np.full(6, 9.0))
    other = read_package(packages.with_file("selftest.npz", arrays))
    with pytest.raises(ModelPackageError, match="self-test 1 of 6"):
        self_test(other, Session(other.model))


def test_onnxruntime_refuses_what_is_no_model():
    with pytest.raises(ModelPackageError, match="onnxruntime refuses"):
        Session(b"no model")


def test_a_window_of_other_shape_fails_with_our_exception():
    with pytest.raises(ModelPackageError, match="onnxruntime failed"):
        Session(PACKAGE.model).run(np.zeros((3, 3), np.float32))


def test_the_same_window_gives_the_same_answer(scorer):
    rows = rows_of(simulate(PUMP, 320, seed=3))
    again = Scorer(PACKAGE.manifest, Session(PACKAGE.model))
    assert list(scorer.judge_table(rows)) == list(again.judge_table(rows))


def test_the_future_changes_nothing(scorer):
    rows = rows_of(simulate(PUMP, 330, seed=3))
    other = rows.copy()
    other[310:] *= -3.0
    assert list(scorer.judge_table(rows))[:11] == list(scorer.judge_table(other))[:11]


def test_normal_operation_seldom_alarms(scorer):
    rows = rows_of(simulate(PUMP, 2300, seed=11))
    alarms = sum(judged.is_anomaly for judged in scorer.judge_table(rows))
    assert alarms <= 10  # 2001 rows at a budget of 1 in 1000, and an alarm may stay a few rows


@pytest.mark.parametrize("name", ["flow", "pressure", "current", "vibration"])
@pytest.mark.parametrize("size", [4.0, -5.0])
def test_a_fault_is_found_and_its_variable_named(scorer, name, size):
    columns = simulate(PUMP, 420, seed=17)
    columns[name] = inject(columns[name], Fault("step", 400, 20, size))
    late = list(scorer.judge_table(rows_of(columns)))[-10:]
    assert all(judged.is_anomaly for judged in late)
    first = [judged.interpretation(NAMES, 3)[0].variable for judged in late]
    assert first.count(name) >= 9


def test_a_broken_correlation_is_found_with_every_variable_in_its_range(scorer):
    """Vibration and current come from another run of the same pump: each normal alone."""
    columns, other = simulate(PUMP, 600, seed=21), simulate(PUMP, 600, seed=22)
    mixed = {name: (other if name == "current" else columns)[name] for name in NAMES}
    judged = list(scorer.judge_table(rows_of(mixed)))
    assert np.mean([j.is_anomaly for j in judged]) > 0.9
    changed = judged[-1].interpretation(NAMES)[0].changed
    assert "current" in changed[:2]
