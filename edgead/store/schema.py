"""The tables, and the check values that make a silent bit flip visible.

Every row carries a CRC-32 of all its columns, because SQLite itself keeps no checksum of a page in the database file
(only of frames in the log).  No table has an index: the sequence number, or a hash of the series id, is the row id.
An index would be one more page written a commit, and ``PRAGMA quick_check`` does not compare it with its table.
"""

import hashlib
import struct
import zlib
from collections.abc import Iterable

SCHEMA_VERSION = 2
SEQ_GAP = 1_000_000  # left above the highest number of an event known, when later ones may be lost: none comes twice
ID_MAX = 2**63 - 1  # of a row
APPLICATION_ID = 0x65646764  # "edgd"; tells our file from any other SQLite file

TABLES = {
    "schema_version": "CREATE TABLE schema_version (version INTEGER NOT NULL, crc INTEGER NOT NULL)",
    # row 1 for journal and spool, row 2 for the outbox (its journal_seq stays 0); written only when rows
    # leave the other tables or are dropped
    "counters": (
        "CREATE TABLE counters (id INTEGER PRIMARY KEY, journal_seq INTEGER NOT NULL, spool_seq INTEGER NOT NULL,"
        " dropped INTEGER NOT NULL, crc INTEGER NOT NULL)"
    ),
    "journal": "CREATE TABLE journal (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, body BLOB NOT NULL)",
    "snapshots": (
        "CREATE TABLE snapshots (slot INTEGER PRIMARY KEY, crc INTEGER NOT NULL, seq INTEGER NOT NULL,"
        " series TEXT NOT NULL, body BLOB NOT NULL)"
    ),
    "spool": (
        "CREATE TABLE spool (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, created_ns INTEGER NOT NULL,"
        " body BLOB NOT NULL)"
    ),
    # what waits for the cloud; since version 2
    "outbox": (
        "CREATE TABLE outbox (seq INTEGER PRIMARY KEY, crc INTEGER NOT NULL, created_ns INTEGER NOT NULL,"
        " body BLOB NOT NULL)"
    ),
    # rows whose check value was wrong, kept for whoever wants to look
    "damaged": "CREATE TABLE damaged (source TEXT NOT NULL, key INTEGER NOT NULL, crc INTEGER, body BLOB)",
}

#: The tables that a version brought; a database of an older version has all but those of the later ones.
TABLES_SINCE = {2: ("outbox",)}
OUTBOX_COUNTERS = 2  # row of `counters`


def tables_of(version: int) -> dict[str, str]:
    """The tables of a database of this version."""
    later = {name for since, names in TABLES_SINCE.items() if since > version for name in names}
    return {name: statement for name, statement in TABLES.items() if name not in later}


def row_crc(numbers: Iterable[int], *parts: bytes) -> int:
    """Check value of a row: CRC-32 over its integers (as int64) and its blobs."""
    values = tuple(numbers)
    crc = zlib.crc32(struct.pack(f"<{len(values)}q", *values))
    for part in parts:
        crc = zlib.crc32(part, crc)
    return crc


def slot_of(series_id: str) -> int:
    """Row id of a series: 63 bits of its hash, so that no index is needed.

    Two of 10 000 series share a slot with a chance of 5e-12; the later one would take the place of the other, which
    would then learn anew after a restart.
    """
    digest = hashlib.blake2b(series_id.encode(), digest_size=8).digest()
    return int.from_bytes(digest, "little") >> 1


def is_whole(crc: object, numbers: Iterable[object], *parts: object) -> bool:
    """Whether a row is as it was written: every column of its type, and the check value right."""
    values = tuple(numbers)
    if not all(isinstance(value, int) for value in values) or not all(
        isinstance(part, bytes) for part in parts
    ):
        return False
    return crc == row_crc(values, *parts)  # type: ignore[arg-type]
