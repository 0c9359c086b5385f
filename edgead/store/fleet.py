"""What the devices of a fleet sent up, in one SQLite file of the server: each record once.

Records are known by their content (``kind`` and what of ``id``, ``series``, ``event`` and ``ts`` they have), so what a
device sends again after a lost answer, or somebody else after it, changes nothing.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from edgead.store.tables import Tables

__all__ = ["DeviceRow", "FleetRecord", "FleetStore", "Window"]

DATABASE = "fleet.db"
SCHEMA_VERSION = 1
APPLICATION_ID = 0x65646766  # "edgf"
PAGE_BYTES = 8 * 2**20  # of the bodies of records read at once

_TABLES = (
    "CREATE TABLE devices (device TEXT PRIMARY KEY, first_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
    " records INTEGER NOT NULL, info BLOB NOT NULL, health BLOB NOT NULL) WITHOUT ROWID",
    "CREATE TABLE records (n INTEGER PRIMARY KEY, device TEXT NOT NULL, kind TEXT NOT NULL, key TEXT NOT NULL,"
    " seq INTEGER NOT NULL, created_ms INTEGER NOT NULL, received_ms INTEGER NOT NULL, replay INTEGER NOT NULL,"
    " body BLOB NOT NULL)",
    "CREATE UNIQUE INDEX records_once ON records (device, kind, key)",
    "CREATE TABLE readings (device TEXT NOT NULL, series TEXT NOT NULL, time_us INTEGER NOT NULL, value REAL,"
    " PRIMARY KEY (device, series, time_us)) WITHOUT ROWID",
    f"PRAGMA user_version = {SCHEMA_VERSION}",
    f"PRAGMA application_id = {APPLICATION_ID}",
)


class FleetRecord(msgspec.Struct, frozen=True, kw_only=True):
    """One record of a device.

    Attributes
    ----------
    kind, key : str
        What it is, and what tells it from the others of its kind.
    seq : int
        Its number on the device.
    created_ms, received_ms : int
        When the device made it, and when it came here.
    replay : bool
        It waited while the device could not reach us.
    body : bytes
        JSON.
    n : int
        Its place in the order of arrival; 0 = not stored yet.
    device : str
        "" = not stored yet.
    """

    kind: str
    key: str
    seq: int
    created_ms: int
    replay: bool
    body: bytes
    received_ms: int = 0
    n: int = 0
    device: str = ""


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """Readings of one series: times in epoch microseconds, values or None."""

    series: str
    times_us: list[int]
    values: list[float | None]


class DeviceRow(msgspec.Struct, frozen=True, kw_only=True):
    """One device.

    Attributes
    ----------
    device : str
    first_ms, seen_ms : int
        When it first sent something, and when it last did.
    records : int
        New records it sent so far.
    info, health : bytes
        The last of their kind, JSON; empty before the first.
    """

    device: str
    first_ms: int
    seen_ms: int
    records: int
    info: bytes = b""
    health: bytes = b""


class FleetStore(Tables):
    """Records, devices and readings; for one process, from any of its threads."""

    _FILE, _VERSION, _STATEMENTS = DATABASE, SCHEMA_VERSION, _TABLES
    _HOLDS = "records"

    # ------------------------------------------------------------------ in

    def take(
        self,
        device: str,
        records: Sequence[FleetRecord],
        windows: Mapping[int, Window],
        *,
        now_ms: int,
        keep: int,
    ) -> int:
        """Save what is new of a batch, all of it or nothing.

        Parameters
        ----------
        device : str
            Whose it is.
        records : sequence of FleetRecord
            In the order they came.
        windows : mapping of int to Window
            Readings that records carry, by the place of the record.
        now_ms : int
            Wall clock.
        keep : int
            Records of one device; the oldest are forgotten beyond that.

        Returns
        -------
        int
            How many are new.
        """
        with self._writing("taking records"):
            new = [place for place, one in enumerate(records) if self._insert(device, one, now_ms)]
            for place in new:
                if place in windows:
                    self._insert_readings(device, windows[place])
            self._see(device, [records[place] for place in new], now_ms)
            if new:
                self._forget(device, keep)
        return len(new)

    def _insert(self, device: str, record: FleetRecord, now_ms: int) -> bool:
        done = self._connection.execute(
            "INSERT OR IGNORE INTO records (device, kind, key, seq, created_ms, received_ms, replay, body)"
            " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
            (
                device,
                record.kind,
                record.key,
                record.seq,
                record.created_ms,
                now_ms,
                record.replay,
                record.body,
            ),
        )
        return done.rowcount > 0

    def _insert_readings(self, device: str, window: Window) -> None:
        self._connection.executemany(
            "INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?)",
            [(device, window.series, *row) for row in zip(window.times_us, window.values, strict=True)],
        )

    def _see(self, device: str, new: Sequence[FleetRecord], now_ms: int) -> None:
        self._connection.execute(
            "INSERT INTO devices VALUES (?, ?, ?, ?, x'', x'') ON CONFLICT (device) DO UPDATE"
            " SET seen_ms = excluded.seen_ms, records = records + excluded.records",
            (device, now_ms, now_ms, len(new)),
        )
        for kind in ("info", "health"):
            newest = max(
                (one for one in new if one.kind == kind), key=lambda one: one.created_ms, default=None
            )
            if newest is not None:
                self._connection.execute(
                    f"UPDATE devices SET {kind} = ? WHERE device = ?", (newest.body, device)
                )

    def _forget(self, device: str, keep: int) -> None:
        self._connection.execute(
            "DELETE FROM records WHERE n IN"
            " (SELECT n FROM records WHERE device = ? ORDER BY n DESC LIMIT -1 OFFSET ?)",
            (device, keep),
        )

    # ------------------------------------------------------------------ out

    def devices(self) -> list[DeviceRow]:
        """Every device, by id."""
        with self._reading():
            rows = self._connection.execute(
                "SELECT device, first_ms, seen_ms, records, info, health FROM devices ORDER BY device"
            ).fetchall()
        return [_struct(DeviceRow, row) for row in rows]

    def records(
        self, device: str | None, *, kind: str = "", after: int = 0, limit: int = 1000
    ) -> list[FleetRecord]:
        """Records of a device (None: of all), in the order they came.

        Parameters
        ----------
        device : str or None
            Whose.
        kind : str, optional
            Only of this kind.
        after, limit : int, optional
            At most so many, that came after this one; fewer, but one, when their bodies have more than `PAGE_BYTES`.
        """
        where, values = "n > ?", [after]
        for column, value in (("device", device), ("kind", kind)):
            if value:
                where += f" AND {column} = ?"
                values.append(value)  # type: ignore[arg-type]
        columns = "kind, key, seq, created_ms, replay, body, received_ms, n, device"
        found: list[FleetRecord] = []
        size = 0
        with self._reading(), contextlib.closing(self._connection.cursor()) as cursor:
            cursor.execute(
                f"SELECT {columns} FROM records WHERE {where} ORDER BY n LIMIT ?", (*values, limit)
            )
            for row in cursor:
                record = _struct(FleetRecord, (*row[:4], bool(row[4]), *row[5:]))
                size += len(record.body)
                if found and size > PAGE_BYTES:
                    break
                found.append(record)
        return found

    def every(self, kind: str) -> Iterator[FleetRecord]:
        """All records of a kind, of all devices, in the order they came; read a page at a time."""
        page = self.records(None, kind=kind)
        while page:
            yield from page
            page = self.records(None, kind=kind, after=page[-1].n)

    def readings(self, device: str, series: str) -> list[tuple[int, float | None]]:
        """All readings of a series: epoch microseconds and value, by time."""
        with self._reading():
            return self._connection.execute(
                "SELECT time_us, value FROM readings WHERE device = ? AND series = ? ORDER BY time_us",
                (device, series),
            ).fetchall()

    def trim_readings(self, device: str, series: str, keep: int) -> None:
        """Forget the oldest readings of a series beyond so many."""
        with self._writing("forgetting readings"):
            self._connection.execute(
                "DELETE FROM readings WHERE device = ? AND series = ? AND time_us < (SELECT time_us FROM readings"
                " WHERE device = ? AND series = ? ORDER BY time_us DESC LIMIT 1 OFFSET ?)",
                (device, series, device, series, keep - 1),
            )

    # ------------------------------------------------------------------ the file


def _struct(kind: Any, row: Sequence[Any]) -> Any:
    return kind(**dict(zip(kind.__struct_fields__, row, strict=True)))
