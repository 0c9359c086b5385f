"""The streaming detector: C equals its obvious twin, and the properties that users rely on."""

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.native import SpectralResidual
from tests.naive_detector import Detector


def series(seed: int, count: int) -> np.ndarray:
    """Noise with spikes, a season, a shift, a drift or a frozen stretch, as the seed has it."""
    rng = np.random.default_rng(seed)
    kind, row = rng.integers(0, 6), np.arange(count)
    x = rng.standard_normal(count)
    if kind == 0:
        x[rng.integers(0, count, 6)] += 12
    elif kind == 1:
        x += 6 * np.sin(2 * np.pi * row / rng.integers(9, 25))
    elif kind == 2:
        x[count // 2 :] += 15
    elif kind == 3:
        x += np.linspace(0, 20, count)
    elif kind == 4:
        x[count // 2 : count // 2 + 40] = x[count // 2 - 1]
    else:
        x = np.cumsum(np.abs(x))
        x[count // 2 :] -= x[count // 2]
    return x


seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(seed=seeds, window=st.sampled_from([48, 59, 64]), sensitivity=st.integers(0, 100))
def test_the_detector_equals_its_twin(seed: int, window: int, sensitivity: int):
    x = series(seed, 420)
    gaps = np.where(np.random.default_rng(seed).random(420) < 0.02, 3, 0)
    twin, detector = (
        Detector(window, sensitivity),
        SpectralResidual(window, sensitivity=sensitivity, single=False),
    )
    for i, (value, missing) in enumerate(zip(x.tolist(), gaps.tolist())):
        want = twin.judge(value, missing)
        score, _, expected, lower, upper, _ = detector.judge(value, missing)
        if want is None:
            assert score == 0
            assert np.isnan(expected)
        else:
            assert np.allclose((score, expected, lower, upper), want, rtol=1e-6, atol=1e-9), (i, want)


@settings(max_examples=15, deadline=None)
@given(
    seed=seeds,
    code=st.sampled_from([3.4e38, -3.4e38, 1.7e308, -1e14]),
    at=st.integers(0, 18),
    single=st.booleans(),
)
def test_an_overflow_code_among_the_first_readings_leaves_no_trace(
    seed: int, code: float, at: int, single: bool
):
    detector, fresh = (SpectralResidual(48, single=single) for _ in range(2))
    x = series(seed, 300).tolist()
    for value in [*x[:at], code]:
        detector.judge(value)
    for value in x[at:]:
        assert detector.judge(value, missing=1) == pytest.approx(fresh.judge(value, missing=1), nan_ok=True)
    assert detector.dump() == fresh.dump()


@settings(max_examples=15, deadline=None)
@given(seed=seeds, window=st.integers(12, 400), single=st.booleans())
def test_many_readings_at_once_are_judged_bit_for_bit_as_one_by_one(seed: int, window: int, single: bool):
    x = series(seed, 500)
    gaps = np.random.default_rng(seed).integers(0, 3, 500)
    one, many = (SpectralResidual(window, single=single) for _ in range(2))
    rows = np.array([one.judge(v, g) for v, g in zip(x.tolist(), gaps.tolist())])
    for column, want in zip(many.judge_many(x, gaps), rows.T):
        assert np.array_equal(column, want, equal_nan=True)
    assert one.dump() == many.dump()


@settings(max_examples=15, deadline=None)
@given(seed=seeds, window=st.integers(12, 300), cut=st.integers(0, 499), single=st.booleans())
def test_stopping_and_continuing_anywhere_changes_nothing(seed: int, window: int, cut: int, single: bool):
    x = series(seed, 500)
    whole, first, second = (SpectralResidual(window, single=single) for _ in range(3))
    want = whole.judge_many(x)
    first.judge_many(x[:cut])
    second.load(first.dump())
    for column, all_ in zip(second.judge_many(x[cut:]), want):
        assert np.array_equal(column, all_[cut:], equal_nan=True)
    assert second.dump() == whole.dump()


@settings(max_examples=15, deadline=None)
@given(seed=seeds, low=st.integers(0, 99), window=st.sampled_from([30, 120, 360]))
def test_a_value_flagged_at_one_sensitivity_is_flagged_at_the_next(seed: int, low: int, window: int):
    x = series(seed, 900)
    less = SpectralResidual(window, sensitivity=low).judge_many(x)
    more = SpectralResidual(window, sensitivity=low + 1).judge_many(x)
    judged = ~np.isnan(less[2])
    assert np.all(more[0][judged] >= less[0][judged] * (1 - 1e-12))
    assert np.all(more[5][less[5]])


@settings(max_examples=20, deadline=None)
@given(seed=seeds, sensitivity=st.integers(0, 100), offset=st.sampled_from([0.0, 50.0, -1e6]))
def test_a_value_is_outside_its_band_exactly_when_the_score_says_so(
    seed: int, sensitivity: int, offset: float
):
    x = series(seed, 900) + offset
    score, _, expected, lower, upper, hit = SpectralResidual(120, sensitivity=sensitivity).judge_many(x)
    judged = ~np.isnan(expected)
    slack = 1e-9 * np.maximum(1, np.abs(x))
    outside = (x <= lower + slack) | (x >= upper - slack)
    inside = (x >= lower - slack) & (x <= upper + slack)
    assert np.all(outside[judged & (score >= 1)])
    assert np.all(inside[judged & (score < 1)])
    assert np.array_equal(hit[judged], score[judged] >= 1)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, power=st.integers(-13, 13).map(lambda k: 3 * k), single=st.booleans())
def test_the_unit_of_the_series_does_not_matter(seed: int, power: int, single: bool):
    # powers of 8: the sixth roots of the saliency then round alike, and no view falls to the other side of a bin's edge
    x = series(seed, 700)
    x += 1e-3 * np.random.default_rng(seed + 1).random(700)
    plain = SpectralResidual(100, single=single).judge_many(x)
    scaled = SpectralResidual(100, single=single).judge_many(x * 2.0**power)
    judged = ~np.isnan(plain[2])
    assert np.allclose(plain[0][judged], scaled[0][judged], rtol=1e-3)
    assert np.allclose(plain[2][judged] * 2.0**power, scaled[2][judged], rtol=1e-3, atol=1e-6 * 2.0**power)


@settings(max_examples=10, deadline=None)
@given(seed=seeds, offset=st.sampled_from([-1e6, 1e3, 1e6]))
def test_an_offset_moves_the_band_and_leaves_the_scores(seed: int, offset: float):
    x = np.round(series(seed, 700) * 1024) / 1024
    plain = SpectralResidual(100).judge_many(x)
    moved = SpectralResidual(100).judge_many(x + offset)
    judged = ~np.isnan(plain[2])
    near = np.isclose(plain[0][judged], moved[0][judged], rtol=1e-2)
    assert near.mean() > 0.98  # a view on the edge of a bin may fall to either side of it
    assert np.mean(np.abs(plain[2][judged] + offset - moved[2][judged]) < 1e-3) > 0.98


@settings(max_examples=10, deadline=None)
@given(seed=seeds)
def test_float_and_double_agree(seed: int):
    x = series(seed, 900)
    wide = SpectralResidual(150, single=False).judge_many(x)
    short = SpectralResidual(150, single=True).judge_many(x)
    judged = ~np.isnan(wide[2])
    assert np.isclose(wide[0][judged], short[0][judged], rtol=1e-2).mean() > 0.98


@settings(max_examples=200, deadline=None)
@given(seed=seeds, data=st.data())
def test_a_damaged_state_is_refused_or_harmless(seed: int, data: st.DataObject):
    detector = SpectralResidual(20)
    detector.judge_many(series(seed, 200))
    state = bytearray(detector.dump())
    for _ in range(data.draw(st.integers(1, 8))):
        state[data.draw(st.integers(0, len(state) - 1))] = data.draw(st.integers(0, 255))
    other = SpectralResidual(20)
    before = other.dump()
    try:
        other.load(bytes(state))
    except InvalidInput:
        assert other.dump() == before
        return
    other.judge_many(series(seed, 100))


def test_a_state_of_another_window_or_precision_is_refused():
    with pytest.raises(InvalidInput, match=r"state: .* bytes, expected"):
        SpectralResidual(20).load(SpectralResidual(21).dump())
    with pytest.raises(InvalidInput, match="state"):
        SpectralResidual(20).load(SpectralResidual(20, single=False).dump())
    with pytest.raises(InvalidInput, match="damaged"):
        SpectralResidual(20).load(bytes(SpectralResidual(20).nbytes))
