"""Hostile data sources through the whole server: refused at once, or a job that FAILED with the documented code."""

import random
import socket
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.hostile_http import HostileServer, raw
from tests.integration.test_sources_local import traversals
from tests.integration.test_sources_web import FORGED
from tests.served import ModelServer, machine, stamp, train_body, write_table
from tests.sources import SECRET, Place

REFUSED = {"InvalidBlobURL": 400, "FileNotExist": 400, "StorageReadError": 403}


def slow(connection: socket.socket) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b"x")
        time.sleep(0.05)


ANSWERS = {
    "/slow.csv": slow,
    "/secret.csv": raw(f"HTTP/1.1 200 OK\r\nContent-Length: {len(SECRET)}\r\n\r\n{SECRET}".encode()),
    "/moved.csv": raw(b"HTTP/1.1 302 Found\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n"),
    "/endless.csv": raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n"),
}


@pytest.fixture(scope="module")
def web() -> Iterator[HostileServer]:
    with HostileServer(ANSWERS) as started:
        yield started


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, web: HostileServer) -> Iterator[ModelServer]:
    folder = tmp_path_factory.mktemp("server")
    settings = f'allow_sources = ["{web.url}/"]\nsource_time = "2s"\nsource_size = "2MiB"\njobs = 2'
    with ModelServer(folder, settings) as started:
        write_table(started.data / "machine.csv", machine())
        yield started


@pytest.fixture(scope="module")
def model(server: ModelServer) -> str:
    identity = server.train()
    assert server.wait(f"models/{identity}")["modelInfo"]["status"] == "READY"
    return identity


def both_calls(server: ModelServer, model: str, source: str) -> list[tuple[int, Any]]:
    """Status and body of a training and a detection with this source."""
    detection = {"dataSource": source, "startTime": stamp(300), "endTime": stamp(399)}
    answers = [
        server.v11("POST", "models", train_body(source)),
        server.v11("POST", f"models/{model}:detect-batch", detection),
    ]
    return [(answer.status, answer.json()) for answer in answers]


def test_no_path_leads_out_of_the_data_root(server: ModelServer, model: str, tmp_path: Path):
    place = Place(tmp_path)
    for name, target in (
        ("out", place.base),
        ("outfile.csv", place.base / "secret.csv"),
        ("loop", Path("loop")),
    ):
        (server.data / name).symlink_to(target)
    forms = [form.replace(str(place.root), str(server.data)) for form in traversals(place)[:-1]]
    assert len(forms) >= 30
    for form in forms:
        for status, body in both_calls(server, model, form):
            # an empty text is a missing field
            assert REFUSED.get(body["code"], 400) == status, (form, body)
            assert body["code"] in REFUSED or (form == "" and body["code"] == "RequiredSource"), (form, body)
            assert SECRET not in body["message"]


def test_no_url_leads_to_another_server(server: ModelServer, model: str, web: HostileServer):
    forms = [form.format(port=server.port) for form in FORGED]  # the server itself is what they try to reach
    before = web.connections
    for form in forms:
        for status, body in both_calls(server, model, form):
            assert REFUSED[body["code"]] == status, (form, body)
    assert web.connections == before


def test_a_listed_server_cannot_hold_flood_or_redirect_a_job(server: ModelServer, web: HostileServer):
    jobs = {
        name: server.train(f"{web.url}/{name}.csv?sig=HIDDEN")
        for name in ("slow", "moved", "endless", "missing")
    }
    codes = {
        "slow": "GetDataError",
        "moved": "GetDataError",
        "endless": "FileSizeTooLarge",
        "missing": "FileNotExist",
    }
    for name, identity in jobs.items():
        info = server.wait(f"models/{identity}")["modelInfo"]
        (error,) = info["errors"]
        assert (info["status"], error["code"]) == ("FAILED", codes[name]), (name, error)
        assert "HIDDEN" not in error["message"]


def hostile_zip(path: Path, name: str) -> str:
    with zipfile.ZipFile(path / f"{name}.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        match name:
            case "bomb":
                archive.writestr("flow.csv", b"0" * 20_000_000)
            case "large":
                for variable in ("flow", "current", "speed"):
                    archive.writestr(f"{variable}.csv", random.Random(1).randbytes(450_000).hex())
            case "upwards":
                archive.writestr("../flow.csv", "timestamp,value\n")
    return f"{name}.zip"


def test_zips_and_folders_that_are_hostile(server: ModelServer, tmp_path: Path):
    (server.data / "linked").mkdir()
    (server.data / "linked" / "flow.csv").symlink_to("/etc/passwd")
    sources = {
        hostile_zip(server.data, "bomb"): "ReadingFileError",
        hostile_zip(server.data, "large"): "FileSizeTooLarge",
        hostile_zip(server.data, "upwards"): "ReadingFileError",
        "linked": "StorageReadError",
    }
    jobs = {source: server.train(source, dataSchema="MultiTable") for source in sources}
    for source, identity in jobs.items():
        info = server.wait(f"models/{identity}")["modelInfo"]
        assert info["status"] == "FAILED"
        assert [error["code"] for error in info["errors"]] == [sources[source]], source
    leftovers = [path for path in server.state.rglob("*") if path.suffix in {".csv", ".zip"}]
    assert [path for path in leftovers if "job" in str(path)] == []


def test_a_file_that_is_too_large_is_refused_at_once(server: ModelServer, model: str):
    with open(server.data / "huge.csv", "wb") as file:
        file.truncate(3 * 2**20)
    for status, body in both_calls(server, model, "huge.csv"):
        assert (status, body["code"]) == (413, "InvalidFileSize")


def test_headers_cannot_be_injected(server: ModelServer, model: str):
    """What a request names comes back in bodies alone, and nothing in them becomes a header."""
    hostile = "x\r\nX-Injected: yes\r\n\r\n<script>"
    answer = server.v11("POST", "models", train_body(hostile, displayName="a\r\nb"))
    assert answer.status == 400
    path = "/anomalydetector/v1.1/multivariate/models/x%0d%0aX-Injected:%20yes"
    answer = server.ask("GET", path, headers={"x-ms-client-request-id": "a b"})
    assert answer.status == 404
    assert "x-injected" not in answer.headers
    for name in ("x-ms-error-code", "apim-request-id"):
        assert answer.headers[name].isprintable()
    # Location and Operation-Location are made from the Host header
    body = {"dataSource": "machine.csv", "startTime": stamp(300), "endTime": stamp(399)}
    answer = server.v11("POST", f"models/{model}:detect-batch", body, headers={"Host": "evil.example"})
    assert answer.status == 403
