"""The short way from JSON to arrays takes what the long way takes, to the last bit, and refuses what it refuses."""

import json

import msgspec
import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from edgead.errors import InvalidInput
from edgead.native import svc_read_json
from edgead.univariate import rest

number = st.floats() | st.integers(-(10**25), 10**25) | st.floats(allow_nan=False, width=32)
stamp = st.datetimes().map(lambda moment: moment.isoformat() + "Z")
odd = st.none() | st.booleans() | st.text(max_size=5) | st.lists(st.integers(), max_size=2)
point = st.fixed_dictionaries({"timestamp": stamp, "value": number}) | st.fixed_dictionaries(
    {"value": number}
)
odd_point = st.dictionaries(
    st.sampled_from(["value", "timestamp", "x", "v\u00e4"]), number | stamp | odd, max_size=3
)


def outcome(body, mode="entire"):
    """A request, or its refusal, as plain objects."""
    try:
        request = rest.read_request(mode, body)
    except InvalidInput as error:
        return error.code, error.message
    times = request.times_us if request.granularity != "none" else None
    return request.values.tobytes(), times.tobytes() if times is not None else None


def same(text: bytes) -> None:
    try:
        plain = msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeDecodeError):
        with pytest.raises((msgspec.DecodeError, UnicodeDecodeError)):
            rest.read_json(text)
        return
    assert outcome(rest.read_json(text)) == outcome(plain)


@given(
    st.lists(point, max_size=20) | st.lists(odd_point, max_size=14),
    st.sampled_from(["none", "daily", "hourly", None, 3]),
    st.sampled_from([None, 2, "\t"]),
)
def test_bodies_of_every_kind(series, granularity, indent):
    same(json.dumps({"granularity": granularity, "series": series}, indent=indent).encode())


@given(st.lists(st.floats(allow_nan=False, allow_infinity=False), min_size=12, max_size=40))
@example([5e-324, 2.2250738585072014e-308, 1.7976931348623157e308, 0.1, 1e22, 9007199254740993.0] * 2)
def test_numbers_to_the_last_bit(values):
    text = json.dumps([{"value": value} for value in values]).encode()
    read = svc_read_json(text)
    assert (read[0].tobytes(), read[1:]) == (np.array(values).tobytes(), (None, len(text)))


#: Up to eighteen digits are read by whole numbers: any, and those that lie half way between two doubles, or beside it.
decimals = st.tuples(st.integers(0, 10**18 - 1), st.integers(0, 17)).map(lambda it: f"{it[0]}e-{it[1]}")
halves = st.tuples(st.integers(2**52, 2**53 - 1), st.integers(0, 4), st.sampled_from([-1, 0, 0, 1])).map(
    lambda it: f"{(2 * it[0] + 1) * 5 ** it[1] + it[2]}e-{it[1]}"
)


@given(st.lists(st.tuples(decimals | halves, st.booleans()), min_size=1, max_size=50))
@example([("9007199254740993e-0", False), ("0e-5", True), ("999999999999999999e-17", True), ("1e-17", False)])
def test_decimals_to_the_last_bit(numbers):
    texts = []
    for number, negative in numbers:
        digits, places = number.split("e-")
        whole = digits.zfill(int(places) + 1)
        cut = len(whole) - int(places)
        texts.append("-" * negative + whole[:cut] + ("." + whole[cut:] if cut < len(whole) else ""))
    read = svc_read_json(("[" + ",".join(f'{{"value":{text}}}' for text in texts) + "]").encode())
    assert read[0].tobytes() == np.array([float(json.loads(text)) for text in texts]).tobytes()


GOOD = json.dumps(
    {
        "series": [{"timestamp": f"2021-01-{day:02}T00:00:00Z", "value": day / 7} for day in range(1, 15)],
        "granularity": "daily",
        "period": 0,
    }
).encode()


POINTS = b'[{"timestamp":"2021-01-01T00:00:00Z","value":1.5}]'


@pytest.mark.parametrize(
    "text",
    [
        b'{"x":{"series":%b},"granularity":"none"}',
        b'{"x":{"series":%b},"series":[{"value":2}]}',
        b'{"series":%b,"series":[{"value":"7"}]}',
        b'{"series":[{"value":"7"}],"series":%b}',
        b'{"x":"series","series":%b}',
        b'{"x":"\\"series\\":%b","series":1}',
        b'{"x":"\\"series\\":[{}]","series":%b}',
        b'[{"series":%b}]',
        b'{"series":%b',
        b'{"series":%b]}',
        b'{"series":%b}}',
        b'{"series":%b,}',
        b'{"series":%b "granularity":"none"}',
        b'"series":%b',
        b'{"series" \n:\t%b , "granularity":"daily"}',
        b'{"series":%b,"granularity":["daily"]}',
        b'{"granularity":"daily","series":%b,"v\xff":1}',
    ],
)
def test_where_the_points_stand(text: bytes):
    for granularity in (b'"granularity":"none"', b'"granularity":"daily"'):
        same(text.replace(b"%b", POINTS).replace(b'"granularity":"none"', granularity))
        many = b"[" + b",".join([POINTS[1:-1]] * 12) + b"]"
        same(text.replace(b"%b", many).replace(b'"granularity":"none"', granularity))


@given(st.lists(st.tuples(st.integers(0, len(GOOD)), st.integers(0, 4), st.binary(max_size=3)), max_size=4))
def test_damaged_texts(cuts):
    text = bytearray(GOOD)
    for at, count, put in cuts:
        text[at : at + count] = put
    same(bytes(text))


NO_NUMBERS = [
    *["+1", "01", ".5", "1.", "1e", "0x10", "inf", "nan", "1_0", "--1", "1e999", "-"],
    "- 1",
    "",
    "1 2",
]


@pytest.mark.parametrize("value", NO_NUMBERS)
def test_what_is_no_number_of_json(value: str):
    assert svc_read_json(f'[{{"value": {value}}}]'.encode()) is None


NO_ARRAYS = """[ | [] | [{ | [{"value":1} | [{"value":1},] | [null | [{"value":1] | [{"value":1,}]
 | [{"value":1,"value":2}] | [{"value"}] | ["value"] | {} | [{"value":1}{"value":1}] | [,{"value":1}]"""


@pytest.mark.parametrize("text", ["", *NO_ARRAYS.split(" | ")])
def test_what_is_no_array_of_points(text: str):
    assert svc_read_json(text.encode()) is None


def test_the_usual_forms_take_the_short_way():
    assert isinstance(rest.read_json(GOOD)["series"], rest.ReadSeries)
    assert isinstance(
        rest.read_json(b'{"series": [{"value": 1}, { "value" : -2.5e3 } ]}')["series"], rest.ReadSeries
    )
    assert svc_read_json(b'[{"value":1}]x')[1:] == (None, 13)  # no time, and what follows is another's matter
    assert svc_read_json(b'[{"value":1,"timestamp":"soon"}]')[1] is None
    for body in ([{"value": 1.5}] * 8640, [{"value": 1.5}] * 8641):
        text = json.dumps({"series": body}).encode()
        assert len(rest.read_json(text)["series"].values) == len(body)
        same(text)
