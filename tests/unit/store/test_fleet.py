"""What devices sent, in SQLite: what it takes is counted, and bounded."""

import contextlib
import random
import sqlite3
from pathlib import Path

import pytest

from edgead.errors import StoreError
from edgead.store.fleet import DATABASE, SCHEMA_VERSION, Bounds, FleetRecord, FleetStore, OverQuota, Window

KB = 1000


@pytest.fixture
def store(tmp_path: Path):
    opened = FleetStore.open(tmp_path, now_ns=1)
    yield opened
    opened.close()


def event(number: int, size: int = KB) -> FleetRecord:
    return FleetRecord(
        kind="event", key=f"id{number}/open/1", seq=number, created_ms=1, replay=False, body=b"x" * size
    )


def take(store: FleetStore, numbers, device: str = "gw1", *, size: int = KB, **bounds: int) -> int:
    records = [event(number, size) for number in numbers]
    return store.take(device, records, {}, now_ms=1, bounds=Bounds(**bounds))


def take_readings(store: FleetStore, first: int, count: int, device: str = "gw1", **bounds: int) -> int:
    record = FleetRecord(kind="data", key=f"s//{first}", seq=1, created_ms=1, replay=False, body=b"")
    window = Window(series="s", times_us=list(range(first, first + count)), values=[1.0] * count)
    return store.take(device, [record], {0: window}, now_ms=1, bounds=Bounds(**bounds))


def recounted(folder: Path) -> tuple[int, int]:
    with contextlib.closing(FleetStore.open(folder, now_ns=1)) as store:
        return store.used.records, store.used.readings


def test_a_device_s_bound_refuses_all_of_a_batch_and_leaves_others_in_peace(store: FleetStore):
    assert take(store, range(8), device_bytes=10 * KB) == 8
    before = store.used
    with pytest.raises(OverQuota) as refused:
        take(store, range(8, 12), device_bytes=10 * KB)
    assert (refused.value.of, refused.value.readings, refused.value.most) == ("device", False, 10 * KB)
    assert refused.value.used > 10 * KB
    assert isinstance(refused.value, StoreError)
    assert store.used == before
    assert len(store.records("gw1")) == 8
    assert take(store, range(8), "gw2", device_bytes=10 * KB) == 8
    assert take(store, range(8, 9), device_bytes=20 * KB) == 1


def test_the_bound_of_all_refuses_whoever_comes(store: FleetStore):
    take(store, range(8), fleet_bytes=14 * KB)
    with pytest.raises(OverQuota) as refused:
        take(store, range(8), "gw2", fleet_bytes=14 * KB)
    assert refused.value.of == "fleet"
    assert [row.device for row in store.devices()] == ["gw1"]


def test_what_is_known_already_needs_no_room(store: FleetStore):
    take(store, range(8))
    assert take(store, range(8), device_bytes=KB, fleet_bytes=KB) == 0


def test_a_ring_of_records_that_is_full_goes_on_turning(store: FleetStore):
    for first in range(0, 50, 5):
        assert take(store, range(first, first + 5), records=5, device_bytes=8 * KB) == 5
    assert store.used.records < 8 * KB


def test_readings_leave_room_for_events(store: FleetStore):
    bounds = {"device_bytes": 100 * KB}
    assert take_readings(store, 0, 800, **bounds) == 1
    with pytest.raises(OverQuota) as refused:
        take_readings(store, 800, 300, **bounds)
    assert (refused.value.of, refused.value.readings, refused.value.most) == ("device", True, 75 * KB)
    assert take(store, range(15), **bounds) == 15
    with pytest.raises(OverQuota):
        take(store, range(15, 60), **bounds)


def test_readings_sent_again_or_in_a_full_ring_need_no_room(store: FleetStore):
    bounds = {"device_bytes": 100 * KB, "readings": 500}
    for first in range(0, 5000, 500):
        assert take_readings(store, first, 500, **bounds) == 1
    assert [time_us for time_us, _ in store.readings("gw1", "s")] == list(range(4500, 5000))
    assert store.used.readings < 50 * KB


def test_what_it_takes_is_counted_as_if_it_were_summed_up(tmp_path: Path):
    """Of a first format, too, which did not count."""
    draw = random.Random(7)
    with contextlib.closing(FleetStore.open(tmp_path, now_ns=1)) as store:
        for _ in range(60):
            device, bounds = (
                f"gw{draw.randrange(4)}",
                {"records": 20, "readings": 300, "device_bytes": 30 * KB},
            )
            with contextlib.suppress(OverQuota):
                if draw.random() < 0.6:
                    numbers = [draw.randrange(100) for _ in range(draw.randrange(8))]
                    take(store, numbers, device, size=draw.randrange(2 * KB), **bounds)
                elif draw.random() < 0.8:
                    take_readings(store, draw.randrange(900), draw.randrange(200), device, **bounds)
                else:
                    store.forget_device(device)
        counted = store.used.records, store.used.readings
        rows = store.devices()
    assert min(counted) > KB
    assert recounted(tmp_path) == counted
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        for column in ("record_bytes", "reading_bytes"):
            database.execute(f"ALTER TABLE devices DROP COLUMN {column}")
        database.execute("PRAGMA user_version = 1")
    assert recounted(tmp_path) == counted
    with contextlib.closing(FleetStore.open(tmp_path, now_ns=1)) as store:
        assert (store.notices, store.devices()) == ([], rows)
    with contextlib.closing(sqlite3.connect(tmp_path / DATABASE)) as database:
        assert database.execute("PRAGMA user_version").fetchone() == (SCHEMA_VERSION,)


def test_a_device_that_is_forgotten_makes_room(store: FleetStore):
    take(store, range(8), fleet_bytes=12 * KB)
    taken = store.used.all
    assert store.forget_device("gw1") == taken
    assert store.forget_device("gw1") is None
    assert (store.used.all, store.devices(), store.records("gw1")) == (0, [], [])
    assert take(store, range(8), "gw2", fleet_bytes=12 * KB) == 8


def test_readings_are_read_a_page_at_a_time(store: FleetStore, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("edgead.store.fleet.PAGE_READINGS", 7)
    take_readings(store, -20, 50)
    assert [time_us for time_us, _ in store.readings("gw1", "s")] == list(range(-20, 30))
