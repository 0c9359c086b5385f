"""What goes into and comes out of the store: limits, spool rows, counts."""

from typing import Annotated, Literal

import msgspec

from edgead.records import Event

KIB = 1024
MIB = 1024 * KIB


class StoreLimits(msgspec.Struct, frozen=True, kw_only=True):
    """How much may wait on disk, and what goes first when it is too much.

    Attributes
    ----------
    spool_rows : int, events
        Most events that wait for the broker.  100 000 is three months of a device that tells one event a minute and
        a half hour of one that is in serious trouble.
    spool_bytes : int, bytes
        Most bytes of waiting events, as encoded (about 350 bytes an event).  64 MiB fits the smallest data partitions
        and is reached after the row limit, unless ids and units are very long.
    spool_age_s : int, seconds
        Older events are dropped; 0 keeps them however old.  Measured on the wall clock as it was when the event was
        stored, so a clock that jumps ahead ages everything.
    drop : {"oldest", "newest"}
        What a full spool gives up: the events waiting longest, or those just made.
    """

    spool_rows: Annotated[int, msgspec.Meta(ge=1, le=100_000_000)] = 100_000
    spool_bytes: Annotated[int, msgspec.Meta(ge=64 * KIB, le=1024 * 1024 * MIB)] = 64 * MIB
    spool_age_s: Annotated[int, msgspec.Meta(ge=0, le=10 * 366 * 86400)] = 0
    drop: Literal["oldest", "newest"] = "oldest"


class SpoolRow(msgspec.Struct, frozen=True):
    """An event on disk that the other side has not confirmed.

    Attributes
    ----------
    seq : int
        >= 1; rises for ever, never reused.
    event : Event
    created_ns : int
        Wall clock when it was stored.
    """

    seq: int
    event: Event
    created_ns: int


class OutboxRow(msgspec.Struct, frozen=True):
    """A record on disk that the cloud has not confirmed.

    Attributes
    ----------
    seq : int
        >= 1; rises for ever, never reused.
    body : bytes
        As it was given.
    created_ns : int
        Wall clock when it was stored.
    """

    seq: int
    body: bytes
    created_ns: int


class SpoolStats(msgspec.Struct, frozen=True):
    """The spool, or the outbox, in numbers.

    Attributes
    ----------
    rows, bytes : int
        Events waiting and their encoded size; events acknowledged but not yet deleted on disk do not count.
    oldest_ns : int or None
        When the event waiting longest was stored; None when none waits.
    dropped : int
        Events given up because of a limit, since the state directory was made.
    last_seq : int
        Highest sequence number ever given; 0 before the first event.
    """

    rows: int
    bytes: int
    oldest_ns: int | None
    dropped: int
    last_seq: int


class Committed(msgspec.Struct, frozen=True):
    """What one commit did.

    Attributes
    ----------
    journal_seq : int
        Number of the last journal entry ever written (0 before the first).
    spool_seqs : list of int
        One for each event given, in order; 0 for an event that a limit kept out of the spool.
    dropped : int
        Events this commit gave up, old or new.
    """

    journal_seq: int
    spool_seqs: list[int]
    dropped: int
