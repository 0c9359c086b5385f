import pytest

from edgead.bridge.timestamps import EARLIEST_NS, GOOD, MAX_AHEAD_NS, TS_REPLACED, event_time, parse_time

S = 1_763_750_000
ARRIVAL_NS = (S + 60) * 10**9


@pytest.mark.parametrize(
    ("sent", "time_ns"),
    [
        (S, S * 10**9),
        (S * 1000 + 123, S * 10**9 + 123_000_000),
        (S * 10**6 + 123_456, S * 10**9 + 123_456_000),
        (S * 10**9 + 123_456_789, S * 10**9 + 123_456_789),
        (float(S), S * 10**9),
        (S + 0.123, S * 10**9 + 123_000_000),
        (S * 1000 + 123.456, S * 10**9 + 123_456_000),
        (str(S), S * 10**9),
        (f" {S}123 ", S * 10**9 + 123_000_000),
        (f"{S}.5", S * 10**9 + 500_000_000),
        ("2025-11-21T18:33:20Z", S * 10**9),
        ("2025-11-21 18:33:20", S * 10**9),
        ("2025-11-21t18:33:20z", S * 10**9),
        ("20251121T183320Z", S * 10**9),
        ("2025-11-21T18:33:20.1Z", S * 10**9 + 100_000_000),
        ("2025-11-21T18:33:20,123456789Z", S * 10**9 + 123_456_789),
        ("2025-11-21T18:33:20.1234567891Z", S * 10**9 + 123_456_789),
        ("2025-11-21T19:33:20+01:00", S * 10**9),
        ("2025-11-21T19:33:20+0100", S * 10**9),
        ("2025-11-21T19:33:20 +01", S * 10**9),
        ("2025-11-21T13:03:20-05:30", S * 10**9),
        ("2025-11-21T18:33Z", (S - 20) * 10**9),
        ("2025-11-21", 1_763_683_200 * 10**9),
        ("2025-11-20T24:00:00Z", 1_763_683_200 * 10**9),
        ("2016-12-31T23:59:60Z", 1_483_228_800 * 10**9),
    ],
)
def test_what_devices_send(sent: object, time_ns: int) -> None:
    assert parse_time(sent) == time_ns


@pytest.mark.parametrize(
    "sent",
    [
        True,
        [],
        {},
        "yesterday",
        "2025-13-01T00:00:00Z",
        "2025-02-30",
        "2025-11-21T25:00:00Z",
        "2025-11-21T18:61:00Z",
    ]
    + [float("nan"), float("inf"), 10**19, 1e300, "1" * 65, "2025-11-21T18:33:20+25:00", "²", b"1"],
)
def test_what_is_no_time(sent: object) -> None:
    assert parse_time(sent) is None


def test_a_missing_time_is_arrival_and_good() -> None:
    assert event_time(None, ARRIVAL_NS) == (ARRIVAL_NS, GOOD)


@pytest.mark.parametrize(
    ("sent", "quality"),
    [
        (EARLIEST_NS, GOOD),
        (EARLIEST_NS - 1, TS_REPLACED),
        (ARRIVAL_NS + MAX_AHEAD_NS, GOOD),
        (ARRIVAL_NS + MAX_AHEAD_NS + 1, TS_REPLACED),
        (0, TS_REPLACED),
        (-S, TS_REPLACED),
        ("yesterday", TS_REPLACED),
    ],
)
def test_times_out_of_range_are_replaced_by_arrival(sent: object, quality: str) -> None:
    time_ns, got = event_time(sent, ARRIVAL_NS)
    assert got == quality
    assert time_ns == (ARRIVAL_NS if quality == TS_REPLACED else sent)


def test_a_device_whose_own_clock_was_never_set_believes_the_source() -> None:
    assert event_time(S, 12 * 10**9) == (S * 10**9, GOOD)
    assert event_time("2250-01-01", 12 * 10**9) == (12 * 10**9, TS_REPLACED)
