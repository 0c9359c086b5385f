"""Saliency maps of whole windows: C equals the slow twin; what scaling, shifting and damage do."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgead import native
from edgead.errors import InvalidInput
from tests import naive

LENGTHS = st.integers(4, 400) | st.sampled_from([577, 1440, 1445, 2885, 8645])
SEEDS = st.integers(0, 2**32 - 1)
OFFSETS = st.sampled_from([0.0, 1.0, -300.0, 1e6])
SCALES = st.sampled_from([1e-9, 1e-3, 1.0, 1e4, 1e9])


def noise(n, seed):
    return np.random.default_rng(seed).normal(size=n)


@given(LENGTHS, SEEDS, OFFSETS, SCALES)
def test_double_equals_the_twin(n, seed, offset, scale):
    x = scale * (offset + noise(n, seed))
    wanted = naive.saliency(x)
    assert np.abs(native.saliency(x) - wanted).max() <= 1e-11 * wanted.max()


@given(LENGTHS, SEEDS, SCALES)
def test_float_equals_the_twin(n, seed, scale):
    x = (scale * noise(n, seed)).astype(np.float32)
    epsilon = np.finfo(np.float32).eps
    wanted = naive.saliency(x.astype(float), epsilon=epsilon)
    amplitude = np.abs(np.fft.fft(x.astype(float)))[1:]
    # a bin near zero has a direction that rounding decides: its error is that of the largest bin over its own size
    ill_conditioned = np.minimum(epsilon * amplitude.max() / np.maximum(amplitude, 1e-300), 2).mean()
    assert np.abs(native.saliency(x) - wanted).max() <= 1e-5 * wanted.max() + 4 * ill_conditioned


@given(LENGTHS, SEEDS, st.sampled_from([0.0, 1.0, -300.0]), SCALES)
def test_the_service_rule_equals_its_twin(n, seed, offset, scale):
    x = scale * (offset + noise(n, seed))
    wanted = naive.service_saliency(x)
    assert np.abs(native.saliency(x, service=True) - wanted).max() <= 1e-10 * wanted.max()


@given(st.integers(4, 3000), st.floats(-1e6, 1e6))
def test_a_constant_window_has_no_saliency(n, value):
    assert native.saliency(np.full(n, value)).max() == 0


@given(st.integers(8, 3000), st.data(), st.floats(-1e6, 1e6), st.floats(1e-3, 1e9))
def test_a_single_spike_stands_out_where_it_is(n, data, level, height):
    at = data.draw(st.integers(0, n - 1))
    x = np.full(n, level)
    x[at] += height
    assert native.saliency(x).argmax() == at


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("service", [False, True])
def test_a_value_that_is_not_finite_is_refused(bad, dtype, service):
    x = np.zeros(50, dtype)
    x[49] = bad
    with pytest.raises(InvalidInput, match="NaN or infinite"):
        native.saliency(x, service=service)


def test_a_window_that_is_too_short_is_refused():
    with pytest.raises(InvalidInput, match="at least 4"):
        native.saliency(np.ones(3))
