"""What waits on disk for the broker, and what waits for the cloud."""

import sqlite3

import msgspec

from edgead.records import Event
from edgead.store.queue import Queue
from edgead.store.records import OutboxRow, SpoolRow

_encoder = (
    msgspec.msgpack.Encoder()
)  # keyed by name: an event written before an upgrade is still read after it
_decoder = msgspec.msgpack.Decoder(Event)


def encode_event(event: Event) -> bytes:
    """Encode an event as it lies in the spool (MessagePack keeps NaN, which JSON cannot)."""
    return _encoder.encode(event)


class Spool(Queue):
    """Events until the broker has them."""

    def __init__(self, connection: sqlite3.Connection, *, last_seq: int, dropped: int) -> None:
        super().__init__(connection, "spool", last_seq=last_seq, dropped=dropped)

    def read(self, after: int, through: int, limit: int) -> tuple[list[SpoolRow], list[int]]:
        """Rows in ascending order, and the sequence numbers of damaged ones met on the way."""
        found: list[SpoolRow] = []
        damaged: list[int] = []
        for seq, created_ns, body in self.rows(after, through, limit):
            if len(found) >= limit:
                break
            event = None if body is None else _decode(body)
            if event is None:
                damaged.append(seq)
            else:
                found.append(SpoolRow(seq, event, created_ns))
        return found, damaged


class Outbox(Queue):
    """Records until the cloud has them; what is in them is the business of whoever puts them in."""

    def __init__(self, connection: sqlite3.Connection, *, last_seq: int, dropped: int) -> None:
        super().__init__(connection, "outbox", last_seq=last_seq, dropped=dropped)

    def read(self, after: int, through: int, limit: int) -> tuple[list[OutboxRow], list[int]]:
        """Rows in ascending order, and the sequence numbers of damaged ones met on the way."""
        found: list[OutboxRow] = []
        damaged: list[int] = []
        for seq, created_ns, body in self.rows(after, through, limit):
            if len(found) >= limit:
                break
            if body is None:
                damaged.append(seq)
            else:
                found.append(OutboxRow(seq, body, created_ns))
        return found, damaged


def _decode(body: bytes) -> Event | None:
    try:
        return _decoder.decode(body)
    except msgspec.DecodeError:
        return None
