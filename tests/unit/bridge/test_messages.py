import base64
import json
import math

import pytest

from edgead.bridge.messages import (
    MAX_DEADLETTER_BYTES,
    DeadLetters,
    Health,
    Info,
    Meta,
    Status,
    dead_letter,
    event_message,
    state_message,
)
from edgead.records import Event, Verdict

NS = 1_763_750_000_123_999_999
VERDICT = Verdict("press1.temp", NS, 21.5, 20.9, 20.1, 21.3, 1.7, 0.83, True, "ready", "ts_replaced")
EVENT = Event(
    "6ba7b810-9dad-51d1-80b4-00c04fd430c8", "open", NS - 10**9, VERDICT, "degC", "spectral-residual@1"
)


def test_the_event_payload_is_flat_and_has_every_field_of_the_contract() -> None:
    assert json.loads(event_message(EVENT, seq=412).encode()) == {
        "v": 1,
        "ts": 1_763_750_000_123,
        "id": "6ba7b810-9dad-51d1-80b4-00c04fd430c8",
        "series": "press1.temp",
        "value": 21.5,
        "expected": 20.9,
        "lower": 20.1,
        "upper": 21.3,
        "is_anomaly": True,
        "severity": 0.83,
        "score": 1.7,
        "phase": "ready",
        "event": "open",
        "since": 1_763_749_999_123,
        "unit": "degC",
        "quality": "ts_replaced",
        "model": "spectral-residual@1",
        "replay": False,
        "seq": 412,
    }


def test_what_is_not_finite_is_null() -> None:
    learning = Verdict("a", NS, math.nan, math.nan, -math.inf, math.inf, 0.0, 0.0, False, "learning")
    state = json.loads(state_message(learning).encode())
    assert [state[name] for name in ("value", "expected", "lower", "upper")] == [None] * 4
    assert state["score"] == 0.0
    assert "event" not in state


def test_the_other_messages() -> None:
    assert json.loads(Status(ts=1, state="online").encode()) == {"v": 1, "ts": 1, "state": "online"}
    info = json.loads(Info(ts=1, node="gw1", version="0.1", config_sha256="ab").encode())
    assert info["models"] == {}
    assert info["clock"] == "trusted"
    meta = json.loads(
        Meta(
            ts=1, series="a", topic="t", interval_s=1.0, detector="spectral-residual", phase="learning"
        ).encode()
    )
    assert meta["phase"] == "learning"
    health = Health(
        ts=1,
        state="degraded",
        reasons=["disk full"],
        uptime_s=1.5,
        loop_lag_ms=0.1,
        queue_depth=3,
        received=9,
        series=1,
        drops={"late": 2},
        spool_rows=0,
        spool_age_s=0.0,
        rss_bytes=1,
    )
    assert json.loads(health.encode())["drops"] == {"late": 2}


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        b"hot",
        b"\x00" * 5000,
        b"\xff" * 5000,
        ("é" * 5000).encode(),
        b'"' * 5000,
        b"\\" * 5000,
        b"\n" * 5000,
    ]
    + [("\U0001f525" * 500).encode(), b"a" * 900 + b"\xff"],
)
@pytest.mark.parametrize("topic", ["plant/a", "\U0001f525" * 10_000, "\x01" * 500])
def test_a_dead_letter_is_a_sample_of_bounded_size(payload: bytes, topic: str) -> None:
    letter = dead_letter(topic, payload, "not_json", "\x00" * 1000, NS)
    encoded = letter.encode()
    assert len(encoded) <= MAX_DEADLETTER_BYTES
    read = json.loads(encoded)
    assert read["size"] == len(payload)
    sample = read["text"].encode() or base64.b64decode(read["base64"])
    assert payload.startswith(sample)
    assert read["truncated"] == (len(sample) < len(payload))
    assert not (read["text"] and read["base64"])
    assert bool(read["text"] or read["base64"]) == bool(payload)


def test_the_beginning_of_a_text_is_readable_in_the_dead_letter() -> None:
    letter = dead_letter("plant/a", ("21,5 °C " * 500).encode(), "not_a_number", "expected a number", NS)
    assert letter.text.startswith("21,5 °C ")
    assert letter.truncated
    assert len(letter.encode()) > MAX_DEADLETTER_BYTES * 0.8


def test_a_flood_of_dead_letters_is_counted_and_sampled() -> None:
    letters = DeadLetters(per_minute=60, burst=5)
    given = [letters.report("t", b"x", "not_json", "e", NS + i * 10**6) for i in range(1000)]
    assert letters.counts == {"not_json": 1000}
    assert sum(each is not None for each in given) == letters.sampled == 5
    assert letters.report("t", b"x", "no_value", "e", NS + 3 * 10**9) is not None
    assert letters.counts["no_value"] == 1
    assert letters.report("t", b"x", "no_value", "e", 0) is not None, (
        "a clock that steps back takes nothing away"
    )
    for _ in range(5):
        letters.report("t", b"x", "no_value", "e", 0)
    assert letters.report("t", b"x", "no_value", "e", 1) is None
