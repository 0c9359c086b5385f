"""What the devices of a fleet sent up, in one SQLite file of the server: each record once.

Records are known by their content (``kind`` and what of ``id``, ``series``, ``event`` and ``ts`` they have), so what a
device sends again after a lost answer, or somebody else after it, changes nothing.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal

import msgspec

from edgead.errors import StoreError
from edgead.store.tables import Tables

__all__ = ["Bounds", "DeviceRow", "FleetRecord", "FleetStore", "OverQuota", "Used", "Window"]

DATABASE = "fleet.db"
SCHEMA_VERSION = 2
APPLICATION_ID = 0x65646766  # "edgf"
PAGE_BYTES = 8 * 2**20  # of the bodies of records read at once
PAGE_READINGS = 50_000  # read at once
# What each takes beside its texts, for the bounds: measured with 100 000, indexes and lines of CSV included.
DEVICE_BYTES, RECORD_BYTES, READING_BYTES = 512, 96, 80
READINGS_SHARE = 0.75  # of a bound: what is left is for events, whatever the readings fill

_RECORD = f"({RECORD_BYTES} + 2 * length(key) + length(body))"
_READING = f"({READING_BYTES} + length(device) + length(series))"
_TABLES = (
    "CREATE TABLE devices (device TEXT PRIMARY KEY, first_ms INTEGER NOT NULL, seen_ms INTEGER NOT NULL,"
    " records INTEGER NOT NULL, info BLOB NOT NULL, health BLOB NOT NULL, record_bytes INTEGER NOT NULL DEFAULT 0,"
    " reading_bytes INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID",
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


class Bounds(msgspec.Struct, frozen=True, kw_only=True):
    """What may be kept.

    Attributes
    ----------
    records : int
        Of one device; the oldest are forgotten beyond that.
    readings : int
        Of one series, likewise.
    device_bytes, fleet_bytes : int
        Of one device and of all; beyond them nothing is taken.
    """

    records: int = 100_000
    readings: int = 1_000_000
    device_bytes: int = 2**62
    fleet_bytes: int = 2**62


class Used(msgspec.Struct, frozen=True, kw_only=True):
    """Bytes that records (and what is told of their devices) and readings take."""

    records: int
    readings: int

    @property
    def all(self) -> int:
        """Both."""
        return self.records + self.readings


class OverQuota(StoreError):
    """There is no room for a batch; nothing of it was kept.

    Parameters
    ----------
    of : {"device", "fleet"}
        Whose bound.
    readings : bool
        The readings in it have no room; records still have.
    used, most : int
        Bytes there would be, and may be.
    """

    def __init__(self, of: Literal["device", "fleet"], *, readings: bool, used: int, most: int) -> None:
        super().__init__(f"{used} bytes of the {of}: at most {most} may be kept", kind="quota")
        self.of: Literal["device", "fleet"] = of
        self.readings, self.used, self.most = readings, used, most


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
    record_bytes, reading_bytes : int
        What its records and readings take.
    """

    device: str
    first_ms: int
    seen_ms: int
    records: int
    info: bytes = b""
    health: bytes = b""
    record_bytes: int = 0
    reading_bytes: int = 0


