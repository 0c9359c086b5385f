"""Whole requests of the service's detection: properties, and campaigns of random requests."""

import json
import os
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import edgead
from tests import naive_service as naive
from tests import sanitized
from tests.property import service_requests as requests

SEEDS = st.integers(0, 2**32 - 1)
CODES = {
    "InvalidJsonFormat", "RequiredSeries", "RequiredGranularity", "InvalidGranularity", "InvalidCustomInterval",
    "InvalidPeriod", "InvalidModelArgument", "InvalidSeries", "BadArgument", "InvalidImputeMode",
    "InvalidImputeFixedValue",
}  # fmt: skip
SOAK = os.environ.get("EDGEAD_SOAK") == "1"


def check_answer(mode, request, answer):
    """The promises of an answer: finite numbers, aligned lists, consistent flags."""
    n = len(request["series"])
    json.dumps(answer, allow_nan=False)
    assert answer["period"] >= 0
    if mode == "changepoint":
        assert len(answer["isChangePoint"]) == len(answer["confidenceScores"]) == n
        assert all(0 <= x <= 1 for x in answer["confidenceScores"])
        return
    fields = ("upperMargin", "lowerMargin", "isAnomaly", "isNegativeAnomaly", "isPositiveAnomaly", "severity")
    if mode == "entire":
        fields = tuple(f + "s" if f.endswith("Margin") else f for f in fields)
        assert all(len(answer[f]) == n for f in (*fields, "expectedValues"))
        rows = zip(*(answer[f] for f in fields))
    else:
        rows = [tuple(answer[f] for f in fields)]
    for _, _, is_anomaly, negative, positive, severity in rows:
        assert is_anomaly == (negative or positive)
        assert not (negative and positive)
        assert 0 <= severity <= 1
        assert is_anomaly or severity == 0


def judge_wild(seed, first, count):
    """Judge wild requests `first`..; a valid answer or an error of the list, no warning.  Returns how many of each."""
    answered = refused = 0
    for k in range(first, first + count):
        mode, request = requests.wild(np.random.default_rng([seed, k]))
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                answer = edgead.detect(mode, request)
        except edgead.InvalidInput as refusal:
            if refusal.code not in CODES or not refusal.message:
                raise AssertionError(
                    f"seed {seed}, request {k}: {refusal.code!r} {refusal.message!r}"
                ) from refusal
            refused += 1
            continue
        except Exception as surprise:
            raise AssertionError(f"seed {seed}, request {k}: {surprise!r}") from surprise
        check_answer(mode, request, answer)
        answered += 1
    return answered, refused


@pytest.mark.campaign
@pytest.mark.timeout(0)
def test_wild_requests_are_answered_or_refused_under_the_sanitizers():
    """100 000 in `make soak`, a tenth here: lengths 0..9000, NaN, infinities, duplicates, junk of every kind."""
    count = 100_000 if SOAK else 10_000
    program = f"from tests.property import test_service_requests as t; print(*t.judge_wild(4, 0, {count}))"
    done = sanitized.run("-c", program, timeout=4 * 3600)
    assert done.returncode == 0, done.stderr[-3000:]
    answered, refused = map(int, done.stdout.split())
    assert answered + refused == count
    assert min(answered, refused) > count // 10


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_answers_equal_the_slow_twin(seed):
    r = np.random.default_rng(seed)
    mode, request = requests.valid(r, longest=60)
    got, wanted = edgead.detect(mode, request), naive.detect(mode, request)
    spread = np.ptp([p["value"] for p in request["series"]]) or 1.0
    assert got["period"] == wanted["period"]
    name = "expectedValue" if mode == "last" else "expectedValues"
    assert np.abs(np.array(got[name]) - wanted[name]).max() <= 1e-6 * spread
    if not tie(request, wanted, mode):
        assert got["isAnomaly"] == wanted["isAnomaly"]


