"""What the engine was fed since its series were last saved, as bytes.

An entry is a msgpack array of inputs in the order they came: a batch of readings as columns, a tick that did
something, a new series, a command.  Feeding the entries again gives the same state and the same events.
"""

from array import array
from typing import Literal

import msgspec

from edgead.errors import InvalidInput

QUALITIES = ("good", "ts_replaced")
_QUALITY_CODES = {name: code for code, name in enumerate(QUALITIES)}

Verb = Literal["relearn", "mute", "unmute"]


class Fed(msgspec.Struct, tag="f", array_like=True, gc=False):
    """Readings given to `Engine.feed` at one time; columns of int32 keys, int64 times, float64 values, uint8 codes."""

    now_ns: int
    keys: bytes
    times: bytes
    values: bytes
    qualities: bytes


class Ticked(msgspec.Struct, tag="t", array_like=True, gc=False):
    """A tick that changed series: their keys, and what was done to each (see `series.due`)."""

    now_ns: int
    keys: list[int]
    actions: bytes


class Added(msgspec.Struct, tag="a", array_like=True, gc=False):
    """A series that the engine took in."""

    now_ns: int
    key: int
    series_id: str
    source: str


class Commanded(msgspec.Struct, tag="c", array_like=True, gc=False):
    """A command on one series, or on the group of that name."""

    now_ns: int
    verb: Verb
    series_id: str
    until_ns: int


Input = Fed | Ticked | Added | Commanded

_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[Input])


def encode(inputs: list[Input]) -> bytes:
    """One journal entry."""
    return _encoder.encode(inputs)


def decode(entry: bytes) -> list[Input]:
    """The inputs of an entry.

    Raises
    ------
    InvalidInput
        If the bytes are no journal entry.
    """
    try:
        return _decoder.decode(entry)
    except msgspec.MsgspecError as error:
        raise InvalidInput(f"journal entry: {error}") from error


#: (key, time_ns, value, quality) of a reading as the engine notes it.
Row = tuple[int, int, float, str]


def fed(now_ns: int, noted: list[Row]) -> Fed:
    """The readings of one feed call as a journal input; `noted` is not empty."""
    keys, times, values, qualities = zip(*noted, strict=True)
    return Fed(
        now_ns,
        array("i", keys).tobytes(),
        array("q", times).tobytes(),
        array("d", values).tobytes(),
        bytes(map(_QUALITY_CODES.__getitem__, qualities)),
    )


def rows(fed: Fed) -> list[tuple[int, tuple[int, float, str]]]:
    """(key, (time_ns, value, quality)) of each reading of a batch, in order."""
    keys, times, values = array("i", fed.keys), array("q", fed.times), array("d", fed.values)
    qualities = (QUALITIES[code] for code in fed.qualities)
    return list(zip(keys, zip(times, values, qualities, strict=True), strict=True))
