"""Durations and sizes as people write them."""

import pytest

from edgead.config.units import (
    parse_duration,
    parse_hours,
    parse_listen,
    parse_size,
    parse_url,
    show_duration,
    show_size,
)


@pytest.mark.parametrize(
    ("raw", "ns"),
    [
        ("1s", 10**9),
        ("250ms", 250 * 10**6),
        (" 5 min ", 300 * 10**9),
        ("1h", 3600 * 10**9),
        ("0.1s", 10**8),
        ("7d", 7 * 86_400 * 10**9),
        (2, 2 * 10**9),
        (0.25, 250 * 10**6),
        ("1.000000001s", 10**9 + 1),
    ],
)
def test_durations(raw: object, ns: int):
    assert parse_duration(raw) == ns


@pytest.mark.parametrize(
    ("raw", "count"), [("64MiB", 64 * 2**20), ("1.5KiB", 1536), ("500 MB", 5 * 10**8), (7, 7)]
)
def test_sizes(raw: object, count: int):
    assert parse_size(raw) == count


@pytest.mark.parametrize(
    "raw", ["", "fast", "5", "5 fortnights", "-1s", "1e3s", "٣s", True, None, [], float("nan"), 1e300]
)
def test_what_is_no_duration_is_refused(raw: object):
    with pytest.raises(ValueError):
        parse_duration(raw)


@pytest.mark.parametrize("raw", ["127.0.0.1:8800", "[::1]:0", "gateway.local:65535", ""])
def test_addresses(raw: str):
    assert parse_listen(raw) == raw


@pytest.mark.parametrize("raw", ["8800", "127.0.0.1", ":8800", "h:65536", "h:-1", "a b:1", 8800, None])
def test_what_is_no_address_is_refused(raw: object):
    with pytest.raises(ValueError):
        parse_listen(raw)


@pytest.mark.parametrize("text", ["1s", "250ms", "5min", "1h", "30d", "90s", "1500us", "7ns", "0s"])
def test_a_shown_duration_reads_back(text: str):
    assert show_duration(parse_duration(text)) == text


@pytest.mark.parametrize(
    ("count", "text"), [(0, "0 B"), (1023, "1023 B"), (36_044, "35.2 KiB"), (2**40, "1024.0 GiB")]
)
def test_sizes_are_shown_for_people(count: int, text: str):
    assert show_size(count) == text


@pytest.mark.parametrize(
    "raw", ["", "https://edgead.example", "http://127.0.0.1:8080/a/b", "https://[::1]/x/"]
)
def test_urls_that_are_right(raw: str):
    assert parse_url(raw) == raw


@pytest.mark.parametrize(
    "raw",
    ["edgead.example", "ftp://a/b", "https://", "https://u:p@host/", "https://h/?q=1", "https://h/#f"]
    + ["https://h:99999/", "https://h:0/", "https://h/a b", "https://[::1/", 5, None, "file:///etc/passwd"],
)
def test_urls_that_are_wrong(raw: object):
    with pytest.raises(ValueError):
        parse_url(raw)


@pytest.mark.parametrize("raw", ["", "22:00-05:00", "00:00-23:59"])
def test_hours_that_are_right(raw: str):
    assert parse_hours(raw) == raw


@pytest.mark.parametrize(
    "raw", ["22-05", "24:00-05:00", "22:00", "22:60-05:00", "05:00-05:00", 5, "22:00-05:00 "]
)
def test_hours_that_are_wrong(raw: object):
    with pytest.raises(ValueError):
        parse_hours(raw)
