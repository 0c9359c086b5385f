import json
import math

import pytest

from edgead.bridge.payloads import CAUSES, PayloadError, compile_decoder, field_names, parse_path
from edgead.errors import InvalidInput

MS = 1_763_750_000_123
NS = MS * 10**6
ARRIVAL_NS = NS + 5 * 10**9


def values(decoded) -> list[float | None]:
    return [None if math.isnan(value) else value for _, _, value, _ in decoded]


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"21.5", 21.5),
        (b" -2e3\n", -2000.0),
        (b"7", 7.0),
        (b'"21.5"', 21.5),
        (b"\xef\xbb\xbf21.5", 21.5),
        (b"true", 1.0),
        (b"False", 0.0),
        (b"null", None),
        (b"NaN", None),
        (b"-Infinity", None),
        (b"1e999", None),
        (b"unavailable", None),
        (b"unknown", None),
        (b'""', None),
    ],
)
def test_bare_numbers(payload: bytes, value: float | None) -> None:
    decoded = compile_decoder("")(payload, ARRIVAL_NS)
    assert values(decoded) == [value]
    assert [(field, time_ns, quality) for field, time_ns, _, quality in decoded] == [("", ARRIVAL_NS, "good")]


@pytest.mark.parametrize("payload", [b"21.5", b'"21.5"', b" 21.5\n", b"null", b"NaN", b"true"])
def test_the_default_path_takes_a_bare_number_too(payload: bytes) -> None:
    want = compile_decoder("")(payload, ARRIVAL_NS)
    assert repr(compile_decoder("value", "ts")(payload, ARRIVAL_NS)) == repr(want)
    with pytest.raises(PayloadError) as caught:
        compile_decoder("a.value", "ts")(payload, ARRIVAL_NS)
    assert caught.value.cause == "no_value"


@pytest.mark.parametrize(
    "payload", [b"+21.5", b"021.5", b".5", b"nan", b"unavailable", b"True", b" unknown \n"]
)
def test_the_default_path_takes_every_spelling_of_a_bare_number(payload: bytes) -> None:
    want = compile_decoder("")(payload, ARRIVAL_NS)
    assert repr(compile_decoder("value", "ts")(payload, ARRIVAL_NS)) == repr(want)


@pytest.mark.parametrize("text", ["21,5", "21.5 °C", "ON", "1.234,5"])
def test_a_bare_text_that_is_no_number_is_told_as_it_came(text: str) -> None:
    with pytest.raises(PayloadError) as caught:
        compile_decoder("value", "ts")(text.encode(), ARRIVAL_NS)
    assert (caught.value.cause, str(caught.value)) == (
        "not_json",
        f"expected a number or a JSON document, got {text!r}",
    )


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"", "empty"),
        (b"hot", "not_a_number"),
        (b"1_000", "not_a_number"),
        (b"21,5", "not_a_number"),
        (b'{"value":1}', "not_a_number"),
        (b"[1,2]", "not_a_number"),
        (b"9" * 500, "not_a_number"),
        (b"\xff\xfe", "not_text"),
        (b"1" * 2_000_000, "too_large"),
    ],
)
def test_bare_payloads_that_are_no_number(payload: bytes, cause: str) -> None:
    with pytest.raises(PayloadError) as caught:
        compile_decoder("")(payload, ARRIVAL_NS)
    assert caught.value.cause == cause
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("21.5", 21.5),
        ("-3", -3.0),
        ('"21.5"', 21.5),
        ('" 21.5 "', 21.5),
        ("true", 1.0),
        ("false", 0.0),
        ("null", None),
        ("NaN", None),
        ("-Infinity", None),
        ("1e999", None),
        ("1" + "0" * 400, None),
        (str(2**60), 2.0**60),
        ('"unavailable"', None),
        ('"Unknown"', None),
        ('"nan"', None),
        ('"inf"', None),
    ],
)
def test_every_way_to_write_a_value(raw: str, value: float | None) -> None:
    payload = f'{{"value":{raw},"ts":{MS}}}'.encode()
    decoded = compile_decoder("value", "ts")(payload, ARRIVAL_NS)
    assert values(decoded) == [value]
    assert decoded[0][1] == NS


@pytest.mark.parametrize("value", ["value", "a.b[0]", 'a["b.c"]', "a.b", "a.b.c"])
@pytest.mark.parametrize("time", [None, "ts", "a.ts", "meta.at[0]"])
def test_paths(value: str, time: str | None) -> None:
    document: object = {}
    for path, leaf in ((value, 21.5), (time, MS)):
        if path is not None:
            document = put(document, parse_path(path), leaf)
    payload = b"\xef\xbb\xbf" + json.dumps(document).encode()
    for each in (payload, payload[3:]):
        assert compile_decoder(value, time)(each, ARRIVAL_NS) == [
            ("", ARRIVAL_NS if time is None else NS, 21.5, "good")
        ]


