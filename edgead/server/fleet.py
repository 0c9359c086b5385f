"""What devices send up: taken once, kept, listed; windows of readings become files that `edgead train` reads.

``POST /edgead/v1/ingest/{device}`` takes a batch of JSON lines, compressed by gzip, from the device whose key comes
with it; the form is in `edgead.uplink.forward` and docs/http-api.md.
"""

import asyncio
import csv
import logging
import os
import re
import shutil
import time
import zlib
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from edgead.errors import StoreError
from edgead.server.context import ServerContext
from edgead.server.keys import Keys
from edgead.server.settings import ServerSettings
from edgead.server.shield import client_now, presented_key
from edgead.server.wire import GatewayError, ServiceError, json_response, read_body, too_large
from edgead.store.fleet import Bounds, DeviceRow, FleetRecord, FleetStore, OverQuota, Window

log = logging.getLogger("edgead")

#: Below the state directory; the windows of readings lie in `DATA` below it, one folder a device.
FOLDER, DATA = "server/fleet", "data"
#: Bytes of a batch after it was uncompressed, its lines, and bytes of one line.
MAX_BATCH_BYTES, MAX_LINES, MAX_LINE_BYTES = 16 * 2**20, 5000, 2**20
#: Readings kept of one series, and in one record.
MAX_READINGS, MAX_WINDOW = 1_000_000, 100_000
MAX_KEY_CHARS = 400
MAX_LISTED = 10_000
#: Seconds after which a device may come again that found no room.
NO_ROOM_RETRY_S = 3600
#: Characters of a reason in the list of updates.
MAX_REASON = 1000
#: Times that a file of readings can show, the years 1 to 9999, in epoch microseconds.
_FIRST_US, _LAST_US = -62_135_596_800_000_000, 253_402_300_799_999_999
_PREFIX = "/edgead/v1/ingest/"
#: Neither hidden nor a step upwards: it becomes the name of a file.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,127}")


class _Line(msgspec.Struct):
    seq: int
    kind: str
    created: int
    replay: bool
    record: msgspec.Raw


class _Moment(msgspec.Struct):
    """``info`` and ``health``: one a moment."""

    ts: int

    @property
    def key(self) -> str:
        return f"//{self.ts}"


class _Happening(_Moment):
    """``event`` and ``update``: things that happen to something."""

    id: str
    event: str

    @property
    def key(self) -> str:
        return f"{self.id}/{self.event}/{self.ts}"


class _Readings(_Moment):
    """``data``: a window of a series."""

    series: str
    times_us: list[int]
    values: list[float | None]

    @property
    def key(self) -> str:
        return f"{self.series}//{self.ts}"


_FORMS: dict[str, type[_Moment]] = {
    "event": _Happening,
    "update": _Happening,
    "health": _Moment,
    "info": _Moment,
    "data": _Readings,
}
KINDS = tuple(_FORMS)


class Batch(msgspec.Struct):
    """A batch as it was understood.

    Attributes
    ----------
    records : list of FleetRecord
    windows : dict of int to Window
        Readings that records carry, by the place of the record.
    refused : list of dict
        ``seq`` and ``reason`` of lines that were not understood.
    """

    records: list[FleetRecord] = []
    windows: dict[int, Window] = {}
    refused: list[dict[str, Any]] = []


def read_batch(lines: bytes) -> Batch:
    """Understand the lines of a batch; one that is wrong costs only itself.

    Raises
    ------
    ServiceError
        400, if there are too many lines.
    """
    batch = Batch()
    parts = [line for line in lines.split(b"\n") if line.strip()]
    if len(parts) > MAX_LINES:
        raise ServiceError(413, "BatchTooLarge", f"Expected at most {MAX_LINES} records, got {len(parts)}.")
    for part in parts:
        seq = 0
        try:
            if len(part) > MAX_LINE_BYTES:
                raise ValueError(f"expected at most {MAX_LINE_BYTES} bytes, got {len(part)}")
            line = msgspec.json.decode(part, type=_Line)
            seq = line.seq
            _take_line(line, batch)
        except (msgspec.MsgspecError, ValueError, RecursionError) as error:
            batch.refused.append({"seq": seq, "reason": str(error)[:200] or "nested too deep"})
    return batch


