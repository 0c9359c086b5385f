"""Bodies of multivariate requests: what is taken, and with which code the rest is refused."""

import contextlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.server import requests
from edgead.server.wire import decode, encode

TRAIN = {"dataSource": "a.csv", "startTime": "2021-01-01T00:00:00Z", "endTime": "2021-01-02T00:00:00Z"}
LAST = {"variables": [{"variable": "a", "timestamps": ["2021-01-01T00:00:00Z"], "values": [1.0]}]}


def test_defaults_are_those_of_the_service():
    asked = requests.train_request(TRAIN)
    assert (asked.schema, asked.window, asked.display_name) == ("OneTable", 300, "")
    assert (asked.mode, asked.fill, asked.padding) == ("Outer", "Linear", 0.0)
    assert (asked.start, asked.end_ns - asked.start_ns) == ("2021-01-01T00:00:00Z", 86_400 * 10**9)
    assert requests.detect_request(TRAIN).top == 10


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"dataSource": ""}, "RequiredSource"),
        ({"dataSource": 5}, "RequiredSource"),
        ({"dataSource": "x" * 9000}, "InvalidBlobURL"),
        ({"startTime": None}, "RequiredStartTime"),
        ({"endTime": ""}, "RequiredEndTime"),
        ({"endTime": 7}, "InvalidTimestampFormat"),
        ({"endTime": "2020-01-01T00:00:00Z"}, "InvalidTimestampFormat"),
        ({"slidingWindow": True}, "InvalidSlidingWindow"),
        ({"slidingWindow": 28.5}, "InvalidSlidingWindow"),
        ({"slidingWindow": "60"}, "InvalidSlidingWindow"),
        ({"dataSchema": "onetable"}, "InvalidRequestParameterError"),
        ({"displayName": 5}, "InvalidRequestParameterError"),
        ({"displayName": "x" * 25}, "InvalidRequestParameterError"),
        ({"alignPolicy": []}, "InvalidAlignMode"),
        ({"alignPolicy": {"alignMode": "outer"}}, "InvalidAlignMode"),
        ({"alignPolicy": {"fillNAMethod": "NotFill"}}, "InvalidFillNAMethod"),
        ({"alignPolicy": {"fillNAMethod": "Fixed"}}, "RequiredPaddingValue"),
        ({"alignPolicy": {"fillNAMethod": "Fixed", "paddingValue": "1"}}, "RequiredPaddingValue"),
    ],
)
def test_a_training_is_refused_with_its_code(change: dict[str, Any], code: str):
    with pytest.raises(InvalidInput) as caught:
        requests.train_request(TRAIN | change)
    assert caught.value.code == code


def test_times_of_other_clients_are_read_and_told_in_the_services_way():
    asked = requests.train_request(
        TRAIN | {"startTime": "2021-01-01T01:00:00.0000000+01:00", "endTime": "2021-01-01T00:00:00.5Z"}
    )
    assert (asked.start, asked.end) == ("2021-01-01T00:00:00Z", "2021-01-01T00:00:00.500000Z")
    far = requests.train_request(
        TRAIN | {"startTime": "0001-01-01T00:00:00Z", "endTime": "9999-12-31T00:00:00Z"}
    )
    assert (far.start_ns, far.end_ns) == (-(2**63 - 1), 2**63 - 1)


def test_the_previews_say_source_and_know_two_more_fills():
    old = {"source": "a.zip", "startTime": TRAIN["startTime"], "endTime": TRAIN["endTime"]}
    asked = requests.train_request(
        old | {"alignPolicy": {"alignMode": "Inner", "fillNAMethod": "NotFill"}}, preview=True
    )
    assert (asked.source, asked.schema, asked.fill, asked.policy.fill) == (
        "a.zip",
        "MultiTable",
        "NotFill",
        "Linear",
    )
    asked = requests.train_request(
        old | {"alignPolicy": {"fillNAMethod": "Pad", "paddingValue": 2}}, preview=True
    )
    assert (asked.fill, asked.padding) == ("Fixed", 2.0)
    with pytest.raises(InvalidInput, match="'source' field is required"):
        requests.train_request(old)
    with pytest.raises(InvalidInput, match="fillNAMethod"):
        requests.train_request(old | {"alignPolicy": {"fillNAMethod": "NotFill"}}, preview=True)


