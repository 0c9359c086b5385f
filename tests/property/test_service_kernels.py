"""The C loops of the service's detection equal their slow twins."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgead import native
from edgead.errors import InvalidInput
from tests import naive_service as naive

SEEDS = st.integers(0, 2**32 - 1)
KINDS = ("noise", "walk", "whole numbers", "coarse walk", "constant", "season", "half dead")


def checked(*strategies, examples=60):
    """``given``, without a deadline: the twins are slow on purpose."""
    return lambda test: settings(deadline=None, max_examples=examples)(given(*strategies)(test))


def make(kind, n, seed):
    x = np.random.default_rng(seed).normal(size=n)
    return {
        "noise": x,
        "walk": np.cumsum(x),
        "whole numbers": np.round(x),
        "coarse walk": np.round(np.cumsum(x) / 3),
        "constant": np.full(n, 3.25),
        "season": 5 * np.sin(np.arange(n) / 7) + 0.1 * x,
        "half dead": np.r_[np.zeros(n // 2), x[n // 2 :]],
    }[kind]


def series(least=12, most=300, kinds=KINDS):
    return st.builds(make, st.sampled_from(kinds), st.integers(least, most), SEEDS)


def close(got, wanted, digits=1e-10):
    scale = np.abs(wanted).max() + 1e-300
    assert np.abs(np.asarray(got) - wanted).max() <= digits * scale


@checked(series(2, 600) | series(1023, 1100), examples=40)
def test_theil_sen_slope(v):
    got, wanted = native.svc_theil_sen(v), naive.theil_sen(v)
    assert abs(got - wanted) <= 1e-12 * (np.ptp(v) + abs(wanted))


@checked(series(), st.integers(0, 320), st.booleans())
def test_running_median(v, half, single):
    if single:
        wanted = [float(naive.median32(v[max(0, i - half) : i + half + 1])) for i in range(len(v))]
    else:
        wanted = naive.running_median(v, half, ends="inside")
    close(native.svc_running_median(v, half, single), np.array(wanted))


@checked(series(), st.data())
def test_straight_ends(v, data):
    width = data.draw(st.integers(2, len(v)))
    close(native.svc_straight_ends(v, width), naive.straight_ends(v, width))


@checked(series(), st.data())
def test_spline(v, data):
    inner = data.draw(st.integers(0, len(v) // 4))
    close(native.svc_spline(v, inner), naive.lsq_spline(v, inner))


@checked(series(kinds=("noise", "walk", "season")), st.data(), examples=25)
def test_decomposition(v, data):
    # with two or three members a phase fits itself and the robustness weights are those of rounding noise
    period = data.draw(st.integers(2, max(2, (len(v) - 1) // 4)))
    trend, season = native.svc_stl(v, period)
    wanted = naive.stl(v, period)
    if np.median(np.abs(wanted.rest)) > 1e-9 * np.ptp(v):
        close(trend, wanted.trend, 1e-8)
        assert np.abs(season - wanted.season).max() <= 1e-8 * np.ptp(v)


@checked(series(), st.data())
def test_leave_one_out_errors(v, data):
    periods = data.draw(st.lists(st.integers(1, len(v) // 2), min_size=1, max_size=5))
    wanted = np.array([naive.leave_one_out(v, p) for p in periods])
    assert np.abs(native.svc_phase_errors(v, periods) - wanted).max() <= 1e-11 * (v.var() + 1e-300)


@checked(series(), st.data())
def test_cut_phases(v, data):
    period = data.draw(st.integers(1, len(v)))
    assert np.array_equal(native.svc_cut_phases(v, period), naive.cut_phases(v, period))


@checked(st.integers(3, 17280), st.floats(1e-6, 1.0))
def test_limit_of_the_deviate_test(m, alpha):
    wanted = naive.limit(m, alpha)
    assert abs(native.svc_esd_limit(m, alpha) - wanted) <= 1e-9 * abs(wanted)


@checked(
    series(),
    st.sampled_from([1, -1]),
    st.sampled_from(["entire", "last"]),
    st.floats(0.001, 0.9),
    st.data(),
    examples=40,
)
def test_deviate_test(v, sign, mode, alpha, data):
    x = naive.scaled(v)
    if naive.mad(x) <= naive.EPS:
        return
    top = data.draw(st.integers(1, len(v) // 2))
    order = naive.ranking(x, sign, mode)
    start = int(np.flatnonzero(order == len(x) - 1)[0]) if mode == "last" else 0
    got = native.svc_esd(-sign * x[order], start, top, mode == "last", alpha)
    assert got == len(naive.esd(x, order, sign, top, mode, alpha))


@checked(series(40, 150))
def test_dickey_fuller(v):
    wanted = naive.adf_statistic(v)
    got = native.svc_adf(v)
    if wanted is None:
        assert np.isnan(got)
    else:
        assert abs(got - wanted) <= 1e-6 * abs(wanted) + 1e-9


@checked(series())
def test_kpss(v):
    wanted = naive.kpss_statistic(v)
    got = native.svc_kpss(v)
    if wanted is None:
        assert np.isnan(got)
    else:
        assert abs(got - wanted) <= 1e-9 * abs(wanted)


@checked(series(20, 300), st.integers(2, 60), st.floats(0.05, 0.9), SEEDS)
def test_filling(v, period, missing, seed):
    random = np.random.default_rng(seed)
    known = np.flatnonzero(np.r_[True, random.random(len(v) - 2) > missing, True])
    if len(known) < 4:
        return
    close(native.svc_fill(known, v[known], period, len(v)), naive.fill_auto(known, v[known], period), 1e-9)


@checked(series(), st.integers(1, 40), st.floats(0.01, 0.99))
def test_change_points(v, window, tolerance):
    flags, scores = native.svc_change_points(v, tolerance, window)
    wanted_flags, wanted_scores = naive.change_scan(v, tolerance, window)
    if np.abs(wanted_scores - tolerance).min() < 1e-9:
        return  # rounding decides
    assert np.array_equal(flags, wanted_flags)
    assert np.abs(scores - wanted_scores).max() <= 1e-10


@checked(series(kinds=("noise", "walk", "season")))
def test_residual_score(v):
    saliency = native.saliency(v, service=True)
    base = naive.trailing_mean_filled(saliency)
    wanted = np.abs(saliency - base) / base
    wanted[0] = 0
    close(native.svc_residual_score(saliency), wanted)


@checked(series())
def test_order_and_median(v):
    assert np.array_equal(native.svc_order(v), np.argsort(v, kind="stable"))
    median, mad = native.svc_median(v)
    close([median, mad], np.array([np.median(v), naive.mad(v)]), 1e-14)


@checked(
    st.datetimes(), st.sampled_from(["", "Z", "+00:00", "-03:30", "+14:00"]), st.sampled_from(["T", " "])
)
def test_times_read_as_python_reads_them(moment, zone, between):
    text = moment.isoformat(between) + zone
    wanted = naive.parse(moment.replace(tzinfo=None).isoformat())
    micros, bad = native.svc_parse_times([text])
    assert bad == -1
    offset = {"-03:30": -12600, "+14:00": 50400}.get(zone, 0)
    expected = np.datetime64(wanted.replace(tzinfo=None)).astype("datetime64[us]").astype(np.int64)
    assert micros[0] == expected - offset * 1_000_000


@checked(st.text(max_size=40) | st.from_regex(r"[0-9TZ:+.\- ]{0,35}", fullmatch=True))
def test_no_text_breaks_the_reader_of_times(text):
    micros, bad = native.svc_parse_times([text])
    assert bad in (-1, 0)
    assert len(micros) == 1


@pytest.mark.parametrize(
    "call",
    [
        lambda: native.svc_stl(np.zeros(20), 10),
        lambda: native.svc_stl(np.zeros(20), 1),
        lambda: native.svc_theil_sen(np.zeros(1)),
        lambda: native.svc_straight_ends(np.zeros(10), 11),
        lambda: native.svc_spline(np.zeros(10), 7),
        lambda: native.svc_phase_errors(np.zeros(10), [6]),
        lambda: native.svc_cut_phases(np.zeros(10), 0),
        lambda: native.svc_esd(np.zeros(10), 0, 3, False, 0.0),
        lambda: native.svc_adf(np.zeros(3)),
        lambda: native.svc_kpss(np.zeros(20000)),
        lambda: native.svc_fill([0, 1, 2, 4], np.zeros(4), 2, 6),
        lambda: native.svc_fill([0, 1, 1, 5], np.zeros(4), 2, 6),
        lambda: native.svc_change_points(np.zeros(10), 2.0, 3),
        lambda: native.svc_order(np.zeros((3, 3))),
    ],
)
def test_arguments_out_of_range_are_refused(call):
    with pytest.raises(InvalidInput):
        call()
