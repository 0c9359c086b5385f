"""When a device asks."""

from collections import Counter
from datetime import datetime

import pytest

from edgead.config import UplinkConfig
from edgead.uplink.schedule import next_due, send_due

HOUR = 3600 * 10**9
T0 = datetime(2026, 3, 3, 12, 0).timestamp()


def config(**changes: object) -> UplinkConfig:
    return UplinkConfig(**{"url": "https://h", "interval": 6 * HOUR, "jitter": HOUR // 2, **changes})  # type: ignore[arg-type]


def test_the_first_sync_is_due_at_once():
    assert next_due(config(), "gw1", 0, T0) == T0


def test_without_jitter_it_is_the_interval():
    assert next_due(config(jitter=0), "gw1", T0, T0 + 5) == T0 + 6 * 3600


def test_a_device_comes_every_interval_and_being_a_little_late_does_not_add_up():
    last = next_due(config(), "gw1", T0, T0)
    for _ in range(50):
        due = next_due(config(), "gw1", last + 3, last + 3)
        assert due - last == pytest.approx(6 * 3600, abs=1e-3)
        last = due


def test_a_fleet_that_starts_together_spreads_over_the_jitter():
    due = [next_due(config(), f"gw{number}", T0, T0) for number in range(3000)]
    spread = Counter(int(when - min(due)) // 180 for when in due)
    assert len(spread) == 10
    assert max(spread.values()) < 2 * min(spread.values())
    assert T0 + 5.5 * 3600 <= min(due) <= max(due) <= T0 + 6 * 3600


def test_a_clock_that_was_set_back_does_not_silence_a_device():
    """Nor does one that wakes in 1970 after a sync in 2026."""
    assert next_due(config(), "gw1", T0 + 1e9, T0) == T0
    assert next_due(config(), "gw1", T0, 1000.0) == 1000.0


def test_a_plant_whose_power_comes_back_does_not_ask_at_once():
    started = T0 + 86_400
    due = [next_due(config(), f"gw{number}", T0, started + 1, since_s=started) for number in range(3000)]
    assert started <= min(due) < started + 10
    assert started + 1790 < max(due) <= started + 1800
    polled = [next_due(config(), "gw7", T0, started + at, since_s=started) for at in range(0, 1800, 60)]
    assert len(set(polled)) == 1
    due_later = next_due(config(), "gw7", started - 60, started, since_s=started)
    assert due_later > started + 5 * 3600


@pytest.mark.parametrize(
    ("hours", "now", "then"),
    [
        ("22:00-05:00", "2026-03-03T12:00", "2026-03-03T22:00"),
        ("22:00-05:00", "2026-03-03T23:30", "2026-03-03T23:30"),
        ("22:00-05:00", "2026-03-03T04:59", "2026-03-03T04:59"),
        ("22:00-05:00", "2026-03-03T05:00", "2026-03-03T22:00"),
        ("01:00-05:00", "2026-03-03T12:00", "2026-03-04T01:00"),
        ("01:00-05:00", "2026-03-03T00:10", "2026-03-03T01:00"),
    ],
)
def test_hours(hours: str, now: str, then: str):
    now_s = datetime.fromisoformat(now).timestamp()
    assert next_due(config(hours=hours), "gw1", 0, now_s) == datetime.fromisoformat(then).timestamp()


def test_what_hits_all_devices_at_once_goes_up_spread_over_half_of_the_time():
    late = [send_due(config(), f"gw{number}", T0, T0) - T0 for number in range(3000)]
    assert 150 <= min(late) < 155
    assert 295 < max(late) <= 300
    assert send_due(config(), "gw1", T0, T0) == send_due(config(), "gw1", T0, T0 + 99)


def test_events_go_up_in_the_hours_and_a_clock_set_back_does_not_hold_them():
    opening = datetime(2026, 3, 3, 22, 0).timestamp()
    assert send_due(config(hours="22:00-05:00"), "gw1", T0, T0) == opening
    assert send_due(config(), "gw1", T0 + 1e9, T0) == T0
