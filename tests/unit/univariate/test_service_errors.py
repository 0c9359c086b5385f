"""Every rule of a univariate request, its code, and what the message names."""

import math

import numpy as np
import pytest

import edgead
from edgead.univariate import Request, detect_change_points, detect_entire, rest

GOOD = [{"timestamp": f"2020-01-{day:02}T00:00:00Z", "value": float(day % 7)} for day in range(1, 31)]


def with_point(i, **change):
    return [dict(p, **change) if k == i else p for k, p in enumerate(GOOD)]


def minutes(n):
    return [
        {"timestamp": f"2020-01-01T{k // 60:02}:{k % 60:02}:00Z", "value": float(k % 5)} for k in range(n)
    ]


# (mode, change of a good request, code, words the message must hold)
RULES = [
    ("entire", {"granularity": "Daily"}, "InvalidGranularity", ["granularity", "hourly", "'Daily'"]),
    ("entire", {"granularity": 7}, "InvalidGranularity", ["granularity", "7"]),
    ("entire", {"customInterval": 0}, "InvalidCustomInterval", ["customInterval", "integer > 0"]),
    ("entire", {"customInterval": True}, "InvalidCustomInterval", ["customInterval", "True"]),
    ("entire", {"customInterval": 10**40}, "InvalidCustomInterval", ["customInterval"]),
    ("entire", {"period": -1}, "InvalidPeriod", ["period", "integer >= 0", "-1"]),
    ("entire", {"period": 7.0}, "InvalidPeriod", ["period", "7.0"]),
    ("entire", {"period": 15}, "InvalidModelArgument", ["period", "31", "30"]),
    ("entire", {"maxAnomalyRatio": 0.5}, "InvalidModelArgument", ["maxAnomalyRatio", "0.49", "0.5"]),
    ("entire", {"maxAnomalyRatio": 0}, "InvalidModelArgument", ["maxAnomalyRatio", "> 0"]),
    ("entire", {"maxAnomalyRatio": math.nan}, "InvalidModelArgument", ["maxAnomalyRatio", "nan"]),
    ("entire", {"sensitivity": 101}, "InvalidModelArgument", ["sensitivity", "between 0 and 99", "101"]),
    ("entire", {"sensitivity": "95"}, "InvalidModelArgument", ["sensitivity", "'95'"]),
    ("entire", {"imputeMode": "guess"}, "InvalidImputeMode", ["imputeMode", "notFill", "'guess'"]),
    ("entire", {"imputeMode": "fixed"}, "InvalidImputeFixedValue", ["imputeFixedValue", "fixed"]),
    ("entire", {"imputeMode": "fixed", "imputeFixedValue": "1"}, "InvalidImputeFixedValue", ["imputeFixedValue"]),
    ("entire", {"series": None}, "BadArgument", ["series"]),
    ("entire", {"series": []}, "BadArgument", ["series", "not empty"]),
    ("entire", {"series": {"0": 1}}, "BadArgument", ["series", "dict"]),
    ("entire", {"series": GOOD[:11]}, "InvalidSeries", ["series", "12", "8640", "11"]),
    ("entire", {"series": minutes(1200) * 8}, "InvalidSeries", ["series", "8640", "9600"]),
    ("entire", {"series": [*GOOD[:3], 5, *GOOD[3:]]}, "BadArgument", ["index 3", "5"]),
    ("entire", {"series": with_point(4, value=None)}, "BadArgument", ["'value' at index 4"]),
    ("entire", {"series": with_point(4, value=True)}, "BadArgument", ["'value' at index 4", "True"]),
    ("entire", {"series": with_point(4, value=math.nan)}, "BadArgument", ["'value' at index 4", "NaN"]),
    ("entire", {"series": with_point(4, value=math.inf)}, "InvalidSeries", ["'value' at index 4", "1e100", "inf"]),
    ("entire", {"series": with_point(4, value=-2e100)}, "InvalidSeries", ["'value' at index 4", "1e100"]),
    ("entire", {"series": with_point(4, value=10**400)}, "InvalidSeries", ["'value' at index 4"]),
    ("entire", {"series": with_point(4, timestamp="soon")}, "BadArgument", ["'timestamp' at index 4", "'soon'"]),
    ("entire", {"series": with_point(4, timestamp=5)}, "BadArgument", ["'timestamp' at index 4", "5"]),
    ("entire", {"series": with_point(4, timestamp="2020-02-30T00:00:00Z")}, "BadArgument", ["index 4"]),
    ("entire", {"series": [{"value": 1.0}] * 30}, "BadArgument", ["'timestamp' at index 0"]),
    ("entire", {"series": [GOOD[0], *GOOD]}, "InvalidSeries", ["duplicated timestamp", "index 1"]),
    ("entire", {"series": [GOOD[1], GOOD[0], *GOOD[2:]]}, "InvalidSeries", ["ascending order", "index 1"]),
    ("entire", {"series": with_point(4, timestamp="2020-01-05T01:00:00Z")}, "InvalidSeries",
     ["The 'timestamp' at index 4 is invalid in daily granularity with 1 gran as interval."]),
    ("entire", {"customInterval": 2}, "InvalidSeries", ["index 1", "daily granularity with 2 gran"]),
    ("entire", {"granularity": "monthly"}, "InvalidSeries", ["index 1", "monthly"]),
    ("entire", {"series": [*GOOD[:11], dict(GOOD[-1], timestamp="2020-03-30T00:00:00Z")], "period": 7},
     "InvalidSeries", ["missing", "50 %"]),
    ("changepoint", {"granularity": None}, "RequiredGranularity", ["granularity"]),
    ("changepoint", {"threshold": 1.0}, "InvalidModelArgument", ["threshold", "0.01", "0.99"]),
    ("changepoint", {"stableTrendWindow": 2}, "InvalidModelArgument", ["stableTrendWindow", ">= 3"]),
    ("changepoint", {"stableTrendWindow": 15}, "InvalidModelArgument", ["stableTrendWindow", "below half", "30"]),
]  # fmt: skip