class FleetStore(Tables):
    """Records, devices and readings; for one process, from any of its threads."""

    _FILE, _VERSION, _STATEMENTS = DATABASE, SCHEMA_VERSION, _TABLES
    _UPGRADES: ClassVar = {
        1: (
            "ALTER TABLE devices ADD COLUMN record_bytes INTEGER NOT NULL DEFAULT 0",
            "ALTER TABLE devices ADD COLUMN reading_bytes INTEGER NOT NULL DEFAULT 0",
            f"UPDATE devices SET record_bytes = (SELECT coalesce(sum({_RECORD}), 0) FROM records"
            f" WHERE records.device = devices.device), reading_bytes = (SELECT coalesce(sum({_READING}), 0)"
            " FROM readings WHERE readings.device = devices.device)",
        )
    }
    _HOLDS = "records"

    # ------------------------------------------------------------------ in

    def take(
        self,
        device: str,
        records: Sequence[FleetRecord],
        windows: Mapping[int, Window],
        *,
        now_ms: int,
        bounds: Bounds,
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
        bounds : Bounds
            What may be kept.

        Returns
        -------
        int
            How many are new.

        Raises
        ------
        OverQuota
            If what is new has no room: what a device was confirmed it deletes, what is refused it keeps.
        """
        with self._turn:
            with self._writing("taking records"):
                before, fleet = self._used(device), self._fleet_used()
                new = self._insert_batch(device, records, windows, now_ms, bounds)
                after = self._used(device)
                then = Used(
                    records=fleet.records + after.records - before.records,
                    readings=fleet.readings + after.readings - before.readings,
                )
                _check("device", before, after, bounds.device_bytes)
                _check("fleet", fleet, then, bounds.fleet_bytes)
            self._fleet = then
        return new

    def _insert_batch(
        self,
        device: str,
        records: Sequence[FleetRecord],
        windows: Mapping[int, Window],
        now_ms: int,
        bounds: Bounds,
    ) -> int:
        new = [place for place, one in enumerate(records) if self._insert(device, one, now_ms)]
        taken = sum(RECORD_BYTES + 2 * len(records[place].key) + len(records[place].body) for place in new)
        readings = sum(
            self._insert_readings(device, windows[place], bounds.readings)
            for place in new
            if place in windows
        )
        self._see(device, [records[place] for place in new], now_ms)
        if new:
            taken -= self._forget(device, bounds.records)
            self._connection.execute(
                "UPDATE devices SET record_bytes = record_bytes + ?, reading_bytes = reading_bytes + ?"
                " WHERE device = ?",
                (taken, readings, device),
            )
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

    def _insert_readings(self, device: str, window: Window, keep: int) -> int:
        """Save what is new of a window; the bytes that its series has more than before."""
        series = (device, window.series)
        new = self._connection.executemany(
            "INSERT OR IGNORE INTO readings VALUES (?, ?, ?, ?)",
            ((*series, *row) for row in zip(window.times_us, window.values, strict=True)),
        ).rowcount
        old = self._connection.execute(
            "DELETE FROM readings WHERE device = ?1 AND series = ?2 AND time_us < (SELECT time_us FROM readings"
            " WHERE device = ?1 AND series = ?2 ORDER BY time_us DESC LIMIT 1 OFFSET ?3)",
            (*series, keep - 1),
        ).rowcount
        return (new - old) * (READING_BYTES + len(device) + len(window.series))

    def _see(self, device: str, new: Sequence[FleetRecord], now_ms: int) -> None:
        self._connection.execute(
            "INSERT INTO devices VALUES (?, ?, ?, ?, x'', x'', 0, 0) ON CONFLICT (device) DO UPDATE"
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

    def _forget(self, device: str, keep: int) -> int:
        """Delete the oldest records of a device beyond so many; the bytes they had."""
        gone = self._connection.execute(
            f"SELECT n, {_RECORD} FROM records WHERE device = ? ORDER BY n DESC LIMIT -1 OFFSET ?",
            (device, keep),
        ).fetchall()
        self._connection.executemany("DELETE FROM records WHERE n = ?", [(n,) for n, _ in gone])
        return sum(size for _, size in gone)

    def forget_device(self, device: str) -> int | None:
        """Delete all that a device sent; the bytes it took, or None when there is none of that id."""
        with self._turn:
            taken = self.used.all
            with self._writing("forgetting a device"):
                for table in ("records", "readings"):
                    self._connection.execute(f"DELETE FROM {table} WHERE device = ?", (device,))
                gone = self._connection.execute("DELETE FROM devices WHERE device = ?", (device,)).rowcount
            with self._reading():
                self._fleet = self._sum("1", ())
            return taken - self._fleet.all if gone else None

    # ------------------------------------------------------------------ what it takes

    #: Of all devices, once it was counted: no other process writes.
    _fleet: Used | None = None

    @property
    def used(self) -> Used:
        """What everything takes; waits for nobody once it is known."""
        if self._fleet is not None:
            return self._fleet
        with self._reading():
            return self._fleet_used()

    def _fleet_used(self) -> Used:
        if self._fleet is None:
            self._fleet = self._sum("1", ())
        return self._fleet

    def _used(self, device: str) -> Used:
        return self._sum("device = ?", (device,))

    def _sum(self, where: str, values: Sequence[str]) -> Used:
        row = self._connection.execute(
            f"SELECT coalesce(sum(record_bytes + {DEVICE_BYTES} + length(info) + length(health)), 0),"
            f" coalesce(sum(reading_bytes), 0) FROM devices WHERE {where}",
            values,
        ).fetchone()
        return Used(records=row[0], readings=row[1])

    # ------------------------------------------------------------------ out

    def devices(self) -> list[DeviceRow]:
        """Every device, by id."""
        with self._reading():
            rows = self._connection.execute(
                f"SELECT {', '.join(DeviceRow.__struct_fields__)} FROM devices ORDER BY device"
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

    def readings(self, device: str, series: str) -> Iterator[tuple[int, float | None]]:
        """All readings of a series: epoch microseconds and value, by time; read a page at a time."""
        after, page = -(2**63), self._page(device, series, -(2**63))
        while page:
            yield from page
            after = page[-1][0]
            page = self._page(device, series, after)

    def _page(self, device: str, series: str, after: int) -> list[tuple[int, float | None]]:
        with self._reading():
            return self._connection.execute(
                "SELECT time_us, value FROM readings WHERE device = ? AND series = ? AND time_us > ?"
                " ORDER BY time_us LIMIT ?",
                (device, series, after, PAGE_READINGS),
            ).fetchall()


def _check(of: Literal["device", "fleet"], before: Used, after: Used, most: int) -> None:
    """Refuse what has no room; what shrinks, or replaces what was forgotten, always has."""
    part = int(most * READINGS_SHARE)
    if after.readings > part and after.readings > before.readings:
        raise OverQuota(of, readings=True, used=after.readings, most=part)
    if after.all > most and after.all > before.all:
        raise OverQuota(of, readings=False, used=after.all, most=most)


def _struct(kind: Any, row: Sequence[Any]) -> Any:
    return kind(**dict(zip(kind.__struct_fields__, row, strict=True)))
