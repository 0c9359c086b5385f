"""The server takes what devices send: once, from its own device, within limits, and keeps it through kills."""

import gzip
import json
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from edgead.config import UplinkConfig
from edgead.recording.variables import read_variables
from edgead.store import Store, StoreLimits
from edgead.uplink.forward import Forwarded, Forwarder, poster
from edgead.uplink.web import Web
from tests.outbox import Outbox
from tests.server_process import Answer, ServerProcess

KEYS = {f"gw{number}": f"key{number}" for number in range(1, 100)}
NEXT = count(1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with start(tmp_path_factory.mktemp("server")) as server:
        yield server


@pytest.fixture
def device() -> str:
    """A device that no other test has."""
    return f"gw{next(NEXT)}"


def start(folder: Path, more: str = "") -> ServerProcess:
    (folder / "devices").write_text("".join(f"{name}:{key}\n" for name, key in KEYS.items()))
    config = folder / "server.toml"
    config.write_text(f'[server]\ndevice_keys_file = "devices"\n{more}')
    return ServerProcess(folder, ["-c", str(config)], key="of a client")


def line(seq: int, kind: str = "event", *, replay: bool = False, **record: Any) -> dict[str, Any]:
    told = {"id": f"id-{seq}", "event": "open", "ts": 1000 + seq, **record}
    return {"seq": seq, "kind": kind, "created": 5000 + seq, "replay": replay, "record": told}


def packed(lines: list[Any]) -> bytes:
    return gzip.compress(
        "\n".join(each if isinstance(each, str) else json.dumps(each) for each in lines).encode()
    )


def send(server: ServerProcess, body: bytes | list[Any], device: str = "gw1", **headers: str) -> Answer:
    data = body if isinstance(body, bytes) else packed(body)
    told = {"Authorization": f"Bearer {KEYS.get(device, 'none')}", "Content-Encoding": "gzip", **headers}
    told["Ocp-Apim-Subscription-Key"] = told.pop("key", told["Authorization"].partition(" ")[2])
    return server.ask("POST", f"/edgead/v1/ingest/{device}", data, headers=told)


def records(server: ServerProcess, device: str = "gw1", query: str = "") -> list[dict[str, Any]]:
    return server.ask("GET", f"/edgead/v1/devices/{device}/records{query}").json()["records"]


def listed(server: ServerProcess, device: str) -> list[dict[str, Any]]:
    rows = server.ask("GET", "/edgead/v1/devices").json()["devices"]
    return [row for row in rows if row["device"] == device]


def test_records_are_taken_in_order_and_listed_for_clients(server: ServerProcess, device: str) -> None:
    answer = send(
        server, [line(1), line(2, replay=True), line(3, "health", state="ok", reasons=[], series=24)], device
    )
    assert (answer.status, answer.json()) == (200, {"accepted": 3, "known": 0, "refused": []})
    found = records(server, device)
    assert [(each["seq"], each["kind"], each["replay"]) for each in found] == [
        (1, "event", False),
        (2, "event", True),
        (3, "health", False),
    ]
    assert found[0]["record"] == line(1)["record"]
    assert [each["seq"] for each in records(server, device, query="?kind=event&limit=1")] == [1]
    after = found[0]["n"]
    assert [each["seq"] for each in records(server, device, query=f"?after={after}")] == [2, 3]
    (row,) = listed(server, device)
    assert (row["records"], row["state"]) == (3, "ok")


def test_a_replayed_upload_is_refused_by_name_and_changes_nothing(server: ServerProcess, device: str) -> None:
    body = packed([line(1), line(2)])
    assert send(server, body, device).status == 200
    before = server.ask("GET", f"/edgead/v1/devices/{device}/records").body
    answer = send(server, body, device)
    assert (answer.status, answer.code) == (409, "AlreadyKnown")
    assert (answer.json()["accepted"], answer.json()["known"]) == (0, 2)
    assert server.ask("GET", f"/edgead/v1/devices/{device}/records").body == before
    assert send(server, [line(2), line(3)], device).json()["accepted"] == 1


@pytest.mark.parametrize(
    ("device", "key", "status", "says"),
    [
        ("gw98", KEYS["gw99"], 403, "key of another device"),
        ("gw98", "guessed", 401, "no device's key"),
        ("gw98", "", 401, "no device's key"),
        ("gw98", "of a client", 401, "no device's key"),
    ],
)
def test_another_devices_key_and_no_key_are_refused(
    server: ServerProcess, device: str, key: str, status: int, says: str
) -> None:
    answer = send(server, [line(1)], device, key=key)
    assert answer.status == status
    assert says in answer.json()["error"]["message"]
    assert listed(server, device) == []


def test_a_devices_key_opens_nothing_else(server: ServerProcess) -> None:
    for path in ("/edgead/v1/devices", "/edgead/v1/updates", "/edgead/v1/devices/gw99/records"):
        headers = {"Ocp-Apim-Subscription-Key": KEYS["gw1"]}
        assert server.ask("GET", path, headers=headers).status == 401


@pytest.mark.parametrize("path", ["..", ".hidden", "a%2F..%2Fb", "a" * 65, ""])
def test_what_is_no_id_of_a_device_is_refused(server: ServerProcess, path: str) -> None:
    answer = server.ask(
        "POST", f"/edgead/v1/ingest/{path}", packed([line(1)]), headers={"Content-Encoding": "gzip"}
    )
    assert answer.status in (400, 404)


BOMB = gzip.compress(b" " * (17 * 2**20))


@pytest.mark.parametrize(
    ("body", "headers", "status"),
    [
        (b"no gzip", {}, 400),
        (packed([line(1)])[:-9], {}, 400),
        (packed([line(1)]) + packed([line(2)]), {}, 400),
        (BOMB, {}, 413),
        (b"x" * (5 * 2**20), {}, 413),
        (packed([line(1)]), {"Content-Encoding": "br"}, 415),
        (packed(["{}"] * 5001), {}, 413),
    ],
)
def test_what_is_no_batch_is_refused_whole(
    server: ServerProcess, device: str, body: bytes, headers: dict[str, str], status: int
) -> None:
    answer = send(server, body, device, **headers)
    assert answer.status == status
    assert answer.code
    assert records(server, device) == []


BAD = [
    "{",
    "[1]",
    json.dumps(line(7, "gossip")),
    json.dumps(line(7) | {"seq": -1}),
    json.dumps(line(7) | {"record": 3}),
    json.dumps(line(7, id="x" * 500)),
    json.dumps(line(7, ts="now")),
    "[" * 5000,
    json.dumps(line(7, "data", series="../up", times_us=[1], values=[1.0])),
    json.dumps(line(7, "data", series="a", times_us=[1, 2], values=[1.0])),
    json.dumps(line(7, "data", series="a", times_us=["1"], values=[1.0])),
    json.dumps(line(7, "data", series="a", times_us=[2**61], values=[1.0])),
    json.dumps(line(7, "data", series="a", times_us=[-(2**61)], values=[1.0])),
]


@pytest.mark.parametrize("bad", BAD, ids=range(len(BAD)))
def test_a_bad_record_costs_only_itself(server: ServerProcess, device: str, bad: str) -> None:
    answer = send(server, [line(1), bad, line(2)], device)
    assert answer.status == 200
    assert (answer.json()["accepted"], len(answer.json()["refused"])) == (2, 1)
    assert answer.json()["refused"][0]["reason"]
    assert [each["seq"] for each in records(server, device)] == [1, 2]


def readings(seq: int, start: int, count: int) -> dict[str, Any]:
    times = [(1_763_750_000 + start + n) * 10**6 for n in range(count)]
    values = [None if n == 2 else start + n + 0.5 for n in range(count)]
    record = {"series": "pump1.flow", "ts": times[0] // 1000, "times_us": times, "values": values}
    return {"seq": seq, "kind": "data", "created": 1, "replay": False, "record": record}


def test_windows_of_readings_become_a_folder_that_training_reads(server: ServerProcess, device: str) -> None:
    send(server, [readings(2, 100, 10)], device)
    send(
        server, [readings(1, 0, 10), readings(2, 100, 10)], device
    )  # the older one later, the newer one again
    folder = server.state / "server/fleet/data" / device
    assert [path.name for path in folder.iterdir()] == ["pump1.flow.csv"]
    columns = read_variables(folder).columns
    assert list(columns) == ["pump1.flow"]
    times, values = columns["pump1.flow"]
    assert (len(times), len(values)) == (20, 20)
    lines = (folder / "pump1.flow.csv").read_text().splitlines()
    assert lines[:4] == [
        "timestamp,value",
        "2025-11-21T18:33:20.000000Z,0.5",
        "2025-11-21T18:33:21.000000Z,1.5",
        "2025-11-21T18:33:22.000000Z,",
    ]


def test_the_first_and_the_last_time_there_is_are_written(server: ServerProcess, device: str) -> None:
    times = [-62_135_596_800_000_000, 253_402_300_799_999_999]
    answer = send(server, [line(1, "data", series="a", times_us=times, values=[1.0, 2.0])], device)
    assert answer.status == 200
    table = server.state / "server" / "fleet" / "data" / device / "a.csv"
    assert table.read_text().splitlines()[1:] == [
        "0001-01-01T00:00:00.000000Z,1.0",
        "9999-12-31T23:59:59.999999Z,2.0",
    ]


@pytest.mark.parametrize("query", ["?after=%C2%B2", "?limit=%C2%B2", "?after=-1", "?limit=x"])
def test_a_place_in_the_list_is_a_number(server: ServerProcess, query: str) -> None:
    answer = server.ask("GET", f"/edgead/v1/devices/gw1/records{query}")
    assert (answer.status, answer.code) == (400, "BadArgument")


def test_large_records_are_listed_in_pages_that_fit_in_memory(server: ServerProcess, device: str) -> None:
    """A batch of a few kilobytes unfolds to megabytes: ten of them are not read at once."""
    large = "x" * 1_000_000
    for first in (1, 11):
        lines = [
            line(first + n, "update", id="p", event="rejected", model=device, reason=large) for n in range(10)
        ]
        assert send(server, lines, device).status == 200
    seqs, after = [], 0
    while page := server.ask("GET", f"/edgead/v1/devices/{device}/records?limit=10000&after={after}"):
        assert len(page.body) < 9 * 2**20
        if not page.json()["records"]:
            break
        seqs += [each["seq"] for each in page.json()["records"]]
        after = page.json()["next"]
    assert seqs == list(range(1, 21))
    (package,) = server.ask("GET", f"/edgead/v1/updates?model={device}").json()["updates"]
    assert package["counts"] == {"rejected": 20}
    assert {each["reason"] for each in package["turnedDown"]} == {large[:1000]}


def test_only_so_many_records_of_a_device_are_kept(tmp_path: Path) -> None:
    with start(tmp_path, "device_records = 5\n") as server:
        send(server, [line(seq) for seq in range(1, 9)])
        send(server, [line(1)], "gw2")
        assert [each["seq"] for each in records(server)] == [4, 5, 6, 7, 8]
        assert [each["seq"] for each in records(server, "gw2")] == [1]


#: Fifteen of them nearly fill the smallest room.
LONG = "x" * 130_000


def metric(server: ServerProcess, name: str) -> float:
    text = server.ask("GET", "/metrics").body.decode()
    return float(next(row for row in text.splitlines() if row.startswith(f"{name} ")).rpartition(" ")[2])


def test_beyond_the_room_of_a_device_it_is_refused_by_name_and_another_is_not(tmp_path: Path) -> None:
    with start(tmp_path, 'device_size = "2MiB"\n') as server:
        batch = [line(seq, text=LONG) for seq in range(1, 16)]
        assert send(server, batch).status == 200
        refused = send(server, [line(seq, text=LONG) for seq in range(16, 30)])
        assert (refused.status, refused.code, refused.headers["retry-after"]) == (507, "NoRoom", "3600")
        assert "at most 2097152 may be kept ([server] device_size)" in refused.json()["message"]
        assert send(server, batch).code == "AlreadyKnown"
        assert send(server, [line(1)], "gw2").status == 200
        (row,) = listed(server, "gw1")
        assert (row["records"], 1_900_000 < row["bytes"] < 2**21) == (15, True)
        assert metric(server, 'edgead_fleet_refused_total{of="device",what="records"}') == 1
        assert 1_900_000 < metric(server, 'edgead_fleet_bytes{what="records"}') < 2**21
        assert metric(server, "edgead_fleet_bytes_limit") == 4 * 2**30
        told = server.ask("GET", "/edgead/v1/server").json()
        assert (told["quotas"]["deviceBytes"], told["quotas"]["fleetBytes"]) == (2**21, 4 * 2**30)
        assert told["fleet"]["recordBytes"] > 1_900_000
        assert "no room for what a device sent" in server.log.read_text()


def test_all_devices_share_a_room_and_a_publisher_makes_some(tmp_path: Path) -> None:
    (tmp_path / "keys").write_text("admin:admin\nother:other\n")
    more = 'fleet_size = "2MiB"\npublishers = ["admin"]\nkeys_file = "keys"\n'
    (tmp_path / "devices").write_text("gw1:key1\ngw2:key2\n")
    (tmp_path / "server.toml").write_text(f'[server]\ndevice_keys_file = "devices"\n{more}')
    with ServerProcess(tmp_path, ["-c", str(tmp_path / "server.toml")]) as server:
        server.key = "admin"
        window = line(16, "data", series="press.temp", times_us=[1, 2], values=[1.0, 2.0])
        batch = [line(seq, text=LONG) for seq in range(1, 16)]
        assert send(server, [*batch, window]).status == 200
        assert (tmp_path / "state/server/fleet/data/gw1/press.temp.csv").exists()
        assert send(server, batch, "gw2").code == "NoRoom"
        other, path = {"Ocp-Apim-Subscription-Key": "other"}, "/edgead/v1/devices/gw1"
        assert server.ask("DELETE", path, headers=other).status == 403
        assert server.ask("DELETE", path).json()["bytes"] > 1_900_000
        gone = server.ask("DELETE", path)
        assert (gone.status, gone.code) == (404, "DeviceNotExist")
        assert not (tmp_path / "state/server/fleet/data/gw1").exists()
        assert send(server, batch, "gw2").status == 200


@pytest.mark.parametrize("path", ["..", "%2E%2E", "...", "a%2F..%2F.."])
def test_only_a_device_is_deleted(server: ServerProcess, tmp_path: Path, path: str) -> None:
    send(server, [line(1, "data", series="s", times_us=[1], values=[1.0])], "gw96")
    assert server.ask("DELETE", f"/edgead/v1/devices/{path}").status in (403, 404, 405)
    assert (server.state / "server/fleet/data/gw96/s.csv").exists()


def test_a_device_that_finds_no_room_keeps_what_it_has_and_comes_again(tmp_path: Path) -> None:
    """The real forwarder: events go up as long as they can; what does not waits on the device, in order."""
    with start(tmp_path, 'device_size = "2MiB"\npublishers = ["test"]\n') as server:
        (tmp_path / "gw1.key").write_text(KEYS["gw1"])
        web = Web(UplinkConfig(url=server.url, credentials_file=str(tmp_path / "gw1.key")))
        store = Store.open(tmp_path / "device", StoreLimits(), now_ns=1)

        def put(*lines: dict[str, Any]) -> None:
            bodies = [json.dumps({"kind": each["kind"], "record": each["record"]}).encode() for each in lines]
            store.commit(outbox=bodies, now_ns=1)

        def forward() -> Forwarded:
            post = poster(web, server.url, "gw1")
            forwarder = Forwarder(
                Outbox(store), post, tmp_path / "uplink", store.acknowledge_outbox, pause=lambda seconds: None
            )
            return forwarder.run()

        def windows(*firsts: int) -> list[dict[str, Any]]:
            times = [list(range(first, first + 7000)) for first in firsts]
            told = [{"series": "temp", "times_us": each, "values": [1.0] * 7000} for each in times]
            return [line(first, "data", **each) for first, each in zip(firsts, told)]

        put(line(1), *windows(10_000), line(2))
        assert forward().state == "done"
        put(line(3), *windows(20_000, 30_000), line(4))
        done = forward()
        assert (done.state, done.accepted) == ("refused", 2)
        assert done.reason.startswith(
            "the server answered 507: No room for readings: this device would have "
        )
        assert store.outbox_stats().rows == 2
        assert [each["seq"] for each in records(server, "gw1", "?kind=event")] == [1, 3, 4, 7]

        put(*(line(number, text=LONG) for number in range(10, 40)))
        done = forward()
        assert (done.state, done.refused) == ("refused", 0)
        assert 0 < done.accepted < 20
        assert done.reason.startswith("the server answered 507: No room for records")
        assert store.outbox_stats().rows == 32 - done.accepted

        assert server.ask("DELETE", "/edgead/v1/devices/gw1").status == 200
        put(line(99))
        while forward().state == "refused":
            assert store.outbox_stats().rows
            assert server.ask("DELETE", "/edgead/v1/devices/gw1").status == 200
        assert store.outbox_stats().rows == 0
        store.close()
        web.close()


def test_what_was_answered_outlasts_a_kill(tmp_path: Path) -> None:
    server = start(tmp_path)
    server.start()
    assert send(server, [line(1), line(2)]).status == 200
    server.kill()
    server.start()
    assert send(server, [line(1), line(2)]).status == 409
    assert len(records(server)) == 2
    assert server.stop() == 0


def test_a_damaged_file_is_set_aside_and_told(tmp_path: Path) -> None:
    server = start(tmp_path)
    server.start()
    send(server, [line(1)])
    server.stop()
    path = tmp_path / "state/server/fleet/fleet.db"
    path.write_bytes(b"garbage" * 1000)
    server.start()
    assert "fleet.db was damaged" in server.log.read_text()
    assert send(server, [line(1)]).json()["accepted"] == 1
    server.stop()


def test_the_outcomes_of_updates_are_counted_by_package(server: ServerProcess, device: str) -> None:
    def update(seq: int, event: str, version: str, **more: Any) -> dict[str, Any]:
        return line(seq, "update", id=f"p{version}", event=event, model="pump", version=version, **more)

    send(server, [update(1, "offered", "1.1.0"), update(2, "activated", "1.1.0")], device)
    bad = update(2, "rejected", "1.1.0", reason="too many alarms", rows=5, alarms=5)
    send(server, [update(1, "offered", "1.1.0"), bad], "gw97")
    (found,) = server.ask("GET", "/edgead/v1/updates?model=pump").json()["updates"]
    assert found["counts"] == {"offered": 2, "activated": 1, "rejected": 1}
    assert [(each["device"], each["reason"]) for each in found["turnedDown"]] == [("gw97", "too many alarms")]
    assert server.ask("GET", "/edgead/v1/updates?model=fan").json() == {"updates": []}


def test_calls_of_strangers_are_not_counted_as_a_device_s(tmp_path: Path) -> None:
    with start(tmp_path, "calls_per_minute = 5") as server:
        assert [send(server, [line(1)], "gw1", key="wrong").status for _ in range(6)] == [401] * 5 + [429]
        assert [send(server, [line(seq)], "gw1").status for seq in range(1, 7)] == [200] * 5 + [429]
        assert send(server, [line(1)], "gw2").status == 200


def test_without_device_keys_a_server_with_keys_takes_nothing(tmp_path: Path) -> None:
    with ServerProcess(tmp_path, key="of a client") as server:
        answer = send(server, [line(1)])
        assert (answer.status, "device_keys_file" in answer.json()["error"]["message"]) == (403, True)


def test_on_this_host_without_any_keys_every_device_may_send(tmp_path: Path) -> None:
    with ServerProcess(tmp_path) as server:
        assert send(server, [line(1)], "any").status == 200