def _take_line(line: _Line, batch: Batch) -> None:
    if line.kind not in KINDS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {line.kind[:40]!r}")
    if not (0 < line.seq < 2**63 and abs(line.created) < 2**53):
        raise ValueError("seq, created: out of range")
    record = msgspec.json.decode(line.record)  # all of it: what is kept will be told to others
    told = msgspec.convert(record, _FORMS[line.kind])
    if len(told.key) > MAX_KEY_CHARS:
        raise ValueError(f"id, series, event: expected at most {MAX_KEY_CHARS} characters")
    if isinstance(told, _Readings):
        batch.windows[len(batch.records)] = _window(told)
    batch.records.append(
        FleetRecord(
            kind=line.kind,
            key=told.key,
            seq=line.seq,
            created_ms=line.created,
            replay=line.replay,
            # the readings lie in a table of their own
            body=b"" if line.kind == "data" else bytes(line.record),
        )
    )


def _window(readings: _Readings) -> Window:
    if not _NAME.fullmatch(readings.series):
        raise ValueError(f"series: expected letters, digits, _ . -, got {readings.series[:80]!r}")
    if len(readings.times_us) != len(readings.values) or len(readings.values) > MAX_WINDOW:
        raise ValueError(f"times_us, values: expected lists of one length, at most {MAX_WINDOW}")
    if not all(_FIRST_US <= each <= _LAST_US for each in readings.times_us):
        raise ValueError("times_us: expected times of the years 1 to 9999")
    return Window(series=readings.series, times_us=readings.times_us, values=readings.values)


def uncompressed(data: bytes, encoding: str) -> bytes:
    """The lines of a body; never more than `MAX_BATCH_BYTES`, whatever it grows to.

    Raises
    ------
    ServiceError
        400 or 413.
    """
    if encoding not in ("gzip", "identity", ""):
        raise ServiceError(415, "BadEncoding", f"Content-Encoding: expected gzip, got {encoding[:40]!r}.")
    if encoding != "gzip":
        lines = data
    else:
        unpack = zlib.decompressobj(wbits=31)
        try:
            lines = unpack.decompress(data, MAX_BATCH_BYTES + 1)
        except zlib.error:
            raise ServiceError(400, "BadEncoding", "The body is no gzip stream.") from None
        if len(lines) <= MAX_BATCH_BYTES and not unpack.eof:
            raise ServiceError(400, "BadEncoding", "The gzip stream is cut short.")
        if unpack.unused_data:  # its records would be lost
            raise ServiceError(400, "BadEncoding", "Expected one gzip stream, more follows its end.")
    if len(lines) > MAX_BATCH_BYTES:
        raise too_large(MAX_BATCH_BYTES, "BatchTooLarge")
    return lines


class Fleet:
    """The devices of a server.

    Parameters
    ----------
    store : FleetStore
    data : Path
        Folder of the files of readings.
    bounds : Bounds
        What may be kept.
    """

    def __init__(self, store: FleetStore, data: Path, bounds: Bounds) -> None:
        self.store = store
        self.bounds = bounds
        self._data = data

    def take(self, device: str, data: bytes, encoding: str) -> tuple[int, dict[str, Any]]:
        """Take a batch; status and body of the answer.

        Raises
        ------
        ServiceError
            If it is no batch; nothing of it is kept.
        StoreError
            If the disk fails, or there is no room (`OverQuota`); nothing of it is kept.
        """
        batch = read_batch(uncompressed(data, encoding))
        new = self.store.take(
            device, batch.records, batch.windows, now_ms=time.time_ns() // 10**6, bounds=self.bounds
        )
        if batch.windows and new:
            for series in {window.series for window in batch.windows.values()}:
                self._write_file(device, series)
        known = len(batch.records) - new
        body: dict[str, Any] = {"accepted": new, "known": known, "refused": batch.refused}
        if known and not new:
            told = "Every record of this batch was sent before: nothing was changed."
            return 409, {"code": "AlreadyKnown", "message": told, **body}
        return 200, body

    def _write_file(self, device: str, series: str) -> None:
        """All readings of a series as a table of ``timestamp`` and ``value``, whole or as it was."""
        folder = self._data / device
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            half = folder / f".{series}.half"
            with half.open("w", encoding="ascii", newline="") as file:
                writer = csv.writer(file, lineterminator="\n")
                writer.writerow(("timestamp", "value"))
                writer.writerows(_cells(*reading) for reading in self.store.readings(device, series))
                file.flush()
                os.fsync(file.fileno())
            half.replace(folder / f"{series}.csv")
        except OSError as error:  # the readings are in the store: the next window writes the file
            log.error("readings not written", extra={"fields": {"device": device, "reason": error.strerror}})

    def forget(self, device: str) -> int | None:
        """Delete all that a device sent; the bytes it took, or None when there is none of that id."""
        found = self.store.forget_device(device)
        if _NAME.fullmatch(device):
            shutil.rmtree(self._data / device, ignore_errors=True)
        return found