def tie(request, answer, mode):
    """Whether a flag hangs on rounding: a value on its margin."""
    v = np.array([p["value"] for p in request["series"]])
    if mode == "last":
        v, e = v[-1:], [answer["expectedValue"]]
        margins = [answer["upperMargin"]], [answer["lowerMargin"]]
    else:
        e, margins = answer["expectedValues"], (answer["upperMargins"], answer["lowerMargins"])
    d = np.abs(v - np.array(e))
    near = [np.abs(d - np.array(m)) <= 1e-9 * np.abs(v).max() for m in margins]
    return bool(np.any(near[0] | near[1] | (d < 2e-8)))


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.integers(0, 99))
def test_higher_sensitivity_never_loses_an_anomaly(seed, sensitivity):
    _, request = requests.valid(np.random.default_rng(seed))
    request |= {"boundaryVersion": "V2", "sensitivity": sensitivity}
    low = edgead.detect("entire", request)["isAnomaly"]
    high = edgead.detect("entire", request | {"sensitivity": sensitivity + 1})["isAnomaly"]
    assert not np.any(np.array(low) & ~np.array(high))


@settings(deadline=None, max_examples=60)
@given(SEEDS, st.sampled_from(requests.IMPUTE))
def test_filled_points_never_appear(seed, mode):
    r = np.random.default_rng(seed)
    moments = requests.times(r, 80, "hourly", 1, 0.3)
    v = requests.values(r, len(moments))
    series = [{"timestamp": requests.text(m), "value": float(x)} for m, x in zip(moments, v)]
    request = {
        "series": series,
        "granularity": "hourly",
        "imputeMode": mode,
        "imputeFixedValue": 1.0,
        "period": 12,
    }
    check_answer("entire", request, edgead.detect("entire", request))


@settings(deadline=None, max_examples=60)
@given(SEEDS)
def test_not_filling_equals_the_dense_series(seed):
    r = np.random.default_rng(seed)
    moments = requests.times(r, 100, "daily", 1, 0.3)
    v = requests.values(r, len(moments))
    dense = requests.times(r, len(moments), "daily", 1, 0.0)
    answers = [
        edgead.detect(
            "entire",
            {
                "series": [{"timestamp": requests.text(m), "value": float(x)} for m, x in zip(times, v)],
                "granularity": "daily",
                "imputeMode": "notFill",
            },
        )
        for times in (moments, dense)
    ]
    assert answers[0] == answers[1]


# What scaling and shifting do to each field of `entire`, read off the slow twin (see docs/algorithms.md): "scales" with
# the values, "shifts" with them, "stays", or "free".  Margins of both versions are measured by the level of the series,
# so an offset changes them and with them flags and severity.
LAWS = {
    "expectedValues": ("scales", "shifts"),
    "upperMargins": ("scales", "free"),
    "lowerMargins": ("scales", "free"),
    "isAnomaly": ("stays", "free"),
    "isNegativeAnomaly": ("stays", "free"),
    "isPositiveAnomaly": ("stays", "free"),
    "severity": ("stays", "free"),
    "period": ("stays", "stays"),
}
LAW_CASES = [(2.0, 0.0), (1000.0, 0.0), (1.0, 50.0), (1.0, 1000.0)]


def answers_for(detect, seed, boundary, factor, offset):
    """Answers for a seasonal series far from every fixed threshold, as it is and changed."""
    r = np.random.default_rng(seed)
    t = np.arange(120)
    v = 100 + 10 * np.sin(2 * np.pi * t / 12) + r.normal(size=120)
    v[r.integers(20, 110)] += 25
    base = {"granularity": "none", "boundaryVersion": boundary, "sensitivity": 80}
    return [
        detect("entire", base | {"series": [{"value": float(x)} for x in w]})
        for w in (v, v * factor + offset)
    ]


@pytest.mark.parametrize("detect", [naive.detect, edgead.detect], ids=["twin", "edgead"])
@pytest.mark.parametrize("boundary", ["V1", "V2"])
@pytest.mark.parametrize(("factor", "offset"), LAW_CASES)
def test_what_scaling_and_shifting_do_to_each_field(detect, boundary, factor, offset):
    for seed in range(3):
        plain, changed = answers_for(detect, seed, boundary, factor, offset)
        for field, laws in LAWS.items():
            law = laws[0 if offset == 0 else 1]
            was = np.array(plain[field], float)
            wanted = {"scales": was * factor, "shifts": was + offset, "stays": was}.get(law)
            if wanted is not None:
                assert np.allclose(changed[field], wanted, rtol=1e-7, atol=1e-8 * factor), (field, seed)
