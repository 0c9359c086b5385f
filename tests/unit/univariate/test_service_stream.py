"""The streaming detector "service": what it judges, when it renews its model, what survives a restart."""

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.univariate import DetectorSettings, Request, detect_last, make_detector


def season(n, *, period=12, seed=0, noise=0.3):
    return (
        100
        + 10 * np.sin(2 * np.pi * np.arange(n) / period)
        + noise * np.random.default_rng(seed).normal(size=n)
    )


def feed(detector, values):
    return [detector.judge(float(v), 0) for v in values]


def fresh(**settings):
    return make_detector("service", DetectorSettings(**({"window": 120, "sensitivity": 90} | settings)))


def test_it_learns_for_a_quarter_of_the_window_first():
    detector = fresh()
    assert detector.needed == 30
    answers = feed(detector, season(29))
    assert all(np.isnan(a[2]) and not a[5] for a in answers)
    feed(detector, season(1))
    assert detector.needed == 0


def test_a_spike_is_what_the_last_call_says_about_the_same_window():
    values = season(300)
    values[299] += 40
    detector = fresh()
    *_, (score, severity, expected, lower, upper, is_anomaly) = feed(detector, values)
    wanted = detect_last(Request(values=values[-120:], sensitivity=90, period=12))
    assert is_anomaly
    assert wanted.is_anomaly
    assert (expected, severity) == (wanted.expected, wanted.severity)
    assert upper == wanted.expected + wanted.upper_margin
    assert lower == wanted.expected - wanted.lower_margin
    assert score == pytest.approx((values[-1] - expected) / wanted.upper_margin)
    assert score > 1


def test_a_quiet_season_raises_no_alarm_and_expects_the_season():
    values = season(400)
    answers = feed(fresh(), values)[200:]
    assert not any(a[5] for a in answers)
    assert np.abs(np.array([a[2] for a in answers]) - values[200:]).max() < 3


def test_every_reading_of_the_stream_between_renewals_stays_near_a_full_run():
    values = season(240)
    detector = fresh()
    feed(detector, values[:200])
    for k in range(200, 240):
        expected = detector.judge(float(values[k]), 0)[2]
        whole = detect_last(Request(values=values[k - 119 : k + 1], sensitivity=90, period=12)).expected
        assert abs(expected - whole) < 1.5


def test_it_explains_its_last_judgement():
    detector = fresh()
    feed(detector, season(131))
    facts = detector.explain()
    assert facts["chosen"] == "Seasonal"
    assert facts["period"] == 12
    assert abs(facts["trend"] + facts["season"] - season(131)[-1]) < 3
    assert 0 <= facts["since_full_run"] <= 120 / 16


def test_gates_hold_anomalies_back():
    values = season(200)
    values[-1] += 40
    assert feed(fresh(), values)[-1][5]
    assert not feed(fresh(min_abs=60.0), values)[-1][5]
    assert not feed(fresh(min_rel=0.9), values)[-1][5]
    assert not feed(fresh(direction="below"), values)[-1][5]
    assert feed(fresh(direction="above"), values)[-1][5]


@pytest.mark.parametrize("cut", [0, 5, 29, 30, 119, 121, 150])
def test_a_dump_continues_bit_for_bit(cut):
    values = season(200)
    values[160] += 30
    whole, first, second = fresh(), fresh(), fresh()
    wanted = feed(whole, values)
    feed(first, values[:cut])
    second.load(first.dump())
    got = feed(second, values[cut:])
    assert repr(got) == repr(wanted[cut:])
    assert second.dump() == whole.dump()


def test_damaged_dumps_are_refused():
    detector = fresh()
    feed(detector, season(130))
    good = detector.dump()
    other_window = make_detector("service", DetectorSettings(window=60))
    for bad in (b"", good[:-1], good[:-8], b"X" + good[1:], good + b"\0" * 8):
        with pytest.raises(InvalidInput):
            fresh().load(bad)
    with pytest.raises(InvalidInput):
        other_window.load(good)


def test_missing_rows_repeat_the_value_before_them():
    one, two = fresh(), fresh()
    values = season(150)
    feed(one, values[:100])
    feed(two, values[:100])
    one.judge(float(values[103]), 3)
    feed(two, [values[99]] * 3 + [values[103]])
    assert np.array_equal(one._rows[0], two._rows[0])


def test_a_long_gap_and_huge_values_do_no_harm():
    detector = fresh()
    feed(detector, season(130))
    detector.judge(1e300, 10**9)
    detector.judge(-1e300, 0)
    assert len(feed(detector, season(130))) == 130


def test_revised_rows_count_in_later_judgements():
    one, two = fresh(), fresh()
    values = season(130)
    wrong = values.copy()
    wrong[120] += 50
    feed(one, wrong[:121])
    one.revise(0, float(values[120]))
    one.revise(500, 1.0)
    feed(one, values[121:])
    feed(two, values)
    assert np.isfinite(one.judge(100.0, 0)[2])
    assert two.nbytes == one.nbytes
