"""JSON, times and the two shapes of errors."""

import gzip
from datetime import UTC, datetime

import pytest

from edgead.server.wire import GatewayError, ServiceError, decode, json_response, read_time, time_text_ns


def test_the_two_shapes():
    flat = ServiceError(400, "InvalidSeries", "too short").response()
    assert flat.body == b'{"code":"InvalidSeries","message":"too short"}'
    assert flat.headers["x-ms-error-code"] == "InvalidSeries"
    nested = GatewayError(429, "later", headers={"retry-after": "1"}).response()
    assert nested.body == b'{"error":{"code":"429","message":"later"}}'
    assert (nested.status_code, nested.headers["retry-after"]) == (429, "1")


def test_json_has_no_length_of_its_own_and_no_charset():
    answer = json_response({"x": 1.5}, status=201)
    assert (answer.status_code, answer.headers["content-type"]) == (201, "application/json")


@pytest.mark.parametrize("data", [b'{"a": 1}', b'\xef\xbb\xbf{"a": 1}'])
def test_a_byte_order_mark_is_no_mistake(data: bytes):
    assert decode(data) == {"a": 1}


@pytest.mark.parametrize("data", [b"", b"{", b'{"a": NaN}', b'"\xff"', b"[" * 100_000])
def test_what_is_not_json_is_refused_with_the_reason(data: bytes):
    with pytest.raises(ServiceError, match=r"The request body is not JSON: .+") as told:
        decode(data)
    assert (told.value.status, told.value.code) == (400, "InvalidJsonFormat")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "it is empty"),
        (gzip.compress(b"{}"), "it is compressed, expected plain text"),
        ("{}".encode("utf-16"), "it is not UTF-8"),
        (b'{"a": "\xe9"}', "it is not UTF-8"),
    ],
)
def test_what_a_client_does_with_its_bodies_is_told(data: bytes, reason: str):
    with pytest.raises(ServiceError, match=f"The request body is not JSON: {reason}."):
        decode(data)


@pytest.mark.parametrize(
    "text",
    [
        "2021-01-02T00:00:00Z",
        "2021-01-02T00:00:00.0000000Z",
        "2021-01-02T00:00:00.000000001Z",
        "2021-01-02T02:00:00+02:00",
        "2021-01-01T19:00:00-05:00",
        "2021-01-02T00:00:00",
        "2021-01-02T00:00Z",
        "2021-01-02",
    ],
)
def test_times_as_clients_write_them(text: str):
    assert read_time(text) == datetime(2021, 1, 2, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "noon",
        "",
        5,
        None,
        "2021-13-01T00:00:00Z",
        "9999-12-31T23:59:59-14:00",
        "1" * 65,
        "0001-01-01T00:00:00+10:00",
    ],
)
def test_what_is_no_time(text: object):
    assert read_time(text) is None


def test_times_are_told_in_whole_seconds():
    assert time_text_ns(1_609_545_600_999_999_999) == "2021-01-02T00:00:00Z"
