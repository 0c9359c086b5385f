"""What a detection found, in a form of its own: smaller than JSON, and every version of the API is written from it."""

import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice

import msgspec

from edgead.multivariate import Judgement, interpretation, severity, wire_score

#: Most contributors that a caller may ask for (limit of the service).
MAX_CONTRIBUTORS = 30
#: Rows that are stored together, and so in memory together when they are written and read: a megabyte of JSON.
PART_ROWS = 64
#: Of one part unfolded.  Servers of before stored all rows as one: 20,000 with 30 contributors and 30 changed variables
#: each are a quarter of it.
_MAX_BYTES = 2**26


class Cause(msgspec.Struct, frozen=True, array_like=True):
    """One contributor: place of the variable among the model's, and its share of the score."""

    variable: int
    share: float


class Row(msgspec.Struct, frozen=True, array_like=True):
    """One timestamp.

    Attributes
    ----------
    time_ns : int
    score : float or None
        1.0 is the edge of normal; None where there was no whole window.
    causes : tuple of Cause
        Greatest first, at most `MAX_CONTRIBUTORS`; empty when normal.
    changed : tuple of Cause
        Variables whose correlations changed, and how far in units of the edge of normal; greatest first, at most
        `MAX_CONTRIBUTORS`: every contributor of an answer names them once more.
    """

    time_ns: int
    score: float | None = None
    causes: tuple[Cause, ...] = ()
    changed: tuple[Cause, ...] = ()

    @property
    def is_anomaly(self) -> bool:
        """Whether the score passes the edge of normal."""
        return self.score is not None and self.score >= 1.0

    @property
    def severity(self) -> float:
        """0..1; 0 when normal."""
        return severity(self.score or 0.0)

    @property
    def wire_score(self) -> float:
        """The score on the service's scale."""
        return wire_score(self.score or 0.0)


class Answer(msgspec.Struct, frozen=True):
    """Rows of one detection, all or some of them.

    Attributes
    ----------
    names : tuple of str
        The model's variables.
    window : int
        Rows that a judgement needs.
    rows : tuple of Row
        Ascending.
    """

    names: tuple[str, ...]
    window: int
    rows: tuple[Row, ...]


def row_of(time_ns: int, judged: Judgement, names: Sequence[str]) -> Row:
    """A judgement as a row."""
    if not judged.is_anomaly:
        return Row(time_ns, judged.score)
    place = {name: at for at, name in enumerate(names)}
    ranked = interpretation(tuple(names), judged.contributions, judged.correlation_change, MAX_CONTRIBUTORS)
    causes = tuple(Cause(place[each.variable], each.contribution) for each in ranked)
    changed = tuple(
        Cause(place[name], judged.correlation_change[place[name]])
        for name in ranked[0].changed[:MAX_CONTRIBUTORS]
    )
    return Row(time_ns, judged.score, causes, changed)


def encode_parts(names: tuple[str, ...], window: int, rows: Iterable[Row]) -> Iterator[bytes]:
    """The rows of a detection as they are stored: in parts of at most `PART_ROWS`, each an answer of its own."""
    remaining = iter(rows)
    while some := tuple(islice(remaining, PART_ROWS)):
        yield encode_answer(Answer(names, window, some))


def encode_answer(answer: Answer) -> bytes:
    """One part as it is stored."""
    return zlib.compress(msgspec.msgpack.encode(answer), 1)


def decode_answer(data: bytes) -> Answer:
    """What was stored as one part.

    Raises
    ------
    ValueError
        If it was damaged.
    """
    unfolding = zlib.decompressobj()
    try:
        plain = unfolding.decompress(data, _MAX_BYTES)
        return msgspec.msgpack.decode(plain, type=Answer)
    except (zlib.error, msgspec.MsgspecError) as error:
        raise ValueError(f"the stored answer is damaged: {error}") from None
