"""Whatever a device sends is taken, refused by line, or refused whole: nothing else comes of it."""

import gzip
import json

from hypothesis import given
from hypothesis import strategies as st

from edgead.server.fleet import KINDS, MAX_BATCH_BYTES, Batch, read_batch, uncompressed
from edgead.server.wire import ServiceError

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
names = st.sampled_from(["ts", "id", "event", "series", "times_us", "values"])
records = st.dictionaries(
    names, json_values | st.lists(st.integers() | st.floats(allow_nan=False), max_size=3)
)
good = st.fixed_dictionaries(
    {
        "seq": st.integers(1, 2**62),
        "kind": st.sampled_from(KINDS),
        "created": st.integers(0, 2**50),
        "replay": st.booleans(),
        "record": st.fixed_dictionaries(
            {
                "ts": st.integers(-(2**60), 2**60),
                "id": st.text(max_size=30),
                "event": st.text(max_size=30),
                "series": st.from_regex(r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]{0,30}\Z"),
                "times_us": st.just([1, 2]),
                "values": st.just([1.5, None]),
            }
        ),
    }
)
lines = (
    st.binary(max_size=60)
    | json_values.map(lambda value: json.dumps(value).encode())
    | st.tuples(good, records).map(lambda each: json.dumps({**each[0], "record": each[1]}).encode())
)


def understood(data: bytes) -> Batch | None:
    try:
        return read_batch(data)
    except ServiceError as error:
        if error.status != 413:
            raise
        return None


@given(st.lists(lines, max_size=8))
def test_every_line_is_taken_or_refused_with_a_reason(parts: list[bytes]) -> None:
    data = b"\n".join(parts)
    batch = understood(data)
    assert batch is not None
    assert len(batch.records) + len(batch.refused) == sum(bool(each.strip()) for each in data.split(b"\n"))
    assert all(each["reason"] for each in batch.refused)
    for record in batch.records:
        assert record.body == b"" or isinstance(json.loads(record.body), dict)


@given(st.lists(good, min_size=1, max_size=6))
def test_a_right_batch_is_taken_wholly(told: list[dict]) -> None:
    batch = understood(b"\n".join(json.dumps(each).encode() for each in told))
    assert batch is not None
    assert batch.refused == []
    assert [record.seq for record in batch.records] == [each["seq"] for each in told]
    assert set(batch.windows) == {place for place, each in enumerate(told) if each["kind"] == "data"}


@given(st.binary(max_size=300), st.sampled_from(["gzip", "", "identity", "br", "deflate"]))
def test_any_body_is_uncompressed_or_refused(data: bytes, encoding: str) -> None:
    try:
        assert len(uncompressed(data, encoding)) <= MAX_BATCH_BYTES
    except ServiceError as error:
        if error.status not in (400, 413, 415):
            raise


@given(st.binary(max_size=300), st.integers(0, 400), st.integers(0, 255))
def test_a_damaged_gzip_stream_is_refused_or_what_was_packed(data: bytes, place: int, value: int) -> None:
    packed = bytearray(gzip.compress(data))
    packed[place % len(packed)] = value
    try:
        assert uncompressed(bytes(packed), "gzip") == data
    except ServiceError as error:
        if error.status not in (400, 413):
            raise
