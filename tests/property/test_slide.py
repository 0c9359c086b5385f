"""The sliding saliency: equals the whole-window map, at any length, on every instruction set, for ever."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgead import native
from edgead.errors import InvalidInput, NativeError
from tests import naive

SEEDS = st.integers(0, 2**32 - 1)
WINDOWS = st.integers(8, 140)


def available(isa):
    try:
        native.slide_table(8, isa=isa)
    except InvalidInput:
        return False
    return True


ISAS = [isa for isa in native.ISA_NAMES if available(isa)]  # "best" and "portable" everywhere


def series(seed, count, offset=0.0, scale=1.0):
    rng = np.random.default_rng(seed)
    season = np.sin(np.arange(count) * rng.uniform(0.05, 3))
    return scale * (offset + season + rng.normal(size=count))


def test_this_processor_runs_more_than_the_portable_step_if_it_can():
    best = native.slide_table(64).isa
    assert best == ISAS[-1] if len(ISAS) > 2 else best == "portable"


@pytest.mark.parametrize("isa", ISAS)
@given(WINDOWS, SEEDS, st.sampled_from([0.0, 1e3, 1e6]), st.sampled_from([1e-9, 1.0, 1e9]))
def test_double_equals_the_twin_from_the_first_sample_on(isa, window, seed, offset, scale):
    x = series(seed, 3 * window + 5, offset, scale)
    wanted = naive.sliding_saliency(x, window)
    assert np.abs(native.Slide(window, isa=isa).feed_all(x) - wanted).max() <= 1e-9 * wanted.max()


@pytest.mark.parametrize("isa", ISAS)
@given(WINDOWS, SEEDS, st.sampled_from([0.0, 1e3, 1e6]), st.sampled_from([1e-9, 1.0, 1e9]))
def test_float_equals_the_twin_within_single_precision(isa, window, seed, offset, scale):
    x = series(seed, 3 * window + 5, offset, scale)
    wanted = naive.sliding_saliency(x, window, epsilon=np.finfo(np.float32).eps)
    errors = np.abs(native.Slide(window, single=True, isa=isa).feed_all(x) - wanted) / wanted.max()
    # a bin that happens to be near zero is ill-conditioned: the few points that meet one are allowed more
    assert np.quantile(errors, 0.9) <= 1e-4
    assert errors.max() <= 5e-2


@pytest.mark.parametrize("window", [288, 293, 1440, 1445, 2885])
def test_longer_windows_equal_the_whole_window_map(window):
    x = series(window, 2 * window + 100)
    got = native.Slide(window).feed_all(x)
    for i in (window - 1, 2 * window - 1, 2 * window, 2 * window + 99):
        assert got[i] == pytest.approx(native.saliency(x[i - window + 1 : i + 1])[-1], rel=1e-9)


@given(WINDOWS, SEEDS)
def test_instruction_sets_agree(window, seed):
    x = series(seed, 4 * window)
    results = [native.Slide(window, isa=isa).feed_all(x) for isa in ISAS]
    for result in results[1:]:
        assert np.abs(result - results[0]).max() <= 1e-9 * results[0].max()


@given(WINDOWS, SEEDS, st.booleans(), st.data())
def test_a_corrected_sample_counts_as_if_it_had_come_so(window, seed, single, data):
    x = series(seed, 3 * window)
    at = data.draw(st.integers(1, len(x) - 1))
    age = data.draw(st.integers(0, min(window, at) - 1))
    right, wrong = native.Slide(window, single=single), native.Slide(window, single=single)
    damaged = x.copy()
    damaged[at - 1 - age] += data.draw(st.sampled_from([-30.0, 0.5, 1e3]))
    right.feed_all(x[:at])
    wrong.feed_all(damaged[:at])
    wrong.replace(age, x[at - 1 - age])
    if at - 1 - age == 0:
        return  # the first sample is also what fills the window before it
    wanted, got = right.feed_all(x[at:]), wrong.feed_all(x[at:])
    errors = np.abs(got - wanted) / wanted.max()
    assert errors.max() <= (5e-2 if single else 1e-8)


@given(WINDOWS, SEEDS, st.booleans(), st.integers(0, 9), st.data())
def test_a_checkpoint_goes_on_bit_for_bit(window, seed, single, mean_len, data):
    x = series(seed, 3 * window)
    cut = data.draw(st.integers(0, len(x)))
    first = native.Slide(window, single=single, mean_len=mean_len)
    first.feed_all(x[:cut])
    second = native.Slide(window, single=single, mean_len=mean_len)
    second.load(first.dump())
    assert (second.feed_all(x[cut:]) == first.feed_all(x[cut:])).all()
    assert second.dump() == first.dump()
    assert second.mean == first.mean


@given(WINDOWS, SEEDS, st.booleans())
def test_one_at_a_time_equals_all_at_once(window, seed, single):
    x = series(seed, 2 * window)
    one, all_ = native.Slide(window, single=single), native.Slide(window, single=single)
    assert [one.feed(v) for v in x] == all_.feed_all(x).tolist()
    assert one.dump() == all_.dump()


@given(WINDOWS, st.floats(-1e9, 1e9), st.booleans())
def test_a_constant_has_no_saliency_and_a_first_change_has_some(window, level, single):
    slide = native.Slide(window, single=single)
    assert not slide.feed_all(np.full(3 * window, level)).any()
    assert slide.feed(level + max(1.0, abs(level))) > 0.5


@given(st.integers(32, 140), st.booleans())
def test_a_spike_is_the_most_salient_sample_of_its_window(window, single):
    x = np.random.default_rng(window).normal(size=4 * window)
    x[3 * window] += 100
    got = native.Slide(window, single=single).feed_all(x)
    assert got[2 * window :].argmax() == window


@given(WINDOWS, SEEDS, st.integers(1, 64))
def test_the_streamed_mean_is_that_of_the_last_saliencies(window, seed, mean_len):
    slide = native.Slide(window, mean_len=mean_len)
    assert slide.mean == 0
    got = [slide.feed(v) for v in series(seed, 100)]
    assert slide.mean == pytest.approx(np.mean(got[-mean_len:]))
    assert slide.count == 100


@pytest.mark.parametrize("single", [False, True])
def test_no_drift_in_a_million_samples(single):
    window, count = 1440, 1_000_000
    x = 1e6 + series(4, count)
    got = native.Slide(window, single=single).feed_all(x)

    def errors(last):
        wanted = np.array([native.saliency(x[i - window + 1 : i + 1])[-1] for i in last])
        return np.abs(got[last] - wanted) / wanted.mean()

    early, late = errors(np.arange(2 * window, 4 * window)), errors(np.arange(count - 2 * window, count))
    # float: each window is a few thousand float additions old, 1e-6; single points that meet a bin near zero have more
    assert np.median(late) <= (1e-5 if single else 1e-14)
    assert np.quantile(late, 0.99) <= (1e-4 if single else 1e-12)
    assert np.median(late) <= 2 * np.median(early)
    if not single:
        assert late.max() <= 1e-11


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_changes_nothing(single, bad):
    slide = native.Slide(30, single=single)
    slide.feed_all(np.arange(50.0))
    before = slide.dump()
    for call in (lambda: slide.feed(bad), lambda: slide.replace(3, bad), lambda: slide.feed_all([1.0, bad])):
        with pytest.raises(InvalidInput):
            call()
    assert slide.dump() == before


@pytest.mark.parametrize(("single", "far"), [(False, 1e200), (True, 1e20)])
def test_a_value_beyond_the_precision_is_refused_and_changes_nothing(single, far):
    slide = native.Slide(30, single=single)
    slide.feed_all(np.arange(50.0))
    before = slide.dump()
    with pytest.raises(InvalidInput, match="range"):
        slide.feed(far)
    assert slide.dump() == before
    assert np.isfinite(slide.feed_all(np.arange(50.0))).all()


@pytest.mark.parametrize("single", [False, True])
@pytest.mark.parametrize("age", [30, 1000, 2**40])
def test_there_is_no_sample_older_than_the_window(single, age):
    slide = native.Slide(30, single=single)
    slide.feed_all(np.arange(50.0))
    with pytest.raises(InvalidInput):
        slide.replace(age, 1.0)
    fresh = native.Slide(30, single=single)
    with pytest.raises(InvalidInput):
        fresh.replace(0, 1.0)


@pytest.mark.parametrize("single", [False, True])
@given(st.data())
@settings(max_examples=200)
def test_a_damaged_checkpoint_is_refused_or_at_least_reads_no_foreign_memory(single, data):
    slide = native.Slide(40, single=single, mean_len=5)
    slide.feed_all(np.sin(np.arange(70.0)))
    state = bytearray(slide.dump())
    at = data.draw(st.integers(0, len(state) - 1))
    state[at] ^= data.draw(st.integers(1, 255))
    other = native.Slide(40, single=single, mean_len=5)
    try:
        other.load(bytes(state))
    except NativeError:
        assert other.count == 0
        return
    with contextlib.suppress(InvalidInput):  # a damaged level may put every sample out of range
        other.feed_all(np.cos(np.arange(100.0)))


@pytest.mark.parametrize(
    "other", [{"window": 41}, {"window": 40, "single": True}, {"window": 40, "mean_len": 4}]
)
def test_a_checkpoint_of_another_shape_is_refused(other):
    state = native.Slide(40).dump()
    with pytest.raises(NativeError):
        native.Slide(**other).load(state)


@pytest.mark.parametrize("window", [0, 7, 65537, 10**9])
def test_a_window_out_of_range_is_refused(window):
    with pytest.raises(InvalidInput, match=r"expected 8..65536"):
        native.Slide(window)


def test_the_state_is_as_small_as_promised_and_tables_are_shared():
    for n in (8, 288, 1440, 4096):
        assert len(native.Slide(n, single=True, mean_len=32).dump()) <= 12 * n + 256
        assert len(native.Slide(n, mean_len=16).dump()) <= 24 * n + 256
    assert native.Slide(100).table is native.Slide(100).table
    assert native.Slide(100).table is not native.Slide(100, single=True).table


@pytest.mark.parametrize("single", [False, True])
@given(WINDOWS, SEEDS)
def test_a_checkpoint_moves_between_instruction_sets(single, window, seed):
    x = series(seed, 3 * window)
    slides = [native.Slide(window, single=single, isa=isa) for isa in ISAS]
    slides[0].feed_all(x[: 2 * window])
    for other in slides[1:]:
        other.load(slides[0].dump())
    results = [slide.feed_all(x[2 * window :]) for slide in slides]
    for result in results[1:]:
        assert np.abs(result - results[0]).max() <= (5e-2 if single else 1e-9) * results[0].max()