def test_a_document_may_be_an_array() -> None:
    assert compile_decoder("[1].x", "[0]")(f'[{MS},{{"x":3}}]'.encode(), ARRIVAL_NS) == [
        ("", NS, 3.0, "good")
    ]


def put(document: object, path, leaf):
    """`document` with `leaf` at `path`."""
    if not path:
        return leaf
    head, *rest = path
    if isinstance(head, int):
        items = list(document) if isinstance(document, list) else []
        items += [{}] * (head + 1 - len(items))
        items[head] = put(items[head], rest, leaf)
        return items
    mapping = dict(document) if isinstance(document, dict) else {}
    mapping[head] = put(mapping.get(head, {}), rest, leaf)
    return mapping


@pytest.mark.parametrize(
    ("payload", "cause"),
    [
        (b"", "empty"),
        (b"{", "not_json"),
        (b'{"value":21.5', "not_json"),
        (b'{"value":21.5}}', "not_json"),
        (b'\xff{"value":21.5}', "not_text"),
        (b'{"value":"\xff"}', "not_text"),
        ('{"value":1}'.encode("utf-16"), "not_text"),
        (b"hot", "not_json"),
        (b"[]", "no_value"),
        (b'{"Value":21.5}', "no_value"),
        (b'{"value":{"v":1}}', "not_a_number"),
        (b'{"value":"hot"}', "not_a_number"),
        (b'{"value":"1_0"}', "not_a_number"),
        (b'{"value":[[1]],"dt":1}', "not_a_number"),
        (b'{"value":[1,2]}', "no_step"),
        (b'{"value":[1,2],"dt":0}', "no_step"),
        (b'{"value":[1,2],"dt":-1}', "no_step"),
        (b'{"value":[1,2],"dt":true}', "no_step"),
        (b'{"value":[1,2],"dt":"fast"}', "no_step"),
        (b'{"value":[1,2],"dt":1e300}', "no_step"),
        (b'{"value":[1,2,3],"dt":20000000000}', "no_step"),
        (b'{"value":[' + b"0," * 10_000 + b'0],"dt":1}', "too_many_values"),
        (b"[" * 100_000, "too_deep"),
        (b'{"value":' * 100_000, "too_deep"),
        (b'{"x":' + b"[" * 5000 + b"]" * 5000 + b',"value":1}', "too_deep"),
        (b'{"value":1,"pad":"' + b" " * (1 << 20) + b'"}', "too_large"),
    ],
)
def test_what_cannot_be_read_has_a_cause(payload: bytes, cause: str) -> None:
    with pytest.raises(PayloadError) as caught:
        compile_decoder("value", "ts")(payload, ARRIVAL_NS)
    assert caught.value.cause == cause
    assert caught.value.cause in CAUSES
    assert caught.value.decoded == []
    assert len(str(caught.value)) < 200


@pytest.mark.parametrize(
    ("sent", "time_ns", "quality"),
    [
        ("null", ARRIVAL_NS, "good"),
        (str(MS), NS, "good"),
        (f'"{MS}"', NS, "good"),
        ('"2025-11-21T18:33:20.123Z"', NS, "good"),
        ("1763750000.123", NS, "good"),
        ('"soon"', ARRIVAL_NS, "ts_replaced"),
        ("true", ARRIVAL_NS, "ts_replaced"),
        ("{}", ARRIVAL_NS, "ts_replaced"),
        ("0", ARRIVAL_NS, "ts_replaced"),
        ("NaN", ARRIVAL_NS, "ts_replaced"),
        (str(MS + 3_600_000), ARRIVAL_NS, "ts_replaced"),
    ],
)
def test_times_of_a_payload(sent: str, time_ns: int, quality: str) -> None:
    payload = f'{{"ts":{sent},"value":21.5}}'.encode()
    assert compile_decoder("value", "ts")(payload, ARRIVAL_NS) == [("", time_ns, 21.5, quality)]


def test_several_fields_of_one_message() -> None:
    decode = compile_decoder(["temp", "vibration.rms[1]", "absent"], "ts")
    payload = f'{{"ts":{MS},"temp":"21.5","vibration":{{"rms":[1,2]}}}}'.encode()
    assert field_names(["temp", "vibration.rms[1]"]) == ("temp", "vibration.rms.1")
    assert decode(payload, ARRIVAL_NS) == [("temp", NS, 21.5, "good"), ("vibration.rms.1", NS, 2.0, "good")]


