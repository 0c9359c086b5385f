"""What a device remembers of its syncs."""

from datetime import UTC, datetime

from edgead.uplink.reasons import Refusal
from edgead.uplink.record import REFUSALS_KEPT, SyncRecord, read_record, write_record

NOW = datetime(2026, 3, 3, tzinfo=UTC).timestamp()


def test_being_offline_is_no_trouble():
    assert (
        SyncRecord(state="unreachable", detail="no route", ends={"root": "2027-01-01T00:00:00Z"}).troubles(
            NOW
        )
        == []
    )


def test_a_refusal_and_what_has_ended_are():
    record = SyncRecord(
        state="refused", ends={"root": "2027-01-01T00:00:00Z", "timestamp": "2026-03-02T00:00:00Z"}
    )
    record = record.with_refusals([Refusal("slow", "1 byte a second", "x", 5)])
    assert record.troubles(NOW) == [
        "uplink: refused, slow: 1 byte a second",
        "uplink: what was signed as timestamp ended on 2026-03-02T00:00:00Z; the active models keep running",
    ]
    assert len(record.troubles(-5e9)) == 1
    assert len(record.troubles(5e18)) == 3


def test_refusals_are_bounded_and_the_same_one_is_not_told_twice():
    record = SyncRecord()
    for number in range(100):
        record = record.with_refusals([Refusal("trial", f"model {number}", f"models/{number}.zip", number)])
        record = record.with_refusals([Refusal("freeze", "held back", "timestamp.json", number)])
    assert len(record.refused) == REFUSALS_KEPT
    assert [each.at_ms for each in record.refused if each.reason == "freeze"] == [99]


def test_a_record_longer_than_it_may_be_is_begun_anew(tmp_path):
    (tmp_path / "uplink").mkdir()
    write_record(tmp_path, SyncRecord(detail="x" * 1_100_000))
    assert read_record(tmp_path) == SyncRecord()