@pytest.mark.parametrize("top", [0, 31, 1.5, "3", True])
def test_contributors_are_1_to_30(top: object):
    with pytest.raises(InvalidInput, match="integer from 1 to 30"):
        requests.detect_request(TRAIN | {"topContributorCount": top})


def variable(**change: object) -> dict[str, object]:
    return {"variables": [{**LAST["variables"][0], **change}]}


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({}, "NoVariablesFound"),
        ({"variables": []}, "NoVariablesFound"),
        ({"variables": [5]}, "InvalidJsonFormat"),
        (variable(variable=""), "NoVariablesFound"),
        (variable(timestamps="x"), "NotEnoughInput"),
        (variable(timestamps=[]), "NotEnoughInput"),
        (variable(values=[1.0, 2.0]), "MergeDataFailed"),
        (variable(timestamps=[7]), "InvalidTimestampFormat"),
        (variable(timestamps=["soon"]), "InvalidTimestampFormat"),
        (variable(values=[None]), "VariableParseError"),
        (variable(values=["x"]), "VariableParseError"),
        (variable(values=["nan"]), "VariableParseError"),
        (variable(timestamps=["2021-01-01T00:00:00Z"] * 2, values=[1, 2]), "MergeDataFailed"),
        (variable(timestamps=["2021-01-01T00:00:00Z"] * 2881, values=[1] * 2881), "DataExceedsLimit"),
        ({"variables": LAST["variables"] * 2}, "DuplicatedVariables"),
        ({"variables": LAST["variables"] * 301}, "DataExceedsLimit"),
        ([], "InvalidJsonFormat"),
    ],
)
def test_rows_sent_along_are_refused_with_their_code(body: object, code: str):
    with pytest.raises(InvalidInput) as caught:
        requests.last_request(body)
    assert caught.value.code == code


def test_rows_are_put_in_order_and_numbers_in_text_are_read():
    times = ["2021-01-01T00:01:00Z", "2021-01-01T00:00:00.0000000Z"]
    asked = requests.last_request(variable(timestamps=times, values=["2.5", 1]))
    stamps, values = asked.columns["a"]
    assert (np.diff(stamps).tolist(), values.tolist()) == ([60 * 10**9], [1.0, 2.5])


def test_pages_take_both_spellings():
    assert requests.page({}, top=10) == (0, 10)
    assert requests.page({"$skip": "3", "$top": "4"}, top=10) == (3, 4)
    assert requests.page({"skip": "3", "$skip": "9", "top": ""}, top=10) == (3, 10)
    for wrong in ("-1", "x", "1.0", "１", "9" * 30):
        with pytest.raises(InvalidInput, match="'skip'"):
            requests.page({"skip": wrong}, top=10)


KEYS = [
    "dataSource",
    "source",
    "startTime",
    "endTime",
    "slidingWindow",
    "alignPolicy",
    "alignMode",
    "fillNAMethod",
]
KEYS += ["paddingValue", "displayName", "dataSchema", "topContributorCount", "detectingPoints", "variables"]
KEYS += ["variable", "name", "timestamps", "values"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20)
    | st.sampled_from(
        ["2021-01-01T00:00:00Z", "Inner", "Fixed", "OneTable", "9999-12-31T23:59:59-14:00", "1e999"]
    ),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=8),
    max_leaves=20,
)


@given(
    body=VALUES
    | st.builds(lambda more: TRAIN | more, st.dictionaries(st.sampled_from(KEYS), VALUES, max_size=5))
)
def test_any_json_is_read_or_refused(body: object):
    for read in (requests.train_request, requests.detect_request, requests.last_request):
        for preview in (False, True):
            with contextlib.suppress(InvalidInput):
                read(decode(encode(body)), preview=preview)