def test_one_bad_field_does_not_take_the_good_ones_with_it() -> None:
    decode = compile_decoder(["temp", "state", "rpm"])
    with pytest.raises(PayloadError) as caught:
        decode(b'{"temp":21.5,"state":"running","rpm":900}', ARRIVAL_NS)
    assert caught.value.cause == "not_a_number"
    assert [field for field, *_ in caught.value.decoded] == ["temp", "rpm"]


def test_an_array_is_a_batch_of_readings() -> None:
    payload = f'{{"ts":{MS},"dt":250,"values":[1,2.5,3]}}'.encode()
    assert compile_decoder("values")(payload, ARRIVAL_NS) == [
        ("", NS, 1.0, "good"),
        ("", NS + 250_000_000, 2.5, "good"),
        ("", NS + 500_000_000, 3.0, "good"),
    ]


def test_time_and_step_are_looked_for_beside_the_array() -> None:
    payload = f'{{"ts":1,"data":[{{"ts":{MS},"dt":0.5,"v":[1,2]}}]}}'.encode()
    decoded = compile_decoder("data[0].v")(payload, ARRIVAL_NS)
    assert [time_ns for _, time_ns, _, _ in decoded] == [NS, NS + 500_000]


def test_an_array_without_time_ends_at_arrival() -> None:
    decoded = compile_decoder("values")(b'{"dt":1000,"values":[1,2,3]}', ARRIVAL_NS)
    assert [(time_ns - ARRIVAL_NS) // 10**9 for _, time_ns, _, _ in decoded] == [-2, -1, 0]
    assert {quality for *_, quality in decoded} == {"good"}


def test_an_array_that_reaches_into_the_future_ends_at_arrival_and_says_so() -> None:
    payload = f'{{"ts":{MS},"dt":3600000,"values":[1,2]}}'.encode()
    decoded = compile_decoder("values")(payload, ARRIVAL_NS)
    assert [(time_ns, quality) for _, time_ns, _, quality in decoded] == [
        (ARRIVAL_NS - 3600 * 10**9, "ts_replaced"),
        (ARRIVAL_NS, "ts_replaced"),
    ]


def test_gaps_and_bad_elements_of_an_array() -> None:
    decode = compile_decoder("values")
    payload = f'{{"ts":{MS},"dt":1,"values":[1,null,"3",NaN]}}'.encode()
    assert values(decode(payload, ARRIVAL_NS)) == [1.0, None, 3.0, None]
    with pytest.raises(PayloadError) as caught:
        decode(f'{{"ts":{MS},"dt":1,"values":[1,{{}},3]}}'.encode(), ARRIVAL_NS)
    assert [(time_ns - NS, value) for _, time_ns, value, _ in caught.value.decoded] == [
        (0, 1.0),
        (2_000_000, 3.0),
    ]


def test_arrays_of_none_and_one_need_no_step() -> None:
    decode = compile_decoder("values")
    assert decode(b'{"values":[]}', ARRIVAL_NS) == []
    assert decode(b'{"values":[4]}', ARRIVAL_NS) == [("", ARRIVAL_NS, 4.0, "good")]
    assert values(decode(b'{"values":[1' + b"0" * 400 + b"]}", ARRIVAL_NS)) == [None]


def test_a_time_path_that_goes_through_the_value_is_read_thoroughly() -> None:
    assert compile_decoder("a", "a.ts")(b'{"a":1}', ARRIVAL_NS) == [("", ARRIVAL_NS, 1.0, "good")]
    assert (
        compile_decoder("a.a", "a.b.ts")(f'{{"a":{{"a":2,"b":{{"ts":{MS}}}}}}}'.encode(), ARRIVAL_NS)[0][1]
        == NS
    )


@pytest.mark.parametrize(
    ("value", "time"),
    [("a..b", None), (".a", None), ("a.", None), ("a[x]", None), ("a[", None), ("a]b", None), ('a["b', None)]
    + [
        ("", "ts"),
        ([], None),
        (["a", ""], None),
        (["a", "a"], None),
        (["a[0]", "a.0"], None),
        ("a", ""),
        ("a", "b..c"),
    ],
)
def test_paths_that_cannot_be_are_refused_when_the_rule_is_made(value, time) -> None:
    with pytest.raises(InvalidInput):
        compile_decoder(value, time)