def _cells(time_us: int, value: float | None) -> tuple[str, str]:
    moment = datetime.fromtimestamp(time_us // 10**6, UTC).replace(microsecond=time_us % 10**6)
    text = "" if value is None else repr(value)
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z"), text


def routes(context: ServerContext) -> list[BaseRoute]:
    """POST /edgead/v1/ingest/{device}; GET /edgead/v1/devices, .../devices/{device}/records, /edgead/v1/updates; DELETE
    /edgead/v1/devices/{device}."""
    fleet = _prepare(context)
    device_keys = _device_keys(context)
    context.open_prefixes.append(_PREFIX)
    if device_keys is not None:
        known = device_keys
        context.device_keys.append(lambda key: client_now(known, key) is not None)

    async def ingest(request: Request) -> Response:
        device = request.path_params["device"]
        _admit(request, device, device_keys, needed=context.keys.needed)
        data = await read_body(request, context.settings.max_body, code="BatchTooLarge")
        encoding = request.headers.get("content-encoding", "").strip().lower()
        try:
            status, body = await context.turns.run(f"device {device}", fleet().take, device, data, encoding)
        except OverQuota as error:
            raise _no_room(context, device, error) from None
        except StoreError as error:
            log.error("records not taken", extra={"fields": {"device": device, "reason": str(error)}})
            raise ServiceError(503, "StorageWriteError", "The records cannot be kept now.") from error
        return json_response(body, status=status)

    async def devices(request: Request) -> Response:
        return await _listed(lambda: {"devices": [_device(row) for row in fleet().store.devices()]})

    async def device_records(request: Request) -> Response:
        device, query = request.path_params["device"], request.query_params
        after, limit = _number(query.get("after", "0")), _number(query.get("limit", "1000"))
        kind = query.get("kind", "")

        def found() -> dict[str, Any]:
            rows = fleet().store.records(device, kind=kind, after=after, limit=min(limit, MAX_LISTED))
            return {"records": [_record(row) for row in rows], "next": rows[-1].n if rows else after}

        return await _listed(found)

    async def forget_device(request: Request) -> Response:
        if context.keys.needed and request.state.client not in context.settings.publishers:
            raise GatewayError(
                403, "Deleting what devices sent is for the clients that [server] publishers names."
            )
        device = request.path_params["device"]
        try:
            freed = await asyncio.to_thread(fleet().forget, device)
        except StoreError as error:
            raise ServiceError(503, "StorageWriteError", "The records cannot be deleted now.") from error
        if freed is None:
            raise ServiceError(404, "DeviceNotExist", "No device of this id has sent anything.")
        log.warning(
            "all records of a device deleted",
            extra={"fields": {"device": device, "by": request.state.client}},
        )
        return json_response({"device": device, "bytes": freed})

    async def updates(request: Request) -> Response:
        model = request.query_params.get("model", "")

        def found() -> dict[str, Any]:
            return {"updates": outcomes(fleet().store.every("update"), model)}

        return await _listed(found)

    return [
        Route("/edgead/v1/ingest/{device}", ingest, methods=["POST"]),
        Route("/edgead/v1/devices", devices, methods=["GET"]),
        Route("/edgead/v1/devices/{device}", forget_device, methods=["DELETE"]),
        Route("/edgead/v1/devices/{device}/records", device_records, methods=["GET"]),
        Route("/edgead/v1/updates", updates, methods=["GET"]),
    ]


def _prepare(context: ServerContext) -> Callable[[], Fleet]:
    """The fleet's store is open from the start of the server to its end."""
    kept: list[Fleet] = []
    folder = context.settings.state / FOLDER

    async def start() -> None:
        store = await asyncio.to_thread(lambda: FleetStore.open(folder, now_ns=time.time_ns()))
        for notice in store.notices:
            log.error("store", extra={"fields": {"notice": notice}})
        kept.append(Fleet(store, folder / DATA, _bounds(context.settings)))
        await asyncio.to_thread(lambda: store.used)
        context.fleet_used = lambda: store.used
        context.measures.show_fleet(context.fleet_used, context.settings.fleet_size)

    async def stop() -> None:
        if kept:  # the start may have ended before it came to this
            kept.pop().store.close()

    context.at_start.append(start)
    context.at_stop.append(stop)
    return lambda: kept[0]


def _bounds(settings: ServerSettings) -> Bounds:
    return Bounds(
        records=settings.device_records,
        readings=MAX_READINGS,
        device_bytes=settings.device_size,
        fleet_bytes=settings.fleet_size,
    )


def _no_room(context: ServerContext, device: str, error: OverQuota) -> ServiceError:
    """507: nothing was taken, the device keeps it and comes again."""
    context.measures.fleet_refused.labels(error.of, "readings" if error.readings else "records").inc()
    whose, setting = ("this device", "device_size") if error.of == "device" else ("all devices", "fleet_size")
    what = "readings" if error.readings else "records"
    told = (
        f"No room for {what}: {whose} would have {error.used} bytes on the server, at most {error.most} may be kept "
        f"([server] {setting}). Nothing of the batch was taken."
    )
    log.warning("no room for what a device sent", extra={"fields": {"device": device, "reason": told}})
    code = "NoRoomForReadings" if error.readings else "NoRoom"
    return ServiceError(507, code, told, headers={"retry-after": str(NO_ROOM_RETRY_S)})


def _device_keys(context: ServerContext) -> Keys | None:
    file = context.settings.device_keys_file
    return Keys(Path(file)) if file else None


def _admit(request: Request, device: str, keys: Keys | None, *, needed: bool) -> None:
    """Let a device in with its own key, and with no other's."""
    if not _NAME.fullmatch(device) or len(device) > 64:
        raise ServiceError(400, "BadArgument", "device: expected 1 to 64 of letters, digits, _ . -")
    if keys is None:
        if needed:
            raise GatewayError(403, "This server takes no records: it has no device_keys_file.")
        return
    owner = client_now(keys, presented_key(dict(request.scope["headers"])))
    if owner is None:
        raise GatewayError(
            401, "Access denied: this is no device's key.", headers={"www-authenticate": "Bearer"}
        )
    if owner != device:
        raise GatewayError(403, f"This is the key of another device than {device}.")


async def _listed(found: Callable[[], dict[str, Any]]) -> Response:
    try:
        return json_response(await asyncio.to_thread(found))
    except StoreError as error:
        raise ServiceError(503, "StorageReadError", "The records cannot be read now.") from error


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 18:
        raise ServiceError(400, "BadArgument", f"Expected a whole number, got {text[:40]!r}.")
    return int(text)


def _device(row: DeviceRow) -> dict[str, Any]:
    info = msgspec.json.decode(row.info) if row.info else {}
    health = msgspec.json.decode(row.health) if row.health else {}
    return {
        "device": row.device,
        "firstSeen": row.first_ms,
        "lastSeen": row.seen_ms,
        "records": row.records,
        "bytes": row.record_bytes + row.reading_bytes,
        "version": info.get("version", ""),
        "models": info.get("models", {}),
        "sync": info.get("sync"),
        "state": health.get("state", "unknown"),
        "reasons": health.get("reasons", []),
    }


def _record(row: FleetRecord) -> dict[str, Any]:
    return {
        "n": row.n,
        "seq": row.seq,
        "kind": row.kind,
        "created": row.created_ms,
        "received": row.received_ms,
        "replay": row.replay,
        "record": msgspec.Raw(row.body) if row.body else None,
    }


def outcomes(rows: Iterable[FleetRecord], model: str = "") -> list[dict[str, Any]]:
    """What became of each package on the devices: how many are where with it, and why some turned it down.

    Parameters
    ----------
    rows : iterable of FleetRecord
        Of kind ``update``, in the order they came.
    model : str, optional
        Only of this one.
    """
    packages: dict[tuple[str, str, str], dict[str, Any]] = {}
    for row in rows:
        update = msgspec.json.decode(row.body)
        name, version, identity = (str(update.get(key, "")) for key in ("model", "version", "id"))
        if model and name != model:
            continue
        package = packages.setdefault(
            (name, version, identity),
            {"model": name, "version": version, "id": identity, "counts": {}, "turnedDown": []},
        )
        event = str(update.get("event", ""))
        package["counts"][event] = package["counts"].get(event, 0) + 1
        if event in ("rejected", "rolled-back", "refused"):
            told = {key: _brief(update.get(key)) for key in ("event", "reason", "ts", "rows", "alarms")}
            package["turnedDown"].append({"device": row.device, **told})
    return list(packages.values())


def _brief(value: Any) -> Any:
    """A value that a device told, no longer than a list of many needs."""
    return value if value is None or isinstance(value, int | float) else str(value)[:MAX_REASON]
