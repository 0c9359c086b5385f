"""What the streaming detector must not be fooled by; windows of a few hundred rows, default sensitivity."""

import numpy as np
import pytest

from edgead.errors import InvalidInput
from edgead.native import SpectralResidual

WINDOW = 360


def noise(seed: int, count: int, size: float = 1.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(count) * size


def events(
    x: np.ndarray, missing: np.ndarray | None = None, *, since: int = 0, **settings
) -> list[tuple[int, int]]:
    """First and last row of each run of alarms, runs within eight readings joined."""
    hits = SpectralResidual(WINDOW, **settings).judge_many(x, missing)[5]
    rows = np.flatnonzero(hits)
    parts = np.split(rows, np.flatnonzero(np.diff(rows) > 8) + 1) if len(rows) else []
    return [(int(p[0]), int(p[-1])) for p in parts if p[0] >= since]


def rate(x: np.ndarray, **settings) -> float:
    """Events per 1000 judged readings."""
    return 1000 * len(events(x, **settings)) / (len(x) - 96)


# ---------------------------------------------------------------- constants and steps


def test_a_constant_series_is_never_an_anomaly():
    assert events(np.full(3000, 5.0)) == []


def test_the_first_change_of_a_constant_series_is_one_alarm_and_then_a_new_normal():
    assert events(np.r_[np.full(1500, 5.0), np.full(1500, 6.0)]) == [(1500, 1500)]


def test_a_constant_series_that_begins_to_vary_alarms_once_and_not_for_ever():
    assert len(events(np.r_[np.full(1500, 5.0), 5 + noise(1, 3000)])) <= 3


def test_a_score_is_never_stuck_after_the_first_change():
    score = SpectralResidual(WINDOW).judge_many(np.r_[np.full(1500, 5.0), 6 + noise(2, 1500, 0.1)])[0]
    assert np.mean(score[1510:] >= 1) < 0.005


@pytest.mark.parametrize("size", [6, 20, 200])
def test_a_step_that_stays_is_one_event_and_accepted_within_sixteen_readings(size: int):
    found = events(np.r_[noise(3, 1500), size + noise(4, 1500)], since=1400)
    assert found[0][0] == 1500
    assert found[0][1] < 1516
    assert len([f for f in found if f[0] < 1600]) == 1


def test_after_a_step_the_new_level_is_normal_and_a_spike_on_it_is_found():
    x = np.r_[noise(3, 1500), 20 + noise(4, 1500)]
    x[2000] += 9
    assert (2000, 2000) in events(x)


def test_the_baseline_takes_half_of_a_step_within_a_window():
    detector = SpectralResidual(WINDOW)
    detector.judge_many(np.r_[noise(3, 1500), 20 + noise(4, WINDOW)])
    assert detector.explain()["baseline"] > 10


# ---------------------------------------------------------------- drift, seasons, regimes


def test_a_slow_drift_of_thirty_deviations_keeps_the_budget():
    assert rate(noise(5, 6000) + np.linspace(0, 30, 6000)) <= 1.0


def test_a_drift_much_faster_than_the_window_is_found():
    x = noise(6, 2000)
    x[1500:1650] += np.linspace(0, 8, 150)
    assert events(x, since=1500)[0][0] < 1650


@pytest.mark.parametrize("day", [1000, 1440, 2000])
def test_a_daily_season_longer_than_the_window_keeps_the_budget(day: int):
    row = np.arange(20000)
    assert rate(20 * np.sin(2 * np.pi * row / day) + noise(7, 20000)) <= 1.0


def test_a_season_within_the_window_is_found_and_a_change_of_it_is_told():
    row = np.arange(4000)
    season = 6 * np.sin(2 * np.pi * row / 90)
    x = season + noise(8, 4000)
    x[3000:3090] += season[3000:3090]
    detector = SpectralResidual(WINDOW)
    hits = detector.judge_many(x[:3000])[5]
    assert abs(detector.explain()["season_rows"] % 90 - 45) > 40  # one period or several
    assert hits.sum() <= 6
    assert detector.judge_many(x[3000:3095])[5].any()


def test_noise_that_grows_is_told_and_then_accepted():
    found = events(np.r_[noise(9, 2000), noise(10, 6000, 4.0)], since=2000)
    assert found[0][0] < 2010
    assert len([f for f in found if f[0] >= 3000]) <= 5


def test_noise_that_shrinks_is_no_alarm():
    assert len(events(np.r_[noise(11, 2000, 4.0), noise(12, 4000)], since=2000)) <= 2


# ---------------------------------------------------------------- gaps, frozen and quantised values, counters


def test_a_long_gap_in_a_season_is_no_alarm():
    row = np.arange(9000)
    x = 5 * np.sin(2 * np.pi * row / 90) + noise(13, 9000)
    kept = np.r_[0:3000, 4003:9000]
    missing = np.zeros(len(kept), int)
    missing[3000] = 1003
    assert [f for f in events(x[kept], missing, since=3000) if f[0] < 3090] == []


def test_a_walk_with_gaps_is_judged_by_how_far_it_may_have_gone():
    rng = np.random.default_rng(14)
    missing = np.where(rng.random(12000) < 0.1, 8, 0)
    walk = np.cumsum(rng.standard_normal(12000) * np.sqrt(1 + missing))
    assert 1000 * len(events(walk, missing)) / 12000 <= 1.25


def test_a_frozen_value_of_a_noisy_series_is_told_once_within_a_dozen_readings():
    x = noise(15, 3000)
    x[1500:] = x[1499]
    found = events(x, since=1500)
    assert len(found) == 1
    assert found[0][0] <= 1512


def test_a_frozen_value_is_no_news_where_values_often_repeat():
    x = np.round(noise(16, 8000, 0.3))
    assert rate(x) <= 1.0


@pytest.mark.parametrize("size", [0.3, 0.6, 2.0])
def test_a_quantised_sensor_keeps_the_budget(size: int):
    assert rate(np.round(noise(17, 10000, size))) <= 1.0


def test_a_switch_that_goes_on_and_off_at_random_keeps_the_budget():
    assert rate((np.random.default_rng(18).random(10000) < 0.5) * 1.0) <= 1.2


def test_a_counter_that_resets_is_no_alarm():
    count = np.cumsum(np.random.default_rng(19).poisson(3, 8000)).astype(float)
    x = count % 5000
    resets = np.flatnonzero(np.diff(x) < 0) + 1
    found = events(x)
    assert len(resets) >= 4
    assert not any(start <= reset <= end for start, end in found for reset in resets)


def test_after_a_reset_the_band_is_about_the_counter_as_it_is():
    x = np.r_[np.arange(3000.0), np.arange(1000.0)]
    _, _, expected, lower, upper, hit = SpectralResidual(WINDOW).judge_many(x)
    assert not hit.any()
    assert np.all((lower[3000:] < x[3000:]) & (x[3000:] < upper[3000:]))
    assert np.abs(expected[3000:] - x[3000:]).max() < 10


# ---------------------------------------------------------------- poison


def test_big_spikes_do_not_hide_the_small_one_that_follows():
    x = noise(20, 6000)
    spikes = [1000, 1170, 1400, 1810, 2090, 2550, 2900, 3330]
    x[spikes] += 50
    x[4500] += 9
    starts = [start for start, _ in events(x)]
    assert set(spikes) <= set(starts)
    assert 4500 in starts


def test_a_minute_of_garbage_is_forgotten():
    x = noise(21, 6000)
    x[1000:1060] = 50 * noise(22, 60)
    x[5000] += 9
    assert 5000 in [s for s, _ in events(x)]


@pytest.mark.parametrize("code", [1e300, -3.4e38, 32767.0])
def test_an_overflow_code_is_an_anomaly_and_nothing_more(code: float):
    x = 20 + noise(23, 3000)
    x[1500] = code
    x[1700] += 10
    assert [s for s, _ in events(x) if s >= 1490] == [1500, 1700]


def test_a_value_that_is_not_finite_is_refused_and_changes_nothing():
    detector = SpectralResidual(WINDOW)
    detector.judge_many(noise(24, 500))
    before = detector.dump()
    for bad in (np.nan, np.inf, -np.inf):
        with pytest.raises(InvalidInput, match="finite"):
            detector.judge(bad)
        with pytest.raises(InvalidInput, match="finite"):
            detector.judge_many([0.0, bad])
    with pytest.raises(InvalidInput, match="missing -1"):
        detector.judge(0.0, -1)
    with pytest.raises(InvalidInput, match="missing -2"):
        detector.judge_many([0.0, 1.0], [0, -2])
    with pytest.raises(InvalidInput, match="shapes"):
        detector.judge_many([0.0, 1.0], [0])
    assert detector.dump() == before


# ---------------------------------------------------------------- budget, gates, revisions, facts


def _stationary(seed: int, count: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(seed)
    white, row = rng.standard_normal(count), np.arange(count)
    walk = np.zeros(count)
    for i in range(1, count):
        walk[i] = 0.9 * walk[i - 1] + white[i]
    return {
        "white": white,
        "uniform": rng.random(count),
        "correlated": walk,
        "season": 3 * np.sin(2 * np.pi * row / 60) + white,
        "exponential": rng.exponential(1, count),
        "bursts": (rng.random(count) < 0.03) * rng.exponential(5, count),
    }


@pytest.mark.parametrize("kind", sorted(_stationary(0, 2)))
def test_a_stationary_series_keeps_the_budget_of_one_event_in_a_thousand_readings(kind: str):
    rates = [rate(_stationary(seed, 20000)[kind]) for seed in (25, 26, 27)]
    assert np.mean(rates) <= (1.2 if kind == "exponential" else 1.0), rates


@pytest.mark.parametrize(("gate", "size"), [({"min_abs": 30.0}, 20), ({"min_rel": 0.3}, 20)])
def test_deviations_below_a_gate_are_no_anomalies_but_keep_their_score(gate: dict[str, float], size: float):
    x = 100 + noise(27, 1000)
    x[800] += size
    score, severity, _, _, _, hit = SpectralResidual(WINDOW, **gate).judge_many(x)
    assert score[800] > 1
    assert not hit[800]
    assert severity[800] == 0


@pytest.mark.parametrize(("direction", "found"), [("both", [700, 800]), ("above", [700]), ("below", [800])])
def test_only_the_chosen_direction_is_told(direction: str, found: list[int]):
    x = noise(28, 1000)
    x[700] += 20
    x[800] -= 20
    assert [s for s, _ in events(x, since=690, direction=direction) if s in (700, 800)] == found


def test_a_revised_reading_no_longer_counts_in_what_follows():
    x = noise(29, 1000)
    wrong, right = x.copy(), SpectralResidual(WINDOW)
    wrong[900] += 50
    revised, stuck = SpectralResidual(WINDOW), SpectralResidual(WINDOW)
    right.judge_many(x[:904])
    for detector in (revised, stuck):
        detector.judge_many(wrong[:904])
    revised.revise(3, x[900])
    saliency = [d.judge(4.0) and d.explain()["saliency"] for d in (right, revised, stuck)]
    assert saliency[1] == pytest.approx(saliency[0], rel=1e-3)
    assert saliency[2] < 0.9 * saliency[0]


def test_a_revision_of_a_reading_before_the_window_or_the_last_gap_is_left_alone():
    detector = SpectralResidual(WINDOW)
    detector.judge_many(noise(30, 500))
    detector.judge(0.0, 5)
    before = detector.dump()
    detector.revise(1, 99.0)
    detector.revise(10**6, 99.0)
    assert detector.dump() == before


def test_learning_lasts_an_eighth_of_the_window_and_at_least_96_readings():
    assert [SpectralResidual(n).needed for n in (12, 360, 1440, 8640)] == [96, 96, 180, 1080]
    detector = SpectralResidual(WINDOW)
    score, _, expected, _, _, hit = detector.judge_many(noise(31, 96))
    assert detector.needed == 0
    assert np.isnan(expected).all()
    assert not score.any()
    assert not hit.any()


def test_the_state_of_a_window_of_1440_rows_is_at_most_36_kilobytes():
    assert SpectralResidual(1440).nbytes <= 36_000


def test_the_explanation_names_the_view_that_decided_and_its_numbers():
    detector = SpectralResidual(WINDOW)
    x = noise(32, 1000)
    detector.judge_many(x)
    score = detector.judge(15.0)[0]
    told = detector.explain()
    assert told["view"] in ("jump", "innovation", "fluctuation", "salient")
    assert told[told["view"]] / told[f"{told['view']}_bound"] == pytest.approx(score)
    assert told["readings_seen"] == 1001


@pytest.mark.parametrize("stop", [5, 26, 95, 200])
def test_a_state_saved_and_loaded_anywhere_judges_as_if_nothing_had_happened(stop: int):
    x = noise(8, 400)
    whole, part = SpectralResidual(WINDOW), SpectralResidual(WINDOW)
    for value in x[:stop]:
        whole.judge(value)
        part.judge(value)
    again = SpectralResidual(WINDOW)
    again.load(part.dump())
    assert again.dump() == whole.dump()
    np.testing.assert_equal(np.array([again.judge(v) for v in x[stop:]]), [whole.judge(v) for v in x[stop:]])