@pytest.mark.parametrize(("mode", "change", "code", "words"), RULES)
def test_rule(mode, change, code, words):
    with pytest.raises(edgead.InvalidInput) as raised:
        edgead.detect(mode, {"series": GOOD, "granularity": "daily"} | change)
    assert raised.value.code == code
    assert all(word in raised.value.message for word in words), raised.value.message


@pytest.mark.parametrize("body", [None, [], "{}", 3, b"{}"])
def test_a_body_that_is_no_object(body):
    with pytest.raises(edgead.InvalidInput) as raised:
        edgead.detect("entire", body)
    assert raised.value.code == "InvalidJsonFormat"


def test_missing_series_and_unknown_mode():
    with pytest.raises(edgead.InvalidInput) as raised:
        edgead.detect("last", {})
    assert (raised.value.code, raised.value.message) == (
        "RequiredSeries",
        "The 'series' field is required in request.",
    )
    with pytest.raises(edgead.InvalidInput):
        edgead.detect("first", {"series": GOOD})


def test_options_are_looked_at_before_the_series():
    with pytest.raises(edgead.InvalidInput) as raised:
        edgead.detect("entire", {"series": [], "granularity": "daily", "period": -1})
    assert raised.value.code == "InvalidPeriod"


def test_what_the_service_took_without_complaint():
    texts = [dict(p, value=str(p["value"])) for p in GOOD]
    zoned = [dict(p, timestamp=p["timestamp"].replace("T00:00:00Z", "T02:00:00.0000000+02:00")) for p in GOOD]
    plain = edgead.detect("entire", {"series": GOOD, "granularity": "daily"})
    for series in (texts, zoned, [dict(p, unknown=1) for p in GOOD]):
        request = {"series": series, "granularity": "daily", "unknown": {}, "threshold": 99, "detector": "x"}
        assert edgead.detect("entire", request) == plain


@pytest.mark.parametrize("mode", rest.MODES)
@pytest.mark.parametrize("field", rest.EXTRAS)
@pytest.mark.parametrize("value", [5, -1, 1.5, "V9", "v1", True, [], {}, ["V1"], math.nan, 10**400])
def test_a_field_of_no_document_counts_only_with_a_value_that_it_can_have(mode, field, value):
    request = {"series": GOOD, "granularity": "daily"}
    assert edgead.detect(mode, request | {field: value}) == edgead.detect(mode, request)


def test_unusual_but_valid_times():
    series = [dict(p, timestamp=p["timestamp"][:10].replace("-", "")) for p in GOOD]
    assert rest.read_series(series, True)[1].tolist() == rest.read_series(GOOD, True)[1].tolist()
    far = [{"timestamp": f"{year:04}-01-01", "value": year % 5} for year in range(1, 9000, 2)]
    answer = edgead.detect(
        "last", {"series": far[:4000], "granularity": "yearly", "customInterval": 2, "period": 5}
    )
    assert answer["period"] == 5


@pytest.mark.parametrize(
    ("granularity", "days"),
    [
        ("monthly", ["2020-01-31", "2020-02-29", "2020-03-31", "2020-04-30"]),
        ("monthly", ["2019-02-28", "2019-03-31", "2019-04-30"]),
        ("yearly", ["2016-02-29", "2017-02-28", "2018-02-28", "2020-02-29"]),
    ],
)
def test_month_ends_and_leap_days_are_on_the_grid(granularity, days):
    later = np.datetime64(days[0], "M") + (12 if granularity == "yearly" else 1) * np.arange(12, 24)
    more = [str(month) for month in later]
    ends = [str((np.datetime64(m, "M") + 1).astype("M8[D]") - 1) for m in more]
    series = [{"timestamp": day, "value": 1.0 + k % 3} for k, day in enumerate(days + ends)]
    assert edgead.detect("last", {"series": series, "granularity": granularity})["period"] == 0


def test_typed_requests_from_arrays():
    values = np.array([p["value"] for p in GOOD])
    times = np.arange(30) * 86_400_000_000_000
    result = detect_entire(Request.of(values, times, granularity="daily"))
    assert result.expected.shape == (30,)
    assert result.period == 7
    changes = detect_change_points(Request.of(values, times, granularity="daily"))
    assert not changes.is_change_point.any()
    with pytest.raises(edgead.InvalidInput):
        Request.of(values.reshape(5, 6))
    with pytest.raises(edgead.InvalidInput):
        Request.of(values, times[:-1], granularity="daily")
    with pytest.raises(edgead.InvalidInput):
        Request.of(values, granularity="daily")


@pytest.mark.parametrize("scale", [5e-324, 1e-310, 1e-300, 1e99])
@pytest.mark.parametrize("mode", ["entire", "last"])
def test_values_at_the_ends_of_what_doubles_hold_are_judged_or_refused(scale, mode):
    r = np.random.default_rng(3)
    series = [{"value": float(x) * scale} for x in r.normal(size=60) + np.arange(60) % 5]
    for period in (None, 0, 5):
        try:
            answer = edgead.detect(mode, {"series": series, "period": period})
        except edgead.InvalidInput as refusal:
            assert refusal.code == "InvalidSeries"  # noqa: PT017
        else:
            assert answer["period"] >= 0
