"""The memory of patches and the network's part in a verdict: C equals its twins, and what users rely on."""

import contextlib
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.native import ROW_CHANNELS, Fusion, PatchBank, RowHistory
from tests import naive_rows
from tests.property.test_spectral import seeds

LENGTH = 5


def answers(seed: int, count: int) -> tuple[np.ndarray, np.ndarray]:
    """Log-odds of a network that is calm, with alarms here and there, and embeddings about a few places."""
    rng = np.random.default_rng(seed)
    odds = rng.normal(-6, 1, count)
    odds[rng.random(count) < 0.02] += rng.uniform(2, 12)
    places = rng.normal(0, 3, (6, LENGTH))
    embeddings = places[rng.integers(0, 6, count)] + 0.2 * rng.standard_normal((count, LENGTH))
    embeddings[rng.random(count) < 0.01] += 20
    return odds.astype(np.float32), embeddings.astype(np.float32)


def facts(seed: int, count: int) -> list[tuple]:
    """What the core says of a series with spikes in it."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal(count)
    x[rng.integers(150, count, 5)] += 15
    rows = RowHistory(40, length=1, single=False)
    return [rows.judge(value) for value in x.tolist()]


@settings(max_examples=25, deadline=None)
@given(seed=seeds, patches=st.integers(8, 40), single=st.booleans())
def test_the_memory_equals_its_twin(seed: int, patches: int, single: bool):
    _, embeddings = answers(seed, 400)
    twin, bank = naive_rows.Bank(patches), PatchBank(LENGTH, patches, single=single)
    learns = np.random.default_rng(seed).random(400) < 0.9
    for embedding, learn in zip(embeddings, learns.tolist()):
        assert bank.meet(embedding, learn) == pytest.approx(twin.meet(embedding, learn), rel=1e-4, abs=1e-5)
        assert bank.reach == pytest.approx(twin.reach, rel=1e-3)
        assert len(bank) == len(twin.kept)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, sensitivity=st.integers(0, 100))
def test_the_verdict_equals_its_twin(seed: int, sensitivity: int):
    odds, embeddings = answers(seed, 500)
    twin, fusion = (
        naive_rows.Fusion(16, sensitivity),
        Fusion(LENGTH, 16, sensitivity=sensitivity, single=False),
    )
    for row, z, embedding in zip(facts(seed, 500), odds.tolist(), embeddings):
        score, flag, log_odds, familiarity = twin.judge(row, z, embedding)
        judged = fusion.judge(row, z, embedding)
        assert judged[0] == pytest.approx(score, rel=1e-4, abs=1e-6)
        assert judged[5] == flag
        told = fusion.explain()
        assert told["log_odds"] == pytest.approx(log_odds, rel=1e-4, abs=1e-5)
        assert told["familiarity"] == pytest.approx(familiarity, rel=1e-4)


@settings(max_examples=25, deadline=None)
@given(seed=seeds, single=st.booleans(), cut=st.integers(0, 300), day=st.sampled_from([0, 48]))
def test_many_readings_at_once_are_judged_as_one_by_one(seed: int, single: bool, cut: int, day: int):
    """Bit for bit, gaps and numbers that are none included."""
    rng = np.random.default_rng(seed)
    odds, embeddings = answers(seed, 300)
    odds[rng.random(300) < 0.02] = np.nan
    embeddings[rng.random(300) < 0.02, 2] = np.nan
    values = np.where(rng.random(300) < 0.03, 15.0, 0.0) + rng.standard_normal(300)
    missing = np.where(rng.random(300) < 0.05, rng.integers(0, 9, 300), 0)
    one, many = (RowHistory(40, rows_per_day=day, length=6, single=single) for _ in range(2))
    alone, joined = (Fusion(LENGTH, 16, single=single) for _ in range(2))
    histories, last = np.empty((2, 300, len(ROW_CHANNELS), 6), np.float32), np.full((300, 6), -1.0)
    rows = [(one.judge(v, m, histories[0, at]), one.needed) for at, (v, m) in enumerate(zip(values, missing))]
    for at, (row, _) in enumerate(rows):
        with contextlib.suppress(InvalidInput):
            last[at] = alone.judge(row, odds[at], embeddings[at])
    parts = [slice(0, cut), slice(cut, 300)]
    told = np.concatenate([many.judge_many(values[at], missing[at], histories[1][at]) for at in parts])
    assert told.tobytes() == np.array([[*row, needed] for row, needed in rows]).tobytes()
    assert np.array_equal(*histories)
    judged, at = np.full((300, 6), -1.0), 0
    while at < 300:
        found = joined.judge_many(told[at:], odds[at:], embeddings[at:])
        judged[at : at + len(found)] = found
        at += len(found) + 1
    assert judged.tobytes() == last.tobytes()
    assert (many.dump(), joined.dump()) == (one.dump(), alone.dump())


def test_many_readings_of_another_shape_are_refused_and_change_nothing():
    rows, fusion = RowHistory(40, length=6), Fusion(LENGTH, 16)
    before, space = (rows.dump(), fusion.dump()), np.empty((2, len(ROW_CHANNELS), 6), np.float32)
    for values, missing, histories in (
        ([1.0, math.nan], [0, 0], space),
        ([1.0, 2.0], [0, -1], space),
        ([1.0, 2.0], [0], space),
        ([1.0], [0], space),
        ([1.0, 2.0], [0, 0], space[:, :3].copy()),
    ):
        with pytest.raises(InvalidInput):
            rows.judge_many(np.array(values), np.array(missing), histories)
    odds, embeddings = np.zeros(2, np.float32), np.zeros((2, LENGTH), np.float32)
    for told, scores, places in (
        (np.zeros((2, 10)), odds, embeddings),
        (np.zeros((3, 11)), odds, embeddings),
        (np.zeros((2, 11)), odds, embeddings[:, :2].copy()),
    ):
        with pytest.raises(InvalidInput):
            fusion.judge_many(told, scores, places)
    assert (rows.dump(), fusion.dump()) == before
    assert rows.judge_many(np.empty(0), np.empty(0, np.int64), space[:0]).shape == (0, 11)
    assert fusion.judge_many(np.zeros((0, 11)), odds[:0], embeddings[:0]).shape == (0, 6)


@settings(max_examples=15, deadline=None)
@given(seed=seeds, cut=st.integers(0, 399), single=st.booleans())
def test_stopping_and_continuing_anywhere_changes_nothing(seed: int, cut: int, single: bool):
    odds, embeddings = answers(seed, 400)
    told = list(zip(facts(seed, 400), odds.tolist(), embeddings))
    whole, first, second = (Fusion(LENGTH, 16, single=single) for _ in range(3))
    want = [whole.judge(*each) for each in told]
    for each in told[:cut]:
        first.judge(*each)
    second.load(first.dump())
    got = [second.judge(*each) for each in told[cut:]]
    assert np.array_equal(np.array(got, float), np.array(want[cut:], float).reshape(-1, 6), equal_nan=True)
    assert second.dump() == whole.dump()


@settings(max_examples=25, deadline=None)
@given(seed=seeds, sensitivity=st.integers(0, 99), direction=st.sampled_from(["both", "above", "below"]))
def test_what_is_flagged_is_flagged_at_higher_sensitivity_too_and_lies_outside_the_band(
    seed: int, sensitivity: int, direction: str
):
    odds, embeddings = answers(seed, 500)
    x = np.random.default_rng(seed).standard_normal(500)
    x[[300, 400]] += 9
    flags = []
    for each in (sensitivity, sensitivity + 1):
        rows = RowHistory(40, length=1, sensitivity=each, direction=direction)
        fusion = Fusion(LENGTH, 16, sensitivity=each, direction=direction)
        found = [
            fusion.judge(rows.judge(value), z, embedding)
            for value, z, embedding in zip(x.tolist(), odds.tolist(), embeddings)
        ]
        for value, (score, severity, expected, lower, upper, flag) in zip(x.tolist(), found):
            if np.isfinite(expected):
                assert (score >= 1) == (not lower < value < upper)
                assert (severity > 0) == flag
                assert not flag or direction == "both" or (direction == "above") == (value > expected)
        flags.append(np.array([each[5] for each in found]))
    assert not (flags[0] & ~flags[1]).any()


def test_the_network_is_heard_and_the_familiar_counts_less():
    rng = np.random.default_rng(1)
    fusion, rows = Fusion(LENGTH, 16), RowHistory(40, length=1)
    places = rng.normal(0, 3, (8, LENGTH))
    usual = (places[rng.integers(0, 8, 600)] + 0.1 * rng.standard_normal((600, LENGTH))).astype(np.float32)
    for i in range(600):
        fusion.judge(rows.judge(rng.standard_normal()), float(rng.normal(-6, 0.5)), usual[i])
    copy = Fusion(LENGTH, 16)
    copy.load(fusion.dump())
    row = rows.judge(0.1)
    strange = fusion.judge(row, 2.0, np.full(LENGTH, 30, np.float32))
    known = copy.judge(row, 2.0, usual[599])
    assert strange[5]
    assert fusion.explain()["network"] == 1
    assert fusion.explain()["familiarity"] == 1
    assert 0.79 < copy.explain()["familiarity"] < 0.9
    assert known[0] < strange[0]


def test_alarms_are_not_remembered_until_they_have_lasted_a_thousand_readings():
    rng = np.random.default_rng(2)
    fusion, rows = Fusion(LENGTH, 16), RowHistory(40, length=1)
    for _ in range(400):
        fusion.judge(rows.judge(rng.standard_normal()), -6.0, rng.normal(0, 1, LENGTH).astype(np.float32))
    odd = np.full(LENGTH, 30, np.float32)
    distances = []
    for _ in range(1100):
        fusion.judge(rows.judge(rng.standard_normal()), 3.0, odd)
        distances.append(fusion.explain()["patch_distance"])
    assert min(distances[:999]) > 50
    assert distances[-1] == 0


def test_what_is_out_of_range_is_named():
    with pytest.raises(InvalidInput, match="length 65"):
        PatchBank(65)
    with pytest.raises(InvalidInput, match="patches 7"):
        Fusion(5, 7)
    with pytest.raises(InvalidInput, match="sensitivity 101"):
        Fusion(5, sensitivity=101)
    with pytest.raises(InvalidInput, match="shape"):
        PatchBank(5).meet([1.0, 2.0])


def test_numbers_that_are_not_finite_change_nothing():
    fusion, row = Fusion(2), facts(1, 200)[-1]
    before = fusion.dump()
    for z, embedding in ((float("nan"), [0, 0]), (0.0, [0, float("nan")])):
        with pytest.raises(InvalidInput):
            fusion.judge(row, z, np.array(embedding, np.float32))
    assert fusion.dump() == before
    for z in (float("inf"), -float("inf"), 1e30):  # the far ends are cut
        assert np.isfinite(fusion.judge(row, z, np.array([float("inf"), -1e30], np.float32))[0])


@settings(max_examples=60, deadline=None)
@given(at=st.integers(0, 5000), new=st.integers(0, 255), single=st.booleans())
def test_a_damaged_state_is_refused_or_harmless(at: int, new: int, single: bool):
    odds, embeddings = answers(1, 200)
    told = list(zip(facts(1, 200), odds.tolist(), embeddings))
    fusion = Fusion(LENGTH, 16, single=single)
    for each in told:
        fusion.judge(*each)
    good = fusion.dump()
    bad = bytearray(good)
    bad[at % len(bad)] = new
    try:
        fusion.load(bytes(bad))
    except InvalidInput:
        assert fusion.dump() == good
    for each in told:
        fusion.judge(*each)
    with pytest.raises(InvalidInput, match="bytes"):
        fusion.load(good[:-1])


# ---------------------------------------------------------------- the governor


def said(score: float) -> tuple:
    """What `RowHistory.judge` says of a reading of this score."""
    return score, score / (1 + score), 0.0, -1.0, 1.0, score >= 1, score, 1.0, score, False


def told(fusion: Fusion, scores: np.ndarray) -> np.ndarray:
    """Readings that are anomalies to the end; the network says nothing."""
    quiet = np.zeros(LENGTH, np.float32)
    return np.flatnonzero([fusion.judge(said(score), -20.0, quiet)[5] for score in scores.tolist()])


def every(gap: int, count: int, score: float) -> np.ndarray:
    """So many readings, one in `gap` of this score, the others of 0.3."""
    scores = np.full(count, 0.3)
    scores[gap - 1 :: gap] = score
    return scores


def test_five_events_in_the_time_of_one_are_told_then_louder_ones_alone_until_the_series_is_calm():
    fusion = Fusion(LENGTH, 16)
    assert len(told(fusion, every(20, 500, 2.0))) == 5
    assert 1.99 < fusion.explain()["told_from"] < 2.6
    score, severity, _, lower, upper, flag = fusion.judge(said(2.0), -20.0, np.zeros(LENGTH, np.float32))
    assert (score, severity, lower, upper, flag) == (2.0, 0.0, -1.0, 1.0, False), (
        "the score and the band stay"
    )
    assert len(told(fusion, np.array([0.3] * 9 + [4.0]))) == 1, "a louder one is told"
    assert len(told(fusion, np.array([0.3] * 450 + [2.0]))) == 1, "half of the time of one event is enough"


def test_an_event_that_was_told_goes_on_however_many_there_were():
    fusion = Fusion(LENGTH, 16)
    told(fusion, every(20, 80, 2.0))
    assert len(told(fusion, np.array([0.3] * 19 + [2.0] * 30))) == 30
    assert len(told(fusion, np.array([0.3] * 19 + [2.0] * 30))) == 0
    assert len(told(fusion, np.full(450, 2.0))) > 0, "and what lasts is told, however many there were"


@pytest.mark.parametrize("sensitivity", [70, 80, 90, 95])
def test_a_restless_series_is_told_at_most_five_times_its_budget_once_its_loudest_are_known(sensitivity: int):
    rng = np.random.default_rng(sensitivity)
    one = int(1000 * 10 ** ((90 - sensitivity) / 20))
    scores = np.where(rng.random(10 * one) < 0.02, 1.0 + rng.pareto(1.0, 10 * one), 0.3)
    hits = told(Fusion(LENGTH, 16, sensitivity=sensitivity), scores)
    opened = hits[np.diff(hits, prepend=-100) > 8]
    assert len(opened[opened < one]) <= 25, "five, and what is among the five loudest so far"
    assert 9 <= len(opened[opened >= one]) <= 45, "five times the nine that are expected"


def test_what_a_gate_holds_back_leaves_room_for_what_it_lets_pass():
    fusion = Fusion(LENGTH, 16, direction="below")
    told(fusion, every(20, 500, 2.0))  # all above
    assert fusion.explain()["told_from"] == 0
    below = (2.0, 0.6, 0.0, -1.0, 1.0, True, -2.0, 1.0, 2.0, False)
    assert fusion.judge(below, -20.0, np.zeros(LENGTH, np.float32))[5]
