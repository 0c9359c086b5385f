"""Whatever bytes come, a payload is decoded or is a `PayloadError` with a known cause: never anything else.

``EDGEAD_FUZZ_SEED`` and ``EDGEAD_FUZZ_COUNT`` choose another world or a longer run; both are printed on
failure.
"""

import json
import math
import os
import random

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from edgead.bridge.payloads import CAUSES, PayloadError, compile_decoder, to_number
from edgead.bridge.timestamps import EARLIEST_NS, MAX_AHEAD_NS, event_time

SEED = int(os.environ.get("EDGEAD_FUZZ_SEED", "20251121"))
COUNT = int(os.environ.get("EDGEAD_FUZZ_COUNT", "10000"))

MS = 1_763_750_000_123
ARRIVAL_NS = MS * 10**6 + 10**9

RULES = [
    ("", None),
    ("value", "ts"),
    ("value", None),
    ("a.b[0]", "ts"),
    (["temp", "a.b[1]", "values"], "meta.ts"),
    ("values", "ts"),
    ("data.values", None),
]

SEEDS = [
    b"21.5",
    b"unavailable",
    b'{"value":21.5,"ts":1763750000123}',
    b'{"value":"21.5","ts":"2025-11-21T18:33:20.123456789+01:00"}',
    b'{"value":null,"ts":1763750000.123}',
    b'{"a":{"b":[1,2e3,-0.5]},"ts":1763750000123000}',
    b'{"temp":1,"a":{"b":[NaN,Infinity]},"meta":{"ts":1763750000123},"values":[true,false]}',
    b'{"ts":1763750000123,"dt":100,"values":[1,2,3,null,"5"]}',
    b'{"data":{"ts":1763750000123,"dt":0.5,"values":[1.5,2.5]}}',
    b"\xef\xbb\xbf" + '{"Wert °C":1,"value":"\\ud83d\\ude00","ts":{}}'.encode(),
    b"[" * 200 + b"]" * 200,
]

PIECES = [
    b"NaN",
    b"1e999",
    b"-",
    b'"',
    b"\\u0000",
    b"\\ud800",
    b"{",
    b"}",
    b"[",
    b"]",
    b",",
    b":",
    b"null",
    b"\xff",
]
PIECES += [
    b"1" + b"0" * 400,
    b"9223372036854775808",
    b"-1",
    b"0.0000001",
    b"dt",
    b"ts",
    b"value",
    b"values",
    b"\x00",
]


def mutated(rng: random.Random) -> bytes:
    """One of the seeds, edited."""
    return edited(rng.choice(SEEDS), rng)


def edited(whole: bytes, rng: random.Random) -> bytes:
    """A payload after one to eight edits of bytes, pieces and ranges, mostly few."""
    payload = bytearray(whole)
    for _ in range(min(8, 1 + int(rng.expovariate(1)))):
        at = rng.randint(0, len(payload))
        match rng.randrange(6):
            case 0:
                payload[at:at] = rng.choice(PIECES)
            case 1:
                payload[at : at + 1] = bytes([rng.randrange(256)])
            case 2:
                del payload[at : at + rng.randint(1, 10)]
            case 3:
                payload[at:at] = payload[: rng.randint(0, len(payload))]
            case 4:
                payload[at : at + rng.randint(1, 6)] = rng.choice(PIECES)
            case _:
                other = rng.choice(SEEDS)
                payload[at:] = other[rng.randint(0, len(other)) :]
    return bytes(payload)


def check(decode, payload: bytes) -> str:
    """Decode; returns the cause, or ``""``, and checks what was decoded."""
    cause, message = "", ""
    try:
        decoded = decode(payload, ARRIVAL_NS)
    except PayloadError as error:
        decoded, cause, message = error.decoded, error.cause, str(error)
    assert cause == "" or cause in CAUSES
    assert len(message) < 400
    for field, time_ns, value, quality in decoded:
        assert isinstance(field, str)
        assert type(time_ns) is int
        assert -(2**63) <= time_ns < 2**63
        assert type(value) is float
        assert not math.isinf(value)
        assert quality in ("good", "ts_replaced")
    return cause


def test_mutated_payloads_are_decoded_or_refused_with_a_cause() -> None:
    rng = random.Random(SEED)
    decoders = [compile_decoder(value, time) for value, time in RULES]
    causes: dict[str, int] = {}
    for number in range(COUNT):
        payload = mutated(rng)
        for rule, decode in zip(RULES, decoders):
            try:
                cause = check(decode, payload)
            except Exception as error:
                raise AssertionError(f"seed {SEED}, payload {number}, rule {rule}: {payload!r}") from error
            causes[cause] = causes.get(cause, 0) + 1
    assert sum(causes.values()) == COUNT * len(RULES)
    assert causes[""] > COUNT / 20, "the mutations leave some payloads readable"


@given(st.binary(max_size=200), st.sampled_from(RULES))
def test_any_bytes(payload: bytes, rule) -> None:
    check(compile_decoder(*rule), payload)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=5) | st.dictionaries(st.sampled_from(["value", "ts", "dt", "a", "b"]), inner)
    ),
    max_leaves=20,
)


@given(JSON, st.sampled_from([("value", "ts"), (["value"], "ts"), ("a.b", "a.ts"), (["a.b"], "a.ts")]))
def test_the_quick_way_and_the_thorough_way_agree(document, rule) -> None:
    """A list of one path has no quick reader, so the two rules below take the two ways."""
    value, time = rule
    single = value if isinstance(value, str) else value[0]
    assume(isinstance(document, (dict, list)) or single != "value")  # the default path takes bare numbers too
    payload = json.dumps(document).encode()
    answers = []
    for each in (single, [single, "nowhere"]):
        try:
            answers.append(
                [repr(reading[1:]) for reading in compile_decoder(each, time)(payload, ARRIVAL_NS)]
            )
        except PayloadError as error:
            answers.append([error.cause, *(repr(reading[1:]) for reading in error.decoded)])
    assert answers[0] == answers[1]


@given(st.floats(allow_nan=False, allow_infinity=False))
def test_a_number_is_the_same_bare_quoted_and_in_json(number: float) -> None:
    text = repr(number).encode()
    expected = [("", ARRIVAL_NS, number, "good")]
    assert compile_decoder("")(text, ARRIVAL_NS) == expected
    assert compile_decoder("value")(b'{"value":' + text + b"}", ARRIVAL_NS) == expected
    assert compile_decoder("value")(b'{"value":"' + text + b'"}', ARRIVAL_NS) == expected
    assert to_number(number) == number


@pytest.mark.parametrize("unit_ns", [10**9, 10**6, 10**3, 1])
@given(st.integers(EARLIEST_NS, ARRIVAL_NS + MAX_AHEAD_NS))
def test_one_instant_is_the_same_in_every_unit(unit_ns: int, time_ns: int) -> None:
    time_ns -= time_ns % 10**9
    assert event_time(time_ns // unit_ns, ARRIVAL_NS) == (time_ns, "good")
    assert event_time(str(time_ns // unit_ns), ARRIVAL_NS) == (time_ns, "good")
